"""The engine is killed, -9, at every step of a deploy that changes something, and asked again.

Whatever the moment: the second apply ends at the plan, nothing was restarted twice, and what ran
before kept on running.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.adapters.clock_system import SystemClock
from engine.adapters.metrics_router import RouterMetrics
from engine.core.digest import Digest
from engine.core.metrics import ReadingStatus
from tests.fleet.cut import CALLS
from tests.fleet.kit import Rig

pytestmark = pytest.mark.fleet
ROOT = Path(__file__).resolve().parents[2]
PHASES = ("plan", "fetch", "verify", "drain", "switch", "start", "health", "weight", "done")
CUTS = (
    *(f"emit:{phase}" for phase in PHASES),
    *(f"{when}:{name}" for name in CALLS for when in ("before", "after")),
)

# On the way back nothing is fetched: the bundle lies at the target, and is re-hashed there.
CUTS_BACK = tuple(cut for cut in CUTS if cut.partition(":")[2] not in {"fetch", "store"})
# Of every call and phase something, before, within or after; --long plays all of them.
SOME = CUTS[::3]
SOME_BACK = ("emit:drain", "after:switch", "before:start", "after:start", "before:prune")


def apply_and_die(rig: Rig, bundle: Digest, cut: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.fleet.cut", str(rig.folder), str(bundle), cut],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -9, ended.stderr.decode()


@pytest.mark.fault
@pytest.mark.parametrize(
    "cut", [pytest.param(c, marks=() if c in SOME else pytest.mark.long) for c in CUTS]
)
def test_killed_anywhere_then_asked_again(rig: Rig, cut: str) -> None:
    old, new = rig.bundle("1"), rig.bundle("2")
    rig.deploy(old)
    planned, other = rig.targets[:2], rig.targets[2]
    untouched = rig.instances()[other]
    apply_and_die(rig, new, cut)
    result = rig.apply(rig.plan(new, planned))
    assert result.ok, [(r.target, r.outcome, r.note) for r in result.results]
    assert rig.running() == {planned[0]: new, planned[1]: new, other: old}
    assert [rig.starts(t) for t in rig.targets] == [2, 2, 1]
    assert rig.instances()[other] == untouched
    assert_serving(rig)
    reading = RouterMetrics(rig.fleet, clock=SystemClock()).read(deadline_s=2.0)
    assert reading.status is ReadingStatus.OK


def assert_serving(rig: Rig) -> None:
    """One process per target, and each gets its traffic."""
    counters = rig.fleet.router("/counters")["targets"]
    assert not any(one["drained"] for one in counters.values())
    assert [len(pids) for pids in rig.instances().values()] == [1, 1, 1]


@pytest.mark.fault
@pytest.mark.parametrize(
    "cut",
    [pytest.param(c, marks=() if c in SOME_BACK else pytest.mark.long) for c in CUTS_BACK],
)
def test_killed_anywhere_on_the_way_back(rig: Rig, cut: str) -> None:
    """The same as forward: asked again it ends where it should, and restarts nothing twice."""
    old, new = rig.bundle("1"), rig.bundle("2")
    rig.deploy(old)
    planned, other = rig.targets[:2], rig.targets[2]
    rig.deploy(new, planned)
    untouched = rig.instances()[other]
    apply_and_die(rig, old, cut)
    result = rig.apply(rig.plan(old, planned))
    assert result.ok, [(r.target, r.outcome, r.note) for r in result.results]
    assert set(rig.running().values()) == {old}
    assert {(rig.fleet.home(t) / "current").readlink().name for t in rig.targets} == {old.hex}
    assert [rig.starts(t) for t in rig.targets] == [3, 3, 1]
    assert rig.instances()[other] == untouched
    assert_serving(rig)


@pytest.mark.fault
@pytest.mark.parametrize("cut", ["emit:drain", "emit:switch", "after:end", "emit:start"])
def test_killed_anywhere_then_sent_back(rig: Rig, cut: str) -> None:
    old, new = rig.bundle("1"), rig.bundle("2")
    rig.deploy(old)
    apply_and_die(rig, new, cut)
    assert rig.apply(rig.plan(old)).ok
    assert set(rig.running().values()) == {old}
    assert {(rig.fleet.home(t) / "current").readlink().name for t in rig.targets} == {old.hex}
    counters = rig.fleet.router("/counters")["targets"]
    assert not any(one["drained"] for one in counters.values())
