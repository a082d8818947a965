"""The sentence of the moment: what is happening, is it healthy, what waits for whom. Pure.

An SRE who was woken reads this line first; it must be true and need no second one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from engine.core import approvals, burn_guard, eligibility, queueing, starting, step_times
from engine.core.rows import StepLog
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.state import StepState
from engine.core.statemachine import RunStatus, StepStatus
from engine.live_stage import StageNow
from engine.live_text import day_time, plural

_PAUSED: Final = {
    "manual": "Paused by a person.",
    "step_failed": "Paused: a step did not succeed.",
    "health_breach": "Paused: the health gate was breached.",
    "health_inconclusive": "Paused: health could not be judged.",
    "freeze": "Paused by a freeze.",
    "engine_restart": "Paused: the engine was lost in a step that may not start twice.",
    "cancel_after_change": "Paused: a target changed while the run was being cancelled.",
}
_MISSED: Final = "Paused: a step missed its window."
# Phases of a driver's lines (engine.ports.DriverEvent) behind which a target is at rest.
_DONE: Final = frozenset({"plan", "done", "noop", "fail"})
_DECIDES: Final = "A release manager or SRE decides what comes next."


def now_sentence(
    run: Run, step: StepState | None, stage: StageNow | None, log: Sequence[StepLog] = ()
) -> dict[str, Any]:
    """`head` is the answer, `text` the detail; `tone` and `shape` as in pages/ui/words.py.

    Args:
        log: lines of the run, newest first; says which switch a pause waits for.
    """
    tone, shape, head, text = _now(run, step, stage)
    if run.status is RunStatus.PAUSED and run.unsettled:
        head = f"{pausing_after(run, log).capitalize()}."
        text = f"The switch under way finishes, no further target begins. {text}"
    if run.override is not None:
        ask = run.override
        what = ask.wish.action.replace("_", " ")
        how = "" if ask.wish.action == "break_glass" else " by an override"
        asked = f"{ask.by} asks to {what}{how}; a second person confirms it."
        text = f"{text} {asked}"
    return {"tone": tone, "shape": shape, "head": head, "text": text.strip()}


def pausing_after(run: Run, log: Sequence[StepLog]) -> str:
    """`pausing after eu-prod-04`: the switches that a pause lets finish. Empty when it is done.

    Args:
        log: lines of the run, newest first.
    """
    if run.status is not RunStatus.PAUSED or not run.unsettled or run.current_step is None:
        return ""
    found = under_way(run, log)
    return f"pausing after {', '.join(found)}" if found else "pausing at a safe point"


def under_way(run: Run, log: Sequence[StepLog]) -> tuple[str, ...]:
    """The targets whose switch a pause lets finish; empty while nothing is pausing.

    Args:
        log: lines of the run, newest first.
    """
    step = run.current_step
    if run.status is not RunStatus.PAUSED or not run.unsettled or step is None:
        return ()
    newest: dict[str, str] = {}
    for line in log:
        if line.step == step.id and line.attempt == len(step.attempts) and line.target:
            newest.setdefault(line.target, line.text.partition(":")[0])
    return tuple(sorted(target for target, phase in newest.items() if phase not in _DONE))


def _scheduled(run: Run) -> tuple[str, str, str, str]:
    start_us, end_us = run.window_start_us, run.window_end_us
    if start_us is None or end_us is None:
        return "idle", "clock", "Waits for its window.", ""
    closes = f"its window closes {day_time(end_us)}"
    if run.due_us is None:
        text = f"It opens {day_time(start_us)}; {closes}."
        return "idle", "clock", "Waits for its window.", text
    lacks = starting.lacking(run)
    text = f"{'; '.join(lacks) or 'They are being looked at'}. Looked at every minute; {closes}."
    return "warn", "clock", "Its window is open; it waits for its preconditions.", text


def _now(run: Run, step: StepState | None, stage: StageNow | None) -> tuple[str, str, str, str]:
    match run.status:
        case RunStatus.SCHEDULED:
            return _scheduled(run)
        case RunStatus.QUEUED if run.held_note:
            text = f"{run.held_note} It starts by itself when that is done and its turn comes."
            return "warn", "clock", f"Its bundle is held in {run.environment}.", text
        case RunStatus.QUEUED if run.barred is not None:
            frozen = run.barred.by == queueing.FREEZE
            head = "Waits for a freeze to end." if frozen else "Waits for the environment."
            text = f"{run.barred.reason} It starts by itself when its turn comes."
            return "warn" if frozen else "idle", "clock", head, text
        case RunStatus.QUEUED if why := burn_guard.held_up(run):
            text = f"{_sentence(why)} It starts by itself when that is over."
            return "warn", "clock", f"{run.environment} burns its error budget.", text
        case RunStatus.QUEUED:
            text = f"It starts by itself when no other run holds {run.environment}."
            return "idle", "clock", "Waits for the environment.", text
        case RunStatus.AWAITING_APPROVAL:
            return _approval(run)
        case RunStatus.PAUSED:
            note = run.pause_note.rstrip(". ")
            text = f"{note}. {_DECIDES}" if note else _DECIDES
            missed = run.pause_reason == "step_failed" and step_times.missed(run) is not None
            head = _PAUSED.get(run.pause_reason, "Paused.")
            return "warn", "pause", _MISSED if missed else head, text
        case RunStatus.CANCELLING:
            text = "Looking at the targets first: cancelled means that none has changed."
            return "idle", "stop", "Cancelling.", text
        case RunStatus.ROLLING_BACK:
            count = plural(len(run.changed_targets), "target")
            return "warn", "undo", f"Rolling back {count}.", _sentence(run.rollback_reason)
        case RunStatus.ROLLBACK_FAILED:
            text = f"{_sentence(run.rollback_reason)} Somebody has to look at the targets now."
            return "err", "cross", "The rollback did not bring every target back.", text.strip()
        case RunStatus.SEALING:
            outcome = "" if run.outcome is None else run.outcome.value.replace("_", " ")
            return "run", "seal", f"Outcome {outcome}.", "The evidence is being sealed."
        case RunStatus.RUNNING:
            return _running(run, step, stage)
        case _:
            return _ended(run)


def _running(run: Run, step: StepState | None, stage: StageNow | None) -> tuple[str, str, str, str]:
    if step is None:
        return "run", "play", "Every step is done.", "The evidence is sealed next."
    if step.status is StepStatus.ERRORED:
        return "warn", "bang", f"{step.spec.name} got no answer.", f"{_sentence(step.summary)}"
    if stage is not None and stage.step == step.id:
        return stage.now(_next_name(run, step))
    if step.status is StepStatus.PENDING and (why := step_times.waits_for(run)):
        return "wait", "clock", f"{step.spec.name} waits for its time.", _sentence(why)
    if why := burn_guard.held_up(run):
        text = f"{_sentence(why)} No target of it is touched; it goes on by itself."
        return "warn", "clock", f"{step.spec.name} waits.", text
    count = len(run.cohort(step.id))
    match step.spec.kind:
        case StepKind.INPUTS:
            return "run", "play", "Resolving inputs.", "Artifacts are re-hashed, targets observed."
        case StepKind.GATE_EVAL:
            return "run", "play", "Evaluating the policy.", f"Policy {run.request.policy}."
        case StepKind.DEPLOY:
            head = f"Bringing {plural(count, 'target')} to {run.request.bundle_version}."
            return "run", "play", head, "Each is drained, switched, and seen healthy again."
        case StepKind.VERIFY:
            head = "Verifying what runs."
            return "run", "play", head, "Every target's digest and health is read."
        case _:
            return "run", "play", f"{step.spec.name} is running.", ""


def _approval(run: Run) -> tuple[str, str, str, str]:
    lacks = approvals.missing(run)
    if not lacks:  # for a moment, until the engine goes on
        return "run", "person", "Every approval is there.", "The first stage begins next."
    expires = run.approval_expires_us
    until = "" if expires is None else f" Expires {day_time(expires)}."
    given = ", ".join(a.person for a in run.counting_approvals)
    so_far = f" Given by {given}." if given else ""
    short = eligibility.shortage(run)
    if short:  # no waiting helps: somebody has to see to it that there are enough people
        return "err", "person", short, f"Nobody else can approve this run.{so_far}{until}"
    head = f"Waits for people: {', '.join(lacks)}."
    return "wait", "person", head, f"No target is touched before.{so_far}{until}"


def _ended(run: Run) -> tuple[str, str, str, str]:
    sealed = f"Sealed: {plural(run.evidence_count, 'evidence item')}."
    if run.seal_status == "UNSEALED":
        sealed = "The evidence could not be sealed."
    match run.status:
        case RunStatus.SUCCEEDED:
            on_new = sum(t.current == run.bundle for t in run.targets)
            head = f"{on_new} of {plural(len(run.targets), 'target')} run {run.label}."
            return "ok", "check", head, sealed
        case RunStatus.ROLLED_BACK:
            back = "Every target is back on its bundle from before."
            return "warn", "undo", back, f"{_sentence(run.rollback_reason)} {sealed}".strip()
        case RunStatus.CANCELLED:
            return "idle", "stop", "Cancelled.", f"{_sentence(run.outcome_reason)} {sealed}"
        case RunStatus.REJECTED:
            why = _sentence(run.outcome_reason)
            return "err", "block", "Rejected, no target touched.", f"{why} {sealed}".strip()
        case RunStatus.EXPIRED:
            why = _sentence(run.outcome_reason)
            return "err", "clock", "Expired, no target touched.", f"{why} {sealed}".strip()
        case _:
            why = _sentence(run.outcome_reason)
            return "err", "cross", "Failed.", f"{why} {sealed}".strip()


def _next_name(run: Run, step: StepState) -> str:
    ids = [s.id for s in run.steps]
    after = run.steps[ids.index(step.id) + 1 :]
    return after[0].spec.name if after else "the end"


def _sentence(text: str) -> str:
    text = text.strip()
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
