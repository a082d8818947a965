"""Wall time at a place, and the instants of UTC that it means. Pure.

A zone is handed in as a function from UTC seconds to its offset, because the rules of time zones
are data of the machine. Where clocks go forward, a wall time that does not exist means the first
instant after the gap; where they go back, one that comes twice means the first of the two.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from engine.core.errors import Malformed

# UTC epoch seconds to seconds east of UTC.
OffsetAt: TypeAlias = Callable[[int], int]
# Names of weekdays as iCalendar writes them, Monday first.
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DAY_S: Final = 86_400
DAY_MINUTES: Final = 1_440
# No place was ever further from UTC than this; a clock change that skips a whole day is no wider.
_FAR_S: Final = 16 * 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """Attributes:
    at_us: UTC epoch microseconds.
    change: `gap` when the wall time does not exist and this is the first instant after it,
        `fold` when it comes twice and this is the first; else empty.
    """

    at_us: int
    change: Literal["", "gap", "fold"] = ""


@functools.lru_cache(maxsize=16_384)  # the windows of a week are asked for at every look
def instant_of(day: int, minute: int, offset_at: OffsetAt) -> Instant:
    """The instant of a wall time.

    Args:
        day: days since 1970-01-01 of the local calendar.
        minute: of that day; 1,440 is the midnight that ends it.
    """
    wall_s = day * DAY_S + minute * 60
    # The wall time was the same instant under one of the offsets in force around it.
    near = {offset_at(wall_s + by) for by in (-_FAR_S, 0, _FAR_S)}
    real = sorted(wall_s - o for o in near if offset_at(wall_s - o) == o)
    if real:
        return Instant(at_us=real[0] * 1_000_000, change="fold" if len(real) > 1 else "")
    return Instant(at_us=_after_gap(wall_s, near, offset_at) * 1_000_000, change="gap")


def _after_gap(wall_s: int, near: set[int], offset_at: OffsetAt) -> int:
    """The first second at which the local clock shows more than `wall_s`."""
    before, after = wall_s - max(near), wall_s - min(near)
    while after - before > 1:
        middle = (before + after) // 2
        if middle + offset_at(middle) > wall_s:
            after = middle
        else:
            before = middle
    return after


def local(at_us: int, offset_at: OffsetAt) -> tuple[int, int]:
    """(days since 1970-01-01 of the local calendar, second of that day)."""
    at_s = at_us // 1_000_000
    return divmod(at_s + offset_at(at_s), DAY_S)


def said(day: int, minute: int, instant: Instant, offset_at: OffsetAt) -> str:
    """What a clock change makes of the wall time, as a sentence; empty when nothing.

    `02:30 on 2026-03-08 does not exist there: clocks go forward, and it is 03:00 at once.`
    """
    wall = f"{clock_text(minute)} on {day_text(day)}"
    match instant.change:
        case "gap":
            _, second = local(instant.at_us, offset_at)
            first = clock_text(second // 60)
            return f"{wall} does not exist there: clocks go forward, and {first} is meant instead."
        case "fold":
            return f"{wall} comes twice there: clocks go back, and the first one is meant."
        case _:
            return ""


def weekday(day: int) -> int:
    """0 = Monday ... 6 = Sunday."""
    return (day + 3) % 7


def day_text(day: int) -> str:
    """`2026-02-18` of days since 1970."""
    year, month, day_of_month = date_of(day)
    return f"{year:04d}-{month:02d}-{day_of_month:02d}"


def date_of(day: int) -> tuple[int, int, int]:
    """(year, month, day of the month) of days since 1970: the proleptic Gregorian calendar, counted
    in eras of 400 years that begin in March, so that a leap day is the last of its year."""
    era, of_era = divmod(day + 719_468, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day_of_month = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year + era * 400 + (month <= 2), month, day_of_month


def day_number(year: int, month: int, day_of_month: int) -> int:
    """Days since 1970-01-01; the inverse of `date_of`. The date has to exist."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day_of_month - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def day_of(text: str, *, where: str) -> int:
    """Days since 1970 of `2026-02-18`. Raises `Malformed` for anything else."""
    parts = text.split("-")
    if [len(p) for p in parts] == [4, 2, 2] and all(p.isascii() and p.isdigit() for p in parts):
        year, month, day_of_month = map(int, parts)
        if year >= 1970 and 1 <= month <= 12 and day_of_month >= 1:
            day = day_number(year, month, day_of_month)
            if day_text(day) == text:
                return day
    raise Malformed(f"expected a date such as 2026-02-18, found {text!r}", where=where)


def minute_of(text: str, *, where: str) -> int:
    """Minutes since midnight of `02:30`; `24:00` ends the day. Raises `Malformed`."""
    hour, colon, minute = text.partition(":")
    digits = all(len(p) == 2 and p.isascii() and p.isdigit() for p in (hour, minute))
    if digits and colon and int(minute) < 60:
        found = int(hour) * 60 + int(minute)
        if found <= DAY_MINUTES:
            return found
    raise Malformed(f"expected a time such as 02:30, found {text!r}", where=where)


def wall_of(text: str, *, where: str) -> tuple[int, int]:
    """(days since 1970, minute of the day) of `2026-02-18 02:30`. Raises `Malformed`."""
    day, _, minute = text.strip().replace("T", " ").partition(" ")
    return day_of(day, where=where), minute_of(minute.strip(), where=where)


def clock_text(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def utc_text(at_us: int) -> str:
    """`2026-02-18 08:30 UTC`."""
    day, second = divmod(at_us // 1_000_000, DAY_S)
    return f"{day_text(day)} {clock_text(second // 60)} UTC"
