"""The engine loses its power on the way back while real processes are being switched.

The cut falls on records and on lines of the step's log, so also in the middle of a switch. The
next engine goes on from what it sees: every target ends on the right bundle, and runs once.
"""

from __future__ import annotations

import pytest

from engine.core.commands import Action
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from tests.faults.small_house import TARGETS, Fuse, PowerCut
from tests.fleet.house import Street

pytestmark = [pytest.mark.fleet, pytest.mark.fault]

# Cut around this call of the way back; beyond the last one nothing is cut, which the test says.
FEW = (8, 25)
ALL = tuple(n for n in range(1, 61) if n not in FEW)
CALLS = {"store.append", "store.record", "store.logs", "blobs.put"}


class Late(Fuse):
    """Counts only what changes something, from the moment that it is armed."""

    armed = False

    def around(self, name, method):  # type: ignore[no-untyped-def]
        guarded = super().around(name, method)

        def call(*args, **kwargs):  # type: ignore[no-untyped-def]
            counts = self.blown or (self.armed and name in CALLS)
            return (guarded if counts else method)(*args, **kwargs)

        return call


def everywhere(run: Run) -> bool:
    return any(a.applied for a in run.step("full-100").attempts)


def go_back(street: Street, run: Run) -> Run:
    """One target by name, then the rest: asked for in every life, and done once."""
    house = street.house
    house.command(run.run_id, Action.ROLLBACK, "sam", "one", targets=("t-2",))
    house.drive(run.run_id, until=lambda now: now.way_back is None)
    house.command(run.run_id, Action.ROLLBACK, "sam", "all")
    return house.drive(run.run_id)


def test_a_target_without_traffic_is_not_verified(street: Street) -> None:
    run = street.promote(lambda now: now.step("full-100").status is StepStatus.SUCCEEDED)
    street.fleet.router("/drain", {"target": "t-2", "wait_s": 0.1}, deadline_s=6.0)
    stopped = street.house.drive(run.run_id)
    assert stopped.step("post-verify").attempts[-1].reason == "without traffic: t-2"
    assert stopped.status is not RunStatus.SUCCEEDED


@pytest.mark.parametrize("at", [*FEW, *(pytest.param(n, marks=pytest.mark.long) for n in ALL)])
def test_every_cut_on_the_way_back_ends_the_same(street: Street, at: int) -> None:
    run = street.promote(everywhere)
    fuse = Late(at=at, before=bool(at % 2))
    street.again(fuse)
    street.house.drive(run.run_id, until=lambda now: now.step("full-100").open)
    fuse.armed = True
    try:
        go_back(street, run)
        assert fuse.calls < at, "every call of the way back was cut around"
        fuse.armed = False
    except PowerCut:
        street.again(Fuse())
    ended = go_back(street, run)
    assert (ended.status, ended.seal_status) == (RunStatus.ROLLED_BACK, "SEALED")
    assert [(w.scope, w.outcome, w.sealed) for w in ended.ways_back] == [
        ("target", "verified", True),
        ("full", "verified", True),
    ]
    assert street.running() == dict.fromkeys(TARGETS, street.old)
    assert [len(pids) for pids in street.instances().values()] == [1, 1]
    counters = street.fleet.router("/counters")["targets"]
    assert not any(one["drained"] for one in counters.values())
    assert street.house.real.fsck().ok
