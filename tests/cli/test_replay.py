"""`replay` on a home without a server, over a pack without a home, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import wiring
from engine.catalog import BundleFiles
from engine.cli.exits import DONE, GATE_FAIL, MISMATCH, NOT_FOUND, USAGE
from engine.core.digest import Digest
from engine.core.statemachine import TERMINAL
from engine.evidence.pack import read_file
from engine.homes import create_home
from engine.service import Asker
from engine.services import Services
from engine.settings import read_settings
from tests.shell.gate_house import sbom

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which two promotions were judged, rejected and sealed."""
    folder = tmp_path_factory.mktemp("replays")
    home = folder / "home"
    create_home(home, passphrase="correct horse")
    (home / "inputs").mkdir(exist_ok=True)
    (home / "inputs" / "service.json").write_text("{}")
    services = wiring.build(read_settings(home), passphrase="correct horse")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DB_PASSWORD", "a secret of the test")
        _judge_two(services, folder)
    yield home


def _judge_two(services: Services, folder: Path) -> None:
    wiring.start(services)
    try:
        (folder / "app.json").write_text("{}")
        # A flaw that is known to be exploited: rejected at the gate, so no target has to run.
        (folder / "app.cdx").write_bytes(sbom("langflow@1.2.0"))
        files = BundleFiles(
            name="shop", version="1.0.0", components=(folder / "app.json",),
            sboms=(folder / "app.cdx",), vex=(),
        )  # fmt: skip
        bundle = services.catalog.create(files, actor="ci-demo")
        for _ in range(2):
            services.service.promote(bundle.digest, "eu-prod", Asker(user="ana.li"))
        end_s = time.monotonic() + 40
        while any(services.store.run(f"run-{n}").status not in TERMINAL for n in (1, 2)):
            assert time.monotonic() < end_s, services.store.run("run-1").pause_note
            time.sleep(0.05)
    finally:
        services.stop()
        for fleet in services.fleets.values():
            fleet.stop()


Releaseline = Callable[..., Any]


def test_a_verdict_a_run_and_everything_match(releaseline: Releaseline, home: Path) -> None:
    one = releaseline("replay", "verdict-1", "--home", str(home))
    assert one.code == DONE, one.err
    assert "1 of 1 match, 0 do not." in one.out and "verdict-1: FAIL" in one.out
    done = releaseline("replay", "run-1", "--deep", "--home", str(home))
    assert done.code == DONE, done.out
    every = releaseline("replay", "--all", "--jobs", "1", "--home", str(home), "--json")
    assert every.code == DONE, every.err
    said = json.loads(every.out)
    assert (said["scope"], said["total"], said["progress"]["matching"]) == ("all", 2, 2)
    assert releaseline("replay", "--all", "--since", "1d", "--home", str(home)).code == DONE
    gone = releaseline("replay", "--all", "--since", "2199-01-01", "--home", str(home))
    assert gone.code == NOT_FOUND


def test_a_candidate_flips_and_its_report_says_so(
    releaseline: Releaseline, home: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "new.yaml"
    text = (EXAMPLES / "release-gate.yaml").read_text()
    policy.write_text(text)
    same = releaseline("replay", "--all", "--policy", str(policy), "--home", str(home))
    assert same.code == DONE, same.err + same.out
    assert "0 of 2 decisions flip, 2 stay" in same.out
    # Every rule made a warning: what was rejected would be let in.
    policy.write_text(text.replace("level: FAIL", "level: WARN"))
    report = tmp_path / "report.md"
    words = ("replay", "--all", "--policy", str(policy), "--report", str(report))
    flipped = releaseline(*words, "--home", str(home))
    assert flipped.code == GATE_FAIL, flipped.out
    assert "2 of 2 decisions flip" in flipped.out and "vuln.kev" in flipped.out
    assert "vuln.kev" in report.read_text()


def test_a_damaged_home_is_a_mismatch_with_its_cause(releaseline: Releaseline, home: Path) -> None:
    said = json.loads(releaseline("replay", "verdict-2", "--home", str(home), "--json").out)
    capsule = Digest.parse(_row(home, "verdict-2")["capsule"])
    assert said["items"][0]["subject"] == "verdict-2"
    place = home / "blobs" / capsule.hex[:2] / capsule.hex
    findings = Digest.parse(json.loads(place.read_bytes())["refs"]["sboms"])
    damaged = home / "blobs" / findings.hex[:2] / findings.hex
    whole = damaged.read_bytes()
    damaged.write_bytes(whole.replace(b"CycloneDX", b"CycloneDY"))
    try:
        done = releaseline("replay", "verdict-2", "--home", str(home))
        assert done.code == MISMATCH and "INPUT_TAMPERED sboms" in done.out
        what_if = releaseline("replay", "verdict-2", "--home", str(home), "--policy",
                              str(EXAMPLES / "release-gate.yaml"))  # fmt: skip
        assert what_if.code == MISMATCH and "1 are not proven" in what_if.out
    finally:
        damaged.write_bytes(whole)


def _row(home: Path, verdict_id: str) -> dict[str, Any]:
    for path in sorted((home / "journal").iterdir()):
        for line in path.read_text().splitlines():
            for record in json.loads(line)["records"]:
                if record["type"] == "verdict" and record["body"]["verdict_id"] == verdict_id:
                    found: dict[str, Any] = record["body"]
                    return found
    raise AssertionError(verdict_id)


@pytest.fixture(scope="module")
def pack(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit pack of run-1, as the seal made it."""
    services = wiring.build(read_settings(home), passphrase="correct horse")
    try:
        made = {
            one.name: one.digest
            for one in services.store.run("run-1").steps[-1].attempts[-1].outputs
        }
        place = tmp_path_factory.mktemp("elsewhere") / "audit-pack.tar.gz"
        place.write_bytes(services.store.blobs.get(made["audit-pack.tar.gz"]))
    finally:
        services.stop()
    return place


def test_a_pack_replays_in_another_process_without_any_home(pack: Path, home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine", "replay", pack.name, "--json"],
        cwd=pack.parent,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == DONE, done.stderr
    (one,) = json.loads(done.stdout)["items"]
    assert (one["verdict"], one["result"], one["named_by_decision"]) == ("verdict-1", "MATCH", True)
    assert sorted(path.name for path in pack.parent.iterdir()) == ["audit-pack.tar.gz"]
    verified = subprocess.run(
        [
            sys.executable,
            "-m",
            "engine",
            "verify",
            pack.name,
            "--trusted-root",
            str(home / "trusted_root.json"),
        ],
        cwd=pack.parent,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert verified.returncode == DONE, verified.stdout


def _unpacked(pack: Path, to: Path) -> Path:
    for name, content in read_file(pack, where="pack").files.items():
        place = to / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return to


def test_a_pack_that_was_changed_says_what(
    releaseline: Releaseline, pack: Path, tmp_path: Path
) -> None:
    folder = _unpacked(pack, tmp_path / "pack")
    assert releaseline("replay", str(folder)).code == DONE
    capsule = folder / "replay" / "verdict-1" / "capsule.json"
    document = json.loads(capsule.read_bytes())
    part = folder / "replay" / "parts" / f"{document['refs']['feeds'][7:]}.json"
    whole = part.read_bytes()
    part.write_bytes(whole.replace(b"NVD", b"NVE"))
    done = releaseline("replay", str(folder))
    assert done.code == MISMATCH and "INPUT_TAMPERED feeds" in done.out
    part.unlink()
    assert "INPUT_MISSING feeds" in releaseline("replay", str(folder)).out
    part.write_bytes(whole)
    capsule.write_bytes(capsule.read_bytes().replace(b'"FAIL"', b'"PASS"', 1))
    done = releaseline("replay", str(folder))
    assert done.code == MISMATCH and "INPUT_TAMPERED capsule" in done.out


def test_a_pack_under_a_candidate(releaseline: Releaseline, pack: Path, tmp_path: Path) -> None:
    policy, config = tmp_path / "new.yaml", EXAMPLES / "release-gate.config.json"
    text = (EXAMPLES / "release-gate.yaml").read_text()
    policy.write_text(text.replace("level: FAIL", "level: WARN"))
    words = ("replay", str(pack), "--policy", str(policy))
    assert releaseline(*words).code == USAGE
    done = releaseline(*words, "--config", str(config))
    assert done.code == GATE_FAIL and "FLIPPED" in done.out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), USAGE, "Name what to replay, or say --all"),
        (("verdict-1", "--all"), USAGE, "or say --all"),
        (("verdict-1", "--since", "1d"), USAGE, "go with --all"),
        (("--all", "--report", "x.md"), USAGE, "goes with --policy"),
        (("--all", "--since", "soon"), USAGE, "expected a date"),
        (("nothing.tar.gz",), NOT_FOUND, "a pack that exists"),
        (("verdict-99",), NOT_FOUND, "nothing to replay in verdict-99"),
    ],
)
def test_mistakes(
    releaseline: Releaseline, home: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    done = releaseline("replay", *words, "--home", str(home))
    assert (done.code, says in done.err) == (code, True), done.err
