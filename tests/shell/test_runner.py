"""The shell around a run, with the real rooms and a simulated outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import steps
from engine.core.commands import Action
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, NotFound, Refused
from engine.core.plan import Observation
from engine.core.run_events import RunCancelled
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.evidence.verify import verify_pack
from engine.ports import ResolvedInput
from tests.faults.small_house import ENV, OLD, SmallHouse, policy, session_keys

pytestmark = pytest.mark.house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path / "home", session_keys())
    yield house
    house.close()


def watching(run: Run) -> bool:
    step = run.current_step
    return bool(step and step.id == "canary-50" and step.attempt and step.attempt.applied)


class TestTheLock:
    def test_first_come_first_served_one_at_a_time(self, house: SmallHouse) -> None:
        first, second = (house.promote(command_id=f"c-{n}") for n in (1, 2))
        other = house.promote(command_id="c-3", environment="us-prod")
        assert house.runner.advance(second.run_id) == 1.0  # waits behind the first
        house.drive(first.run_id, until=watching)
        assert house.runner.advance(second.run_id) == 1.0
        assert house.real.run(second.run_id).status is RunStatus.QUEUED
        house.drive(other.run_id, until=lambda run: run.status is RunStatus.RUNNING)
        assert house.real.run(other.run_id).epoch == 1

    @pytest.mark.parametrize("action", [Action.PAUSE, Action.CANCEL])
    def test_a_run_that_never_had_it_does_not_bar_the_way(
        self, house: SmallHouse, action: Action
    ) -> None:
        first, second = (house.promote(command_id=f"c-{n}") for n in (1, 2))
        house.ask(first.run_id, action, "ana")
        assert house.real.run(first.run_id).status in {RunStatus.PAUSED, RunStatus.SEALING}
        house.drive(second.run_id, until=lambda run: run.status is not RunStatus.QUEUED)
        assert house.real.run(second.run_id).status is RunStatus.RUNNING

    def test_a_paused_run_keeps_it(self, house: SmallHouse) -> None:
        first, second = (house.promote(command_id=f"c-{n}") for n in (1, 2))
        house.drive(first.run_id, until=lambda run: run.status is RunStatus.RUNNING)
        house.ask(first.run_id, Action.PAUSE, "ana")
        assert house.runner.advance(second.run_id) == 1.0


class TestEnds:
    def test_rejected_by_the_policy_touches_nothing(self, tmp_path: Path) -> None:
        house = SmallHouse(tmp_path / "home", session_keys(), gate=policy(passes=False))
        run = house.drive(house.promote().run_id)
        assert (run.status, run.seal_status) == (RunStatus.REJECTED, "SEALED")
        assert house.fleet.switches == []
        assert "over the limit" in run.outcome_reason
        house.close()

    def test_no_metrics_pauses_and_never_promotes(self, house: SmallHouse) -> None:
        run = house.drive(house.promote().run_id, until=watching)
        house.fleet.silent = True
        run = house.drive(run.run_id)
        assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "health_inconclusive")
        assert run.step("canary-50").status is StepStatus.RUNNING
        house.ask(run.run_id, Action.CLOSE_FAILED, "mia")
        run = house.drive(run.run_id)
        assert (run.status, run.seal_status) == (RunStatus.FAILED, "SEALED")
        assert run.step("canary-50").status is StepStatus.INCONCLUSIVE

    def test_a_person_goes_back(self, house: SmallHouse) -> None:
        run = house.drive(house.promote().run_id, until=watching)
        house.ask(run.run_id, Action.ROLLBACK, "sam", ticket="incident #7")
        run = house.drive(run.run_id)
        assert (run.status, run.rollback_by) == (RunStatus.ROLLED_BACK, "sam")
        assert set(house.fleet.running.values()) == {OLD}
        assert run.rollback_ticket == "incident #7"

    def test_two_people_continue_before_the_clock(self, house: SmallHouse) -> None:
        run = house.drive(
            house.promote().run_id,
            until=lambda r: bool((s := r.step("canary-50")).gate and s.gate.action == "continue"),
        )
        assert run.step("canary-50").status is StepStatus.RUNNING
        with pytest.raises(Refused, match=r"not met: held \d+:\d\d of \d+:\d\d\.$"):
            house.ask(run.run_id, Action.CONTINUE, "sam")
        house.ask(run.run_id, Action.CONTINUE, "sam", override=True)
        assert house.real.run(run.run_id).step("canary-50").status is StepStatus.RUNNING
        house.ask(run.run_id, Action.CONTINUE, "ana", override=True)
        run = house.drive(run.run_id, until=lambda r: bool(r.step("full-100").attempts))
        assert run.step("canary-50").attempt.result == "OVERRIDDEN"  # type: ignore[union-attr]

    def test_cancelled_before_anything_changed(self, house: SmallHouse) -> None:
        run = house.one_by_one(house.promote().run_id, lambda r: r.verdict is not None)
        house.ask(run.run_id, Action.CANCEL, "ana")
        run = house.drive(run.run_id)
        assert (run.status, run.outcome_reason) == (
            RunStatus.CANCELLED,
            "cancelled; no target changed",
        )
        assert house.fleet.switches == []


class TestCancelling:
    """The targets are looked at even when the time ran out while the engine was down."""

    def cancelling(self, house: SmallHouse) -> Run:
        run = house.one_by_one(house.promote().run_id, lambda r: r.verdict is not None)
        house.ask(run.run_id, Action.CANCEL, "ana")
        return house.real.run(run.run_id)

    def away(self, house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
        def observe(**_: Any) -> Observation:
            raise AdapterFailed("no answer", transient=True)

        monkeypatch.setattr(house.outside.places[ENV].driver, "observe", observe)

    def test_what_changed_is_not_cancelled(self, house: SmallHouse) -> None:
        run = self.cancelling(house)
        house.fleet.running["t-1"] = run.bundle  # set before the power went, and not recorded
        house.clock.sleep(600)
        run = house.drive(run.run_id)
        assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "cancel_after_change")
        assert run.changed_targets == ("t-1",)

    def test_what_goes_back_before_any_stage_began_is_sealed_with_the_last_step(
        self, house: SmallHouse
    ) -> None:
        run = self.cancelling(house)
        house.fleet.running["t-1"] = run.bundle
        run = house.drive(run.run_id)
        house.ask(run.run_id, Action.ROLLBACK, "sam")
        run = house.drive(run.run_id)
        # The seal verifies its packs, this item's place in them too.
        assert (run.status, run.seal_status) == (RunStatus.ROLLED_BACK, "SEALED")
        (way,) = run.ways_back
        assert way.sealed and run.step("canary-50").attempts == ()
        holder = [s for s in run.steps if s.attempts and s.id != "seal"][-1]
        assert "rollback.dsse" in holder.attempts[-1].evidence[-1]
        name, content = house.sealer.export(run.run_id, "audit-pack", actor="ana")
        assert verify_pack(content, name=name, trusted_root=house.keys.trusted_root).ok

    def test_without_an_answer_it_is_asked_again_and_ends_by_force(
        self, house: SmallHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = self.cancelling(house)
        self.away(house, monkeypatch)
        assert house.runner.advance(run.run_id) == 1.0
        assert house.real.run(run.run_id).status is RunStatus.CANCELLING
        house.clock.sleep(61)
        run = house.drive(run.run_id)
        assert run.status is RunStatus.CANCELLED
        assert "by force after 60 s" in run.outcome_reason
        events = [r.event for r in house.real.load(run.run_id)]
        (cancelled,) = [e for e in events if isinstance(e, RunCancelled)]
        assert cancelled.forced and cancelled.via == "cancel_timeout"


class TestInterrupts:
    def test_a_command_that_came_just_before_is_seen(self, house: SmallHouse) -> None:
        """Between the look at the run and the start of the work: nothing may be touched."""
        run = house.one_by_one(house.promote().run_id, lambda r: bool(r.step("canary-50").attempts))
        assert house.fleet.switches == []
        house.ask(run.run_id, Action.PAUSE, "ana")
        steps.apply_stage(house.outside, run, "canary-50", 1)  # with the run as it was
        assert house.fleet.switches == []
        house.ask(run.run_id, Action.RESUME, "ana")
        house.drive(run.run_id, until=watching)
        assert [t for t, _ in house.fleet.switches] == ["t-1"]

    def test_a_pause_between_targets_goes_on_where_it_stopped(
        self, house: SmallHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        driver = house.outside.places[ENV].driver
        switch = driver._switch  # type: ignore[attr-defined]

        def pausing(target: str, digest: Digest, epoch: int) -> None:
            switch(target, digest, epoch)
            if len(house.fleet.switches) == 2:  # in the second stage
                house.ask("run-1", Action.PAUSE, "ana")

        monkeypatch.setattr(driver, "_switch", pausing)
        run = house.drive(house.promote().run_id)
        assert run.status is RunStatus.PAUSED
        house.ask(run.run_id, Action.RESUME, "ana")
        run = house.drive(run.run_id)
        assert run.status is RunStatus.SUCCEEDED
        assert [t for t, _ in house.fleet.switches] == ["t-1", "t-2"]
        assert len(run.step("full-100").attempts) == 1


class TestInputs:
    def test_a_missing_one_is_named_and_the_next_attempt_keeps_the_first(
        self, house: SmallHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = house.outside.secrets["env"]
        with monkeypatch.context() as patch:
            patch.setattr(type(source), "resolve", missing)
            run = house.drive(house.promote().run_id)
        assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "step_failed")
        assert "1 missing: DB_PASSWORD (env:DB_PASSWORD)" in run.pause_note
        house.ask(run.run_id, Action.RETRY_STEP, "ana")
        run = house.drive(run.run_id, until=lambda r: r.verdict is not None)
        first, second = run.step("inputs").attempts
        assert (first.status, second.status) == (StepStatus.FAILED, StepStatus.SUCCEEDED)
        assert first.evidence

    def test_changed_bytes_are_found_before_anything_is_touched(self, house: SmallHouse) -> None:
        run = house.promote()
        digest = house.catalog.get(run.bundle).components[0].digest
        path = house.real.blobs.path(digest)
        path.chmod(0o600)
        path.write_bytes(b"other bytes")
        run = house.drive(run.run_id)
        assert run.status is RunStatus.PAUSED
        assert "digest mismatch" in run.pause_note and "app.bin" in run.pause_note
        assert house.fleet.switches == []


def missing(self: object, name: str, path: str, *, deadline_s: float) -> ResolvedInput:
    raise NotFound(f"no {name}")


def test_recovery_ends_what_was_open_and_only_that(tmp_path: Path) -> None:
    house = SmallHouse(tmp_path / "home", session_keys())
    run = house.drive(house.promote().run_id, until=watching)
    assert house.runner.recover() == 1
    assert house.runner.recover() == 0
    attempt = house.real.run(run.run_id).step("canary-50").attempt
    assert attempt is not None and attempt.cause == "engine_lost"
    run = house.drive(run.run_id)
    assert run.status is RunStatus.SUCCEEDED
    assert len(run.step("canary-50").attempts) == 2
    assert house.runner.recover() == 0
    house.close()


def test_a_run_that_never_rests_is_stopped_loudly(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = house.promote()
    monkeypatch.setattr(house.runner, "_perform", lambda *_: None)
    with pytest.raises(RuntimeError, match="200 steps without coming to rest"):
        house.runner.advance(run.run_id)
