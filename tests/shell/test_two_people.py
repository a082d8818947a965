"""Two people, a pause and a review, through the real service, runner, watch and seal."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data import queries
from engine.core.commands import Action, ActionState
from engine.core.errors import Refused
from engine.core.event_parts import NamedDigest
from engine.core.fact_events import TargetsObserved
from engine.core.people_events import PauseCauseSeen
from engine.core.rows import StepLog
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.live_now import now_sentence, pausing_after
from engine.service import Asker
from engine.story import tell
from tests.faults import small_house
from tests.faults.outside_world import SimFleet
from tests.faults.small_house import ENV, SmallHouse, session_keys
from tests.shell.test_runner import watching

pytestmark = pytest.mark.house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path / "home", session_keys())
    yield house
    house.close()


def state_of(house: SmallHouse, run: Run, who: str, action: Action) -> ActionState:
    states = house.service.allowed(run.run_id, Asker(user=who))
    return next(s for s in states if s.action is action)


def story(house: SmallHouse, run: Run) -> str:
    return "\n".join(line.text for line in tell(house.real.load(run.run_id)))


def test_an_overridden_stage_says_so_to_the_end(house: SmallHouse) -> None:
    run = house.drive(house.promote().run_id, until=lambda r: watching(r) and _judged(r))
    lacks = state_of(house, run, "sam", Action.CONTINUE)
    assert lacks.override is not None and not lacks.ok
    assert all(phrase in lacks.why_not for phrase in lacks.override.missing)
    house.ask(run.run_id, Action.CONTINUE, "sam", override=True, reason="noise of the night job")
    told = state_of(house, run, "ana", Action.CONTINUE).override
    assert told is not None and (told.turn, told.asked_by) == ("confirm", "sam")
    house.ask(run.run_id, Action.CONTINUE, "ana", override=True, reason="I saw it too")
    run = house.drive(run.run_id)
    assert (run.status, run.seal_status) == (RunStatus.SUCCEEDED, "SEALED")
    assert run.step("canary-50").attempts[0].result == "OVERRIDDEN"
    text = story(house, run)
    assert 'OVERRIDE: sam ("noise of the night job") and ana ("I saw it too") let' in text
    (item,) = [e for e in run.step("canary-50").attempts[0].evidence if "health-gate" in e]
    assert b'"OVERRIDDEN"' in _payload(house, run, item)
    assert b'"askedBy":"sam"' in _payload(house, run, item)


def _judged(run: Run) -> bool:
    return run.step("canary-50").gate is not None


def _payload(house: SmallHouse, run: Run, name: str) -> bytes:
    files: list[NamedDigest] = [
        one
        for recorded in house.real.load(run.run_id)
        if recorded.event.TYPE == "evidence.captured/1"
        for one in recorded.event.files  # type: ignore[union-attr]
    ]
    blob = next(one.digest for one in files if one.name == name)
    envelope: dict[str, Any] = json.loads(house.real.blobs.get(blob))
    return base64.b64decode(envelope["payload"])


def test_a_pause_stops_between_targets_and_resume_goes_on_from_what_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ten = tuple(f"eu-prod-{n:02d}" for n in range(1, 11))
    monkeypatch.setattr(small_house, "TARGETS", ten)
    house = SmallHouse(tmp_path / "home", session_keys(), fleet=SimFleet(ten))
    driver: Any = house.outside.places[ENV].driver
    switch, run_id = driver._switch, house.promote().run_id
    seen: list[Run] = []

    def paused_inside(target: str, digest: Any, epoch: int) -> None:
        if not seen and target == ten[3]:
            house.ask(run_id, Action.PAUSE, "sam")
            seen.append(house.real.run(run_id))
        switch(target, digest, epoch)

    driver._switch = paused_inside
    run = house.drive(run_id, until=lambda r: r.status is RunStatus.PAUSED and not r.unsettled)
    assert seen[0].unsettled
    cohort = run.cohort("canary-50")
    assert cohort == ten[:5]
    line = StepLog(
        run_id=run_id, step="canary-50", attempt=1, ts_us=1, level="info", target=ten[3],
        text="switch: to the new one",
    )  # fmt: skip
    assert pausing_after(seen[0], (line,)) == "pausing after eu-prod-04"
    assert now_sentence(seen[0], None, None, (line,))["head"] == "Pausing after eu-prod-04."
    assert pausing_after(run, (line,)) == ""
    # The switch under way came to its end, the next one never began, and that was looked at.
    assert [target for target, _ in house.fleet.switches] == list(ten[:4])
    looks = [r.event for r in house.real.load(run_id) if isinstance(r.event, TargetsObserved)]
    assert looks[-1].purpose == "pause"
    assert [t.target for t in run.targets if t.current == run.bundle] == list(ten[:4])
    house.ask(run_id, Action.RESUME, "sam")
    run = house.drive(run_id, until=watching)
    assert [target for target, _ in house.fleet.switches] == list(cohort)
    house.close()


def test_a_pause_for_want_of_data_is_resumed_by_one_person_when_data_is_back(
    house: SmallHouse,
) -> None:
    run = house.drive(house.promote().run_id, until=watching)
    house.fleet.silent = True
    run = house.drive(run.run_id)
    assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "health_inconclusive")
    _look(house, run, 4)
    with pytest.raises(Refused, match=r"What paused the run has not cleared: .*no data"):
        house.ask(run.run_id, Action.RESUME, "sam")
    assert state_of(house, run, "sam", Action.RESUME).override is not None
    house.fleet.silent = False
    _look(house, run, 4)
    seen = [r.event for r in house.real.load(run.run_id) if isinstance(r.event, PauseCauseSeen)]
    assert [one.cleared for one in seen][-1] is True
    assert len(seen) <= 3  # told when it changes, not at every look
    house.ask(run.run_id, Action.RESUME, "sam")
    run = house.drive(run.run_id, until=lambda r: r.step("canary-50").status is not _RUNNING)
    assert run.step("canary-50").status is StepStatus.SUCCEEDED


_RUNNING = StepStatus.RUNNING


def _look(house: SmallHouse, run: Run, polls: int) -> None:
    for _ in range(polls):
        wait_s = house.runner.advance(run.run_id)
        house.clock.sleep(wait_s or 5.0)


def test_the_review_of_a_rollback_outlives_the_run_and_leaves_its_seal_alone(
    house: SmallHouse,
) -> None:
    run = house.drive(house.promote().run_id, until=watching)
    house.ask(run.run_id, Action.ROLLBACK, "sam", reason="latency")
    run = house.drive(run.run_id)
    assert (run.status, run.seal_status) == (RunStatus.ROLLED_BACK, "SEALED")
    packs = run.steps[-1].attempts[-1].outputs
    (row,) = queries.reviews(house.real.cursor(), open_only=True).to_dicts()
    assert (row["run_id"], row["number"], row["kind"]) == (run.run_id, 1, "rollback")
    assert (row["doers"], row["environment"]) == (["sam"], ENV)
    assert (row["due_us"], row["closed_us"]) == (run.reviews[0].due_us, None)
    with pytest.raises(Refused, match="sam rolled back; another person has to look at it"):
        house.ask(run.run_id, Action.REVIEW, "sam")
    with pytest.raises(Refused, match="This needs one of the roles"):
        house.ask(run.run_id, Action.REVIEW, "audrey")  # an auditor never writes to a run
    house.ask(run.run_id, Action.REVIEW, "bob", reason="right", ticket="INC-7")
    after = house.real.run(run.run_id)
    assert after.status is RunStatus.ROLLED_BACK
    assert after.steps[-1].attempts[-1].outputs == packs
    assert (after.reviews[0].closed_by, after.reviews[0].verdict) == ("bob", "follow_up")
    assert queries.reviews(house.real.cursor(), open_only=True).is_empty()
    (row,) = queries.reviews(house.real.cursor(), open_only=False).to_dicts()
    assert (row["closed_by"], row["ticket"], row["note"]) == ("bob", "INC-7", "right")
    assert 'bob looked at review 1 and wants a follow-up (INC-7): "right".' in story(house, run)
