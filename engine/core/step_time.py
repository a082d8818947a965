"""The time before which a step may not begin, as a value of the run's state."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """The step may begin in [opens_us, closes_us). It is kept when the step has begun.

    Attributes:
        local: when it opens, by the clocks of its zone: `2026-12-01 06:00`.
        by, set_us: who wished it so, and when.
        due_us: when it was told that its time has come; None = not yet.
        missed: what kept the step from beginning in it, once it has closed; empty before.
    """

    opens_us: int
    closes_us: int
    time_zone: str
    local: str
    by: str
    set_us: int
    due_us: int | None = None
    missed: str = ""

    @property
    def at(self) -> str:
        """`2026-12-01 06:00 Europe/Sofia`."""
        return f"{self.local} {self.time_zone}"
