"""How runs and chores are served by the engine, and which of them are stuck. Pure.

Seconds are by the monotonic clock of the process that serves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.core.statemachine import RunStatus

# Longer than any deadline of an adapter: what takes longer does not end by itself.
STUCK_S: Final = 600.0
# The engine has something to do for these by itself; others wait for people or for each other.
MOVING: Final = frozenset(
    {RunStatus.RUNNING, RunStatus.ROLLING_BACK, RunStatus.CANCELLING, RunStatus.SEALING}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How a run was served lately.

    Attributes:
        working_s: it is being advanced for so long; None when it is not.
        waiting: for a thread.
        rested_s: since it was advanced last; None when it never was by this engine.
        due_s: until it is advanced again by itself; None when only an event wakes it.
    """

    working_s: float | None = None
    waiting: bool = False
    rested_s: float | None = None
    due_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoreHealth:
    """Attributes:
    running_s: it is at work for so long; None when it is not.
    ended_s: since it ended last, after `took_s`; None when it has not ended yet.
    next_s: until it is called again; None while nothing calls it.
    error: of the last time; empty when it went well.
    """

    name: str
    every_s: int
    running_s: float | None = None
    ended_s: float | None = None
    took_s: float | None = None
    next_s: float | None = None
    error: str = ""


def stuck_run(status: RunStatus, pulse: Pulse) -> str:
    """Why a run will hardly go on by itself, as a sentence; empty when it will, or need not."""
    if pulse.working_s is not None:
        if pulse.working_s > STUCK_S:
            return f"One effect is at work for {_minutes(pulse.working_s)} without an end."
        return ""
    if status not in MOVING or pulse.waiting or pulse.rested_s is None:
        return ""
    overdue = pulse.due_s is None or pulse.due_s < -STUCK_S
    if overdue and pulse.rested_s > STUCK_S:
        return f"The engine has not looked at it for {_minutes(pulse.rested_s)}."
    return ""


def stuck_chore(chore: ChoreHealth) -> str:
    if chore.running_s is not None and chore.running_s > STUCK_S:
        return f"At work for {_minutes(chore.running_s)} without an end."
    return ""


def _minutes(seconds: float) -> str:
    return f"{int(seconds // 60)} minutes"
