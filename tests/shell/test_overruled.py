"""Two people overrule a rollback of the gate: what it found is sealed, and it judges anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core import ticks
from engine.core.commands import Action
from engine.core.fact_events import GateDecided
from engine.core.gate_replay import watches
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.gate_replay import replay_run
from tests.faults.small_house import SmallHouse, session_keys
from tests.shell.test_two_people import _payload

pytestmark = pytest.mark.house
STAGE = "canary-50"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    one = SmallHouse(tmp_path / "home", session_keys(), on_breach="pause")
    yield one
    one.close()


def breached(house: SmallHouse) -> Run:
    house.fleet.bad = {house.bundle()}
    run = house.drive(house.promote().run_id)
    assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "health_breach")
    return run


def overrule(house: SmallHouse, run: Run) -> None:
    house.ask(run.run_id, Action.RESUME, "sam", override=True, reason="known, and harmless")
    house.ask(run.run_id, Action.RESUME, "ana", override=True, reason="seen it too")


def decisions(house: SmallHouse, run: Run, attempt: int) -> list[str]:
    log = house.real.load(run.run_id)
    found = [r.event for r in log if isinstance(r.event, GateDecided)]
    return [e.action for e in found if (e.step, e.attempt) == (STAGE, attempt)]


def test_good_again_it_is_promoted_by_what_the_new_watch_saw(house: SmallHouse) -> None:
    run = breached(house)
    overrule(house, run)
    house.fleet.bad = set()
    run = house.drive(run.run_id)
    assert (run.status, run.seal_status) == (RunStatus.SUCCEEDED, "SEALED")
    first, second = run.step(STAGE).attempts
    assert (first.status, second.status) == (StepStatus.INCONCLUSIVE, StepStatus.SUCCEEDED)
    assert second.result == "HEALTHY"
    assert decisions(house, run, 1)[-1] == "rollback"
    assert decisions(house, run, 2)[-1] == "promote"
    # Nothing was set twice: the targets were found as they are.
    assert [t for t, _ in house.fleet.switches] == ["t-1", "t-2"]
    old, new = watches(house.real.gate_ticks(run.run_id, STAGE, 1))
    assert ({row.attempt for row in old}, {row.attempt for row in new}) == ({1}, {2})
    assert json.loads(new[0].tick)["carry"] is None, "the old proof would roll back at once"
    replays = replay_run(house.real, run.run_id)
    assert all(one.same for one in replays), [one.sentence() for one in replays]
    assert [one.action for one in replays if one.step == STAGE] == ["rollback", "promote"]
    (item,) = [e for e in first.evidence if "health-gate" in e]
    payload = _payload(house, run, item)
    assert b'"askedBy":"sam"' in payload and b'"action":"rollback"' in payload


def test_still_bad_it_breaches_again_and_says_so_again(house: SmallHouse) -> None:
    run = breached(house)
    overrule(house, run)
    run = house.drive(run.run_id)
    assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "health_breach")
    assert decisions(house, run, 2)[-1] == "rollback"
    assert run.step(STAGE).attempts[1].status is StepStatus.RUNNING
    rows = house.real.gate_ticks(run.run_id, STAGE, 2)
    gate = ticks.rebuild(rows)
    counted = gate.evidence["canary"]
    assert gate.action == "rollback" and json.loads(rows[0].tick)["carry"] is None
    assert (counted["requests"], counted["errors"]) == (200, 40), "of its own ticks alone"
    assert all(one.same for one in replay_run(house.real, run.run_id))
    house.ask(run.run_id, Action.ROLLBACK, "sam")
    run = house.drive(run.run_id)
    assert (run.status, run.seal_status) == (RunStatus.ROLLED_BACK, "SEALED")


def test_the_next_engine_goes_on_with_the_new_watch(house: SmallHouse) -> None:
    run = breached(house)
    overrule(house, run)
    house.fleet.bad = set()
    run = house.drive(run.run_id, until=lambda r: bool(r.step(STAGE).gate))
    assert house.runner.recover() == 1
    run = house.drive(run.run_id)
    assert run.status is RunStatus.SUCCEEDED
    assert len(run.step(STAGE).attempts) == 3
    assert all(one.same for one in replay_run(house.real, run.run_id))
