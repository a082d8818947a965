"""Facts about the time before which a step may not begin. They change no status.

A wish names a window of local time; its instants are UTC. A tick that tells of a move stands in the
same append as the move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from engine.core.schedule_events import FiringWord


@dataclass(frozen=True, slots=True, kw_only=True)
class StepScheduled:
    """The step may begin in [opens_us, closes_us) alone; takes the place of an older wish for it.

    Attributes:
        local: when it opens, by the clocks of its zone: `2026-12-01 06:00`.
        note: what clocks do to the time that was asked for; empty when nothing.
    """

    TYPE: ClassVar = "step.scheduled/1"
    step: str
    opens_us: int
    closes_us: int
    time_zone: str
    local: str
    reason: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUnscheduled:
    """The step begins as soon as its turn comes again."""

    TYPE: ClassVar = "step.unscheduled/1"
    step: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTicked:
    """One row of the scheduler's runs, of a step.

    Attributes:
        due_us: when its window opens; late_ms: since then; 0 for what is not late.
    """

    TYPE: ClassVar = "step.ticked/1"
    step: str
    word: FiringWord
    why: str
    due_us: int
    late_ms: int = 0


StepTimeEvent: TypeAlias = StepScheduled | StepUnscheduled | StepTicked
