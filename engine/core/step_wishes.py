"""Who may give a step a time before which it may not begin, and take it away. Pure."""

from __future__ import annotations

from typing import Final

from engine.core import step_times
from engine.core.approvals import Actor
from engine.core.commands import Action, Command, Now, Refusal
from engine.core.errors import Refused
from engine.core.events import RunEvent
from engine.core.local_time import utc_text
from engine.core.schedule_events import FiringWord
from engine.core.spec import ROLLBACK, StepKind
from engine.core.state import Run, StepState
from engine.core.statemachine import Role, RunStatus
from engine.core.step_time_events import StepScheduled, StepUnscheduled

MAY: Final = frozenset({Role.RELEASE_MANAGER})


def refusal(run: Run, command: Command, actor: Actor, now: Now) -> Refusal | None:
    """Why this person may not give a step a time, or take it away, now; None when they may.

    Without a step it is asked for the button alone: whether there is any for which they may.
    """
    if not actor.roles & MAY:
        return Refusal(
            sentence=f"This needs the role release manager in {run.environment}; {actor.user} has "
            "none.",
            code="role",
        )
    if run.status not in step_times.LIVE:
        status = run.status.value.replace("_", " ").lower()
        return Refusal(sentence=f"Not possible while the run is {status}.", code="state")
    if run.request.kind == ROLLBACK:
        return Refusal(sentence="A way back is not put off.", code="state")
    why = _taking_away(run, command) if command.action is Action.UNSCHEDULE_STEP else ""
    if command.action is Action.SCHEDULE_STEP:
        why = _giving(run, command, now)
    return Refusal(sentence=why, code="state") if why else None


def schedulable(run: Run) -> tuple[StepState, ...]:
    """The steps that may be given a time."""
    return tuple(step for step in run.steps if not _never(run, step))


def _never(run: Run, step: StepState) -> str:
    """Why no time at all may be given to a step; empty when one may."""
    name, index = step.spec.name, run.steps.index(step)
    if step.attempts:
        return f"{name} has begun already."
    if step.spec.kind is StepKind.SEAL:
        return f"{name} is not put off: what a run leaves behind is sealed at once."
    before = run.steps[index - 1] if index else None
    if (
        before is None
        or not (step_times.watched(before) and before.attempts)
        or before is run.current_step
    ):
        return ""
    return (
        f"{name} is not put off any more: {before.spec.name} has passed its gate, and nothing "
        "watches its targets while the run waits."
    )


def _giving(run: Run, command: Command, now: Now) -> str:
    if not command.step:
        return "" if schedulable(run) else "Every step that could wait has begun."
    step = next((one for one in run.steps if one.id == command.step), None)
    if step is None:
        known = ", ".join(one.id for one in run.steps)
        return f"{run.run_id} has no step {command.step[:60]!r}; it has {known}."
    window = command.window
    why = _never(run, step)
    if why or window is None:
        return why
    if now.now_us is None:
        return "The time is not known, so nobody can say whether it is to come."
    if window.start_us <= now.now_us:
        return f"{window.local} {window.time_zone} ({utc_text(window.start_us)}) has passed."
    return _out_of_order(run, step, window.start_us)


def _out_of_order(run: Run, step: StepState, opens_us: int) -> str:
    """The time against those of the run and of the steps around it."""
    start_us = run.window_start_us
    if run.status is RunStatus.SCHEDULED and start_us is not None and opens_us < start_us:
        return f"{run.run_id} itself starts at {utc_text(start_us)}, after that."
    index = run.steps.index(step)
    for number, other in enumerate(run.steps):
        time = step_times.wish(other)
        if time is None or time.missed or other is step:
            continue
        if number < index and opens_us < time.opens_us:
            return f"{other.spec.name} comes before it and opens {time.at}, after that."
        if number > index and opens_us > time.opens_us:
            return f"{other.spec.name} comes behind it and opens {time.at}, before that."
    return ""


def before(run: Run, start_us: int) -> str:
    """Which step's time lies before the run's own start; empty when none does."""
    for step in run.steps:
        time = step_times.wish(step)
        if time is not None and time.opens_us < start_us:
            return f"{step.spec.name} opens {time.at}, before that: give it another time first."
    return ""


def _taking_away(run: Run, command: Command) -> str:
    timed = [step for step in run.steps if step_times.wish(step) is not None]
    if not timed:
        return "No step of this run waits for a time."
    if command.step and all(step.id != command.step for step in timed):
        return f"{command.step[:60]} waits for no time; {', '.join(s.id for s in timed)} does."
    return ""


def decided(run: Run, command: Command, actor: Actor) -> tuple[RunEvent, ...]:
    """What `schedule_step` and `unschedule_step` cause. Raises `Refused` for half a wish."""
    reason = command.reason.strip()
    if not command.step:
        raise Refused("Say which step is meant.", code="reason")
    step = run.step(command.step)
    if command.action is Action.UNSCHEDULE_STEP:
        return _taken_away(step, reason or f"taken away by {actor.user}")
    window = command.window
    if window is None:
        raise Refused("Say when the step is to begin, and for how long it may.", code="reason")
    return (
        StepScheduled(
            step=step.id,
            opens_us=window.start_us,
            closes_us=window.end_us,
            time_zone=window.time_zone,
            local=window.local,
            reason=reason,
            note=window.note,
        ),
    )


def _taken_away(step: StepState, reason: str) -> tuple[RunEvent, ...]:
    time = step_times.wish(step)
    gone = StepUnscheduled(step=step.id, reason=reason)
    if time is None or time.missed:
        return (gone,)
    return (step_times.tick_of(step, time, FiringWord.CANCELLED, reason, 0), gone)


def begins_anyway(run: Run, reason: str) -> tuple[RunEvent, ...]:
    """What a retry does to the step at hand that missed its window: it waits for no time now."""
    step = step_times.missed(run)
    return () if step is None else _taken_away(step, f"retried: {reason}")
