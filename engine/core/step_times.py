"""A step that may not begin before a time: what waits for it, and what is told of it. Pure.

A stage that is watched stays watched: where the step behind it has a time, that time is a criterion
of its gate (row 13), so that a canary that waits for the morning is still rolled back. Any other
step is waited for by the run itself. A step never begins outside of its window by itself. Who may
wish it is said by `engine.core.step_wishes`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from engine.core.commands import Refusal
from engine.core.events import Recorded, RunEvent
from engine.core.firings import LATE_MS
from engine.core.health_stage import SHUT_ROW
from engine.core.health_tick import Opening
from engine.core.run_events import RunPaused
from engine.core.schedule_events import FiringWord
from engine.core.spans import span
from engine.core.spec import StepKind
from engine.core.state import Run, StepState, with_step
from engine.core.statemachine import RunStatus
from engine.core.step_time import StepTime
from engine.core.step_time_events import StepScheduled, StepTicked, StepUnscheduled

# While a run is in one of these its steps may still begin.
LIVE: Final = frozenset(
    {
        RunStatus.SCHEDULED,
        RunStatus.QUEUED,
        RunStatus.RUNNING,
        RunStatus.AWAITING_APPROVAL,
        RunStatus.PAUSED,
    }
)


def apply(run: Run, recorded: Recorded) -> Run | None:
    """The run after one of these facts; None when the event is of another family."""
    match recorded.event:
        case StepScheduled() as wish:
            time = StepTime(
                opens_us=wish.opens_us,
                closes_us=wish.closes_us,
                time_zone=wish.time_zone,
                local=wish.local,
                by=recorded.actor,
                set_us=recorded.ts_us,
            )
            return with_step(run, replace(run.step(wish.step), time=time))
        case StepUnscheduled(step=step_id):
            return with_step(run, replace(run.step(step_id), time=None))
        case StepTicked() as tick:
            return with_step(run, _ticked(run.step(tick.step), tick, recorded.ts_us))
        case _:
            return None


def _ticked(step: StepState, tick: StepTicked, ts_us: int) -> StepState:
    time = step.time
    if time is None:
        return step
    match tick.word:
        case FiringWord.DUE:
            return replace(step, time=replace(time, due_us=ts_us))
        case FiringWord.MISSED | FiringWord.EXPIRED:
            return replace(step, time=replace(time, missed=tick.why))
        case FiringWord.CANCELLED:
            return replace(step, time=None)
        case _:
            return step


# --- what is known ----------------------------------------------------------------------------


def wish(step: StepState) -> StepTime | None:
    """The time that the step still has to wait for, or has missed; None once it has begun."""
    return None if step.attempts else step.time


def at_hand(run: Run) -> StepState | None:
    """The step with a time that the run meets now: the next to begin, or the one behind a stage
    that its gate watches. None when there is none."""
    step = run.current_step
    if step is None or wish(step) is not None:
        return step
    behind = _behind(run, step)
    return behind if behind is not None and watched(step) and wish(behind) is not None else None


def missed(run: Run) -> StepState | None:
    """The step at hand when its window has closed before it could begin; else None."""
    step = at_hand(run)
    time = None if step is None else wish(step)
    return step if time is not None and time.missed else None


def shut(run: Run, now_us: int | None) -> Refusal | None:
    """Why the stage at hand may not be left for the next step now; None when its time allows it.

    Args:
        now_us: None = not known, and then nobody can say that the time has come.
    """
    step = at_hand(run)
    time = None if step is None else wish(step)
    if step is None or time is None:
        return None
    if time.missed:
        return Refusal(sentence=_missed_sentence(step, time), code="state")
    if now_us is None or now_us < time.opens_us:
        return Refusal(
            sentence=f"{step.spec.name} opens {time.at}, as {time.by} wished; take that time away "
            "to go on before.",
            code="state",
            opens_at_us=time.opens_us,
        )
    return None


def waits_for(run: Run) -> str:
    """`Deploy Full 100% opens 2026-12-01 06:00 Europe/Sofia`, when nothing else is waited for, as
    far as the record goes; empty when not."""
    step = at_hand(run)
    time = None if step is None else wish(step)
    if run.status is not RunStatus.RUNNING or step is None or time is None:
        return ""
    if time.due_us is not None or not (step is run.current_step or _passes(run)):
        return ""
    return f"{step.spec.name} opens {time.at}"


def _missed_sentence(step: StepState, time: StepTime) -> str:
    return (
        f"{step.spec.name} did not begin in its window, which opened {time.at}: {time.missed}. "
        "Schedule it anew, take its time away, or retry: then it begins when its turn comes."
    )


def _behind(run: Run, step: StepState) -> StepState | None:
    following = run.steps[run.steps.index(step) + 1 :]
    return following[0] if following else None


def watched(step: StepState) -> bool:
    return step.spec.kind is StepKind.DEPLOY and bool(step.spec.gate)


def _passes(run: Run) -> bool:
    """The stage at hand meets its criteria, and only the next step's time keeps it."""
    step = run.current_step
    return step is not None and step.gate is not None and step.gate.rule == SHUT_ROW


# --- what time asks ---------------------------------------------------------------------------


def opening(run: Run, step_id: str, now_us: int) -> Opening | None:
    """The time of the step behind a watched stage, as the stage's gate reads it in a tick."""
    step = run.step(step_id)
    behind = _behind(run, step)
    time = None if behind is None else wish(behind)
    if behind is None or time is None or not watched(step):
        return None
    closes_ms = 0 if time.missed else (time.closes_us - now_us) // 1000
    return Opening(
        name=behind.spec.name,
        at=time.at,
        opens_in_ms=-((now_us - time.opens_us) // 1000),
        closes_in_ms=closes_ms,
    )


def tick(run: Run, now_us: int) -> StepTicked | None:
    """What is to be told of a step's time now: that it has come, or that it has passed."""
    if run.status not in LIVE:
        return None
    for step in run.steps:
        time = wish(step)
        if time is None or time.missed:
            continue
        if now_us >= time.closes_us:
            return _closed(run, step, time)
        if now_us >= time.opens_us and time.due_us is None:
            late_ms = (now_us - time.opens_us) // 1000
            return tick_of(
                step, time, FiringWord.DUE, f"its time has come{_after(late_ms)}", late_ms
            )
    return None


def next_us(run: Run, now_us: int) -> int | None:
    """When `tick` has to be asked again; None when nothing is waited for."""
    if run.status not in LIVE:
        return None
    times = [time for step in run.steps if (time := wish(step)) is not None and not time.missed]
    edges = [t.closes_us if now_us >= t.opens_us else t.opens_us for t in times]
    return min(edges, default=None)


def waits_until(run: Run, step: StepState, now_us: int) -> int | None:
    """Until when a step whose turn it is has to wait; None when it need not.

    Behind a watched stage it was waited already, by the gate; whatever became of clocks since, a
    stage that nobody watches any more is no place to wait at.
    """
    time = wish(step)
    before = run.steps[: run.steps.index(step)]
    if time is None or now_us >= time.opens_us or (before and watched(before[-1])):
        return None
    return time.opens_us


def begins(step: StepState, now_us: int) -> tuple[RunEvent, ...]:
    """The tick of a step with a time that begins now; nothing for any other."""
    time = wish(step)
    if time is None:
        return ()
    late_ms = max(0, (now_us - time.opens_us) // 1000)
    why = f"it begins in its window{_after(late_ms)}"
    return (tick_of(step, time, FiringWord.STARTED, why, late_ms),)


def lapsed(run: Run) -> tuple[RunEvent, ...]:
    """A step that missed its window begins at no other time by itself: somebody is asked.

    Not before the watched stage in front of it has met its criteria: until then its gate may still
    have to roll it back, which no gate does while a run is paused.
    """
    step = missed(run)
    time = None if step is None else wish(step)
    if run.status is not RunStatus.RUNNING or step is None or time is None:
        return ()
    if step is not run.current_step and not _passes(run):
        return ()
    why = f"{step.spec.name} did not begin in its window, which opened {time.at}: {time.missed}"
    return (RunPaused(via="step_failed", pause_reason="step_failed", reason=why),)


def ended(run: Run, why: str) -> tuple[RunEvent, ...]:
    """The ticks of steps that will not begin any more, because the run ends or goes back."""
    found = []
    for step in run.steps:
        time = wish(step)
        if time is not None and not time.missed:
            found.append(tick_of(step, time, FiringWord.CANCELLED, why, 0))
    return tuple(found)


def _closed(run: Run, step: StepState, time: StepTime) -> StepTicked:
    if time.due_us is None:
        why = "nobody looked while it was open, the engine was not running"
        return tick_of(step, time, FiringWord.MISSED, why, 0)
    return tick_of(step, time, FiringWord.EXPIRED, _kept_by(run, step), 0)


def _kept_by(run: Run, step: StepState) -> str:
    """What kept a step from beginning, as things stand when its window closes."""
    current = run.current_step
    match run.status:
        case RunStatus.PAUSED:
            return f"the run was paused ({run.pause_note.rstrip('. ')})"
        case RunStatus.AWAITING_APPROVAL:
            return "approvals were missing"
        case RunStatus.SCHEDULED | RunStatus.QUEUED:
            return "the run had not started"
        case _ if current is None or current is step:
            return "its turn came too late"
        case _ if current.gate is not None and not _passes(run):
            return f"{current.spec.name} had not passed its gate ({current.gate.reason})"
        case _:
            return f"{current.spec.name} had not ended"


def _after(late_ms: int) -> str:
    return f", {span(late_ms * 1000)} after it opened" if late_ms > LATE_MS else ""


def tick_of(
    step: StepState, time: StepTime, word: FiringWord, why: str, late_ms: int
) -> StepTicked:
    return StepTicked(step=step.id, word=word, why=why, due_us=time.opens_us, late_ms=late_ms)
