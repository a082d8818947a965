"""The section `trust`: what it means, and every mistake in it with its line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from engine.core.errors import UnsafeConfig
from engine.evidence.imported import KeyAnchor, RootAnchor
from engine.settings import Settings, read_settings
from tests.evidence.foreign_kit import pem, private

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Home = Callable[[str], Path]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a home whose settings are the shipped ones with a section `trust` at the end."""

    def make(trust: str) -> Path:
        for folder in ("policies", "feeds", "trust"):
            (tmp_path / folder).mkdir()
        for name in ("release-gate.yaml", "release-gate.config.json"):
            shutil.copyfile(EXAMPLES / name, tmp_path / "policies" / name)
        (tmp_path / "trust" / "build.pem").write_bytes(pem("p256"))
        (tmp_path / "trust" / "not.pem").write_text("hello")
        (tmp_path / "trust" / "not.json").write_text('{"mediaType": "x"}')
        text = (EXAMPLES / "releaseline.yaml").read_text("utf-8")
        (tmp_path / "releaseline.yaml").write_text(f"{text}\n{trust}", "utf-8")
        return tmp_path

    return make


def problems(home: Path) -> list[str]:
    with pytest.raises(UnsafeConfig) as caught:
        read_settings(home)
    return [line.partition("releaseline.yaml:")[2] for line in str(caught.value).splitlines()]


def line_of(home: Path, needle: str) -> int:
    text = (home / "releaseline.yaml").read_text("utf-8")
    return text[: text.rindex(needle)].count("\n") + 1


def without(home: Home) -> Settings:
    return read_settings(home(""))


def test_nothing_is_trusted_unless_it_is_named(home: Home) -> None:
    assert without(home).trust == ()


def test_a_key_and_a_root(home: Home, shared: Path) -> None:
    folder = home(
        "trust:\n"
        "  - name: build\n    key: trust/build.pem\n"
        "    predicate_types: [https://slsa.dev/provenance/v1]\n"
        "  - name: github\n    trusted_root: trust/root.json\n"
        "    issuer: https://token.actions.githubusercontent.com\n"
        "    identity_matches: https://github\\.com/acme/.+\n"
    )
    root = shared / "vectors" / "sigstore-conformance" / "prod_trusted_root.json"
    shutil.copyfile(root, folder / "trust" / "root.json")
    build, github = read_settings(folder).trust
    assert isinstance(build, KeyAnchor) and isinstance(github, RootAnchor)
    assert build.key.kind == "P-256"
    assert build.predicate_types == ("https://slsa.dev/provenance/v1",)
    assert github.fits("https://github.com/acme/shop") and not github.fits(
        "x https://github.com/acme/shop"
    )


def test_the_digest_of_the_settings_tells_the_key_itself(home: Home) -> None:
    folder = home("trust:\n  - {name: build, key: trust/build.pem}\n")
    first = read_settings(folder).digest
    (folder / "trust" / "build.pem").write_bytes(pem("p384"))
    second = read_settings(folder).digest
    (folder / "releaseline.yaml").write_text((EXAMPLES / "releaseline.yaml").read_text("utf-8"))
    assert len({first, second, read_settings(folder).digest}) == 3


def test_settings_of_old_keep_their_digest(home: Home) -> None:
    """An empty section is none: what a run was requested with must not seem to have changed."""
    folder = home("")
    before = read_settings(folder).digest
    with (folder / "releaseline.yaml").open("a") as file:
        file.write("trust: []\n")
    assert read_settings(folder).digest == before


@pytest.mark.parametrize(
    ("entry", "needle", "sentence"),
    [
        ("key: trust/none.pem", "key: trust", "trust[0].key: expected a file that can be read"),
        ("key: trust/not.pem", "key: trust", "trust[0].key: expected a P-256, P-384, Ed25519 or"),
        ("key: trust", "key: trust", "trust[0].key: expected a file that can be read"),
        ("key: 5", "key: 5", "trust[0].key: expected a text, found 5"),
        ("name: again", "- {", "trust[0]: expected either key alone, or trusted_root with"),
        ("key: trust/build.pem, issuer: x", "- {", "trust[0]: expected either key alone, or"),
        ("trusted_root: trust/not.json, issuer: x", "- {", "trust[0]: expected either key alone"),
        (
            "trusted_root: trust/not.json, issuer: x, identity: y",
            "trusted_root",
            "trust[0].trusted_root: expected application/vnd.dev.sigstore.trustedroot+json",
        ),
        (
            "trusted_root: trust/not.json, issuer: x, identity_matches: '('",
            "identity_matches",
            "trust[0].identity_matches: expected a regular expression",
        ),
        (
            "trusted_root: trust/not.json, issuer: x, identity: y, identity_matches: z",
            "- {",
            "trust[0]: expected either key alone",
        ),
        ("kye: trust/build.pem", "kye", "trust[0].kye: expected no such key, found 'kye'; did you"),
        (
            "key: trust/build.pem, predicate_types: []",
            "predicate_types",
            "trust[0].predicate_types: expected at least 1 of them",
        ),
    ],
)
def test_every_mistake_is_said_with_its_line(
    home: Home, entry: str, needle: str, sentence: str
) -> None:
    name = "" if entry.startswith("name") else "name: x, "
    folder = home(f"trust:\n  - {{{name}{entry}}}\n")
    said = problems(folder)
    expected = f"{line_of(folder, needle)}: {sentence}"
    assert any(one.startswith(expected) for one in said), (expected, said)


def test_names_stand_once_and_private_keys_never(home: Home) -> None:
    folder = home(
        "trust:\n  - {name: x, key: trust/build.pem}\n  - {name: x, key: trust/secret.pem}\n"
    )
    secret = private("p256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "trust" / "secret.pem").write_bytes(secret)
    said = "\n".join(problems(folder))
    assert "trust[1].name: expected a name of its own" in said
    assert "trust[1].key: expected a public key, found a private one" in said
    assert secret.decode().splitlines()[1] not in said
