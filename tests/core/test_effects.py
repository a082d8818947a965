"""What the engine does next, where a walk would show it only by luck."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core import effects
from engine.core.effect_kinds import Drain, Record, Revert, Seal, Wait
from engine.core.run_events import RunSealed
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import StepErrored, StepFailed, StepRetryScheduled, StepStarted
from tests.core.simulated import Book, request


def sealing() -> Book:
    book = Book(request())
    book.run = replace(
        book.current, status=RunStatus.SEALING, outcome=RunStatus.FAILED, outcome_reason="r"
    )
    book.append((StepStarted(step="seal", attempt=1, op_id="s"),))
    return book


def error(*, transient: bool = True, attempt: int = 1, cause: str = "adapter") -> StepErrored:
    return StepErrored(
        step="seal", attempt=attempt, cause=cause, reason="no key", transient=transient
    )


@pytest.mark.parametrize(
    ("errors", "seconds"), [(0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (40, 60)]
)
def test_back_off(errors: int, seconds: int) -> None:
    assert effects.backoff_us(errors) == seconds * 1_000_000


def test_a_seal_is_tried_three_times_and_then_the_run_ends_unsealed() -> None:
    book = sealing()
    for attempt in (1, 2, 3):
        assert effects.next_effect(book.current, book.now_us) == Seal("seal", attempt)
        book.append((error(attempt=attempt),))
        if attempt == 3:
            break
        scheduled = effects.next_effect(book.current, book.now_us)
        assert isinstance(scheduled, Record)
        assert isinstance(scheduled.events[0], StepRetryScheduled)
        book.append(scheduled.events)
        assert isinstance(effects.next_effect(book.current, book.now_us), Wait)
        book.now_us += 60_000_000
        again = effects.next_effect(book.current, book.now_us)
        assert isinstance(again, Record)
        book.append(again.events)
    last = effects.next_effect(book.current, book.now_us)
    assert last == Record((RunSealed(via="sealed", seal_status="UNSEALED", reason="no key"),))
    assert isinstance(last, Record)
    book.append(last.events)
    assert (book.current.status, book.current.seal_status) == (RunStatus.FAILED, "UNSEALED")


@pytest.mark.parametrize(
    "answer",
    [error(transient=False), StepFailed(step="seal", attempt=1, result="INVALID", reason="no key")],
)
def test_a_seal_that_cannot_succeed_is_not_tried_for_ever(answer: StepErrored | StepFailed) -> None:
    book = sealing()
    book.append((answer,))
    last = effects.next_effect(book.current, book.now_us)
    assert isinstance(last, Record) and isinstance(last.events[0], RunSealed)


def test_a_seal_lost_with_the_engine_costs_no_attempt() -> None:
    book = sealing()
    for attempt in range(1, 6):
        book.append(effects.engine_lost(book.current))
        again = effects.next_effect(book.current, book.now_us)
        assert isinstance(again, Record)
        assert again.events == (
            StepStarted(step="seal", attempt=attempt + 1, op_id=f"run-1/seal/{attempt + 1}"),
        )
        book.append(again.events)
    assert book.current.step("seal").errors_used == 0


@pytest.mark.parametrize(("seconds", "last"), [(0, False), (59, False), (60, True), (3_600, True)])
def test_a_cancelled_run_is_always_looked_at(seconds: int, last: bool) -> None:
    run = replace(Book(request()).current, status=RunStatus.CANCELLING, cancelling_us=1)
    assert effects.next_effect(run, 1 + seconds * 1_000_000) == Drain(last=last)


def test_going_back_comes_before_paperwork() -> None:
    book = sealing()  # an attempt that has ended and is not sealed yet
    book.append((error(),))
    run = replace(book.current, status=RunStatus.ROLLING_BACK)
    assert effects.next_effect(run, 0) == Revert()


@pytest.mark.parametrize("status", sorted(set(RunStatus) - {RunStatus.RUNNING, RunStatus.SEALING}))
def test_a_lost_engine_ends_only_what_it_worked_on(status: RunStatus) -> None:
    run = replace(sealing().current, status=status)
    assert run.step("seal").status is StepStatus.RUNNING
    assert effects.engine_lost(run) == ()
