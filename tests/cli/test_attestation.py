"""`attestation`: from files to a bundle of a stopped home, and every refusal by its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.digest import Digest
from engine.homes import create_home
from tests.cli.conftest import Done
from tests.evidence.foreign_kit import envelope, pem, provenance, statement

pytestmark = pytest.mark.house

Command = Callable[..., Done]
APP = b'{"a": 1}'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that trusts one key, for provenance alone."""
    home = tmp_path_factory.mktemp("attestation") / "home"
    create_home(home, passphrase="correct horse")
    (home / "build.pem").write_bytes(pem("ed25519"))
    with (home / "releaseline.yaml").open("a") as file:
        file.write("\ntrust:\n  - {name: build, key: build.pem}\n")
    return home


def test_from_files_to_a_bundle(releaseline: Command, home: Path, tmp_path: Path) -> None:
    at = ("--home", str(home))
    token = releaseline("token", "create", "--user", "ana.li", *at).out.strip()
    (tmp_path / "app.json").write_bytes(APP)
    made = releaseline(
        "bundle", "create", "app.json", "--name", "n", "--version", "1", "--token", token, *at
    )
    digest, asked = made.out.strip(), ("--token", token, *at)
    lines = [
        json.dumps(json.loads(envelope(statement(Digest.of(APP), predicate=provenance(n=n)), kind)))
        for n, kind in enumerate(("ed25519", "ed25519", "p256"))
    ]
    Path("good.intoto.jsonl").write_text("\n".join(lines[:2]))
    Path("stranger.dsse").write_text(lines[2])
    take = ("attestation", "import", "good.intoto.jsonl")
    given = releaseline(*take, "--bundle", digest[7:19], *asked, "--json")
    assert given.code == 0, given.err
    items = json.loads(given.out)["items"]
    assert [one["file"] for one in items] == ["good.intoto.jsonl:1", "good.intoto.jsonl:2"]
    again = releaseline(*take, "--bundle", digest, *asked)
    assert again.out.count("known already") == 2
    assert "SLSA provenance v1" in again.out and "app.json" in again.out
    refused = releaseline("attestation", "import", "stranger.dsse", "--bundle", digest, *asked)
    assert refused.code == 21, refused.err
    assert "expected a signature by build (Ed25519 SHA256:" in refused.err
    unknown = releaseline(*take, "--run", "run-9", *asked)
    assert unknown.code == 4
    listed = releaseline("attestation", "list", "--bundle", digest, *at)
    assert listed.out.count("SLSA provenance v1") == 2
    nobody = releaseline(*take, "--bundle", digest, *at)
    assert nobody.code == 3 and "may not import attestations" in nobody.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("import", "x.dsse"), "Expected one of --bundle DIGEST and --run RUN."),
        (("import", "x.dsse", "--bundle", "b", "--run", "r"), "Expected one of --bundle"),
        (("list",), "Expected one of --bundle"),
        (("import", "--bundle", "b"), "Missing argument 'FILE...'"),
        (("import", "none.dsse", "--bundle", "b"), "'none.dsse' does not exist"),
    ],
)
def test_mistakes(releaseline: Command, arguments: tuple[str, ...], sentence: str) -> None:
    Path("x.dsse").write_text("{}")
    done = releaseline("attestation", *arguments)
    assert done.code == 2
    assert sentence in done.err
