"""How a scheduled run starts, or does not: its window, its preconditions, its ticks. Pure.

A run that starts by its window leaves SCHEDULED and takes its environment in one append, inside
that window: in a queue it could be held up past the window's end, and start when nobody wants it
any more. So it waits in SCHEDULED for everything, the environment too. The tick that tells of a
move stands in the same append as the move, so that no crash leaves one without the other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never, get_args

from engine.core import burn_guard, preconditions
from engine.core.approvals import Actor
from engine.core.closing import closing
from engine.core.commands import Action, Command, Now
from engine.core.effect_kinds import Effect, OpenWindow, Record, Wait
from engine.core.errors import Refused
from engine.core.events import Recorded, RunEvent
from engine.core.fact_events import EnvironmentGuarded
from engine.core.firings import LATE_MS
from engine.core.health_criteria import Criteria
from engine.core.preconditions import CREATOR, State
from engine.core.run_events import RunExpired, RunQueued, RunScheduled, RunStarted
from engine.core.schedule_events import FiringFact, FiringTicked, FiringWord, PreconditionsChecked
from engine.core.spans import span
from engine.core.state import Run
from engine.core.statemachine import RunStatus

# Between two looks at the preconditions of a run whose window is open.
CHECK_EVERY_S: Final = 60.0
_FACTS: Final = get_args(FiringFact)


def apply(run: Run, recorded: Recorded) -> Run | None:
    """The run after a fact of its firing; None when the event is of another family."""
    event = recorded.event
    if not isinstance(event, _FACTS):
        return None
    match event:
        case FiringTicked(word=FiringWord.DUE):
            return replace(run, due_us=recorded.ts_us)
        case FiringTicked():
            return run
        case PreconditionsChecked():
            return replace(run, checked=event, checked_us=recorded.ts_us)
        case _:
            assert_never(event)


def next_effect(run: Run, now_us: int) -> Effect:
    """Of a SCHEDULED run. `now_us` decides only what is due."""
    start_us, end_us = run.window_start_us, run.window_end_us
    if start_us is None or end_us is None:
        return Wait(None, "waits for its window")
    if now_us < start_us:
        return Wait(start_us, "waits for its window")
    if now_us >= end_us:
        return Record(_closed(run))
    if run.due_us is None:
        why = "its window is open"
        late = late_ms(run, now_us)
        if late > LATE_MS:
            why = f"its window is open since {span(late * 1000)}; nobody looked before"
        return Record((_tick(run, FiringWord.DUE, why, late),))
    return OpenWindow()


def late_ms(run: Run, now_us: int) -> int:
    """Since its window opened."""
    return 0 if run.window_start_us is None else max(0, (now_us - run.window_start_us) // 1000)


def before_open(
    run: Run,
    checked: PreconditionsChecked,
    now_us: int,
    *,
    epoch: int,
    guard: tuple[EnvironmentGuarded, Criteria] | None = None,
) -> tuple[RunEvent, ...]:
    """What a look does to a run whose window is open: it takes its environment, or waits on.

    Args:
        epoch: fences the environment when it starts now.
        guard: how the environment spends its error budget, and by which criteria that is judged;
            None where it is not guarded.
    """
    end_us = run.window_end_us
    if run.status is not RunStatus.SCHEDULED or end_us is None or now_us >= end_us:
        return ()
    told, burns = (
        ((), "") if guard is None else burn_guard.at_opening(run, guard[0], now_us, guard[1])
    )
    lacks = (*preconditions.unmet(checked.rows), *((burns,) if burns else ()))
    late = late_ms(run, now_us)
    if lacks:
        known = run.checked is not None and preconditions.same(run.checked.rows, checked.rows)
        if known and not told:
            return ()
        refused = any(r.name == CREATOR and r.state is not State.MET for r in checked.rows)
        word = FiringWord.FAILED_TO_START if refused else FiringWord.WAITING_PRECONDITIONS
        return (*told, checked, _tick(run, word, "; ".join(lacks), late))
    why = "its preconditions hold"
    if late > LATE_MS:
        cause = "it waited for its preconditions" if lacking(run) else "nobody looked before"
        why = f"{why}; {span(late * 1000)} after its window opened, because {cause}"
    tick = _tick(run, FiringWord.STARTED, why, late)
    queued = RunQueued(via="window_open", reason=why)
    # What a start rests on is always told whole, also where nothing has changed.
    return (*told, checked, tick, queued, RunStarted(via="lock_acquired", epoch=epoch))


def lacking(run: Run) -> tuple[str, ...]:
    """What keeps a run whose window is open from starting, as last recorded, one phrase each."""
    lacks = () if run.checked is None else preconditions.unmet(run.checked.rows)
    burns = burn_guard.held_up(run)
    return (*lacks, *((burns,) if burns else ()))


def before_lock(run: Run, checked: PreconditionsChecked) -> tuple[RunEvent, ...]:
    """What a check does to a run that somebody started by hand and that is about to leave the
    queue: told when it has changed."""
    if run.status is not RunStatus.QUEUED:
        return ()
    known = run.checked is not None and preconditions.same(run.checked.rows, checked.rows)
    return () if known else (checked,)


def held_up(run: Run) -> tuple[str, ...]:
    """What keeps a run in the queue that somebody started by hand, one phrase each."""
    if run.status is not RunStatus.QUEUED or run.checked is None:
        return ()
    return preconditions.unmet(run.checked.rows)


def warnings(run: Run) -> tuple[str, ...]:
    """What of its preconditions did not hold and let it start all the same."""
    return () if run.checked is None else preconditions.warnings(run.checked.rows)


def by_hand(run: Run, why: str, now_us: int | None) -> tuple[RunEvent, ...]:
    """Somebody starts it now, whatever its window says."""
    late = 0 if now_us is None else late_ms(run, now_us)
    tick = (_tick(run, FiringWord.STARTED, why, late),) if run.request.schedule else ()
    return (*tick, RunQueued(via="start_now", reason=why))


def decided(run: Run, command: Command, actor: Actor, now: Now) -> tuple[RunEvent, ...]:
    """What `start_now` and `reschedule` cause. Raises `Refused` for one without a window."""
    if command.action is Action.RESCHEDULE:
        return _rescheduled(run, command, actor)
    return by_hand(run, command.reason.strip() or f"started by {actor.user}", now.now_us)


def _rescheduled(run: Run, command: Command, actor: Actor) -> tuple[RunEvent, ...]:
    window = command.window
    if window is None:
        raise Refused("Say when it is to start instead, and for how long.", code="reason")
    reason = command.reason.strip() or f"rescheduled by {actor.user}"
    return (
        RunScheduled(
            via="reschedule",
            start_us=window.start_us,
            window_end_us=window.end_us,
            time_zone=window.time_zone,
            reason=f"{reason}. {window.note}" if window.note else reason,
        ),
    )


def cancelled(run: Run, why: str) -> tuple[RunEvent, ...]:
    """The tick of a run that is cancelled before it starts; nothing for any other."""
    if run.status is not RunStatus.SCHEDULED or not run.request.schedule:
        return ()
    return (_tick(run, FiringWord.CANCELLED, why, 0),)


def _closed(run: Run) -> tuple[RunEvent, ...]:
    """Never started: with what never held, or because nobody looked."""
    lacks, missed = lacking(run), run.due_us is None
    why = "its window closed: nobody looked while it was open, the engine was not running"
    if not missed:
        why = f"its window closed: {'; '.join(lacks) or 'what it needs was not known in time'}"
    tick = _tick(run, FiringWord.MISSED if missed else FiringWord.EXPIRED, why, 0)
    expired = RunExpired(via="window_closed", failure_class="precondition", reason=why)
    return (*((tick,) if run.request.schedule else ()), expired, *closing(run, why))


def _tick(run: Run, word: FiringWord, why: str, late: int) -> FiringTicked:
    return FiringTicked(
        schedule=run.request.schedule,
        firing=run.request.firing,
        word=word,
        why=why,
        due_us=run.window_start_us or 0,
        late_ms=late,
    )
