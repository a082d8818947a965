"""Which evidence is to be captured next. One part of `engine.core.effects.next_effect`. Pure."""

from __future__ import annotations

from engine.core import way_back
from engine.core.effect_kinds import CaptureEvidence, CaptureRollback
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
        given = [a for a in run.approvals if a.attempt == attempt.number]
        # The end is told where no decision tells it, or where one that is sealed counts no more.
        told = not given or any(not a.counts for a in given)
        ended = attempt.status not in STEP_OPEN
        return len(attempt.evidence) < len(given) + int(ended and told)
    # What a way back left behind lies with the attempt and is not its own evidence.
    own = [name for name in attempt.evidence if way_back.number_of(name) is None]
    return attempt.status not in STEP_OPEN and not own


def _way_back_due(run: Run) -> CaptureRollback | None:
    deployed = [s for s in run.steps if s.spec.kind is StepKind.DEPLOY and s.attempts]
    if not deployed or deployed[-1].attempts[-1].evidence_missing:
        return None
    last = deployed[-1]
    for way in run.ways_back:
        if way.outcome in {"verified", "failed"} and not way.sealed:
            return CaptureRollback(last.id, len(last.attempts), way.number)
    return None
