"""From what was on past days: how often a precondition held when a window opened. Pure.

Nothing is predicted. What was recorded is counted, and where too little is on record that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.core.local_time import DAY_S

DAYS: Final = 30  # looked back at most
DAYS_MIN: Final = 7
_STEP_S: Final = 600
_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Attributes:
    days: past days on which it is known whether it held.
    at_open: of these, those on which it held when the window opened.
    in_window: those on which it held at some moment in the window.
    usual_s: how long after the opening it held first, on the middle one of the days on which it
        did so within a day; None = on none.
    """

    days: int
    at_open: int
    in_window: int
    usual_s: int | None

    @property
    def enough(self) -> bool:
        return self.days >= DAYS_MIN

    @property
    def share_percent(self) -> int:
        """Cut off, so that 100 means every day."""
        return 100 * self.at_open // self.days if self.days else 0


def look_back(
    held_at: Callable[[int], bool | None], opened_us: Sequence[int], *, window_s: int
) -> Forecast:
    """Args:
    held_at: whether it held at an instant (UTC microseconds); None = not known.
    opened_us: when windows like this one opened on past days.
    """
    days = at_open = in_window = 0
    waits: list[int] = []
    for start_us in opened_us:
        held = held_at(start_us)
        if held is None:
            continue
        days += 1
        at_open += held
        wait_s = 0 if held else _first(held_at, start_us)
        if wait_s is not None:
            waits.append(wait_s)
            in_window += wait_s < window_s
    waits.sort()
    usual_s = waits[len(waits) // 2] if waits else None
    return Forecast(days=days, at_open=at_open, in_window=in_window, usual_s=usual_s)


def _first(held_at: Callable[[int], bool | None], start_us: int) -> int | None:
    """Seconds until it held first, looked for within a day."""
    for wait_s in range(_STEP_S, DAY_S + 1, _STEP_S):
        if held_at(start_us + wait_s * _US):
            return wait_s
    return None
