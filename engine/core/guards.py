"""The guards of the transition table, as sentences: what must hold before somebody may act. Pure.

Each answers None, or a refusal whose sentence stands on the page's disabled button and in the
engine's answer alike. Status and role are checked before, in `engine.core.decide`.
"""

from __future__ import annotations

from typing import Final

from engine.core import approvals, break_glass, overrides, step_times, step_wishes
from engine.core.approvals import Actor
from engine.core.commands import UNKNOWN, Action, Command, Now, Refusal
from engine.core.errors import Outdated
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus, StepStatus

# What would build on targets that are just being changed. A full rollback may always take over.
_AFTER_GOING_BACK: Final = frozenset(
    {Action.RESUME, Action.RETRY_STEP, Action.CANCEL, Action.CLOSE_FAILED}
)
# Who takes part in a release. An auditor never writes to a run, and writes an addendum instead.
_COMMENTERS: Final = frozenset({Role.RELEASE_MANAGER, Role.SRE, Role.APPROVER})
# Attempts that said no, or could not say: a person may have another one made.
_TRY_AGAIN: Final = frozenset({StepStatus.FAILED, StepStatus.ERRORED, StepStatus.INCONCLUSIVE})


def check_version(run: Run, command: Command) -> None:
    """Raise `Outdated` when whoever asks looked at another version of the run."""
    if command.version not in {None, run.version}:
        raise Outdated(
            f"{run.run_id} is at version {run.version}, not {command.version}.",
            version=run.version,
            hint="Look at it again before you decide.",
        )


def guard(run: Run, command: Command, actor: Actor, now: Now = UNKNOWN) -> Refusal | None:
    """What an action needs beyond its status and the role; None when that holds."""
    going = run.way_back
    if going is not None and run.status is RunStatus.PAUSED and command.action in _AFTER_GOING_BACK:
        return Refusal(sentence=_going_back(going.targets), code="state")
    match command.action:
        case Action.APPROVE | Action.REJECT:
            why = approvals.conflict(run, actor)
            if why is not None:
                return Refusal(sentence=why, code="conflict_of_interest")
            current = run.binding if run.binding is None else approvals.binding(run)
            seen = command.binding == run.binding and command.view == command.view_now
            if not seen or run.binding != current:
                return Refusal(
                    sentence="What you saw has changed since; look at it again and decide then.",
                    code="stale",
                )
            reasons = approvals.comment_reasons(run, now)
            if command.action is Action.APPROVE and reasons and not command.reason.strip():
                why = f"{'; '.join(reasons)}: say in a comment why this is all right."
                return Refusal(sentence=why[0].upper() + why[1:], code="reason")
        case Action.WITHDRAW:
            if all(a.person != actor.user for a in run.counting_approvals):
                return Refusal(sentence=f"{actor.user} has not approved this run.", code="state")
        case Action.ROLLBACK | Action.RETRY_ROLLBACK:
            return _rollback_guard(run, command)
        case Action.CANCEL if run.changed_targets:
            changed = len(run.changed_targets)
            who = "1 target has" if changed == 1 else f"{changed} targets have"
            return Refusal(sentence=f"{who} changed: roll back instead.", code="state")
        case Action.CLOSE_FAILED:
            return _close_guard(run, command, actor)
        case Action.RESUME:
            return _sent_back_guard(run) or _missed_guard(run) or _resume_guard(run, now)
        case Action.CONTINUE:
            return _continue_guard(run, now)
        case Action.START_NOW:
            return _start_guard(run, now)
        case Action.RESCHEDULE:
            return _window_guard(run, command, now)
        case Action.RETRY_STEP | Action.RERUN_STEP | Action.MARK_STEP_FAILED:
            return _step_guard(run, command.action)
        case _:
            pass
    return None


def _start_guard(run: Run, now: Now) -> Refusal | None:
    lacks = break_glass.lacks(run, now)
    if not lacks:
        return None
    return Refusal(sentence=f"It may not start yet: {'; '.join(lacks)}.", code="precondition")


def _window_guard(run: Run, command: Command, now: Now) -> Refusal | None:
    window = command.window
    if window is None or now.now_us is None:
        return None  # asked for the button alone; the form asks for the window
    if not now.now_us < window.end_us > window.start_us:
        return Refusal(sentence="The new window has closed already.", code="reason")
    why = step_wishes.before(run, window.start_us)
    return Refusal(sentence=why, code="state") if why else None


def _missed_guard(run: Run) -> Refusal | None:
    """A step that missed its window does not begin late because somebody resumed the run."""
    return None if step_times.missed(run) is None else step_times.shut(run, None)


def may_try_again(run: Run) -> bool:
    """The step at hand has an attempt that said no, could not say, or is held by its gate."""
    step = run.current_step
    # A stage that its gate paused keeps its attempt open until somebody decides.
    held = step is not None and step.open and run.pause_reason.startswith("health")
    sent_back = step is not None and step.open and bool(run.sent_back)
    return step is not None and (held or sent_back or step.status in _TRY_AGAIN)


def _step_guard(run: Run, action: Action) -> Refusal | None:
    step = run.current_step
    if action is Action.RETRY_STEP and run.sent_back and step is not None:
        if step.spec.kind is not StepKind.DEPLOY:
            return _sent_back_guard(run)
        if step.open:
            return None  # a new attempt sets them again
    if action is Action.RETRY_STEP:
        if not may_try_again(run) and step_times.missed(run) is None:
            return Refusal(
                sentence="No attempt failed: resume goes on where it stands.", code="state"
            )
        return None
    if step is None or step.status is not StepStatus.RUNNING:
        return Refusal(sentence="No step is running.", code="state")
    if action is Action.RERUN_STEP and not step.spec.idempotent:
        return Refusal(
            sentence=f"{step.spec.name} may not be started twice while it runs: mark it failed "
            "first, look at what it did, then retry it.",
            code="state",
        )
    return None


def _rollback_guard(run: Run, command: Command) -> Refusal | None:
    going, failed = run.way_back, run.status is RunStatus.ROLLBACK_FAILED
    if going is not None and command.targets:
        return Refusal(sentence=_going_back(going.targets), code="state")
    if failed and command.targets:
        return Refusal(
            sentence="After a rollback that failed everything that is not back is tried again, "
            "not single targets.",
            code="state",
        )
    if not failed and not run.changed_targets:
        return Refusal(sentence=_nothing_changed(run), code="state")
    baseline = {t.target: t.baseline for t in run.targets}
    for target in sorted(set(command.targets)):
        if target not in baseline:
            return Refusal(sentence=f"{run.environment} has no target {target}.", code="state")
        if target not in run.touched_targets:
            return Refusal(sentence=f"{target} was not touched by this run.", code="state")
        if baseline[target] is None:
            return Refusal(
                sentence=f"{target} cannot go back: its digest before this run is not known.",
                code="state",
            )
    # While a stage sets its targets no plan stays true for longer than a switch: whoever stops
    # it is not refused for that, and the preview says that more may go back than it shows.
    moving = run.being_set is not None and not command.targets
    if command.plan is not None and command.plan != command.plan_now and not moving:
        return Refusal(
            sentence="What you saw has changed since: the targets are not as in that preview. "
            "Look at it again and decide then.",
            code="stale",
        )
    return None


def _nothing_changed(run: Run) -> str:
    step = run.being_set
    if step is None:
        return "No target has changed: nothing to roll back."
    return f"No target has changed yet: {step.spec.name} has not begun to switch its first one."


def _going_back(targets: tuple[str, ...]) -> str:
    return f"Going back right now: {', '.join(targets)}. Wait until that is done."


def _sent_back_guard(run: Run) -> Refusal | None:
    """A run must not go on as if targets that somebody sent back were still on the bundle."""
    step = run.current_step
    if not run.sent_back or step is None:
        return None
    deploys = step.spec.kind is StepKind.DEPLOY
    if deploys and step.attempt is None:
        return None  # the stage that comes next sets its whole cohort, these among it
    again = "retry the stage to set them again, " if deploys else ""
    return Refusal(
        sentence=f"Sent back by name: {', '.join(run.sent_back)}. {step.spec.name} cannot go on "
        f"without them: {again}roll back the rest, or close the run.",
        code="state",
    )


def _continue_guard(run: Run, now: Now) -> Refusal | None:
    """One person lets a stage pass only when every criterion is met, the clock's time too."""
    step = run.current_step
    if step is None or step.spec.kind not in {StepKind.DEPLOY, StepKind.VERIFY}:
        return Refusal(sentence="No deploy stage is running.", code="state")
    if step.attempt is None or not step.open or not step.attempt.applied:
        return Refusal(
            sentence=f"Opens when the targets of {step.spec.name} are set and its health "
            "criteria are met.",
            code="state",
        )
    if step.gate is None:
        return Refusal(
            sentence=f"{step.spec.name}: the health gate has not answered yet.", code="state"
        )
    shut = step_times.shut(run, now.now_us)
    if shut is not None:
        return shut
    lacks = overrides.missing(run, step, now)
    if lacks:
        return Refusal(
            sentence=f"Criteria of {step.spec.name} are not met: {'; '.join(lacks)}.",
            code="state",
            overridable=True,
        )
    return None


def _close_guard(run: Run, command: Command, actor: Actor) -> Refusal | None:
    if run.status is RunStatus.ROLLBACK_FAILED and actor.service:
        return Refusal(
            sentence=f"{actor.user} is a service account; a second person has to close this.",
            code="conflict_of_interest",
        )
    if command.confirm != run.run_id:
        return Refusal(
            sentence=f"Type {run.run_id} to confirm that its targets stay as they are.",
            code="reason",
        )
    # After a rollback that failed, whoever began it does not also call it closed.
    if run.status is RunStatus.ROLLBACK_FAILED and actor.hand in {
        run.requested_by,
        run.rollback_by,
    } - {""}:
        return Refusal(
            sentence=f"{approvals.let_in(actor)}; somebody whom they did not let in has to close "
            "it as failed.",
            code="conflict_of_interest",
        )
    if run.status is RunStatus.ROLLBACK_FAILED and actor.user in {
        run.requested_by,
        run.rollback_by,
    }:
        did = "began the rollback" if actor.user == run.rollback_by else "requested this run"
        return Refusal(
            sentence=f"{actor.user} {did}; a second person has to close it as failed.",
            code="conflict_of_interest",
        )
    return None


def comment_refusal(run: Run, command: Command, actor: Actor) -> Refusal | None:
    if not actor.roles & _COMMENTERS:
        who = " or ".join(sorted(role.value.replace("_", " ") for role in _COMMENTERS))
        return Refusal(
            sentence=f"This needs the role {who} in {run.environment}; {actor.user} has none.",
            code="role",
        )
    return None if command.reason.strip() else Refusal(sentence="Say what.", code="reason")


def _resume_guard(run: Run, now: Now) -> Refusal | None:
    step = run.current_step
    name = step.spec.name if step is not None else "The step"
    match run.pause_reason:
        case "step_failed" if step is None or step.status in _TRY_AGAIN:
            return Refusal(
                sentence=f"{name} did not succeed: retry it, roll back, or close the run.",
                code="state",
            )
        case "health_breach":
            return Refusal(
                sentence=f"{name} breached its health gate: roll back, or retry the stage.",
                code="state",
                overridable=run.paused_from is RunStatus.RUNNING,
            )
        case "health_inconclusive" if _still_unclear(run):
            seen = run.pause_cause
            what = run.pause_note if seen is None else f"{name}: {seen.reason}"
            return Refusal(
                sentence=f"What paused the run has not cleared: {what.rstrip('.')}.",
                code="state",
                overridable=True,
            )
        case "engine_restart":
            return Refusal(
                sentence=f"{name} may not start twice by itself: look at what it did, then retry "
                "it, roll back, or close the run.",
                code="state",
            )
        case "freeze":
            return _frozen_guard(run, now)
        case _:
            return None


def _frozen_guard(run: Run, now: Now) -> Refusal | None:
    """A run that a freeze has paused goes on once that is over, or because two people say so."""
    if now.frozen is None:
        return Refusal(sentence="It is not known whether the freeze is over.", code="state")
    if not now.frozen.keys:
        return None
    return Refusal(
        sentence=now.frozen.sentence,
        code="state",
        opens_at_us=now.frozen.until_us,
        overridable=run.paused_from is RunStatus.RUNNING,
    )


def _still_unclear(run: Run) -> bool:
    """The gate paused a stage that it watches, and what is seen since has not changed its mind.

    A pause from before anything was watched is not the gate's to clear.
    """
    step, seen = run.current_step, run.pause_cause
    watched = (
        step is not None
        and step.open
        and step.attempt is not None
        and step.attempt.applied
        and step.gate is not None
        and step.gate.action == "pause"
    )
    return watched and (seen is None or not seen.cleared)


def wrong_status(run: Run, action: Action) -> str:
    status = run.status.value.replace("_", " ").lower()
    match action:
        case Action.PAUSE if run.status is RunStatus.AWAITING_APPROVAL:
            return "Nothing is running while the run waits for approval."
        case Action.APPROVE | Action.REJECT if run.status is RunStatus.RUNNING:
            return "Opens when the policy gate has passed and approval is asked for."
        case Action.ROLLBACK if not run.changed_targets:
            return _nothing_changed(run)
        case Action.RETRY_STEP if run.status is RunStatus.RUNNING:
            return "Opens when an attempt has failed; a running step can be run again instead."
        case Action.CONTINUE if run.status is RunStatus.PAUSED and run.sent_back:
            return (
                f"Sent back by name: {', '.join(run.sent_back)}. Retry the stage to set them "
                "again, roll back the rest, or close the run."
            )
        case Action.CONTINUE if run.status is RunStatus.PAUSED:
            return "The run is paused: resume it first, or retry the stage."
        case _:
            return f"Not possible while the run is {status}."
