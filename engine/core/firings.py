"""When a schedule fires: its local intent resolved to windows of UTC. Pure.

One firing for each local date, whatever clocks do. A window is [start, start + duration): a run has
to start in it. Zones are handed in (`engine.core.local_time`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.core.errors import Malformed
from engine.core.local_time import (
    DAY_S,
    OffsetAt,
    day_of,
    day_text,
    instant_of,
    local,
    minute_of,
    said,
)
from engine.core.recurrence import days, parse_rule
from engine.core.schedule_events import Timing
from engine.core.spans import limit_text

WINDOW_S: Final = range(60, 7 * 86_400 + 1)
# A start within this is on time: alarms and the group commit take their milliseconds.
LATE_MS: Final = 2_000
_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """Attributes:
    date: the local date that names it.
    note: what clocks do to its time, as a sentence; empty when nothing.
    """

    date: str
    start_us: int
    end_us: int
    note: str = ""


def check(timing: Timing) -> None:
    """Raises `Malformed` for what is no timing, naming the field, expected and found."""
    day_of(timing.first, where="date")
    minute_of(timing.time, where="time")
    rule = parse_rule(timing.rule) if timing.rule else None
    if timing.window_s not in WINDOW_S:
        raise Malformed(
            f"expected a window from 1 m to 7 d, found {limit_text(timing.window_s)}",
            where="window",
        )
    if rule is not None and timing.window_s >= DAY_S:
        raise Malformed(
            "expected a window shorter than a day for what recurs, found "
            f"{limit_text(timing.window_s)}",
            where="window",
        )


def firings(timing: Timing, offset_at: OffsetAt, *, after: str = "") -> Iterator[Firing]:
    """The firings, in order.

    Args:
        timing: one that `check` let pass.
        after: a local date: only those behind it.
    """
    rule = parse_rule(timing.rule) if timing.rule else None
    behind = day_of(after, where="after") if after else None
    minute = minute_of(timing.time, where="time")
    for day in days(rule, day_of(timing.first, where="date"), behind):
        instant = instant_of(day, minute, offset_at)
        yield Firing(
            date=day_text(day),
            start_us=instant.at_us,
            end_us=instant.at_us + timing.window_s * _US,
            note=said(day, minute, instant, offset_at),
        )


def coming(timing: Timing, offset_at: OffsetAt, *, now_us: int) -> Iterator[Firing]:
    """The firings whose window has not closed yet."""
    today, _ = local(now_us, offset_at)
    # A window is at most a week long, and a local date never further from UTC than a day.
    start = day_text(max(0, today - 10))
    return (one for one in firings(timing, offset_at, after=start) if one.end_us > now_us)
