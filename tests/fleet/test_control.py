"""Starting, adopting and ending: by what runs, never by what a file says; and only what is ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.core.errors import AdapterFailed, Malformed, NotFound
from engine.fleet import marker
from engine.fleet.control import Fleet
from tests.fleet.kit import ENVIRONMENT, Rig, eventually

pytestmark = pytest.mark.fleet

ROOT = Path(__file__).resolve().parents[2]
_START = """
import sys, time
from pathlib import Path
from tests.fleet.kit import Rig
rig = Rig(Path(sys.argv[1]))
rig.deploy(rig.bundle("1"))
rig.fleet.ensure_load(50)
print("up", flush=True)
time.sleep(600)
"""


def test_what_a_killed_engine_left_serves_on_and_is_adopted(rig: Rig) -> None:
    engine = subprocess.Popen(
        [sys.executable, "-c", _START, str(rig.folder)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert engine.stdout is not None
    assert engine.stdout.readline() == b"up\n"
    engine.kill()
    engine.wait()
    engine.stdout.close()
    before = rig.fleet.processes()
    assert sorted(p.role for p in before) == ["load", "router", *["service"] * 3]
    sent = rig.fleet.load_totals()["ok"]
    eventually(lambda: rig.fleet.load_totals()["ok"] > sent + 20)
    assert rig.fleet.load_totals()["failed"] == {}
    rig.fleet.ensure_router()
    rig.fleet.ensure_load(60)
    assert rig.apply(rig.plan(rig.bundle("1"))).ok
    assert rig.fleet.processes() == before
    rig.fleet.stop_load()
    assert "load" not in {p.role for p in rig.fleet.processes()}


def test_two_roots_never_touch_each_other(tmp_path: Path) -> None:
    # One root's path begins with the other's: a comparison of texts would mix them up.
    one, other = Rig(tmp_path / "a"), Rig(tmp_path / "ab")
    inner = Fleet(tmp_path / "a" / "fle", environment=ENVIRONMENT, targets=one.targets)
    try:
        one.deploy(one.bundle("1"))
        other.deploy(other.bundle("2"))
        theirs = other.fleet.processes()
        assert one.fleet.traffic_url != other.fleet.traffic_url
        assert inner.processes() == ()
        one.close()
        assert one.fleet.processes() == ()
        assert other.fleet.processes() == theirs
        assert set(other.running().values()) == {other.bundle("2")}
    finally:
        one.close()
        other.close()


def test_stop_leaves_no_process_even_of_those_that_do_not_listen(rig: Rig) -> None:
    rig.deploy(rig.bundle("1"))
    rig.fleet.ensure_load(20)
    running = rig.fleet.processes()
    os.kill(running[0].pid, signal.SIGSTOP)
    began = time.monotonic()
    rig.fleet.stop()
    assert time.monotonic() - began < 5.0
    for process in running:
        assert marker.read(process.pid) is None
    with pytest.raises(AdapterFailed, match="no router"):
        _ = rig.fleet.traffic_url
    rig.fleet.stop()  # nothing left to end is fine


def test_a_signal_meets_only_the_process_that_was_seen() -> None:
    other = marker.Process(
        pid=os.getpid(), role="service", home=Path("/nowhere/t"), port=1, admin_port=0
    )
    assert not marker.send(other, signal.SIGKILL)  # our own number, but not that process
    assert marker.wait_ended(other, timeout_s=0.0)


def test_two_engines_at_once_start_one_router(rig: Rig) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.fleet.kit import Rig; "
        "Rig(Path(sys.argv[1])).fleet.ensure_router()"
    )
    engines = [
        subprocess.Popen([sys.executable, "-c", code, str(rig.folder)], cwd=ROOT) for _ in range(3)
    ]
    assert [engine.wait(timeout=30) for engine in engines] == [0, 0, 0]
    assert [p.role for p in rig.fleet.processes()] == ["router"]


def test_an_interrupt_at_our_terminal_is_not_theirs(rig: Rig) -> None:
    rig.deploy(rig.bundle("1"))
    for process in rig.fleet.processes():
        assert os.getsid(process.pid) == process.pid
        assert Path(f"/proc/{process.pid}/fd/0").readlink() == Path("/dev/null")
        files = {entry.readlink() for entry in Path(f"/proc/{process.pid}/fd").iterdir()}
        assert not any("blobs" in file.parts or file.name == "lock" for file in files)


def test_unknown_targets_are_named(rig: Rig) -> None:
    with pytest.raises(NotFound, match="t99"):
        rig.fleet.home("t99")
    with pytest.raises(AdapterFailed, match="t00 does not run"):
        rig.fleet.inject("t00", error_rate_bp=0, latency_ms=0)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc"])
def test_a_target_cannot_leave_the_root(tmp_path: Path, name: str) -> None:
    with pytest.raises(Malformed, match="no name for a target"):
        Fleet(tmp_path, environment=ENVIRONMENT, targets=["t00", name])


def test_a_port_in_use_is_no_obstacle(rig: Rig) -> None:
    rig.deploy(rig.bundle("1"))
    ports = {p.port for p in rig.fleet.services("t01")}
    home = rig.fleet.home("t00")
    (process,) = rig.fleet.services("t00")
    marker.end(process, grace_s=3.0)
    (home / "port").write_text(str(next(iter(ports))))
    assert rig.apply(rig.plan(rig.bundle("1"))).ok
    assert len({p.port for p in rig.fleet.processes()}) == 4
