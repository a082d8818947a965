"""One event at a time: every row of the table folds, and damage is loud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.core import run_events as moved
from engine.core.errors import IllegalTransition
from engine.core.events import EVENT_TYPES, Event
from engine.core.fact_events import (
    ApprovalApproved,
    ApprovalRequested,
    ApprovalWithdrawn,
    Commented,
    EvidenceCaptured,
    StageApplied,
    TargetSet,
)
from engine.core.run import AFTER_END, evolve, fold
from engine.core.state import Run
from engine.core.statemachine import TERMINAL, TRANSITIONS, RunStatus, StepStatus, Transition
from engine.core.step_events import (
    StepErrored,
    StepMarkedFailed,
    StepRetryScheduled,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
)
from tests.core.simulated import NEW, Book, D, request

APPROVAL: dict[str, Any] = {
    "step": "approval", "attempt": 1, "binding": D, "view": D, "nonce": "n", "expires_us": 9,
    "comment": "", "groups": (),
}  # fmt: skip

# Which event carries which transition.
CARRIERS: dict[str, Callable[[str], Event]] = {
    "reschedule": lambda via: moved.RunScheduled(
        via=via, start_us=1, window_end_us=2, time_zone="UTC"
    ),
    "lock_acquired": lambda via: moved.RunStarted(via=via, epoch=1),
    "approval_required": lambda via: ApprovalRequested(
        via=via, step="approval", attempt=1, binding=D, expires_us=9
    ),
    "approve": lambda via: ApprovalApproved(via=via, **APPROVAL),
    "withdraw": lambda via: ApprovalWithdrawn(via=via, step="approval", attempt=1, reason=""),
    "continue": lambda via: moved.RunContinued(via=via, step="canary", reason=""),
    "rerun_step": lambda via: moved.StepRerunRequested(via=via, step="canary", reason=""),
    "revert_error": lambda via: moved.RollbackFailed(via=via, reason="r", targets=()),
    "reverted": lambda via: moved.RunRolledBack(via=via, reason="r"),
    "all_steps_done": lambda via: moved.RunSucceeded(via=via),
    "sealed": lambda via: moved.RunSealed(via=via, seal_status="SEALED"),
    "reject": lambda via: moved.RunRejected(via=via, failure_class="approval", reason="r"),
    "gate_fail": lambda via: moved.RunRejected(via=via, failure_class="policy", reason="r"),
}
_BY_TARGET: dict[RunStatus, Callable[[str], Event]] = {
    RunStatus.QUEUED: lambda via: moved.RunQueued(via=via),
    RunStatus.RUNNING: lambda via: moved.RunResumed(via=via),
    RunStatus.PAUSED: lambda via: moved.RunPaused(via=via, pause_reason="p", reason="r"),
    RunStatus.CANCELLING: lambda via: moved.RunCancelling(via=via, reason="r"),
    RunStatus.ROLLING_BACK: lambda via: moved.RollbackStarted(via=via, trigger="t", reason="r"),
}


def carrier(row: Transition) -> Event:
    if row.event in CARRIERS:
        return CARRIERS[row.event](row.event)
    if row.target is RunStatus.SEALING:
        kind = {"outcome EXPIRED": moved.RunExpired, "outcome FAILED": moved.RunFailed}.get(
            row.note.split(",")[0].split(";")[0]
        )
        if kind is None:
            return moved.RunCancelled(via=row.event, reason="r")
        return kind(via=row.event, failure_class="f", reason="r")
    return _BY_TARGET[row.target](row.event)


def a_run(status: RunStatus = RunStatus.QUEUED, **changes: Any) -> Book:
    book = Book(request())
    book.run = replace(book.current, status=status, **changes)
    return book


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda t: f"{t.source}-{t.event}-{t.target}")
def test_every_row_of_the_table_folds(row: Transition) -> None:
    outcome = row.target if row.target in TERMINAL else None
    book = a_run(row.source, outcome=outcome)
    book.append((carrier(row),))
    assert book.current.status is row.target
    if row.note.startswith("outcome "):
        assert book.current.outcome is not None
        assert book.current.outcome.value in row.note
    if row.note.startswith("pause_reason"):
        assert book.current.paused_from is row.source


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda t: f"{t.source}-{t.event}-{t.target}")
def test_no_row_folds_where_it_does_not_stand(row: Transition) -> None:
    legal = {t.source for t in TRANSITIONS if t.event == row.event}
    for status in set(RunStatus) - legal:
        with pytest.raises(IllegalTransition):
            a_run(status, outcome=row.target).append((carrier(row),))


def test_the_request_may_name_its_window_without_moving() -> None:
    book = Book(request(initial="SCHEDULED"))
    book.append((moved.RunScheduled(via="request", start_us=5, window_end_us=9, time_zone="UTC"),))
    assert book.current.status is RunStatus.SCHEDULED
    assert (book.current.window_start_us, book.current.window_end_us) == (5, 9)


def test_a_log_begins_with_the_request_and_has_no_gap() -> None:
    book = a_run()
    first = book.log[0]
    with pytest.raises(IllegalTransition, match=r"begins with run\.commented"):
        evolve(None, replace(first, event=Commented(text="x")))
    with pytest.raises(IllegalTransition, match="event 3 follows version 1"):
        evolve(book.current, replace(first, seq=3, event=Commented(text="x")))
    with pytest.raises(IllegalTransition, match="no event of a run under way"):
        evolve(book.current, replace(first, seq=2))
    with pytest.raises(IllegalTransition, match="is empty"):
        fold("run-1", [])


@pytest.mark.parametrize("status", sorted(TERMINAL))
@pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
def test_only_words_addenda_exports_and_reviews_follow_an_end(status: RunStatus, kind: str) -> None:
    assert {cls.TYPE for cls in AFTER_END} == {
        "run.commented/1",
        "evidence.addendum/1",
        "evidence.exported/1",
        "review.closed/1",
    }
    book = a_run(status)
    event = object.__new__(EVENT_TYPES[kind])
    if isinstance(event, AFTER_END):
        return
    with pytest.raises(IllegalTransition, match="cannot follow the end"):
        evolve(book.current, replace(book.log[0], seq=2, event=event))


def started(step: str, attempt: int = 1) -> StepStarted:
    return StepStarted(step=step, attempt=attempt, op_id=f"{step}/{attempt}")


def done(step: str, attempt: int = 1) -> StepSucceeded:
    return StepSucceeded(step=step, attempt=attempt, result="OK", summary="")


def test_steps_keep_their_order() -> None:
    book = a_run(RunStatus.RUNNING)
    with pytest.raises(IllegalTransition, match="gate-eval cannot begin now"):
        book.append((started("gate-eval"),))
    book.append((started("inputs"),))
    with pytest.raises(IllegalTransition, match="cannot go from RUNNING to RUNNING"):
        book.append((started("inputs", 2),))
    book.append((done("inputs"),))
    with pytest.raises(IllegalTransition, match="attempt 3 follows 0"):
        book.append((started("gate-eval", 3),))
    book.append((started("gate-eval"),))
    with pytest.raises(IllegalTransition, match="seal cannot begin"):
        book.append((started("seal"),))
    with pytest.raises(IllegalTransition, match="no step 'dance'"):
        book.append((started("dance"),))


@pytest.mark.parametrize("status", sorted(set(RunStatus) - {RunStatus.RUNNING}))
def test_a_step_begins_only_while_the_run_runs(status: RunStatus) -> None:
    with pytest.raises(IllegalTransition):
        a_run(status).append((started("inputs"),))


def test_only_the_latest_attempt_moves() -> None:
    book = a_run(RunStatus.RUNNING)
    with pytest.raises(IllegalTransition, match="cannot go from PENDING"):
        book.append((done("inputs"),))
    book.append((started("inputs"),))
    error = StepErrored(step="inputs", attempt=1, cause="adapter", reason="r", transient=True)
    book.append((error, started("inputs", 2)))
    with pytest.raises(IllegalTransition, match="attempt 1 is not the latest"):
        book.append((done("inputs", 1),))
    assert [a.status for a in book.current.step("inputs").attempts] == [
        StepStatus.ERRORED,
        StepStatus.RUNNING,
    ]


def test_a_retry_is_only_of_what_errored() -> None:
    book = a_run(RunStatus.RUNNING)
    book.append((started("inputs"),))
    retry = StepRetryScheduled(step="inputs", attempt=1, at_us=9, reason="r")
    with pytest.raises(IllegalTransition, match="not to be retried"):
        book.append((retry,))
    book.append(
        (StepErrored(step="inputs", attempt=1, cause="adapter", reason="r", transient=True), retry)
    )
    assert book.current.step("inputs").retry_at_us == 9
    book.append((started("inputs", 2),))
    assert book.current.step("inputs").retry_at_us is None


def test_the_others() -> None:
    book = a_run(RunStatus.RUNNING)
    book.append((started("inputs"),))
    book.append((StepWaiting(step="inputs", attempt=1, reason="r"),))
    attempt = book.current.step("inputs").attempt
    assert attempt is not None and attempt.ended_us is None
    book.append((StepMarkedFailed(step="inputs", attempt=1, reason="mine"),))
    assert book.current.step("inputs").status is StepStatus.FAILED
    book.append((StepSkipped(step="verify", reason="never"),))
    with pytest.raises(IllegalTransition, match="cannot go from SKIPPED"):
        book.append((StepSkipped(step="verify", reason="again"),))


def test_facts_name_what_exists() -> None:
    book = a_run(RunStatus.RUNNING)
    unknown = TargetSet(
        step="canary", attempt=1, target="t-99", outcome="changed", from_digest=None,
        to_digest=NEW, digest=NEW, healthy=True, note="", duration_ms=1,
    )  # fmt: skip
    with pytest.raises(IllegalTransition, match="no target 't-99'"):
        book.append((unknown,))
    with pytest.raises(IllegalTransition, match="canary has no attempt 1"):
        book.append((StageApplied(step="canary", attempt=1, plan=D, changed=1, noop=0),))
    book.append((started("inputs"),))
    second = EvidenceCaptured(
        step="inputs", attempt=1, seq=2, name="a", envelope=D, payload=D, log_index=0, files=()
    )
    with pytest.raises(IllegalTransition, match="evidence 2 follows 0"):
        book.append((second,))


def test_a_run_knows_whom_a_rollback_answers_for() -> None:
    book = a_run(RunStatus.RUNNING)
    assert book.current.touched_targets == book.current.changed_targets == ()
    one, two, *_ = book.current.targets
    run: Run = replace(
        book.current,
        targets=(
            replace(one, baseline=None, current=D),  # was unknown, and does not run ours
            replace(two, baseline=None, current=NEW),  # was unknown, and runs ours
            *book.current.targets[2:],
        ),
    )
    assert run.changed_targets == (two.target,)
