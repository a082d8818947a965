"""The guards of the transition table, as sentences: what must hold before somebody may act. Pure.

Each answers None, or a refusal whose sentence stands on the page's disabled button and in the
engine's answer alike. Status and role are checked before, in `engine.core.decide`.
"""

from __future__ import annotations

from typing import Final

from engine.core import approvals
from engine.core.approvals import Actor
from engine.core.commands import Action, Command, Refusal
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus

# Attempts that said no, or could not say: a person may have another one made.
_TRY_AGAIN: Final = frozenset({StepStatus.FAILED, StepStatus.ERRORED, StepStatus.INCONCLUSIVE})


def guard(run: Run, command: Command, actor: Actor) -> Refusal | None:
    """What an action needs beyond its status and the role; None when that holds."""
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
        case Action.ROLLBACK if (
            not run.changed_targets and run.status is not RunStatus.ROLLBACK_FAILED
        ):
            return Refusal(sentence="No target has changed: nothing to roll back.", code="state")
        case Action.CANCEL if run.changed_targets:
            changed = len(run.changed_targets)
            who = "1 target has" if changed == 1 else f"{changed} targets have"
            return Refusal(sentence=f"{who} changed: roll back instead.", code="state")
        case Action.CLOSE_FAILED:
            return _close_guard(run, command, actor)
        case Action.RESUME:
            return _resume_guard(run)
        case Action.CONTINUE:
            return _continue_guard(run)
        case Action.RETRY_STEP | Action.RERUN_STEP | Action.MARK_STEP_FAILED:
            return _step_guard(run, command.action)
        case _:
            pass
    return None


def _step_guard(run: Run, action: Action) -> Refusal | None:
    step = run.current_step
    if action is Action.RETRY_STEP:
        # A stage that its gate paused keeps its attempt open until somebody decides.
        held = step is not None and step.open and run.pause_reason.startswith("health")
        if step is None or not (held or step.status in _TRY_AGAIN):
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


def _continue_guard(run: Run) -> Refusal | None:
    """Before its clock a stage may pass only when its gate has nothing against it."""
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
    if step.gate.action != "continue":
        return Refusal(
            sentence=f"Criteria of {step.spec.name} are not met: {step.gate.reason}.", code="state"
        )
    return None


def _close_guard(run: Run, command: Command, actor: Actor) -> Refusal | None:
    if command.confirm != run.run_id:
        return Refusal(
            sentence=f"Type {run.run_id} to confirm that its targets stay as they are.",
            code="reason",
        )
    # After a rollback that failed, whoever began it does not also call it closed.
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
    if not actor.roles:
        return Refusal(
            sentence=f"This needs a role in {run.environment}; {actor.user} has none.", code="role"
        )
    return None if command.reason.strip() else Refusal(sentence="Say what.", code="reason")


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
        case "engine_restart":
            return Refusal(
                sentence=f"{name} may not start twice by itself: look at what it did, then retry "
                "it, roll back, or close the run.",
                code="state",
            )
        case "freeze":
            return Refusal(sentence="A freeze is in force.", code="state")
        case _:
            return None


def wrong_status(run: Run, action: Action) -> str:
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
        case Action.CONTINUE if run.status is RunStatus.PAUSED:
            return "The run is paused: resume it first, or retry the stage."
        case _:
            return f"Not possible while the run is {status}."
