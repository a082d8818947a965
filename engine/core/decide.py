"""From what a person asks to what happens. The one place where permission is decided.

`refusal` says in one sentence why something is not allowed now, `decide` turns an allowed command
into events, `allowed` lists every action for a page, the API and tests alike. Roles come from the
transition table; what must hold beyond the role is `engine.core.guards`.
"""

from __future__ import annotations

import re
from typing import assert_never

from engine.core import (
    approvals,
    guards,
    heirs,
    overrides,
    reviews,
    starting,
    statemachine,
    step_wishes,
)
from engine.core.approvals import Actor
from engine.core.back_events import TargetRollbackRequested
from engine.core.closing import closing, rolling_back
from engine.core.commands import UNKNOWN, Action, ActionState, Command, Now, Refusal
from engine.core.errors import Refused
from engine.core.events import RunEvent
from engine.core.fact_events import (
    ApprovalApproved,
    ApprovalRejected,
    ApprovalWithdrawn,
    Commented,
)
from engine.core.offers import offered
from engine.core.run_events import (
    RunCancelled,
    RunCancelling,
    RunContinued,
    RunFailed,
    RunPaused,
    RunQueued,
    RunRejected,
    RunResumed,
    StepRerunRequested,
)
from engine.core.state import Run, StepState
from engine.core.statemachine import RunStatus
from engine.core.step_events import (
    StepCancelled,
    StepFailed,
    StepInconclusive,
    StepMarkedFailed,
    StepStarted,
    StepSucceeded,
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
        Action.REVIEW,
        Action.DROP_OVERRIDE,
        Action.RERUN,
        Action.ROLLBACK_PROMOTION,
    }
)


def op_id(run: Run, step_id: str, attempt: int) -> str:
    return f"{run.run_id}/{step_id}/{attempt}"


def via_of(run: Run, action: Action) -> str:
    """The transition that `action` takes in the run's status."""
    if action is Action.RESUME and run.paused_from is RunStatus.QUEUED:
        return "resume_queued"
    if action is Action.ROLLBACK and run.status is RunStatus.ROLLBACK_FAILED:
        return "retry_rollback"
    return action.value


def refusal(run: Run, command: Command, actor: Actor, now: Now = UNKNOWN) -> Refusal | None:
    """Say why `command` is not allowed now; None when it is."""
    action = command.action
    beyond = actor.beyond_token(action, run.environment)
    if beyond is not None:
        return beyond
    match action:  # what moves no run stands in no row of the table
        case Action.COMMENT:
            return guards.comment_refusal(run, command, actor)
        case Action.REVIEW:
            return reviews.refusal(run, command, actor)
        case Action.DROP_OVERRIDE:
            return overrides.drop_refusal(run, command, actor, now)
        case Action.BREAK_GLASS:
            return overrides.glass_refusal(run, command, actor, now)
        case Action.SCHEDULE_STEP | Action.UNSCHEDULE_STEP:
            return step_wishes.refusal(run, command, actor, now)
        case Action.RERUN | Action.ROLLBACK_PROMOTION:
            return heirs.refusal(run, command, actor, now) or _unreasoned(command)
        case _:
            pass
    via = via_of(run, action)
    actors = statemachine.actors_of(via, run.status)
    if not actors:
        return Refusal(sentence=guards.wrong_status(run, action), code="state")
    if not any(role in actors for role in actor.roles):
        who = " or ".join(role.replace("_", " ") for role in actors)
        return Refusal(
            sentence=f"This needs the role {who} in {run.environment}; {actor.user} has none.",
            code="role",
        )
    why_not = guards.guard(run, command, actor, now)
    if why_not is not None:
        if command.override and why_not.overridable:
            return overrides.refusal(run, command, actor, now)
        return why_not
    return _unreasoned(command)


def _unreasoned(command: Command) -> Refusal | None:
    if command.action in _NEEDS_REASON and not command.reason.strip():
        return Refusal(sentence="A reason is required; it goes on record.", code="reason")
    return None


def _unticketed(run: Run, command: Command) -> Refusal | None:
    """Where rollbacks need a ticket, it stands in its own field or in the reason."""
    pattern = run.request.ticket_pattern
    back = command.action is Action.ROLLBACK and run.status is not RunStatus.ROLLBACK_FAILED
    if not pattern or not (back or command.action is Action.ROLLBACK_PROMOTION):
        return None
    ticket = command.ticket.strip()
    if re.fullmatch(pattern, ticket) or (not ticket and re.search(pattern, command.reason)):
        return None
    found = f"found {ticket[:60]!r}" if ticket else "found none"
    return Refusal(
        sentence=f"A rollback in {run.environment} needs a ticket that matches {pattern}, in its "
        f"field or in the reason; {found}.",
        code="ticket",
    )


def decide(run: Run, command: Command, actor: Actor, now: Now = UNKNOWN) -> tuple[RunEvent, ...]:
    """Return the events that `command` causes.

    Raises:
        Refused: with the sentence of `refusal`, or of a ticket that is missing. Outdated.
    """
    guards.check_version(run, command)
    why_not = refusal(run, command, actor, now) or _unticketed(run, command)
    if why_not is not None:
        raise Refused(why_not.sentence, code=why_not.code, opens_at_us=why_not.opens_at_us)
    if command.override and command.action in overrides.OVERRIDABLE:
        against = guards.guard(run, command, actor, now)
        if against is not None:
            return _although(run, command, actor, now, against)
    via, reason = via_of(run, command.action), command.reason.strip()
    match command.action:
        case Action.BREAK_GLASS:
            return _although(run, command, actor, now, overrides.glass_against(run, now))
        case Action.PAUSE:
            return (RunPaused(via=via, pause_reason="manual", reason=reason),)
        case Action.START_NOW | Action.RESCHEDULE:
            return starting.decided(run, command, actor, now)
        case Action.RESUME:
            return ((RunResumed if via == "resume" else RunQueued)(via=via, reason=reason),)
        case Action.CONTINUE:
            return _continued(run, via, actor, reason)
        case Action.RETRY_STEP | Action.RERUN_STEP:
            return _again(run, via, reason)
        case Action.MARK_STEP_FAILED:
            return _marked_failed(run, via, reason)
        case Action.ROLLBACK if command.targets:
            by_name = _back_by_name(run, command, reason)
            return (*by_name, _review_of(actor, len(set(command.targets)), reason))
        case Action.ROLLBACK | Action.RETRY_ROLLBACK:
            again = via == "retry_rollback"
            started = rolling_back(
                run,
                via=via,
                trigger="retry" if again else "operator",
                reason=reason or "tried again",
                ticket=command.ticket.strip(),
                plan=command.plan,
            )
            # Going back is safe enough for one person, and looked at by another one afterwards.
            if again:
                return started
            return (*started, _review_of(actor, len(run.changed_targets), reason))
        case Action.CANCEL if run.status in {RunStatus.RUNNING, RunStatus.PAUSED}:
            return (RunCancelling(via=via, reason=reason),)
        case Action.CANCEL:
            return _cancelled(run, via, actor, reason)
        case Action.CLOSE_FAILED:
            failure = "rollback" if run.status is RunStatus.ROLLBACK_FAILED else "operator"
            failed = RunFailed(via=via, failure_class=failure, reason=reason)
            return (failed, *closing(run, f"closed as failed: {reason}"))
        case Action.APPROVE | Action.REJECT | Action.WITHDRAW:
            return _approval(run, command, actor, reason)
        case Action.COMMENT:
            return (Commented(text=reason),)
        case Action.REVIEW:
            return (reviews.closed(run, command, actor),)
        case Action.DROP_OVERRIDE:
            return (overrides.dropped(run, command, actor),)
        case Action.SCHEDULE_STEP | Action.UNSCHEDULE_STEP:
            return step_wishes.decided(run, command, actor)
        case Action.RERUN | Action.ROLLBACK_PROMOTION:
            return ()  # nothing in this run: its log has ended, and a new one begins
        case _:
            assert_never(command.action)


def allowed(run: Run, actor: Actor, now: Now = UNKNOWN) -> tuple[ActionState, ...]:
    """Every action for this person now, in the order of `Action`. Serves page, API and CLI."""
    states = []
    for action in Action:
        # The form asks for the reason and the binding later; here only the rest counts.
        probe = Command(
            action=action, reason="-", ticket="-", binding=run.binding, confirm=run.run_id
        )
        why_not = refusal(run, probe, actor, now)
        shown, override = offered(run, action), None
        two = shown if action is Action.BREAK_GLASS else why_not and why_not.overridable
        if two:
            override = overrides.offer(run, action, actor, now)
        states.append(
            ActionState(
                action=action,
                ok=why_not is None,
                shown=shown,
                why_not="" if why_not is None else why_not.sentence,
                opens_at_us=None if why_not is None else why_not.opens_at_us,
                override=override,
            )
        )
    return tuple(states)


def _back_by_name(run: Run, command: Command, reason: str) -> tuple[RunEvent, ...]:
    """Targets go back while the run is paused: a running one is paused for it first."""
    requested = TargetRollbackRequested(
        number=len(run.ways_back) + 1,
        targets=tuple(sorted(set(command.targets))),
        reason=reason,
        ticket=command.ticket.strip(),
        plan=command.plan,
    )
    if run.status is RunStatus.PAUSED:
        return (requested,)
    return (RunPaused(via="pause", pause_reason="manual", reason=reason), requested)


def _although(
    run: Run, command: Command, actor: Actor, now: Now, against: Refusal
) -> tuple[RunEvent, ...]:
    """The first of two people asks for it; the second one lets it happen."""
    ask = overrides.standing(run, now)
    if ask is None:
        return (overrides.asked(run, command, against, now, hand=actor.hand),)
    used = overrides.used(run, ask, command, actor, against, now)
    via, reason = via_of(run, command.action), command.reason.strip()
    if command.action is Action.BREAK_GLASS:  # the engine finds it, and goes on by itself
        if run.status is not RunStatus.SCHEDULED:
            return used
        people = f"glass broken by {ask.by} and {actor.user}: {reason}"
        return (*used, *starting.by_hand(run, people, now.now_us))
    if command.action is Action.RESUME:
        passed = () if now.frozen is None else now.frozen.keys
        resumed = RunResumed(via=via, reason=reason, override_by=actor.user, freezes=passed)
        return (*used, *_judged_anew(run, resumed, (ask.by, actor.user)))
    step, number = _open(run)
    done = StepSucceeded(
        step=step.id,
        attempt=number,
        result="OVERRIDDEN",
        summary=f"continued by an override of {ask.by} and {actor.user} although: "
        f"{'; '.join(overrides.missing(run, step, now))}",
    )
    moved = RunContinued(via=via, step=step.id, reason=reason, override_by=actor.user)
    return (*used, moved, done)


def _judged_anew(run: Run, resumed: RunResumed, people: tuple[str, str]) -> tuple[RunEvent, ...]:
    """The run goes on against its gate. A gate that asked for a rollback never says anything else:
    its attempt ends with what it found, and the next attempt's watch judges the stage anew."""
    step = overrides.overruled(run, Action.RESUME)
    if step is None or step.gate is None:
        return (resumed,)
    number = len(step.attempts)
    why = f"overruled by {people[0]} and {people[1]}, to be judged anew: {step.gate.reason}"
    again = StepStarted(step=step.id, attempt=number + 1, op_id=op_id(run, step.id, number + 1))
    return (StepInconclusive(step=step.id, attempt=number, reason=why), resumed, again)


def _review_of(actor: Actor, count: int, reason: str) -> RunEvent:
    what = f"rollback of {count} target{'' if count == 1 else 's'}: {reason}"
    return reviews.opened("rollback", (actor.user,), what)


def _marked_failed(run: Run, via: str, reason: str) -> tuple[RunEvent, ...]:
    step, number = _open(run)
    marked = StepMarkedFailed(step=step.id, attempt=number, reason=reason)
    return (marked, RunPaused(via=via, pause_reason="step_failed", reason=reason))


def _cancelled(run: Run, via: str, actor: Actor, reason: str) -> tuple[RunEvent, ...]:
    told = starting.cancelled(run, f"cancelled by {actor.user}: {reason}")
    return (*told, RunCancelled(via=via, reason=reason), *closing(run, f"cancelled: {reason}"))


def _continued(run: Run, via: str, actor: Actor, reason: str) -> tuple[RunEvent, ...]:
    """The stage passes before its clock, because its criteria are met and somebody said so."""
    step, number = _open(run)
    summary = f"continued by {actor.user}: {reason}" if reason else f"continued by {actor.user}"
    done = StepSucceeded(step=step.id, attempt=number, result="CONTINUED", summary=summary)
    return (RunContinued(via=via, step=step.id, reason=reason), done)


def _again(run: Run, via: str, reason: str) -> tuple[RunEvent, ...]:
    """A new attempt at the step that is at hand; the old one stays on record."""
    step, anyway = run.current_step, step_wishes.begins_anyway(run, reason)
    resumed = RunResumed(via=via, reason=reason)
    if anyway and not guards.may_try_again(run):  # only the next step's time was missed
        return (*anyway, resumed)
    if step is None or step.attempt is None:
        raise Refused("No step is at hand that could be tried again.")
    number = step.attempt.number
    started = StepStarted(step=step.id, attempt=number + 1, op_id=op_id(run, step.id, number + 1))
    if via == "rerun_step":
        cancelled = StepCancelled(step=step.id, attempt=number, reason=f"run again: {reason}")
        return (cancelled, StepRerunRequested(via=via, step=step.id, reason=reason), started)
    if step.open:
        return (
            *anyway,
            StepInconclusive(step=step.id, attempt=number, reason=f"retried: {reason}"),
            resumed,
            started,
        )
    return (*anyway, resumed, started)


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
        "hand": actor.hand,
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


def _open(run: Run) -> tuple[StepState, int]:
    step = run.current_step
    if step is None or step.attempt is None or not step.open:
        raise Refused("No step is running.")
    return step, step.attempt.number
