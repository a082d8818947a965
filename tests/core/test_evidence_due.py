"""Where what a way back did is told, and that one lost item takes no other with it."""

from __future__ import annotations

from dataclasses import replace

from engine.core import effects, evidence_forecast
from engine.core.effect_kinds import CaptureEvidence, CaptureRollback
from engine.core.event_parts import TargetFact
from engine.core.fact_events import (
    EvidenceCaptured,
    EvidenceMissing,
    RollbackVerified,
    TargetReverted,
    TargetsObserved,
)
from engine.core.run_events import RollbackFailed, RollbackStarted, RunPaused
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import StepCancelled
from tests.core.book import Book, D
from tests.core.test_decide import deploying
from tests.core.test_touched import setting


def due(book: Book) -> object:
    return effects.next_effect(book.current, book.now_us)


def captured(run: Run, step: str, attempt: int, name: str) -> EvidenceCaptured:
    return EvidenceCaptured(
        step=step, attempt=attempt, seq=run.evidence_count + 1, name=f"steps/04-{step}/{name}",
        envelope=D, payload=D, log_index=run.evidence_count, files=(),
    )  # fmt: skip


def gone_back() -> Book:
    book = deploying()
    book.run = replace(
        book.current,
        steps=tuple(
            replace(s, attempts=tuple(replace(a, evidence=("e",)) for a in s.attempts))
            if s.id != "canary"
            else s
            for s in book.current.steps
        ),
    )
    ended = StepCancelled(step="canary", attempt=1, reason="r")
    began = RollbackStarted(
        via="rollback", trigger="operator", reason="r", ticket="", targets=("t-01",)
    )
    book.append((ended, began, RollbackVerified(targets=("t-01",), plan=D)))
    return book


def test_an_attempt_that_could_not_be_signed_does_not_silence_its_way_back() -> None:
    book = gone_back()
    assert due(book) == CaptureEvidence("canary", 1)
    book.append((EvidenceMissing(step="canary", attempt=1, reason="no key"),))
    assert due(book) == CaptureRollback("canary", 1, 1)
    book.append((captured(book.current, "canary", 1, "rollback.dsse"),))
    assert book.current.ways_back[0].sealed
    assert not isinstance(due(book), CaptureRollback)


def test_a_way_back_that_could_not_be_signed_is_lost_once_and_leaves_the_attempt_alone() -> None:
    book = gone_back()
    book.append((captured(book.current, "canary", 1, "deploy-attestation.dsse"),))
    assert due(book) == CaptureRollback("canary", 1, 1)
    book.append((EvidenceMissing(step="canary", attempt=1, reason="no key", way_back=1),))
    run = book.current
    assert [(w.sealed, w.lost) for w in run.ways_back] == [(False, True)]
    assert not run.step("canary").attempts[0].evidence_missing
    assert not isinstance(due(book), CaptureRollback | CaptureEvidence)
    told = evidence_forecast.outlook(run, run.step("canary"))
    assert (told.signed, told.missing) == (1, 1)


def test_the_next_way_back_is_told_although_one_was_lost() -> None:
    book = deploying()
    ended = StepCancelled(step="canary", attempt=1, reason="r")
    began = RollbackStarted(
        via="rollback", trigger="operator", reason="r", ticket="", targets=("t-01",)
    )
    failed = RollbackFailed(via="revert_error", reason="r", targets=("t-01",))
    again = replace(began, via="retry_rollback", trigger="retry")
    book.append((ended, began, failed))
    book.append((captured(book.current, "canary", 1, "deploy-attestation.dsse"),))
    book.append((EvidenceMissing(step="canary", attempt=1, reason="no key", way_back=1),))
    book.append((again, RollbackVerified(targets=("t-01",), plan=D)))
    assert due(book) == CaptureRollback("canary", 1, 2)


def test_before_any_stage_it_lies_with_the_last_step_that_began() -> None:
    """Somebody else changed a target: the run pauses before its first stage, and goes back."""
    book = setting()
    run = book.current
    steps = tuple(
        replace(s, attempts=(), status=StepStatus.PENDING) if s.id == "canary" else s
        for s in run.steps
    )
    begun = tuple(
        replace(s, attempts=run.step("canary").attempts)
        if s.id in {"inputs", "gate-eval"}
        else replace(s, status=StepStatus.PENDING)
        if s.id == "approval"
        else s
        for s in steps
    )
    ended = tuple(
        replace(
            s,
            attempts=tuple(
                replace(a, status=StepStatus.SUCCEEDED, evidence=("e",)) for a in s.attempts
            ),
        )
        for s in begun
    )
    book.run = replace(run, steps=ended, status=RunStatus.RUNNING)
    book.append((RunPaused(via="pause", pause_reason="manual", reason="r"),))
    book.append(
        (
            TargetsObserved(
                purpose="pause", targets=(TargetFact(target="t-01", digest=None, healthy=None),)
            ),
            RollbackStarted(
                via="rollback", trigger="operator", reason="r", ticket="", targets=("t-01",)
            ),
            TargetReverted(
                target="t-01", outcome="changed", to_digest=D, digest=D, healthy=True, note="",
                duration_ms=1,
            ),
            RollbackVerified(targets=("t-01",), plan=D),
        )
    )  # fmt: skip
    assert due(book) == CaptureRollback("gate-eval", 1, 1)
    assert evidence_forecast.outlook(book.current, book.current.step("gate-eval")).due == 1
    book.append((captured(book.current, "gate-eval", 1, "rollback.dsse"),))
    assert book.current.ways_back[0].sealed
    assert not isinstance(due(book), CaptureRollback)


def test_an_approval_that_holds_a_way_back_still_owes_its_own() -> None:
    book = setting()
    run = book.current
    approval = replace(
        run.step("approval"),
        attempts=(
            replace(
                run.step("canary").attempts[0],
                status=StepStatus.CANCELLED,
                evidence=("steps/03-approval/rollback.dsse",),
            ),
        ),
    )
    book.run = replace(run, steps=tuple(approval if s.id == "approval" else s for s in run.steps))
    assert due(book) == CaptureEvidence("approval", 1)
