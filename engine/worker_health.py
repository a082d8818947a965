"""What the worker tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.pace import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """A run that is being advanced now, for so long."""

    run_id: str
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHealth:
    """Attributes:
    tick_age_s: since the scheduler last ticked, by the monotonic clock.
    queued: runs that wait for a thread; `busy`: these, and those being advanced now.
    stopped_because: a defect stopped the stepping of these runs; run id to sentence.
    threads: that advance runs; `working`: what each busy one does, the longest first.
    tick_lag: how much later than planned the last ticks came.
    watchdogs: how often a silent scheduler was replaced since the engine started.
    """

    running: bool
    tick_age_s: float
    queued: int
    busy: int
    storage_full: bool
    stopped_because: dict[str, str]
    threads: int
    working: tuple[Working, ...]
    tick_lag: Pace
    watchdogs: int
