"""Which evidence is to be captured next. One part of `engine.core.effects.next_effect`. Pure."""

from __future__ import annotations

from engine.core import way_back
from engine.core.effect_kinds import CaptureEvidence, CaptureRollback
from engine.core.eligibility import BREAK_GLASS
from engine.core.spec import StepKind
from engine.core.state import Attempt, Run, StepState
from engine.core.statemachine import STEP_OPEN


def evidence_due(run: Run) -> CaptureEvidence | CaptureRollback | None:
    """The first item that is to be sealed now: of an attempt that ended, then of a way back."""
    for step in run.steps:
        if step.spec.kind is StepKind.SEAL:
            continue
        for attempt in step.attempts:
            if not attempt.evidence_missing and _unsealed(run, step, attempt):
                return CaptureEvidence(step.id, attempt.number)
    return _way_back_due(run)


def _unsealed(run: Run, step: StepState, attempt: Attempt) -> bool:
    if step.spec.kind is StepKind.APPROVAL:
        return own_items(attempt) < approval_items(run, attempt)
    return attempt.status not in STEP_OPEN and not own_items(attempt)


def approval_items(run: Run, attempt: Attempt) -> int:
    """How many items an attempt at approval leaves by what has happened in it so far."""
    given = [a for a in run.approvals if a.attempt == attempt.number]
    # The end is told where no decision tells it, or where one that is sealed counts no more.
    told = not given or any(not a.counts for a in given) or attempt.result == BREAK_GLASS
    return len(given) + int(attempt.status not in STEP_OPEN and told)


def own_items(attempt: Attempt) -> int:
    """What a way back left behind lies with the attempt and is not its own evidence."""
    return sum(way_back.number_of(name) is None for name in attempt.evidence)


def way_back_to_tell(way: way_back.WayBack) -> bool:
    """Whether an ended way back is evidence that is neither captured yet nor known to be lost."""
    return way.outcome in {"verified", "failed"} and not way.sealed and not way.lost


def way_back_step(run: Run) -> StepState | None:
    """The step whose latest attempt holds what is told of a way back: the last stage that began.

    Targets may have changed before any stage did, and then it is the last step that began; None
    before the first one.
    """
    begun = [s for s in run.steps if s.attempts and s.spec.kind is not StepKind.SEAL]
    deployed = [s for s in begun if s.spec.kind is StepKind.DEPLOY]
    return next(iter((deployed or begun)[::-1]), None)


def _way_back_due(run: Run) -> CaptureRollback | None:
    last = way_back_step(run)
    if last is None:
        return None
    for way in run.ways_back:
        if way_back_to_tell(way):
            return CaptureRollback(last.id, len(last.attempts), way.number)
    return None
