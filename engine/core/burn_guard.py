"""What a burning environment means for a run: it doesn't start, and its next stage waits. Pure.

A promotion into an environment that is losing its error budget makes a bad hour worse, and blurs
whose fault it is. So a run stays queued, and a stage whose targets are still untouched waits, as
long as the guard's rules burn; too long, and a person is asked. What is not known does not hold a
run up, unless it burnt when it was last known. Nothing here ever keeps a run from going back.
"""

from __future__ import annotations

import json
from dataclasses import replace

from engine.core.burn import BurnState
from engine.core.events import RunEvent
from engine.core.fact_events import EnvironmentGuarded
from engine.core.health_criteria import Criteria, criteria_from_document
from engine.core.run_events import RunPaused, RunStarted
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import StepWaiting, StepWentOn

HELD = "the environment burns its error budget"


def criteria_for(run: Run, step_id: str = "") -> Criteria | None:
    """By which criteria the environment is guarded before a stage, or before the run's start.

    None = it is not: no rule asks for it, or the run is a way back, which is never held up.
    """
    if run.request.kind == "ROLLBACK":
        return None
    deploys = [s for s in run.steps if s.spec.kind is StepKind.DEPLOY and s.spec.gate]
    step = next((s for s in deploys if step_id in {"", s.id}), None)
    if step is None:
        return None
    criteria = criteria_from_document(json.loads(step.spec.gate))
    return criteria if criteria.guard_burns else None


def guarded(run: Run, event: EnvironmentGuarded, ts_us: int) -> Run:
    """The run with a new answer of the guard in it."""
    return replace(run, guard=event, guard_us=ts_us, guard_since_us=_since(run, event, ts_us))


def _since(run: Run, event: EnvironmentGuarded, ts_us: int) -> int | None:
    """Silence neither begins nor ends a fire: only a known answer does."""
    known = run.guard_since_us if _same_place(run.guard, event) else None
    match event.state:
        case BurnState.BURNING:
            return ts_us if known is None else known
        case BurnState.NO_DATA:
            return known
        case _:
            return None


def news(run: Run, read: EnvironmentGuarded) -> tuple[EnvironmentGuarded, ...]:
    """`read`, unless the newest answer on record says the same, rule by rule."""
    last = run.guard
    same = _same_place(last, read) and last is not None and _states(last) == _states(read)
    return () if same else (read,)


def holds(run: Run, now_us: int, criteria: Criteria) -> bool:
    """Whether the newest answer on record keeps the run from going on.

    Where it burnt and the source then falls silent, it is believed to burn for as long as a gate
    would wait for data, and no longer: an outage of the metrics is no reason to stop for ever.
    """
    guard, since_us, told_us = run.guard, run.guard_since_us, run.guard_us
    if run.glass_broken(now_us):
        return False  # two people let it go on all the same
    if guard is None or since_us is None or told_us is None:
        return False
    if guard.state is BurnState.BURNING:
        return True
    return now_us - told_us < criteria.no_data_ms * 1000


def held_up(run: Run) -> str:
    """Why the run does not go on by itself, as a sentence's part; empty when nothing holds it."""
    if run.guard is None or run.guard_since_us is None:
        return ""
    step = run.current_step
    waits = step is not None and step.status is StepStatus.WAITING and run.guard.step == step.id
    waiting = run.status in {RunStatus.SCHEDULED, RunStatus.QUEUED} and not run.guard.step
    if waiting or (run.status is RunStatus.RUNNING and waits):
        return f"{HELD}: {run.guard.reason}"
    return ""


def at_opening(
    run: Run, read: EnvironmentGuarded, now_us: int, criteria: Criteria
) -> tuple[tuple[EnvironmentGuarded, ...], str]:
    """What of the guard's answer is new for a run whose window is open, and why that keeps it from
    starting; empty when it does not."""
    told = news(run, read)
    after = guarded(run, read, now_us) if told else run
    return told, held_up(after) if holds(after, now_us, criteria) else ""


def before_start(
    run: Run, read: EnvironmentGuarded, now_us: int, criteria: Criteria, epoch: int
) -> tuple[RunEvent, ...]:
    """What the guard's answer does to a queued run whose turn it is: it starts, or stays."""
    if run.status is not RunStatus.QUEUED:
        return ()
    told = news(run, read)
    after = guarded(run, read, now_us) if told else run
    if holds(after, now_us, criteria):
        return told
    return (*told, RunStarted(via="lock_acquired", epoch=epoch))


def before_stage(
    run: Run, read: EnvironmentGuarded, now_us: int, criteria: Criteria
) -> tuple[RunEvent, ...]:
    """What the guard's answer does to a stage that is about to touch its first target."""
    step = run.step(read.step)
    ours = step.open and step.attempt is not None and step.attempt.number == read.attempt
    if run.status is not RunStatus.RUNNING or not ours:
        return ()
    told = news(run, read)
    after = guarded(run, read, now_us) if told else run
    waiting = step.status is StepStatus.WAITING
    if not holds(after, now_us, criteria):
        if not waiting:
            return told
        return (*told, StepWentOn(step=step.id, attempt=read.attempt, reason=read.reason))
    reason = f"{HELD}: {read.reason}"
    if not waiting:
        return (*told, StepWaiting(step=step.id, attempt=read.attempt, reason=reason))
    since_us = after.guard_since_us
    if since_us is not None and now_us - since_us >= criteria.max_hold_ms * 1000:
        why = f"{step.spec.name} has waited too long: {reason}"
        paused = RunPaused(
            via="health_inconclusive", pause_reason="health_inconclusive", reason=why
        )
        return (*told, paused)
    return told


def _same_place(one: EnvironmentGuarded | None, other: EnvironmentGuarded) -> bool:
    return one is not None and (one.step, one.attempt) == (other.step, other.attempt)


def _states(read: EnvironmentGuarded) -> tuple[BurnState, ...]:
    return (read.state, *(rule.state for rule in read.rules))
