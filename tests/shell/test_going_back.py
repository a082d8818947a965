"""The way back and the way out, over the real house: what goes back, what is said, what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.core.back_events import RollbackReadiness, RollbackSuppressed, TargetRollbackVerified
from engine.core.commands import Action
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Conflict, NotFound, Refused
from engine.core.fact_events import EvidenceCaptured, RollbackVerified, TargetReverted
from engine.core.house import CommandRejected
from engine.core.plan import Observation
from engine.core.rollback_preview import RowAction
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.ports import StageResult
from tests.faults.small_house import ENV, OLD, SmallHouse, session_keys

pytestmark = pytest.mark.house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path / "home", session_keys())
    yield house
    house.close()


def applied(step: str) -> Callable[[Run], bool]:
    return lambda run: any(a.applied for a in run.step(step).attempts)


def everywhere(house: SmallHouse) -> Run:
    """Both targets run the new bundle, and the last stage is watched."""
    return house.drive(house.promote().run_id, until=applied("full-100"))


def events(house: SmallHouse, run: Run, kind: type[Any]) -> list[Any]:
    return [r.event for r in house.real.load(run.run_id) if isinstance(r.event, kind)]


def items(house: SmallHouse, run: Run) -> list[str]:
    return [e.name for e in events(house, run, EvidenceCaptured) if "rollback" in e.name]


def observing(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> dict[str, dict[str, Any]]:
    """Have single targets seen otherwise than they are; the dictionary may be changed later."""
    driver = house.outside.places[ENV].driver
    honest, lies = driver.observe, dict[str, dict[str, Any]](changes)

    def observe(*, deadline_s: float) -> Observation:
        seen = honest(deadline_s=deadline_s)
        targets = tuple(
            replace(one, **lies.get(one.target.replace("-", "_"), {})) for one in seen.targets
        )
        return replace(seen, targets=targets)

    monkeypatch.setattr(driver, "observe", observe)
    return lies


class TestByName:
    def test_only_those_go_back_and_the_run_stays_paused(self, house: SmallHouse) -> None:
        run = everywhere(house)
        told = house.service.rollback_preview(run.run_id, ["t-2"])
        house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-2",), ticket="INC-7",
                  plan=told.digest)  # fmt: skip
        run = house.drive(run.run_id)
        assert house.fleet.running == {"t-1": run.bundle, "t-2": OLD}
        assert (run.status, run.pause_reason, run.sent_back) == (
            RunStatus.PAUSED,
            "manual",
            ("t-2",),
        )
        (way,) = run.ways_back
        assert (way.scope, way.outcome, way.sealed, way.by) == ("target", "verified", True, "sam")
        (verified,) = events(house, run, TargetRollbackVerified)
        assert verified.plan == told.digest
        (back,) = events(house, run, TargetReverted)
        assert (back.target, back.epoch) == ("t-2", run.epoch)
        assert back.op_id == verified.op_id == f"run-1/rollback/1/{told.digest.short}"
        assert items(house, run) == ["steps/05-full-100/rollback.dsse"]

    def test_going_on_without_them_is_refused_and_a_retry_sets_them_again(
        self, house: SmallHouse
    ) -> None:
        run = everywhere(house)
        house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-2",))
        run = house.drive(run.run_id)
        for action, who in ((Action.RESUME, "ana"), (Action.CONTINUE, "ana")):
            with pytest.raises(Refused, match=r"^Sent back by name: t-2\."):
                house.ask(run.run_id, action, who)
        house.ask(run.run_id, Action.RETRY_STEP, "ana")
        run = house.drive(run.run_id)
        assert (run.status, run.seal_status) == (RunStatus.SUCCEEDED, "SEALED")
        assert [s for s in house.fleet.switches if s[0] == "t-2"] == [
            ("t-2", run.bundle),
            ("t-2", OLD),
            ("t-2", run.bundle),
        ]
        assert [s for s in house.fleet.switches if s[0] == "t-1"] == [("t-1", run.bundle)]
        assert run.sent_back == ()
        first, second = run.step("full-100").attempts
        assert (first.status, second.status) == (StepStatus.INCONCLUSIVE, StepStatus.SUCCEEDED)
        assert len(first.evidence) >= 2, "the attempt's own evidence beside that of the way back"

    def test_a_full_rollback_then_touches_only_the_rest(self, house: SmallHouse) -> None:
        run = everywhere(house)
        house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-2",))
        run = house.drive(run.run_id)
        told = house.service.rollback_preview(run.run_id)
        assert {r.target: r.action for r in told.rows} == {
            "t-1": RowAction.REVERT,
            "t-2": RowAction.UNCHANGED,
        }
        del house.fleet.switches[:]
        house.ask(run.run_id, Action.ROLLBACK, "sam", plan=told.digest)
        run = house.drive(run.run_id)
        assert (run.status, run.seal_status) == (RunStatus.ROLLED_BACK, "SEALED")
        assert house.fleet.switches == [("t-1", OLD)]
        assert [(w.scope, w.outcome, w.sealed) for w in run.ways_back] == [
            ("target", "verified", True),
            ("full", "verified", True),
        ]
        assert len(items(house, run)) == 2

    def test_with_everything_back_by_name_the_run_can_be_cancelled(self, house: SmallHouse) -> None:
        run = house.drive(house.promote().run_id, until=applied("canary-50"))
        house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-1",))
        run = house.drive(run.run_id)
        with pytest.raises(Refused, match="nothing to roll back"):
            house.ask(run.run_id, Action.ROLLBACK, "sam")
        house.ask(run.run_id, Action.CANCEL, "ana")
        run = house.drive(run.run_id)
        assert (run.status, run.outcome_reason) == (
            RunStatus.CANCELLED,
            "cancelled; no target changed",
        )
        assert set(house.fleet.running.values()) == {OLD}

    def test_closed_as_failed_the_targets_stay_as_they_are(self, house: SmallHouse) -> None:
        run = everywhere(house)
        house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-2",))
        run = house.drive(run.run_id)
        house.ask(run.run_id, Action.CLOSE_FAILED, "mia")
        run = house.drive(run.run_id)
        assert (run.status, run.seal_status) == (RunStatus.FAILED, "SEALED")
        assert house.fleet.running == {"t-1": run.bundle, "t-2": OLD}

    def test_out_of_reach_it_fails_says_so_and_may_be_asked_again(
        self, house: SmallHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = everywhere(house)
        with monkeypatch.context() as patch:
            patch.setattr(house.outside.places[ENV].driver, "apply", gone)
            house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-2",))
            run = house.drive(run.run_id)
        assert (run.status, run.ways_back[0].outcome) == (RunStatus.PAUSED, "failed")
        assert run.ways_back[0].note == "no target could be reached: no answer"
        house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-2",))
        run = house.drive(run.run_id)
        assert [w.outcome for w in run.ways_back] == ["failed", "verified"]
        assert [n.rpartition("/")[2] for n in items(house, run)] == [
            "rollback.dsse",
            "rollback-2.dsse",
        ]

    def test_while_they_go_back_only_everything_may_go_back(
        self, house: SmallHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = everywhere(house)
        driver = house.outside.places[ENV].driver
        switch, refused = driver._switch, []  # type: ignore[attr-defined]

        def in_between(target: str, digest: Digest, epoch: int) -> None:
            switch(target, digest, epoch)
            monkeypatch.setattr(driver, "_switch", switch)
            for action in (Action.RESUME, Action.RETRY_STEP, Action.CANCEL, Action.CLOSE_FAILED):
                with pytest.raises(Refused) as why:
                    house.ask(run.run_id, action, "ana")
                refused.append(str(why.value))
            with pytest.raises(Refused, match="Going back right now"):
                house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-1",))
            house.ask(run.run_id, Action.ROLLBACK, "sam")

        monkeypatch.setattr(driver, "_switch", in_between)
        house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-1", "t-2"))
        run = house.drive(run.run_id)
        assert set(refused) == {"Going back right now: t-1, t-2. Wait until that is done."}
        assert run.status is RunStatus.ROLLED_BACK
        assert [w.outcome for w in run.ways_back] == ["superseded", "verified"]
        assert house.fleet.switches[2:] == [("t-1", OLD), ("t-2", OLD)]
        assert items(house, run) == ["steps/05-full-100/rollback-2.dsse"]

    @pytest.mark.parametrize(
        ("targets", "sentence"),
        [
            (("t-2",), "t-2 was not touched by this run."),
            (("t-1", "t-9"), "eu-prod has no target t-9."),
        ],
    )
    def test_what_cannot_be_meant_is_refused(
        self, house: SmallHouse, targets: tuple[str, ...], sentence: str
    ) -> None:
        run = house.drive(house.promote().run_id, until=applied("canary-50"))
        with pytest.raises(Refused) as why:
            house.ask(run.run_id, Action.ROLLBACK, "sam", targets=targets)
        assert str(why.value) == sentence
        assert house.real.run(run.run_id).status is RunStatus.RUNNING

    def test_it_needs_the_role_and_a_reason(self, house: SmallHouse) -> None:
        run = everywhere(house)
        with pytest.raises(Refused, match="needs the role"):
            house.ask(run.run_id, Action.ROLLBACK, "bob", targets=("t-2",))
        with pytest.raises(Refused, match="reason is required"):
            house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-2",), reason=" ")

    def test_after_the_last_stage_nothing_could_set_them_again(self, house: SmallHouse) -> None:
        run = house.drive(house.promote().run_id, until=applied("post-verify"))
        house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-2",))
        run = house.drive(run.run_id)
        for action in (Action.RESUME, Action.RETRY_STEP):
            with pytest.raises(Refused) as why:
                house.ask(run.run_id, action, "ana")
            assert str(why.value).endswith("without them: roll back the rest, or close the run.")


def gone(*_: Any, **__: Any) -> StageResult:
    raise AdapterFailed("no answer", transient=True)


class TestFull:
    def test_what_was_previewed_is_what_is_done(self, house: SmallHouse) -> None:
        run = everywhere(house)
        told = house.service.rollback_preview(run.run_id)
        (*_, ready) = events(house, run, RollbackReadiness)
        assert (ready.step, ready.plan) == ("full-100", told.digest)
        house.ask(run.run_id, Action.ROLLBACK, "sam", plan=told.digest)
        run = house.drive(run.run_id)
        (verified,) = events(house, run, RollbackVerified)
        assert verified.plan == told.digest
        reverted = {e.target for e in events(house, run, TargetReverted)}
        assert reverted == {r.target for r in told.rows if r.action is RowAction.REVERT}

    def test_what_has_changed_since_is_refused_and_loses_nothing(self, house: SmallHouse) -> None:
        run = everywhere(house)
        told = house.service.rollback_preview(run.run_id)
        house.fleet.running["t-1"] = OLD  # somebody was there meanwhile
        before = house.real.run(run.run_id).version
        with pytest.raises(Refused, match="What you saw has changed since") as why:
            house.ask(run.run_id, Action.ROLLBACK, "sam", plan=told.digest)
        assert why.value.code == "stale"
        assert house.real.run(run.run_id).version == before
        denied = [r.event for r in house.real.load("admin")][-1]
        assert isinstance(denied, CommandRejected) and denied.code == "stale"
        again = house.service.rollback_preview(run.run_id)
        house.ask(run.run_id, Action.ROLLBACK, "sam", plan=again.digest)
        assert house.drive(run.run_id).status is RunStatus.ROLLED_BACK

    def test_a_plan_that_cannot_be_compared_is_not_taken_for_granted(
        self, house: SmallHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = everywhere(house)
        told = house.service.rollback_preview(run.run_id)
        monkeypatch.setattr(house.outside.places[ENV].driver, "observe", gone)
        with pytest.raises(AdapterFailed):
            house.ask(run.run_id, Action.ROLLBACK, "sam", plan=told.digest)
        record = house.service.rollback_preview(run.run_id)
        assert record.source == "record" and record.digest == told.digest
        assert record.warnings[0].startswith("The targets cannot be looked at: no answer.")
        house.ask(run.run_id, Action.ROLLBACK, "sam")  # without one it may be begun blind

    def test_not_back_means_failed_and_a_retry_touches_only_the_rest(
        self, house: SmallHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = everywhere(house)
        lies = observing(house, monkeypatch, t_1={"healthy": False})
        del house.fleet.switches[:]
        house.ask(run.run_id, Action.ROLLBACK, "sam")
        run = house.drive(run.run_id)
        assert run.status is RunStatus.ROLLBACK_FAILED
        assert run.pause_note == "not back on their recorded bundle and healthy: t-1"
        assert items(house, run) == ["steps/05-full-100/rollback.dsse"], "a failure is evidence too"
        with pytest.raises(Refused, match="not single targets"):
            house.ask(run.run_id, Action.ROLLBACK, "sam", targets=("t-1",))
        lies.clear()
        assert house.fleet.switches == [("t-1", OLD), ("t-2", OLD)]
        house.fleet.running["t-1"] = run.bundle  # and it fell back
        del house.fleet.switches[:]
        house.ask(run.run_id, Action.RETRY_ROLLBACK, "sam")
        run = house.drive(run.run_id)
        assert (run.status, run.seal_status) == (RunStatus.ROLLED_BACK, "SEALED")
        assert house.fleet.switches == [("t-1", OLD)]
        assert [w.outcome for w in run.ways_back] == ["failed", "verified"]
        assert len(items(house, run)) == 2

    def test_a_preview_names_targets_that_exist(self, house: SmallHouse) -> None:
        run = everywhere(house)
        with pytest.raises(NotFound, match="has no target t-9"):
            house.service.rollback_preview(run.run_id, ["t-1", "t-9"])

    def test_asked_again_under_the_same_id_nothing_happens_again(self, house: SmallHouse) -> None:
        run = everywhere(house)
        first = house.command(run.run_id, Action.ROLLBACK, "sam", "back", targets=("t-2",))
        run = house.drive(run.run_id)
        assert house.command(run.run_id, Action.ROLLBACK, "sam", "back", targets=("t-2",)) == first
        assert len(house.drive(run.run_id).ways_back) == 1
        other = house.promote(command_id="c-2", environment="us-prod")
        with pytest.raises(Conflict):
            house.command(other.run_id, Action.ROLLBACK, "sam", "back", targets=("t-2",))


class TestByItself:
    """When the gate says rollback and the way back is not open, somebody is called instead."""

    def breached(self, house: SmallHouse) -> Run:
        house.fleet.bad = {house.bundle()}
        return house.drive(house.promote().run_id)

    def test_it_goes_back_by_itself(self, house: SmallHouse) -> None:
        run = self.breached(house)
        assert (run.status, run.ways_back[0].trigger) == (RunStatus.ROLLED_BACK, "health")
        assert events(house, run, RollbackSuppressed) == []

    def test_an_environment_may_ask_for_a_person(self, tmp_path: Path) -> None:
        house = SmallHouse(tmp_path / "home", session_keys(), on_breach="pause")
        run = self.breached(house)
        assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "health_breach")
        why = "eu-prod pauses on a breach (on_breach: pause)"
        assert run.pause_note.endswith(f"; not rolled back by itself: {why}")
        assert run.rollback_suppressed == why
        house.ask(run.run_id, Action.ROLLBACK, "sam")
        run = house.drive(run.run_id)
        assert (run.status, run.rollback_suppressed) == (RunStatus.ROLLED_BACK, "")
        house.close()

    def test_previous_bytes_that_are_gone_turn_it_into_a_pause(
        self, house: SmallHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.fleet.bad = {house.bundle()}
        run = house.one_by_one(house.promote().run_id, lambda r: r.verdict is not None)
        assert run.readiness is not None and run.readiness.stuck == ()
        # Between the approval and the stage the disk of t-1 lost what it could go back to.
        lies = observing(house, monkeypatch, t_1={"present": ()})
        run = house.drive(run.run_id)
        assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "health_breach")
        why = (
            f"1 target cannot go back (t-1: previous bundle {OLD.short} is no longer on the target)"
        )
        assert run.pause_note.endswith(f"; not rolled back by itself: {why}")
        (suppressed,) = events(house, run, RollbackSuppressed)
        assert suppressed.reason == run.rollback_suppressed == why
        told = house.service.rollback_preview(run.run_id)
        assert not told.executable
        assert told.rows[0].action is RowAction.IRREVERSIBLE
        # A person may try all the same; what could not go back is named.
        house.ask(run.run_id, Action.ROLLBACK, "sam")
        run = house.drive(run.run_id)
        assert (
            run.status is RunStatus.ROLLBACK_FAILED and "no longer on the target" in run.pause_note
        )
        lies.clear()
        house.ask(run.run_id, Action.RETRY_ROLLBACK, "sam")
        assert house.drive(run.run_id).status is RunStatus.ROLLED_BACK
