"""From what a person asks to what happens. The one place where permission is decided.

`refusal` says in one sentence why something is not allowed now, `decide` turns an allowed command
into events, `allowed` lists every action for a page, the API and tests alike. Roles come from the
transition table; what a guard needs beyond the role is checked here.
"""

from __future__ import annotations

from typing import assert_never

from engine.core import approvals, statemachine
from engine.core.approvals import Actor
from engine.core.commands import Action, ActionState, Command, Refusal
from engine.core.errors import Refused
from engine.core.events import RunEvent
from engine.core.fact_events import (
    ApprovalApproved,
    ApprovalRejected,
    ApprovalWithdrawn,
    Commented,
)
from engine.core.run_events import (
    RollbackStarted,
    RunCancelled,
    RunCancelling,
    RunFailed,
    RunPaused,
    RunQueued,
    RunRejected,
    RunResumed,
    StepRerunRequested,
)
from engine.core.spec import StepKind
from engine.core.state import Run, StepState
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import (
    StepCancelled,
    StepFailed,
    StepInconclusive,
    StepMarkedFailed,
    StepSkipped,
    StepStarted,
)

_NEEDS_REASON = frozenset(
    {
        Action.PAUSE,
        Action.RETRY_STEP,
        Action.RERUN_STEP,
        Action.MARK_STEP_FAILED,
        Action.ROLLBACK,
        Action.CANCEL,
        Action.CLOSE_FAILED,
        Action.REJECT,
        Action.COMMENT,
    }
)

# Where a page shows an action although it is not possible now (vocabulary: the button matrix).
_RUN = RunStatus
_DISABLED_IN: dict[Action, frozenset[RunStatus]] = {
    Action.PAUSE: frozenset({_RUN.AWAITING_APPROVAL, _RUN.ROLLING_BACK, _RUN.SEALING}),
    Action.APPROVE: frozenset({_RUN.RUNNING}),
    Action.REJECT: frozenset({_RUN.RUNNING}),
    Action.RETRY_STEP: frozenset({_RUN.RUNNING, _RUN.SEALING}),
    Action.ROLLBACK: frozenset(
        {_RUN.QUEUED, _RUN.RUNNING, _RUN.AWAITING_APPROVAL, _RUN.PAUSED, _RUN.SEALING}
    ),
    Action.CANCEL: frozenset({_RUN.RUNNING, _RUN.PAUSED}),
}


def op_id(run: Run, step_id: str, attempt: int) -> str:
    return f"{run.run_id}/{step_id}/{attempt}"


def via_of(run: Run, action: Action) -> str:
    """The transition that `action` takes in the run's status."""
    if action is Action.RESUME and run.paused_from is RunStatus.QUEUED:
        return "resume_queued"
    return action.value


def refusal(run: Run, command: Command, actor: Actor) -> Refusal | None:
    """Say why `command` is not allowed now; None when it is."""
    action = command.action
    if action is Action.COMMENT:
        return None if command.reason.strip() else Refusal(sentence="Say what.", code="reason")
    via = via_of(run, action)
    actors = statemachine.actors_of(via, run.status)
    if not actors:
        return Refusal(sentence=_wrong_status(run, action), code="state")
    if not any(role in actors for role in actor.roles):
        who = " or ".join(role.replace("_", " ") for role in actors)
        return Refusal(
            sentence=f"This needs the role {who} in {run.environment}; {actor.user} has none.",
            code="role",
        )
    guard = _guard(run, command, actor)
    if guard is not None:
        return guard
    if action in _NEEDS_REASON and not command.reason.strip():
        return Refusal(sentence="A reason is required; it goes on record.", code="reason")
    return None


def decide(run: Run, command: Command, actor: Actor) -> tuple[RunEvent, ...]:
    """Return the events that `command` causes.

    Raises:
        Refused: with the sentence of `refusal`.
    """
    why_not = refusal(run, command, actor)
    if why_not is not None:
        raise Refused(why_not.sentence, code=why_not.code, opens_at_us=why_not.opens_at_us)
    via, reason = via_of(run, command.action), command.reason.strip()
    match command.action:
        case Action.PAUSE:
            return (RunPaused(via=via, pause_reason="manual", reason=reason),)
        case Action.RESUME if via == "resume_queued":
            return (RunQueued(via=via, reason=reason),)
        case Action.RESUME:
            return (RunResumed(via=via, reason=reason),)
        case Action.RETRY_STEP | Action.RERUN_STEP:
            return _again(run, via, reason)
        case Action.MARK_STEP_FAILED:
            step, number = _open(run)
            return (
                StepMarkedFailed(step=step.id, attempt=number, reason=reason),
                RunPaused(via=via, pause_reason="step_failed", reason=reason),
            )
        case Action.ROLLBACK | Action.RETRY_ROLLBACK:
            return rolling_back(
                run, via=via, trigger="operator", reason=reason, ticket=command.ticket.strip()
            )
        case Action.CANCEL if run.status in {RunStatus.RUNNING, RunStatus.PAUSED}:
            return (RunCancelling(via=via, reason=reason),)
        case Action.CANCEL:
            return (RunCancelled(via=via, reason=reason), *closing(run, f"cancelled: {reason}"))
        case Action.CLOSE_FAILED:
            failed = RunFailed(via=via, failure_class="operator", reason=reason)
            return (failed, *closing(run, f"closed as failed: {reason}"))
        case Action.APPROVE | Action.REJECT | Action.WITHDRAW:
            return _approval(run, command, actor, reason)
        case Action.COMMENT:
            return (Commented(text=reason),)
        case _:
            assert_never(command.action)


def allowed(run: Run, actor: Actor) -> tuple[ActionState, ...]:
    """Every action for this person now, in the order of `Action`. Serves page, API and CLI."""
    states = []
    for action in Action:
        # The form asks for the reason and the binding later; here only the rest counts.
        probe = Command(action=action, reason="-", binding=run.binding, confirm=run.run_id)
        why_not = refusal(run, probe, actor)
        possible = bool(statemachine.actors_of(via_of(run, action), run.status))
        shown = action is Action.COMMENT or possible or run.status in _DISABLED_IN.get(action, ())
        states.append(
            ActionState(
                action=action,
                ok=why_not is None,
                shown=shown,
                why_not="" if why_not is None else why_not.sentence,
                opens_at_us=None if why_not is None else why_not.opens_at_us,
            )
        )
    return tuple(states)


def closing(run: Run, reason: str) -> tuple[RunEvent, ...]:
    """What becomes of the steps when a run goes to its seal: open ones end, later ones never begin.

    A deploy stage that its gate had paused ends INCONCLUSIVE: nobody said yes, nobody said no.
    """
    events: list[RunEvent] = []
    for step in run.steps:
        if step.spec.kind is StepKind.SEAL:
            continue
        if step.status is StepStatus.PENDING:
            events.append(StepSkipped(step=step.id, reason=reason))
        elif step.open and step.attempt is not None:
            number = step.attempt.number
            if run.status is RunStatus.PAUSED and run.pause_reason.startswith("health"):
                events.append(StepInconclusive(step=step.id, attempt=number, reason=reason))
            else:
                events.append(StepCancelled(step=step.id, attempt=number, reason=reason))
    return tuple(events)


def rolling_back(
    run: Run, *, via: str, trigger: str, reason: str, ticket: str = ""
) -> tuple[RunEvent, ...]:
    """Start the way back: the open attempt ends, the rollback begins."""
    ended: tuple[RunEvent, ...] = tuple(
        StepCancelled(step=step.id, attempt=step.attempt.number, reason=f"rolled back: {reason}")
        for step in run.steps
        if step.open and step.attempt is not None
    )
    return (
        *ended,
        RollbackStarted(
            via=via, trigger=trigger, reason=reason, ticket=ticket, targets=run.changed_targets
        ),
    )


def _again(run: Run, via: str, reason: str) -> tuple[RunEvent, ...]:
    """A new attempt at the step that is at hand; the old one stays on record."""
    step = run.current_step
    if step is None or step.attempt is None:
        raise Refused("No step is at hand that could be tried again.")
    number = step.attempt.number
    started = StepStarted(step=step.id, attempt=number + 1, op_id=op_id(run, step.id, number + 1))
    if via == "rerun_step":
        cancelled = StepCancelled(step=step.id, attempt=number, reason=f"run again: {reason}")
        return (cancelled, StepRerunRequested(via=via, step=step.id, reason=reason), started)
    resumed = RunResumed(via=via, reason=reason)
    if step.open:
        return (
            StepInconclusive(step=step.id, attempt=number, reason=f"retried: {reason}"),
            resumed,
            started,
        )
    return (resumed, started)


def _approval(run: Run, command: Command, actor: Actor, reason: str) -> tuple[RunEvent, ...]:
    step = run.step(approvals.approval_step(run))
    number = len(step.attempts)
    if command.action is Action.WITHDRAW:
        return (ApprovalWithdrawn(via="withdraw", step=step.id, attempt=number, reason=reason),)
    if run.binding is None or run.approval_expires_us is None:
        raise Refused("No approval is being asked for.")
    fields = {
        "step": step.id,
        "attempt": number,
        "binding": run.binding,
        "view": command.view or run.binding,
        "nonce": command.nonce,
        "expires_us": run.approval_expires_us,
        "comment": reason,
        "groups": approvals.groups_of(run, actor.user),
    }
    if command.action is Action.APPROVE:
        return (ApprovalApproved(via="approve", **fields),)  # type: ignore[arg-type]
    why = f"rejected by {actor.user}: {reason}"
    return (
        ApprovalRejected(**fields),  # type: ignore[arg-type]
        StepFailed(step=step.id, attempt=number, result="REJECTED", reason=why),
        RunRejected(via="reject", failure_class="approval", reason=why),
        *(e for e in closing(run, why) if getattr(e, "step", "") != step.id),
    )


def _guard(run: Run, command: Command, actor: Actor) -> Refusal | None:
    match command.action:
        case Action.APPROVE | Action.REJECT:
            why = approvals.conflict(run, actor)
            if why is not None:
                return Refusal(sentence=why, code="conflict_of_interest")
            if command.binding != run.binding:
                return Refusal(
                    sentence="What you saw has changed since; look at it again and decide then.",
                    code="stale",
                )
            if (
                command.action is Action.APPROVE
                and approvals.comment_required(run)
                and not command.reason.strip()
            ):
                return Refusal(
                    sentence="The verdict has warnings: say in a comment why this is all right.",
                    code="reason",
                )
        case Action.WITHDRAW:
            if all(a.person != actor.user for a in run.counting_approvals):
                return Refusal(sentence=f"{actor.user} has not approved this run.", code="state")
        case Action.ROLLBACK if not run.changed_targets:
            return Refusal(sentence="No target has changed: nothing to roll back.", code="state")
        case Action.CANCEL if run.changed_targets:
            changed = len(run.changed_targets)
            return Refusal(
                sentence=f"{changed} targets run the new bundle: roll back instead.", code="state"
            )
        case Action.CLOSE_FAILED if command.confirm != run.run_id:
            return Refusal(
                sentence=f"Type {run.run_id} to confirm that its targets stay as they are.",
                code="reason",
            )
        case Action.RESUME:
            return _resume_guard(run)
        case Action.RETRY_STEP:
            step = run.current_step
            tried = step is not None and step.attempt is not None
            if not tried or run.pause_reason in {"manual", "freeze"}:
                return Refusal(
                    sentence="No attempt failed: resume goes on where it stands.", code="state"
                )
        case Action.RERUN_STEP | Action.MARK_STEP_FAILED:
            step = run.current_step
            if step is None or step.status is not StepStatus.RUNNING:
                return Refusal(sentence="No step is running.", code="state")
        case _:
            pass
    return None


def _resume_guard(run: Run) -> Refusal | None:
    step = run.current_step
    name = step.spec.name if step is not None else "The step"
    match run.pause_reason:
        case "step_failed":
            return Refusal(
                sentence=f"{name} did not succeed: retry it, roll back, or close the run.",
                code="state",
            )
        case "health_breach":
            return Refusal(
                sentence=f"{name} breached its health gate: roll back, or retry the stage.",
                code="state",
            )
        case "freeze":
            return Refusal(sentence="A freeze is in force.", code="state")
        case _:
            return None


def _wrong_status(run: Run, action: Action) -> str:
    status = run.status.value.replace("_", " ").lower()
    match action:
        case Action.PAUSE if run.status is RunStatus.AWAITING_APPROVAL:
            return "Nothing is running while the run waits for approval."
        case Action.APPROVE | Action.REJECT if run.status is RunStatus.RUNNING:
            return "Opens when the policy gate has passed and approval is asked for."
        case Action.ROLLBACK if not run.changed_targets:
            return "No target has changed: nothing to roll back."
        case Action.RETRY_STEP if run.status is RunStatus.RUNNING:
            return "Opens when an attempt has failed; a running step can be run again instead."
        case _:
            return f"Not possible while the run is {status}."


def _open(run: Run) -> tuple[StepState, int]:
    step = run.current_step
    if step is None or step.attempt is None or not step.open:
        raise Refused("No step is running.")
    return step, step.attempt.number
