"""sigstore-conformance: seventy bundles that nobody here made, by file and by digest."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.cli.main import run
from engine.core.errors import Malformed, Unverified
from engine.evidence.foreign_key import parse_key
from engine.evidence.sigstore_client import Artifact, Expected, artifact_of, verify_any_bundle
from engine.evidence.sigstore_roots import parse_foreign_root

SUITE = Path(__file__).parents[3] / "shared/vectors/sigstore-conformance"
CASES = sorted(path for path in (SUITE / "bundle-verify").glob("*") if path.is_dir())
IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/"
    ".github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ISSUER = "https://token.actions.githubusercontent.com"

pytestmark = pytest.mark.skipif(
    not CASES, reason="sigstore-conformance is not beside the project (../shared/vectors)"
)


def given(case: Path, name: str, otherwise: Path) -> Path:
    return case / name if (case / name).exists() else otherwise


def said(case: Path, name: str, otherwise: str) -> str:
    return (case / name).read_text().strip() if (case / name).exists() else otherwise


def command(case: Path, artifact: str) -> list[str]:
    """The protocol's call, options in its order."""
    line = ["verify-bundle", "--bundle", str(case / "bundle.sigstore.json")]
    if (case / "key.pub").exists():
        line += ["--key", str(case / "key.pub")]
    else:
        line += ["--certificate-identity", said(case, "identity", IDENTITY)]
        line += ["--certificate-oidc-issuer", said(case, "issuer", ISSUER)]
    root = given(case, "trusted_root.json", SUITE / "prod_trusted_root.json")
    return [*line, "--trusted-root", str(root), artifact]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_ends_as_it_should(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = given(case, "artifact", SUITE / "bundle-verify" / "a.txt")
    digest = artifact_of(artifact.read_bytes()).digest.hex()
    expected = 21 if case.name.endswith("_fail") else 0
    assert run(command(case, str(artifact))) == expected, capsys.readouterr().out
    assert run(command(case, f"sha256:{digest}")) == expected, capsys.readouterr().out


def test_the_suite_is_whole() -> None:
    assert len(CASES) == 70


GOOD = (
    "happy-path-v0.1",
    "happy-path-v0.3",
    "happy-path-intoto-in-dsse-v3",
    "intoto-with-custom-trust-root",
    "managed-key-happy-path",
    "rekor2-happy-path",
    "rekor2-dsse-happy-path",
)
# Parts that nobody signs: a hint on a key, and what the log encoded of it in other words.
FREE = {"hint", "keyid"}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in pairs:
            yield from leaves(one, (*path, key))
    else:
        yield path


def bent(value: Any) -> Iterator[Any]:
    """Other values for a leaf: a changed sign at three places, and a neighbour of a number."""
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        yield type(value)(int(value) + 1)
        return
    for spot in {0, len(value) // 2, max(0, len(value) - 6)}:
        sign = "A" if value[spot : spot + 1] != "A" else "B"
        yield value[:spot] + sign + value[spot + 1 :]


@pytest.mark.parametrize("name", GOOD)
def test_no_leaf_of_a_good_bundle_can_be_changed(name: str) -> None:
    case = SUITE / "bundle-verify" / name
    document = json.loads((case / "bundle.sigstore.json").read_bytes())
    artifact = artifact_of(given(case, "artifact", SUITE / "bundle-verify" / "a.txt").read_bytes())
    trusted = given(case, "trusted_root.json", SUITE / "prod_trusted_root.json")
    root = parse_foreign_root(trusted.read_bytes())
    expected = expectation(case)
    good = verify_any_bundle(json.dumps(document).encode(), artifact, expected, root, where="b")
    for path in leaves(document):
        if path[-1] in FREE or (path[-2:-1] == ("hashes",) and path[-1] > 1):
            continue
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        for value in bent(holder[path[-1]]):
            changed = copy.deepcopy(document)
            place: Any = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
            try:
                judged = verify_any_bundle(
                    json.dumps(changed).encode(), artifact, expected, root, where="b"
                )
            except (Malformed, Unverified):
                continue
            # A token's unsigned parts and the lines of witnesses that nobody here knows.
            assert path[-1] in {"signedTimestamp", "envelope"}, (path, value)
            assert judged == good


def expectation(case: Path) -> Expected:
    if (case / "key.pub").exists():
        return Expected(key=parse_key((case / "key.pub").read_bytes(), where="key"))
    return Expected(identity=said(case, "identity", IDENTITY), issuer=said(case, "issuer", ISSUER))


def test_another_signer_or_artifact_is_refused() -> None:
    case = SUITE / "bundle-verify" / "happy-path-v0.3"
    content = (case / "bundle.sigstore.json").read_bytes()
    artifact = artifact_of((SUITE / "bundle-verify" / "a.txt").read_bytes())
    root = parse_foreign_root((SUITE / "prod_trusted_root.json").read_bytes())
    good = expectation(case)
    assert verify_any_bundle(content, artifact, good, root, where="b").signer == IDENTITY
    for other, what in (
        (Expected(identity=f"{IDENTITY}x", issuer=ISSUER), artifact),
        (Expected(identity=IDENTITY, issuer=f"{ISSUER}/"), artifact),
        (good, Artifact(digest=bytes(32))),
    ):
        with pytest.raises(Unverified):
            verify_any_bundle(content, what, other, root, where="b")
