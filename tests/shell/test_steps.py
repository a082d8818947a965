"""What a driver's answers become, without a driver."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine import going_back, steps, steps_inputs
from engine.attestations_read import Pinned
from engine.core.back_events import TargetTouched
from engine.core.digest import Digest
from engine.core.event_parts import StageCohort
from engine.core.plan import Observation, TargetObservation, plan_stage
from engine.core.run_events import RunPaused
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import StepErrored, StepFailed, StepStarted
from engine.live_view import target_letter
from engine.ports import StageResult, TargetOutcome, TargetResult
from tests.core.simulated import NEW, OLD, TARGETS, Book, D, request
from tests.core.test_decide import deploying

OK, SKIPPED = TargetOutcome.CHANGED, TargetOutcome.SKIPPED


def observation(**digests: Digest | None) -> Observation:
    return Observation(
        observed_at_us=1,
        source="test",
        targets=tuple(
            TargetObservation(
                target=t.replace("_", "-"),
                digest=d,
                healthy=None if d is None else True,
                present=() if d is None else (d,),
            )
            for t, d in digests.items()
        ),
    )


def answered(*outcomes: tuple[TargetOutcome, bool | None]) -> StageResult:
    return StageResult(
        results=tuple(
            TargetResult(
                target=TARGETS[n], outcome=o, digest=NEW if o is OK else OLD, healthy=h, note="note"
            )
            for n, (o, h) in enumerate(outcomes)
        ),
        observation=observation(),
    )


PLAN = plan_stage(
    run_id="run-1",
    step="canary",
    environment="prod",
    bundle=NEW,
    targets=TARGETS,
    observed=dict.fromkeys(TARGETS, OLD),
)


def applied(result: StageResult, run: Run | None = None) -> list[Any]:
    run = run or deploying(applied=False).current
    return list(steps._applied(run, "canary", 1, PLAN, result))


def test_all_set_is_applied() -> None:
    *sets, last = applied(answered((OK, True), (TargetOutcome.NOOP, True)))
    assert [e.TYPE for e in sets] == ["target.set/1"] * 2
    assert [e.from_digest for e in sets] == [OLD] * 2
    assert (last.TYPE, last.changed, last.noop) == ("stage.applied/1", 1, 1)


@pytest.mark.parametrize(
    ("outcome", "healthy", "ends", "word"),
    [
        (TargetOutcome.FAILED, False, StepFailed, "failed"),
        (TargetOutcome.FENCED, None, StepFailed, "fenced"),
        (OK, False, StepFailed, "set, not healthy"),
        (OK, None, StepErrored, "set, no answer"),  # no answer is not "no"
        (TargetOutcome.UNKNOWN, None, StepErrored, "unknown"),
    ],
)
def test_one_bad_answer_ends_the_attempt_and_names_the_target(
    outcome: TargetOutcome, healthy: bool | None, ends: type, word: str
) -> None:
    last = applied(answered((OK, True), (outcome, healthy), (SKIPPED, None)))[-1]
    assert isinstance(last, ends)
    assert last.reason.startswith(f"1 of 3 targets set and healthy; t-02 {word} note")
    if isinstance(last, StepErrored):
        assert last.transient  # it is looked at again


def test_unknown_weighs_more_than_failed() -> None:
    result = answered((TargetOutcome.FAILED, False), (TargetOutcome.UNKNOWN, None))
    assert isinstance(applied(result)[-1], StepErrored)


def test_stopped_between_targets_the_attempt_stays_open() -> None:
    events = applied(answered((OK, True), (SKIPPED, None), (SKIPPED, None)))
    assert [e.TYPE for e in events] == ["target.set/1"] * 3


def test_what_was_set_is_a_fact_also_when_the_attempt_has_ended() -> None:
    book = deploying(applied=False)
    book.append((StepFailed(step="canary", attempt=1, result="X", reason="r"),))
    events = applied(answered((OK, True)), book.current)
    assert [e.TYPE for e in events] == ["target.set/1"]
    book.append(events)
    assert book.current.targets[0].current == NEW


def test_where_it_came_from_is_told_although_it_was_touched_since() -> None:
    book = deploying(applied=False)
    book.append((TargetTouched(step="canary", attempt=1, target=TARGETS[0]),))
    assert book.current.targets[0].current is None
    (told,) = applied(answered((OK, False)), book.current)[:-1]
    assert (told.from_digest, told.digest) == (OLD, NEW)


def test_what_is_not_on_record_is_planned_from_what_is_seen() -> None:
    book = deploying(applied=False)
    run = replace(book.current, cohorts=(StageCohort(step="canary", targets=TARGETS[:3]),))
    book.run = run
    book.append((TargetTouched(step="canary", attempt=1, target="t-02"),))
    plan = steps._plan(book.current, "canary", observation(t_01=OLD, t_02=OLD))
    assert [c.from_digest for c in plan.changes] == [NEW, OLD, D]
    silent = steps._plan(book.current, "canary", observation(t_02=None))
    assert [c.from_digest for c in silent.changes] == [NEW, None, D]


def test_a_target_in_its_switch_is_updating_and_unknown_only_when_nobody_sees_to_it() -> None:
    book = deploying(applied=False)
    cohort = (StageCohort(step="canary", targets=TARGETS[:1]),)
    book.run = replace(book.current, cohorts=cohort)
    book.append((TargetTouched(step="canary", attempt=1, target="t-01"),))
    run = book.current
    assert target_letter(run, run.targets[0], None) == "U"
    book.append((StepFailed(step="canary", attempt=1, result="X", reason="r"),))
    assert target_letter(book.current, book.current.targets[0], None) == "Q"


NO_IMPORTS = Pinned(attestations=(), refused=(), authors=(), notes=())


def inputs_open() -> Book:
    book = Book(request())
    book.run = replace(book.current, status=RunStatus.RUNNING)
    book.append((StepStarted(step="inputs", attempt=1, op_id="x"),))
    return book


def test_the_first_look_is_the_baseline_for_ever() -> None:
    book = inputs_open()
    seen = observation(t_01=OLD, t_02=OLD, t_03=None)
    book.append(steps_inputs._materialized(book.current, "inputs", 1, (), 1, D, seen, NO_IMPORTS))
    run = book.current
    assert [t.baseline for t in run.targets] == [OLD, OLD, None, None]
    assert [t.reversible for t in run.targets] == [True, True, False, False]
    assert {f.target for f in run.irreversible} == {"t-03", "t-04"}
    assert run.cohort("canary") == ("t-01",) and run.cohort("full") == TARGETS
    assert run.changed_targets == ()
    again = replace(
        run,
        steps=tuple(
            replace(s, status=StepStatus.RUNNING) if s.id == "inputs" else s for s in run.steps
        ),
    )
    later = steps_inputs._materialized(
        again, "inputs", 1, (), 1, D, observation(t_01=NEW), NO_IMPORTS
    )
    assert {e.TYPE for e in later} == {"inputs.materialized/1", "step.succeeded/1"}


def test_an_answer_for_an_attempt_that_has_ended_is_dropped() -> None:
    run = Book(request()).current
    assert steps_inputs._materialized(run, "inputs", 1, (), 1, D, observation(), NO_IMPORTS) == ()


def test_no_answer_is_unknown_not_gone() -> None:
    facts = steps.facts_of(observation(t_01=OLD), ("t-01", "t-02"))
    assert [(f.digest, f.healthy, f.note) for f in facts] == [
        (OLD, True, ""),
        (None, None, "no answer"),
    ]


class TestDraining:
    def cancelling(self) -> Run:
        book = deploying(applied=False)
        old = tuple(replace(t, baseline=OLD, current=OLD) for t in book.current.targets)
        first = replace(old[3], baseline=None, current=None)
        return replace(
            book.current, status=RunStatus.CANCELLING, targets=(*old[:3], first), cancelling_us=1
        )

    def test_nothing_changed(self) -> None:
        events = going_back._drained(self.cancelling(), observation(t_01=OLD, t_02=OLD))
        assert [e.TYPE for e in events][:2] == ["target.observed/1", "run.cancelled/1"]

    @pytest.mark.parametrize("digest", [NEW, Digest.of(b"somebody else's")])
    def test_a_change_is_never_called_cancelled(self, digest: Digest) -> None:
        events = going_back._drained(self.cancelling(), observation(t_01=digest, t_02=OLD))
        assert isinstance(events[-1], RunPaused)
        assert events[-1].reason == "targets changed while cancelling: t-01"

    def test_where_nothing_was_known_only_ours_is_a_change(self) -> None:
        run = self.cancelling()
        assert not isinstance(going_back._drained(run, observation(t_04=OLD))[1], RunPaused)
        assert isinstance(going_back._drained(run, observation(t_04=NEW))[1], RunPaused)

    def test_a_run_that_is_not_cancelled_is_left_alone(self) -> None:
        run = replace(self.cancelling(), status=RunStatus.PAUSED)
        assert going_back._drained(run, observation()) == ()
        assert going_back._forced(run, "x") == ()
