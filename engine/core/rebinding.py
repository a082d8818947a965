"""What a verdict rests on has gone: the gate is asked again before anything is touched. Pure.

While people are asked, their approvals go stale and Gate Eval begins anew. When they have approved
already, the approval step is opened first, for only from there leads a way back to the gate; where
nobody is asked, the gate begins at once. Once a target was touched nothing of this happens: the
verdict was right when it was acted on, and the way out is back.
"""

from __future__ import annotations

from engine.core.decide import op_id
from engine.core.eligibility import deploy_begun
from engine.core.events import RunEvent
from engine.core.fact_events import ApprovalsStale
from engine.core.run_events import RunResumed
from engine.core.spec import StepKind
from engine.core.state import Run, StepState
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import StepCancelled, StepStarted

_NOBODY_ASKED = "NOT_REQUIRED"


def judged_anew(run: Run, approval: StepState, reason: str) -> tuple[RunEvent, ...]:
    """Of a run that waits for approval: the approvals count no more, and Gate Eval runs again."""
    gate = run.step_of_kind(StepKind.GATE_EVAL)
    assert gate is not None and approval.attempt is not None  # or nobody would be asked
    number = approval.attempt.number
    return (
        ApprovalsStale(step=approval.id, attempt=number, reason=reason),
        StepCancelled(step=approval.id, attempt=number, reason=reason),
        RunResumed(via="binding_changed", reason=reason),
        _begins(run, gate),
    )


def before_deploy(run: Run, lost: str) -> tuple[RunEvent, ...]:
    """Of a run whose first target is about to be touched; empty when it may be.

    Args:
        lost: what the verdict can rest on no more; empty = it can.
    """
    stage, gate = run.current_step, run.step_of_kind(StepKind.GATE_EVAL)
    if not lost or gate is None or deploy_begun(run):
        return ()
    if run.status is not RunStatus.RUNNING or stage is None or not stage.open:
        return ()
    assert stage.attempt is not None  # it is open
    approval, again = run.step_of_kind(StepKind.APPROVAL), gate
    if approval is not None and approval.status is StepStatus.SUCCEEDED:
        asked = approval.attempt is not None and approval.attempt.result != _NOBODY_ASKED
        again = approval if asked else gate
    return (
        StepCancelled(step=stage.id, attempt=stage.attempt.number, reason=lost),
        _begins(run, again),
    )


def until_us(run: Run, expires_us: int | None) -> int | None:
    """When the request for approval expires, or the first waiver that the verdict rests on ends,
    whatever comes first; None = neither does."""
    ends = [] if run.verdict is None else [one.expires_us for one in run.verdict.waivers]
    return min([*ends, *([] if expires_us is None else [expires_us])], default=None)


def _begins(run: Run, step: StepState) -> StepStarted:
    number = len(step.attempts) + 1
    return StepStarted(step=step.id, attempt=number, op_id=op_id(run, step.id, number))
