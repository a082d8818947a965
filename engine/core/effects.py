"""What the engine does next with a run: exactly one thing, named by the run's own state. Pure.

The shell carries the effect out and records the answer; then it asks again. A restart therefore
has the same entrance as a start. Consequences that need nothing from outside (a quorum is met, a
step failed and the run pauses) are a `Record`.
"""

from __future__ import annotations

from typing import Final

from engine.core import (
    approvals,
    break_glass,
    eligibility,
    freezes,
    overrides,
    pausing,
    rebinding,
    starting,
    step_times,
)
from engine.core.back_events import RollbackSuppressed
from engine.core.closing import closing, rolling_back
from engine.core.decide import op_id
from engine.core.effect_kinds import (
    AcquireLock,
    ApplyStage,
    Drain,
    Effect,
    EvaluateGate,
    MaterializeInputs,
    Record,
    Revert,
    RevertTargets,
    Seal,
    SeeApprovers,
    VerifyTargets,
    Wait,
    Watch,
)
from engine.core.events import RunEvent
from engine.core.evidence_due import evidence_due
from engine.core.fact_events import ApprovalRequested
from engine.core.freezes import Bar
from engine.core.rollback_preview import not_by_itself, not_rolled_back
from engine.core.run_events import (
    RunExpired,
    RunFailed,
    RunPaused,
    RunRejected,
    RunResumed,
    RunRolledBack,
    RunSealed,
    RunSucceeded,
)
from engine.core.spec import StepKind
from engine.core.state import Run, StepState
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import (
    StepErrored,
    StepRetryScheduled,
    StepReverted,
    StepStarted,
    StepSucceeded,
    StepWaiting,
)

RETRIES_MAX: Final = 3
CANCEL_LIMIT_US: Final = 60_000_000


def next_effect(run: Run, now_us: int, bar: Bar | None = None, lost: str = "") -> Effect:
    """Name the one thing to do next. `now_us` decides only what is due, never what is true.

    Args:
        bar: the freezes that bar the run's environment for it now; None when none does.
        lost: what the verdict rested on and can rest on no more, as a sentence; empty = nothing.
    """
    if run.terminal:
        return Wait(None, "the run has ended")
    told, at_us = step_times.tick(run, now_us), step_times.next_us(run, now_us)
    if told is not None:
        return Record((told,))
    effect = _effect(run, now_us, bar, lost)
    if not isinstance(effect, Wait) or at_us is None:
        return effect
    return Wait(min(at_us, effect.until_us or at_us), effect.why)


def _effect(run: Run, now_us: int, bar: Bar | None, lost: str) -> Effect:
    if run.status is RunStatus.SCHEDULED:
        return starting.next_effect(run, now_us)
    if run.status is RunStatus.QUEUED:
        return AcquireLock()
    if run.status is RunStatus.ROLLING_BACK and not run.rollback_verified:
        return Revert()  # people are being hurt now; what was seen is sealed right after
    going = run.way_back
    if run.status is RunStatus.PAUSED and going is not None:
        return RevertTargets(going.number)
    due = evidence_due(run)
    if due is not None:
        return due
    lapsed = overrides.expired(run, now_us)
    if lapsed is not None:
        return Record((lapsed,))
    match run.status:
        case RunStatus.RUNNING:
            return _running(run, now_us, bar)
        case RunStatus.AWAITING_APPROVAL:
            return _awaiting(run, now_us, lost)
        case RunStatus.PAUSED:
            return pausing.paused(run)
        case RunStatus.CANCELLING:
            return _cancelling(run, now_us)
        case RunStatus.ROLLING_BACK:
            return _rolling_back(run)
        case RunStatus.SEALING:
            return _sealing(run, now_us)
        case _:
            return Wait(None, "waits for a person")


def backoff_us(errors: int) -> int:
    """5 s, 10 s, 20 s ... at most 60 s after the first, second, third error in a row."""
    return min(5 << max(errors - 1, 0), 60) * 1_000_000


def step_ended_badly(run: Run, step: StepState) -> tuple[RunEvent, ...]:
    """What a failed step (or one whose retries are used up) does to a running run."""
    reason = f"{step.spec.name}: {step.summary}"
    if step.spec.kind is StepKind.GATE_EVAL and step.status is StepStatus.FAILED:
        why = f"policy gate: {step.summary}"
        rejected = RunRejected(via="gate_fail", failure_class="policy", reason=why)
        return (rejected, *closing(run, why))
    if step.spec.on_failure == "rollback" and run.changed_targets:
        held = not_by_itself(run, breach=False)
        if not held:
            return rolling_back(
                run, via="step_failed_rollback", trigger="step_failed", reason=reason
            )
        paused = RunPaused(
            via="step_failed", pause_reason="step_failed", reason=not_rolled_back(reason, held)
        )
        number = len(step.attempts)
        return (RollbackSuppressed(step=step.id, attempt=number, reason=held), paused)
    if step.spec.on_failure == "fail" and not run.changed_targets:
        failed = RunFailed(via="step_failed_end", failure_class="technical", reason=reason)
        return (failed, *closing(run, reason))
    return (RunPaused(via="step_failed", pause_reason="step_failed", reason=reason),)


def engine_lost(run: Run) -> tuple[RunEvent, ...]:
    """End the attempts that a former engine left open. A paused run's stage stays as it is."""
    if run.status not in {RunStatus.RUNNING, RunStatus.SEALING}:
        return ()
    return tuple(
        StepErrored(
            step=step.id,
            attempt=step.attempt.number,
            cause="engine_lost",
            reason="the engine stopped during this attempt",
            transient=True,
        )
        for step in run.steps
        if step.status is StepStatus.RUNNING and step.attempt is not None
    )


def _start(run: Run, step: StepState, now_us: int) -> Record:
    number = len(step.attempts) + 1
    started = StepStarted(step=step.id, attempt=number, op_id=op_id(run, step.id, number))
    return Record((*step_times.begins(step, now_us), started))


def _running(run: Run, now_us: int, bar: Bar | None) -> Effect:
    step = run.current_step
    if step is None or step.spec.kind is StepKind.SEAL:
        return Record((RunSucceeded(via="all_steps_done"),))
    missed, until_us = step_times.lapsed(run), step_times.waits_until(run, step, now_us)
    if missed:
        return Record(missed)
    if until_us is not None:
        return Wait(until_us, f"{step.spec.name} waits for its time")
    if bar is not None and freezes.may_stop(run):
        why = f"{freezes.sentence(bar, run.environment)} {step.spec.name} has not begun."
        return Record((RunPaused(via="freeze_started", pause_reason="freeze", reason=why),))
    match step.status:
        case StepStatus.PENDING | StepStatus.CANCELLED:
            return _start(run, step, now_us)
        case StepStatus.ERRORED:
            return _errored(run, step, now_us)
        case StepStatus.FAILED | StepStatus.INCONCLUSIVE:
            return Record(step_ended_badly(run, step))
        case _:
            return _work(run, step, now_us)


def _work(run: Run, step: StepState, now_us: int) -> Effect:
    attempt = step.attempt
    assert attempt is not None  # RUNNING and WAITING steps have one, by the step automaton
    number = attempt.number
    match step.spec.kind:
        case StepKind.INPUTS:
            return MaterializeInputs(step.id, number)
        case StepKind.GATE_EVAL:
            return EvaluateGate(step.id, number)
        case StepKind.APPROVAL:
            return _ask_approval(run, step, now_us)
        case StepKind.DEPLOY if not attempt.applied:
            return ApplyStage(step.id, number)
        case StepKind.VERIFY if not attempt.applied:
            return VerifyTargets(step.id, number)
        case _ if not step.spec.gate:
            done = StepSucceeded(
                step=step.id, attempt=number, result="APPLIED", summary="applied, no health gate"
            )
            return Record((done,))
        case _:
            return Watch(step.id, number, judge=True)


def _errored(run: Run, step: StepState, now_us: int) -> Effect:
    attempt = step.attempt
    assert attempt is not None
    if attempt.cause == "engine_lost":
        if step.spec.idempotent:
            return _start(run, step, now_us)
        lost = RunPaused(
            via="engine_lost",
            pause_reason="engine_restart",
            reason=f"{step.spec.name} may not start twice by itself: see what it did, then retry",
        )
        return Record((lost,))
    if _gives_up(step):
        return Record(step_ended_badly(run, step))
    return _retry(run, step, now_us)


def _retry(run: Run, step: StepState, now_us: int) -> Effect:
    assert step.attempt is not None
    if step.retry_at_us is None:
        at_us = now_us + backoff_us(step.errors_used)
        scheduled = StepRetryScheduled(
            step=step.id, attempt=step.attempt.number, at_us=at_us, reason=step.summary
        )
        return Record((scheduled,))
    if now_us < step.retry_at_us:
        return Wait(step.retry_at_us, f"{step.spec.name} is tried again then")
    return _start(run, step, now_us)


def _ask_approval(run: Run, step: StepState, now_us: int) -> Effect:
    assert step.attempt is not None
    rule, number = run.request.approval, step.attempt.number
    if rule.min_approvals == 0 and not any(group.required for group in rule.groups):
        done = StepSucceeded(
            step=step.id,
            attempt=number,
            result="NOT_REQUIRED",
            summary=f"rule {rule.rule_id} asks nobody",
        )
        return Record((done,))
    if run.approvers is None or not run.approvers_fresh:
        return SeeApprovers(step.id, number)
    asked = ApprovalRequested(
        via="approval_required",
        step=step.id,
        attempt=number,
        binding=approvals.binding(run),
        expires_us=now_us + rule.expires_after_s * 1_000_000,
    )
    reason = f"waits for {', '.join(approvals.missing(run))}"
    short = eligibility.shortage(run)
    if short:  # nobody is to wait for people who do not exist
        reason = f"{reason}. {short}"
    return Record((StepWaiting(step=step.id, attempt=number, reason=reason), asked))


def _awaiting(run: Run, now_us: int, lost: str) -> Effect:
    step = run.step(approvals.approval_step(run))
    assert step.attempt is not None
    number = step.attempt.number
    if approvals.binding(run) != run.binding:
        lost = "what the approvals were bound to has changed"
    if lost:
        return Record(rebinding.judged_anew(run, step, lost))
    glass = run.glass
    if glass is not None and break_glass.stands_for_approvals(run, now_us):
        people = f"{glass.asked_by} and {glass.confirmed_by}"
        why = f"glass broken by {people} ({glass.ticket})"
        broken = StepSucceeded(
            step=step.id, attempt=number, result=eligibility.BREAK_GLASS, summary=why
        )
        return Record((broken, RunResumed(via="quorum_met", reason=why)))
    if run.approvers is None or not run.approvers_fresh:
        return SeeApprovers(step.id, number)
    gone = eligibility.lapsed(run, run.approvers, eligibility.last_decision_us(run))
    if gone:
        return Record(gone)
    expires_us, lacks = run.approval_expires_us, approvals.missing(run)
    # A quorum that was met in time counts, also when nobody was awake to see it.
    if lacks and expires_us is not None and now_us >= expires_us:
        why = f"approval expired with {', '.join(lacks)}"
        expired = RunExpired(via="approval_expired", failure_class="approval", reason=why)
        return Record((expired, *closing(run, why)))
    if lacks:
        return Wait(rebinding.until_us(run, expires_us), "waits for approval")
    people = ", ".join(a.person for a in run.counting_approvals)
    done = StepSucceeded(
        step=step.id, attempt=number, result="APPROVED", summary=f"approved by {people}"
    )
    return Record((done, RunResumed(via="quorum_met", reason=f"approved by {people}")))


def _cancelling(run: Run, now_us: int) -> Effect:
    # Even when the time is up (the engine may have been down for it) the targets are looked at
    # once: CANCELLED says that none of them changed.
    since_us = run.cancelling_us
    late = since_us is not None and now_us - since_us >= CANCEL_LIMIT_US
    changed = run.changed_targets
    if late and changed:  # nothing was seen for a minute, and CANCELLED would be untrue
        paused = RunPaused(
            via="target_changed",
            pause_reason="cancel_after_change",
            reason=f"targets changed before it was cancelled: {', '.join(changed)}",
        )
        return Record((paused,))
    return Drain(last=late)


def _rolling_back(run: Run) -> Effect:
    deployed = [s for s in run.steps if s.spec.kind is StepKind.DEPLOY and s.attempts]
    reverted = tuple(
        StepReverted(step=step.id, reason=run.rollback_reason)
        for step in deployed
        if step.status is not StepStatus.REVERTED
    )
    done = RunRolledBack(via="reverted", reason=run.rollback_reason)
    return Record((*reverted, done, *closing(run, f"rolled back: {run.rollback_reason}")))


def _sealing(run: Run, now_us: int) -> Effect:
    step = run.step_of_kind(StepKind.SEAL)
    assert step is not None  # every plan ends in a seal step
    match step.status:
        case StepStatus.RUNNING:
            assert step.attempt is not None
            return Seal(step.id, step.attempt.number)
        case StepStatus.SUCCEEDED:
            return Record((RunSealed(via="sealed", seal_status="SEALED"),))
        case StepStatus.ERRORED | StepStatus.FAILED if _gives_up(step):
            # The run keeps the outcome that it had; only the proof is missing, and that is said.
            unsealed = RunSealed(via="sealed", seal_status="UNSEALED", reason=step.summary)
            return Record((unsealed,))
        case StepStatus.ERRORED if step.attempt is not None and step.attempt.cause != "engine_lost":
            return _retry(run, step, now_us)
        case _:
            return _start(run, step, now_us)


def _gives_up(step: StepState) -> bool:
    """No further attempt is made by itself: the answer was no, or asking again cannot help."""
    attempt = step.attempt
    if attempt is None or attempt.cause == "engine_lost":
        return False
    failed = attempt.status is StepStatus.FAILED
    return failed or not attempt.transient or step.errors_used >= RETRIES_MAX
