"""What a freeze does to runs: none starts, one under way ends its step, and going back is free."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.commands import Action, Command
from engine.core.errors import Refused
from engine.core.freeze_events import FreezeKind
from engine.core.freeze_rules import FreezeWish
from engine.core.freezes import Freeze
from engine.core.local_time import clock_text, day_text
from engine.core.queue_events import StartBarred, StartUnbarred
from engine.core.run import Run
from engine.core.run_events import RunPaused, RunStarted
from engine.core.spec import HOTFIX
from engine.core.statemachine import RunStatus, StepStatus
from engine.service import Asker
from engine.story import tell
from tests.faults.small_house import ENV, SmallHouse, session_keys

pytestmark = pytest.mark.house

ANA, SAM = Asker(user="ana"), Asker(user="sam")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path / "home", session_keys())
    yield house
    house.close()


def freeze(house: SmallHouse, name: str = "stop", **fields: Any) -> Freeze:
    given = {"kind": FreezeKind.DENY, "name": name, "reason": "incident 7"}
    return house.freezing.add(FreezeWish(**(given | {"environments": (ENV,)} | fields)), ANA)


def wants(house: SmallHouse, text: str = "new", **how: Any) -> Run:
    return house.service.promote(house.bundle(text), ENV, ANA, reason="test", **how)


def said(house: SmallHouse, run: Run) -> list[StartBarred | StartUnbarred]:
    events = (recorded.event for recorded in house.real.load(run.run_id))
    return [e for e in events if isinstance(e, StartBarred | StartUnbarred)]


def mid_run(house: SmallHouse, step: str, status: StepStatus = StepStatus.RUNNING) -> Run:
    """A promotion that has come so far."""
    run = wants(house)
    return house.drive(run.run_id, until=lambda r: r.step(step).status is status)


def paused(house: SmallHouse, step: str = "canary-50") -> Run:
    """A run that a freeze caught in `step`."""
    run = mid_run(house, step)
    freeze(house)
    return house.drive(run.run_id)


class TestQueue:
    def test_a_run_waits_in_the_queue_says_why_once_and_starts_when_it_is_over(
        self, house: SmallHouse
    ) -> None:
        set_ = freeze(house)
        run = wants(house)
        for _ in range(3):
            assert house.runner.advance(run.run_id) is not None
        waiting = house.real.run(run.run_id)
        assert waiting.status is RunStatus.QUEUED and waiting.barred is not None
        assert waiting.barred.by == "freeze" and waiting.barred.until_us is None
        assert f"{ENV} is frozen: stop since" in waiting.barred.reason
        assert "(owner ana: incident 7). It opens when somebody ends" in waiting.barred.reason
        assert len(said(house, run)) == 1
        house.freezing.end(set_.id, SAM, reason="solved")
        assert house.drive(run.run_id).status is RunStatus.SUCCEEDED
        assert [type(e) for e in said(house, run)] == [StartBarred, StartUnbarred]
        told = [line.text for line in tell(house.real.load(run.run_id))]
        assert any(line.startswith(f"The run stays queued: {ENV} is frozen:") for line in told)

    def test_it_starts_by_itself_when_the_window_ends(self, house: SmallHouse) -> None:
        at = house.clock.now_us() // 60_000_000 * 60 + 600
        day, second = divmod(at, 86_400)
        freeze(house, ends=f"{day_text(day)} {clock_text(second // 60)}")
        run = wants(house)
        assert house.runner.advance(run.run_id) is not None
        barred = house.real.run(run.run_id).barred
        assert barred is not None and barred.until_us == at * 1_000_000
        house.clock.sleep(700)
        assert house.drive(run.run_id).status is RunStatus.SUCCEEDED

    def test_other_environments_go_on(self, house: SmallHouse) -> None:
        freeze(house, environments=("us-prod",))
        assert house.drive(wants(house).run_id).status is RunStatus.SUCCEEDED

    def test_a_hotfix_passes_what_lets_it_ahead_of_who_waits(self, tmp_path: Path) -> None:
        house = SmallHouse(tmp_path / "home", session_keys(), approvals=1)
        freeze(house, hotfix=True)
        first = wants(house)
        house.runner.advance(first.run_id)
        for asker, reason in ((Asker(user="ci"), "r"), (ANA, " ")):
            with pytest.raises(Refused, match="A hotfix"):
                house.service.promote(house.bundle("fix"), ENV, asker, reason=reason, kind=HOTFIX)
        fix = wants(house, "fix", kind=HOTFIX)
        waits = house.drive(fix.run_id)
        assert waits.status is RunStatus.AWAITING_APPROVAL
        assert waits.request.approval.min_approvals == 2
        house.ask(fix.run_id, Action.APPROVE, "bob")
        assert house.drive(fix.run_id).status is RunStatus.AWAITING_APPROVAL
        house.ask(fix.run_id, Action.APPROVE, "carol")
        assert house.drive(fix.run_id).status is RunStatus.SUCCEEDED
        assert house.real.run(first.run_id).status is RunStatus.QUEUED
        hard = freeze(house, "audit")
        later = wants(house, "fix2", kind=HOTFIX)
        house.runner.advance(later.run_id)
        barred = house.real.run(later.run_id).barred
        assert barred is not None and barred.keys == (f"{hard.id}@{hard.fact.from_us}",)
        house.close()

    def test_two_people_may_break_the_glass(self, house: SmallHouse) -> None:
        freeze(house)
        run = wants(house)
        house.runner.advance(run.run_id)
        glass = {"reason": "customers are down", "ticket": "INC-7"}
        house.ask(run.run_id, Action.BREAK_GLASS, "sam", **glass)
        assert house.runner.advance(run.run_id) is not None
        assert house.real.run(run.run_id).status is RunStatus.QUEUED
        house.ask(run.run_id, Action.BREAK_GLASS, "mia", **glass)
        done = house.drive(run.run_id)
        assert done.status is RunStatus.SUCCEEDED
        assert "is frozen: stop" in done.overrides[0].against


class TestUnderWay:
    def test_the_step_at_hand_is_finished_and_then_the_run_pauses(self, house: SmallHouse) -> None:
        run = paused(house)
        assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "freeze")
        assert run.step("canary-50").status is StepStatus.SUCCEEDED
        assert run.step("full-100").status is StepStatus.PENDING
        assert run.pause_note.startswith(f"{ENV} is frozen: stop since ")
        assert run.pause_note.endswith("Deploy 100% has not begun.")
        assert run.changed_targets

    def test_it_goes_on_when_the_freeze_is_over_and_a_person_says_so(
        self, house: SmallHouse
    ) -> None:
        run = paused(house)
        with pytest.raises(Refused, match="is frozen: stop since"):
            house.ask(run.run_id, Action.RESUME, "mia")
        house.freezing.end("freeze-1", SAM, reason="solved")
        assert house.drive(run.run_id).status is RunStatus.PAUSED  # never by itself
        house.ask(run.run_id, Action.RESUME, "mia")
        assert house.drive(run.run_id).status is RunStatus.SUCCEEDED

    def test_two_people_let_it_go_on_past_this_freeze_and_no_other(self, tmp_path: Path) -> None:
        house = SmallHouse(tmp_path / "home", session_keys(), approvals=1)
        run = house.drive(wants(house).run_id)
        freeze(house)
        house.ask(run.run_id, Action.APPROVE, "bob")
        assert house.drive(run.run_id).pause_reason == "freeze"
        (state,) = [s for s in house.service.allowed(run.run_id, SAM) if s.action == "resume"]
        assert not state.ok and state.override is not None and state.override.turn == "ask"
        assert "is frozen: stop since" in state.override.missing[0]
        house.ask(run.run_id, Action.RESUME, "sam", override=True)
        with pytest.raises(Refused, match="a second person has to confirm"):
            house.ask(run.run_id, Action.RESUME, "sam", override=True)
        house.ask(run.run_id, Action.RESUME, "mia", override=True)
        run = house.drive(run.run_id, until=lambda r: r.step("canary-50").open)
        assert run.passed_freezes == {f"freeze-1@{house.freezing.freeze('freeze-1').fact.from_us}"}
        freeze(house, "another")
        run = house.drive(run.run_id)
        assert run.pause_reason == "freeze" and run.step("full-100").status is StepStatus.PENDING
        assert "frozen: another" in run.pause_note and "stop" not in run.pause_note
        assert [review.kind for review in run.reviews] == ["override"]
        house.close()

    def test_going_back_is_never_barred(self, house: SmallHouse) -> None:
        run = paused(house)
        house.ask(run.run_id, Action.ROLLBACK, "sam", reason="does not wait")
        assert house.drive(run.run_id).status is RunStatus.ROLLED_BACK

    def test_a_breach_rolls_back_by_itself_in_a_freeze(self, house: SmallHouse) -> None:
        bad = house.bundle("bad")
        house.fleet.bad.add(bad)
        run = house.service.promote(bad, ENV, ANA)
        house.drive(run.run_id, until=lambda r: r.step("canary-50").open)
        freeze(house)
        assert house.drive(run.run_id).status is RunStatus.ROLLED_BACK

    def test_a_finished_promotion_is_taken_back_in_a_freeze(self, house: SmallHouse) -> None:
        for text in ("one", "two"):
            run = house.drive(wants(house, text).run_id)
        freeze(house)
        back = Command(action=Action.ROLLBACK_PROMOTION, reason="because")
        (first, *_) = house.service.ask(run.run_id, back, ANA)
        assert house.drive(first.stream).status is RunStatus.SUCCEEDED

    def test_what_is_deployed_is_verified_all_the_same(self, house: SmallHouse) -> None:
        run = mid_run(house, "full-100")
        freeze(house)
        assert house.drive(run.run_id).status is RunStatus.SUCCEEDED

    def test_one_that_waits_for_approval_pauses_when_it_has_it(self, tmp_path: Path) -> None:
        house = SmallHouse(tmp_path / "home", session_keys(), approvals=1)
        run = house.drive(wants(house).run_id)
        freeze(house)
        assert house.drive(run.run_id).status is RunStatus.AWAITING_APPROVAL
        house.ask(run.run_id, Action.APPROVE, "bob")
        run = house.drive(run.run_id)
        assert run.pause_reason == "freeze" and not run.changed_targets
        kinds = [type(r.event) for r in house.real.load(run.run_id)]
        assert kinds.index(RunStarted) < kinds.index(RunPaused)
        house.ask(run.run_id, Action.CANCEL, "mia")
        assert house.drive(run.run_id).status is RunStatus.CANCELLED
        house.close()


class TestLock:
    def test_who_waits_names_who_holds_the_environment(self, house: SmallHouse) -> None:
        first, second, third = (wants(house, text) for text in ("one", "two", "three"))
        house.drive(first.run_id, until=lambda r: r.started_us is not None)
        for run in (third, second):
            assert house.runner.advance(run.run_id) is not None
        barred = house.real.run(second.run_id).barred
        assert barred is not None and (barred.by, barred.keys) == ("lock", (first.run_id,))
        assert barred.reason.startswith(
            f"{ENV} is held by {first.run_id} (app one, requested by ana) since "
        )
        elsewhere = house.service.promote(house.bundle("one"), "us-prod", ANA)
        assert house.drive(elsewhere.run_id).status is RunStatus.SUCCEEDED
        assert house.drive(first.run_id).status is RunStatus.SUCCEEDED
        assert house.runner.advance(third.run_id) is not None  # it is not its turn
        assert len(said(house, third)) == 1
        house.drive(second.run_id, until=lambda r: r.started_us is not None)
        house.runner.advance(third.run_id)
        assert house.real.run(third.run_id).barred.keys == (second.run_id,)  # type: ignore[union-attr]
        for run in (second, third):
            assert house.drive(run.run_id).status is RunStatus.SUCCEEDED
        epochs = [house.real.run(run.run_id).epoch for run in (first, second, third)]
        assert epochs == sorted(set(epochs))

    def test_where_the_queue_is_latest_a_newer_one_takes_the_place_of_who_waits(
        self, tmp_path: Path
    ) -> None:
        house = SmallHouse(tmp_path / "home", session_keys(), queue="latest")
        first = wants(house, "one")
        house.drive(first.run_id, until=lambda r: r.started_us is not None)
        second, fix = wants(house, "two"), wants(house, "fix", kind=HOTFIX)
        third = wants(house, "three")
        assert house.drive(second.run_id).status is RunStatus.CANCELLED
        over = house.real.run(second.run_id)
        assert over.superseded_by == third.run_id and over.seal_status == "SEALED"
        assert over.outcome_reason == f"superseded by {third.run_id} (app three)"
        for run in (fix, third, first):
            house.runner.advance(run.run_id)
        assert house.real.run(fix.run_id).status is RunStatus.QUEUED  # urgent gives no way
        assert house.real.run(third.run_id).status is RunStatus.QUEUED
        assert house.drive(first.run_id).status is RunStatus.SUCCEEDED  # under way: untouched
        house.close()

    def test_where_it_is_fifo_nothing_is_superseded(self, house: SmallHouse) -> None:
        runs = [wants(house, text) for text in ("one", "two", "three")]
        assert [house.drive(run.run_id).status for run in runs] == [RunStatus.SUCCEEDED] * 3
