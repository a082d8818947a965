"""`verify` at the command line: what ends with 0, and what an auditor reads and a script gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.cli.main import run
from engine.evidence.cosignature import WitnessKey
from tests.evidence.kit import unpacked, world

pytestmark = pytest.mark.house


@dataclass(frozen=True, slots=True)
class Packs:
    """A sealed run's files, and the home that they are from."""

    folder: Path
    home: Path
    sha256: str

    @property
    def pack(self) -> str:
        return str(self.folder / "audit-pack.tar.gz")


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packs]:
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("packs")
    one = world(home, decision="FAIL")
    one.play()
    for kind in ("audit-pack", "bundle", "audit-pack.sigstore.json"):
        name, content = one.sealer.export("run-1", kind, actor="ana")
        (folder / name).write_bytes(content)
    (folder / "root.json").write_bytes(one.keys.trusted_root)
    yield Packs(folder, home, one.keys.fingerprint.hex)
    one.store.close()


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RELEASELINE_HOME", str(tmp_path / "nowhere"))


def test_a_pack_that_is_judged_by_its_own_root_is_not_verified(
    packs: Packs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", packs.pack]) == 21
    told = capsys.readouterr().out
    assert "agrees with itself, but is NOT VERIFIED against anything" in told
    assert packs.sha256 in told and "trust.anchor" in told
    assert run(["verify", packs.pack, "--self-consistent"]) == 0
    assert "NOT VERIFIED against anything" in capsys.readouterr().out
    assert run(["verify", packs.pack, "--json"]) == 21
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False and document["anchored"] is False
    assert document["checks"][-1]["check"] == "trust.anchor"


@pytest.mark.parametrize("kind", ["root", "digest", "home"])
def test_what_anchors_a_pack(packs: Packs, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    anchor = {
        "root": ["--trusted-root", str(packs.folder / "root.json")],
        "digest": ["--trusted-root-sha256", f"sha256:{packs.sha256}"],
        "home": ["--home", str(packs.home)],
    }[kind]
    assert run(["verify", packs.pack, str(packs.folder / "evidence-bundle.zip"), *anchor]) == 0
    assert capsys.readouterr().out.count(": verified, ") == 2


def test_the_signature_beside_a_pack(packs: Packs, tmp_path: Path) -> None:
    root = ["--trusted-root", str(packs.folder / "root.json")]
    signature = packs.folder / "audit-pack.tar.gz.sigstore.json"
    assert run(["verify", str(signature), *root]) == 0
    (tmp_path / "evidence-bundle.zip").write_bytes(
        (packs.folder / "evidence-bundle.zip").read_bytes()
    )
    # The right signature of another pack.
    (tmp_path / "evidence-bundle.zip.sigstore.json").write_bytes(signature.read_bytes())
    assert run(["verify", str(tmp_path / "evidence-bundle.zip"), *root]) == 21
    assert run(["verify", str(signature)]) == 2


@pytest.mark.parametrize("anchor", ["digest", "none"])
def test_the_signature_beside_a_pack_is_judged_by_the_packs_root_too(
    packs: Packs, tmp_path: Path, anchor: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever has only the root's digest, or nothing, is told when it is of another pack."""
    pack = tmp_path / "audit-pack.tar.gz"
    pack.write_bytes(Path(packs.pack).read_bytes())
    beside = tmp_path / "audit-pack.tar.gz.sigstore.json"
    how = {"digest": ["--trusted-root-sha256", packs.sha256], "none": ["--self-consistent"]}
    beside.write_bytes((packs.folder / beside.name).read_bytes())
    assert run(["verify", str(pack), *how[anchor]]) == 0
    beside.write_bytes(unpacked(pack.read_bytes())["SHA256SUMS.sigstore.json"])
    capsys.readouterr()
    assert run(["verify", str(pack), *how[anchor]]) == 21
    assert "pack.beside: expected " in capsys.readouterr().out


def test_a_witness_whose_key_was_got_elsewhere(
    packs: Packs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--trusted-root", str(packs.folder / "root.json")]
    right, wrong, none = (tmp_path / name for name in ("right", "wrong", "none"))
    right.write_bytes(unpacked(Path(packs.pack).read_bytes())["log/witness.vkey"])
    other = WitnessKey("witness.releaseline.local", Ed25519PrivateKey.generate().public_key())
    wrong.write_text(f"{other}\n")
    none.write_text("log.releaseline.local\n")
    assert run(["verify", packs.pack, *root]) == 0
    assert "the one that the trusted root names" in capsys.readouterr().out
    assert run(["verify", packs.pack, "--self-consistent"]) == 0
    assert "is only the pack's own" in capsys.readouterr().out
    assert run(["verify", packs.pack, *root, "--witness", str(right), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["witness"]
    assert told["vouched"] == "given" and told["keys"] == [right.read_text().strip()]
    for file in (packs.pack, str(packs.folder / "audit-pack.tar.gz.sigstore.json")):
        assert run(["verify", file, *root, "--witness", str(right)]) == 0
        capsys.readouterr()
        assert run(["verify", file, *root, "--witness", str(wrong)]) == 21
        assert f"log.witness: expected a cosignature by {other}" in capsys.readouterr().out
    assert run(["verify", packs.pack, *root, "--witness", str(none)]) == 2
    beside = str(packs.folder / "audit-pack.tar.gz.sigstore.json")
    assert run(["verify", beside, *root, "--against", packs.pack]) == 2


def test_an_older_checkpoint(
    packs: Packs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--trusted-root", str(packs.folder / "root.json")]
    old = tmp_path / "old"
    old.write_bytes(unpacked(Path(packs.pack).read_bytes())["log/checkpoint"])
    assert run(["verify", packs.pack, *root, "--against", str(old)]) == 0
    assert run(["verify", packs.pack, *root, "--against", packs.pack]) == 0
    old.write_bytes(old.read_bytes().replace(b"\n", b"\n0", 1))
    capsys.readouterr()
    assert run(["verify", packs.pack, *root, "--against", str(old)]) == 21
    assert "FAILED  old checkpoint: log." in capsys.readouterr().out


def test_a_bundle_by_the_protocol_of_other_clients(packs: Packs, tmp_path: Path) -> None:
    """Our own bundles, judged as any Sigstore bundle."""
    files = unpacked(Path(packs.pack).read_bytes())
    for name in ("SHA256SUMS", "SHA256SUMS.sigstore.json"):
        (tmp_path / name).write_bytes(files[name])
    words = ["verify-bundle", "--bundle", str(tmp_path / "SHA256SUMS.sigstore.json")]
    words += ["--trusted-root", str(packs.folder / "root.json")]
    words += ["--certificate-oidc-issuer", "https://releaseline.local/auth"]
    ours = ["--certificate-identity", "https://releaseline.local/run-engine"]
    sums = str(tmp_path / "SHA256SUMS")
    assert run([*words, *ours, sums]) == 0
    assert run([*words, "--certificate-identity", "https://x/run-engine", sums]) == 21
    assert run([*words, *ours, str(tmp_path / "SHA256SUMS.sigstore.json")]) == 21
    assert run([*words, *ours, "sha256:" + "0" * 64]) == 21
    assert run([*words, *ours, "nothing"]) == 4
    assert run([*words, sums]) == 2


def test_packs_of_one_run_have_one_seal(
    packs: Packs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two homes, both of them honest, that each have a run of this number."""
    other = world(tmp_path / "home", decision="FAIL")
    other.play()
    (tmp_path / "other.tar.gz").write_bytes(other.pack())
    other.store.close()
    both = [packs.pack, str(tmp_path / "other.tar.gz"), "--self-consistent"]
    assert run(["verify", *both]) == 21
    assert "chain.same" in capsys.readouterr().out
