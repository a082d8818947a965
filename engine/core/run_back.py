"""How facts about the way back enter a run. One part of `engine.core.run.evolve`."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never, get_args

from engine.core import way_back
from engine.core.back_events import (
    BackEvent,
    RollbackReadiness,
    RollbackSuppressed,
    TargetRollbackFailed,
    TargetRollbackRequested,
    TargetRollbackVerified,
    TargetTouched,
)
from engine.core.errors import IllegalTransition
from engine.core.events import Recorded
from engine.core.state import Run, with_seen
from engine.core.statemachine import RunStatus
from engine.core.way_back import WayBack

_BACK = get_args(BackEvent)


def apply(run: Run, recorded: Recorded) -> Run | None:
    """Return the run after a fact about the way back; None when the event is of another family."""
    event = recorded.event
    if not isinstance(event, _BACK):
        return None
    match event:
        case RollbackReadiness():
            return replace(run, readiness=event)
        case TargetTouched(target=target):
            return with_seen(
                run, target, digest=None, healthy=None, note="switched since it was seen"
            )
        case RollbackSuppressed(reason=reason):
            return replace(run, rollback_suppressed=reason)
        case TargetRollbackRequested():
            return _requested(run, event, recorded)
        case TargetRollbackVerified(number=number):
            _is_under_way(run, number, event.TYPE)
            return replace(run, ways_back=way_back.ended(run.ways_back, "verified"))
        case TargetRollbackFailed(number=number, reason=reason):
            _is_under_way(run, number, event.TYPE)
            return replace(run, ways_back=way_back.ended(run.ways_back, "failed", reason))
        case _:
            assert_never(event)


def _requested(run: Run, event: TargetRollbackRequested, recorded: Recorded) -> Run:
    if run.status is not RunStatus.PAUSED or run.way_back is not None:
        raise IllegalTransition(f"{event.TYPE} cannot follow: {run.run_id} is {run.status}")
    if event.number != len(run.ways_back) + 1:
        raise IllegalTransition(
            f"{run.run_id}: way back {event.number} follows {len(run.ways_back)}"
        )
    way = WayBack(
        number=event.number,
        scope=way_back.TARGET,
        trigger="operator",
        targets=event.targets,
        reason=event.reason,
        ticket=event.ticket,
        by=recorded.actor,
        started_us=recorded.ts_us,
    )
    sent = tuple(sorted({*run.sent_back, *event.targets}))
    return replace(run, ways_back=way_back.begun(run.ways_back, way), sent_back=sent)


def _is_under_way(run: Run, number: int, kind: str) -> None:
    way = run.way_back
    if way is None or (way.scope, way.number) != (way_back.TARGET, number):
        raise IllegalTransition(f"{kind}: {run.run_id} sends no targets back under {number}")
