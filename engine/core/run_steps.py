"""How a step's own events change it. One part of `engine.core.run.evolve`."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never, get_args

from engine.core.errors import IllegalTransition
from engine.core.event_parts import NamedDigest
from engine.core.events import Recorded
from engine.core.spec import StepKind
from engine.core.state import Attempt, Run, StepState, with_step
from engine.core.statemachine import RunStatus, StepStatus, check_step
from engine.core.step_events import (
    StepCancelled,
    StepErrored,
    StepEvent,
    StepFailed,
    StepInconclusive,
    StepMarkedFailed,
    StepRetryScheduled,
    StepReverted,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
    StepWentOn,
)

_STEP_EVENTS = get_args(StepEvent)


def apply(run: Run, recorded: Recorded) -> Run | None:
    """Return the run after a step event; None when the event is of another family."""
    event = recorded.event
    if not isinstance(event, _STEP_EVENTS):
        return None
    step = run.step(event.step)
    match event:
        case StepStarted():
            _may_start(run, step)
            step = _started(step, event, recorded)
        case StepWaiting(attempt=number, reason=reason):
            step = _to(step, number, StepStatus.WAITING, recorded, reason=reason, ended=False)
        case StepWentOn(attempt=number):
            step = _to(step, number, StepStatus.RUNNING, recorded, ended=False)
        case StepSucceeded(attempt=number, result=result, summary=summary, outputs=outputs):
            step = _to(step, number, StepStatus.SUCCEEDED, recorded, result=result, outputs=outputs)
            step = replace(step, summary=summary)
        case StepFailed(attempt=number, result=result, reason=reason, outputs=outputs):
            step = _to(
                step,
                number,
                StepStatus.FAILED,
                recorded,
                result=result,
                reason=reason,
                outputs=outputs,
            )
        case StepErrored(attempt=number, cause=cause, reason=reason, transient=transient):
            step = _to(
                step,
                number,
                StepStatus.ERRORED,
                recorded,
                reason=reason,
                cause=cause,
                transient=transient,
            )
        case StepInconclusive(attempt=number, reason=reason):
            step = _to(step, number, StepStatus.INCONCLUSIVE, recorded, reason=reason)
        case StepRetryScheduled(attempt=number, at_us=at_us):
            if step.status is not StepStatus.ERRORED or number != len(step.attempts):
                raise IllegalTransition(f"step {step.id}: attempt {number} is not to be retried")
            step = replace(step, retry_at_us=at_us)
        case StepSkipped(reason=reason):
            check_step(step.status, StepStatus.SKIPPED, step=step.id)
            step = replace(step, status=StepStatus.SKIPPED, summary=reason)
        case StepCancelled(attempt=0, reason=reason):
            check_step(step.status, StepStatus.CANCELLED, step=step.id)
            step = replace(step, status=StepStatus.CANCELLED, summary=reason)
        case StepCancelled(attempt=number, reason=reason):
            step = _to(step, number, StepStatus.CANCELLED, recorded, reason=reason)
        case StepMarkedFailed(attempt=number, reason=reason):
            step = _to(step, number, StepStatus.FAILED, recorded, reason=reason)
        case StepReverted(reason=reason):
            check_step(step.status, StepStatus.REVERTED, step=step.id)
            step = replace(step, status=StepStatus.REVERTED, summary=reason)
        case _:
            assert_never(event)
    # An override was asked for in this situation, and any move ends the situation.
    return with_step(replace(run, override=None), step)


def _may_start(run: Run, step: StepState) -> None:
    """No step overtakes another, and only the seal begins when a run is on its way out."""
    if step.spec.kind is StepKind.SEAL:
        ok = run.status is RunStatus.SEALING
    else:
        before = run.steps[: [s.id for s in run.steps].index(step.id)]
        over = {StepStatus.SUCCEEDED, StepStatus.SKIPPED}
        ok = run.status is RunStatus.RUNNING and all(s.status in over for s in before)
    if not ok or any(s.open for s in run.steps if s.id != step.id):
        raise IllegalTransition(f"step {step.id} cannot begin now: {run.run_id} is {run.status}")


def _started(step: StepState, event: StepStarted, recorded: Recorded) -> StepState:
    check_step(step.status, StepStatus.RUNNING, step=step.id)
    if event.attempt != len(step.attempts) + 1:
        raise IllegalTransition(
            f"step {step.id}: attempt {event.attempt} follows {len(step.attempts)}"
        )
    attempt = Attempt(
        number=event.attempt,
        status=StepStatus.RUNNING,
        op_id=event.op_id,
        started_us=recorded.ts_us,
        operator=recorded.actor,
    )
    return replace(
        step,
        status=StepStatus.RUNNING,
        attempts=(*step.attempts, attempt),
        retry_at_us=None,
        summary="",
        gate=None,
    )


def _to(
    step: StepState,
    number: int,
    status: StepStatus,
    recorded: Recorded,
    *,
    result: str = "",
    reason: str = "",
    cause: str = "",
    transient: bool = False,
    outputs: tuple[NamedDigest, ...] = (),
    ended: bool = True,
) -> StepState:
    """Move the latest attempt, which must be `number`, and with it the step."""
    check_step(step.status, status, step=step.id)
    attempt = step.attempt
    if attempt is None or attempt.number != number:
        raise IllegalTransition(f"step {step.id}: attempt {number} is not the latest")
    attempt = replace(
        attempt,
        status=status,
        ended_us=recorded.ts_us if ended else None,
        result=result,
        reason=reason,
        cause=cause,
        transient=transient,
        outputs=outputs,
    )
    return replace(step, status=status, attempts=(*step.attempts[:-1], attempt), summary=reason)
