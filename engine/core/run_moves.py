"""How events that carry `via` move a run. One half of `engine.core.run.evolve`."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never, get_args

from engine.core import statemachine, way_back
from engine.core.errors import IllegalTransition
from engine.core.events import Recorded
from engine.core.run_events import (
    RollbackFailed,
    RollbackStarted,
    RunCancelled,
    RunCancelling,
    RunContinued,
    RunExpired,
    RunFailed,
    RunMoved,
    RunPaused,
    RunQueued,
    RunRejected,
    RunResumed,
    RunRolledBack,
    RunScheduled,
    RunSealed,
    RunStarted,
    RunSucceeded,
    StepRerunRequested,
)
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.core.statemachine import TERMINAL, RunStatus
from engine.core.way_back import WayBack

_MOVES = get_args(RunMoved)


def apply(run: Run, recorded: Recorded) -> Run | None:
    """Return the run after a status move; None when the event is of another family."""
    event = recorded.event
    if not isinstance(event, _MOVES):
        return None
    if isinstance(event, RunScheduled) and event.via == "request":
        return _scheduled(run, event)  # the first window is part of the wish, not a move
    before = run.status
    target = statemachine.transition(before, event.via, outcome=run.outcome).target
    # An override was asked for in this situation, and any move ends the situation.
    run = replace(run, status=target, override=None, barred=None)
    if before is RunStatus.PAUSED and target is not RunStatus.PAUSED:
        run = replace(run, pause_reason="", pause_note="", paused_from=None, paused_us=None)
        # Who lets a run go on has it look at the environment anew, with the whole time to wait.
        run = replace(run, guard=None, guard_us=None, guard_since_us=None)
        run = replace(run, rollback_suppressed="", pause_cause=None, unsettled=False)
    return _detail(run, event, recorded, before)


def _detail(run: Run, event: RunMoved, recorded: Recorded, before: RunStatus) -> Run:
    match event:
        case RunScheduled():
            return _scheduled(run, event)
        case RunQueued(via="start_now"):
            return replace(run, started_by=recorded.actor)
        case RunResumed(freezes=passed):
            return replace(run, passed_freezes=run.passed_freezes | set(passed))
        case RunQueued() | RunContinued() | StepRerunRequested():
            return run
        case RunStarted(epoch=epoch):
            run = replace(run, held_by="", held_note="")
            run = replace(run, started_by=run.started_by or recorded.actor)
            return replace(run, epoch=epoch, started_us=recorded.ts_us)
        case RunPaused(pause_reason=cause, reason=reason):
            return replace(
                run,
                pause_reason=cause,
                pause_note=reason,
                paused_from=before,
                paused_us=recorded.ts_us,
                pauses=run.pauses + 1,
                unsettled=_in_a_change(run, before),
            )
        case RunCancelling():
            return replace(run, cancelling_us=recorded.ts_us)
        case RollbackStarted():
            return _rolling_back(run, event, recorded)
        case RollbackFailed(reason=reason):
            ways = way_back.ended(run.ways_back, "failed", reason)
            return replace(run, pause_note=reason, ways_back=ways)
        case RunRejected(failure_class=failure, reason=reason):
            return _ends(run, RunStatus.REJECTED, reason, failure)
        case RunFailed(failure_class=failure, reason=reason):
            return _ends(run, RunStatus.FAILED, reason, failure)
        case RunExpired(failure_class=failure, reason=reason):
            return _ends(run, RunStatus.EXPIRED, reason, failure)
        case RunCancelled(reason=reason, superseded_by=newer):
            run = replace(run, superseded_by=newer)
            return _ends(run, RunStatus.CANCELLED, reason, "operator")
        case RunRolledBack(reason=reason):
            failure = "operator" if run.rollback_trigger == "operator" else "health"
            return _ends(run, RunStatus.ROLLED_BACK, reason, failure)
        case RunSucceeded():
            return _ends(run, RunStatus.SUCCEEDED, "", "")
        case RunSealed(seal_status=seal_status):
            if run.status not in TERMINAL:
                raise IllegalTransition(f"{run.run_id} was sealed into {run.status}")
            return replace(run, seal_status=seal_status, ended_us=recorded.ts_us)
        case _:
            assert_never(event)


def _in_a_change(run: Run, before: RunStatus) -> bool:
    """The pause may have caught a stage between two targets, or inside the switch of one."""
    step = run.current_step
    return (
        before is RunStatus.RUNNING
        and step is not None
        and step.spec.kind is StepKind.DEPLOY
        and step.open
        and step.attempt is not None
        and not step.attempt.applied
    )


def _ends(run: Run, outcome: RunStatus, reason: str, failure_class: str) -> Run:
    return replace(run, outcome=outcome, outcome_reason=reason, failure_class=failure_class)


def _scheduled(run: Run, event: RunScheduled) -> Run:
    return replace(
        run,
        window_start_us=event.start_us,
        window_end_us=event.window_end_us,
        time_zone=event.time_zone,
        due_us=None,
        checked=None,
        checked_us=None,
    )


def _rolling_back(run: Run, event: RollbackStarted, recorded: Recorded) -> Run:
    way = WayBack(
        number=len(run.ways_back) + 1,
        scope=way_back.FULL,
        trigger=event.trigger,
        targets=event.targets,
        reason=event.reason,
        ticket=event.ticket,
        by=recorded.actor,
        started_us=recorded.ts_us,
    )
    run = replace(run, ways_back=way_back.begun(run.ways_back, way))
    if event.via == "retry_rollback":
        return replace(run, pause_note="", rollback_verified=False)
    return replace(
        run,
        rollback_reason=event.reason,
        rollback_ticket=event.ticket,
        rollback_trigger=event.trigger,
        rollback_by=recorded.actor,
        rollback_verified=False,
    )
