"""Going back out of the first stage while real processes of it are still being switched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.back_events import TargetTouched
from engine.core.commands import Action
from engine.core.errors import Refused
from engine.core.fact_events import EvidenceCaptured, TargetReverted, TargetSet
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.service import Asker
from tests.faults import small_house
from tests.faults.small_house import ENV
from tests.fleet import house as fleet_house
from tests.fleet.house import Street
from tests.fleet.kit import HELLO, eventually

pytestmark = pytest.mark.fleet

FOUR = ("t-1", "t-2", "t-3", "t-4")
SLOW = f"import time\ntime.sleep(2.0)\n{HELLO}"


@pytest.fixture
def four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    """Its first stage has two targets; they take their time to start."""
    for module in (small_house, fleet_house):
        monkeypatch.setattr(module, "TARGETS", FOUR)
    one = Street(tmp_path)
    monkeypatch.setattr(fleet_house, "HELLO", SLOW)
    try:
        yield one
    finally:
        one.close()
        assert one.fleet.processes() == ()


def of(street: Street, run_id: str, kind: type) -> list[str]:
    """The targets that events of this kind name, in order."""
    log = street.house.real.load(run_id)
    return [r.event.target for r in log if isinstance(r.event, kind)]  # type: ignore[union-attr]


def test_the_switch_under_way_ends_no_further_one_begins_and_all_go_back(four: Street) -> None:
    house, before = four.house, four.instances()
    run_id = house.service.promote(four.bundle("2.0"), ENV, Asker(user="ci")).run_id
    house.one_by_one(run_id, lambda r: bool(r.step("canary-50").attempts))
    with pytest.raises(Refused, match="Deploy Canary 50% has not begun to switch its first one"):
        house.ask(run_id, Action.ROLLBACK, "sam")
    ended: list[Run] = []
    driving = threading.Thread(target=lambda: ended.append(house.drive(run_id)))
    driving.start()
    try:
        eventually(lambda: house.real.run(run_id).changed_targets == ("t-1",))
        run = house.real.run(run_id)
        assert run.status is RunStatus.RUNNING and not run.step("canary-50").attempts[0].applied
        told = house.service.rollback_preview(run_id)
        assert [w for w in told.warnings if "what changes before it stops goes back too" in w]
        house.ask(run_id, Action.ROLLBACK, "sam", plan=told.digest, reason="it hangs")
    finally:
        driving.join(60.0)
    (run,) = ended
    assert (run.status, run.seal_status) == (RunStatus.ROLLED_BACK, "SEALED")
    assert set(four.running().values()) == {four.old}
    after = four.instances()
    assert after["t-1"] != before["t-1"]
    assert {t: after[t] for t in FOUR[1:]} == {t: before[t] for t in FOUR[1:]}
    assert of(four, run_id, TargetTouched) == ["t-1"]
    assert of(four, run_id, TargetSet) == ["t-1", "t-2"]  # what came of both; t-2 was skipped
    assert of(four, run_id, TargetReverted) == ["t-1"]
    (way,) = run.ways_back
    assert (way.trigger, way.targets, way.outcome, way.sealed) == (
        "operator", ("t-1",), "verified", True,
    )  # fmt: skip
    assert run.step("canary-50").status is StepStatus.REVERTED
    assert run.step("full-100").status is StepStatus.SKIPPED
    log = house.real.load(run_id)
    names = [r.event.name for r in log if isinstance(r.event, EvidenceCaptured)]
    assert "steps/04-canary-50/deploy-attestation.dsse" in names
    assert "steps/04-canary-50/rollback.dsse" in names
    hold = house.service.hold_on(run)
    assert hold is not None and hold.run == run_id
    assert house.real.fsck().ok


def test_a_pause_in_its_middle_can_be_left_backwards_as_well(four: Street) -> None:
    house = four.house
    run_id = house.service.promote(four.bundle("2.0"), ENV, Asker(user="ci")).run_id
    driving = threading.Thread(target=house.drive, args=(run_id,))
    driving.start()
    try:
        eventually(lambda: house.real.run(run_id).changed_targets == ("t-1",))
        house.ask(run_id, Action.PAUSE, "sam")
    finally:
        driving.join(60.0)
    run = house.drive(run_id)
    assert run.status is RunStatus.PAUSED and not run.unsettled
    assert run.changed_targets == ("t-1",)
    run = four.ask(run, Action.ROLLBACK, "sam")
    assert (run.status, run.seal_status) == (RunStatus.ROLLED_BACK, "SEALED")
    assert set(four.running().values()) == {four.old}
