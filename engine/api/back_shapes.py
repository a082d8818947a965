"""JSON shapes of the way back: whether it is open, and every time that it was taken. Pure."""

from __future__ import annotations

from typing import Any

from engine.core.back_events import RollbackReadiness
from engine.core.run import Run
from engine.core.way_back import WayBack


def back_shape(run: Run) -> dict[str, Any]:
    """The part of a run's shape that tells of going back."""
    return {
        "rollback_readiness": None if run.readiness is None else _readiness(run.readiness),
        "rollback_suppressed": run.rollback_suppressed,
        "sent_back": list(run.sent_back),
        "ways_back": [_way(way) for way in run.ways_back],
    }


def _readiness(seen: RollbackReadiness) -> dict[str, Any]:
    return {
        "step": seen.step,
        "plan": str(seen.plan),
        "observed_at_us": seen.observed_at_us,
        "ready": not seen.stuck,
        "targets": [
            {
                "target": one.target,
                "to": None if one.to_digest is None else str(one.to_digest),
                "present": one.present,
                "ready": one.ready,
                "note": one.note,
            }
            for one in seen.targets
        ],
    }


def _way(way: WayBack) -> dict[str, Any]:
    return {
        "number": way.number,
        "scope": way.scope,
        "trigger": way.trigger,
        "targets": list(way.targets),
        "reason": way.reason,
        "ticket": way.ticket,
        "by": way.by,
        "started_us": way.started_us,
        "outcome": way.outcome or "under_way",
        "note": way.note,
        "sealed": way.sealed,
        "evidence_missing": way.lost,
    }
