"""Moments and quarters as people write them, in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from engine.core.errors import Malformed

_QUARTER: Final = re.compile(r"(\d{4})-?Q([1-4])", re.ASCII)
_DAY_US: Final = 24 * 3600 * 1_000_000
# What every JSON reader takes exactly: 285 years to either side, beyond all that is on record.
_US_MAX: Final = (1 << 53) - 1 - _DAY_US
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def moment_us(text: str, *, where: str, ends: bool = False) -> int | None:
    """UTC epoch microseconds of an ISO 8601 date or time; None for an empty text.

    Args:
        ends: a date alone means the end of that day.

    Raises:
        Malformed: something else, or a time without a zone.
    """
    if not text:
        return None
    found: datetime | None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is not None and _DAY.fullmatch(text):
        return _us(found.replace(tzinfo=UTC)) + (_DAY_US if ends else 0)
    if found is None or found.tzinfo is None:
        raise Malformed(
            f"expected a date (2026-10-01) or a time with its zone (2026-10-01T08:00:00Z), "
            f"found {text[:40]!r}",
            where=where,
        )
    return _us(found)


def quarter_us(text: str, *, where: str = "quarter") -> tuple[int, int]:
    """Where a quarter (`2026-Q4`) begins and where the next one does. Raises `Malformed`."""
    found = _QUARTER.fullmatch(text.upper())
    if found is None:
        raise Malformed(f"expected a quarter like 2026-Q4, found {text[:40]!r}", where=where)
    year, number = int(found[1]), int(found[2])
    return _quarter(year, number), _quarter(year + number // 4, number % 4 + 1)


def quarter_of(us: int) -> str:
    """The quarter that a moment lies in."""
    at = datetime.fromtimestamp(us / 1_000_000, UTC)
    return f"{at.year}-Q{(at.month - 1) // 3 + 1}"


def iso(us: int) -> str:
    """`2026-10-01T08:00:00.000001Z`, always with all six digits, so that texts sort as times."""
    seconds, rest = divmod(us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def _quarter(year: int, number: int) -> int:
    try:
        return _us(datetime(year, number * 3 - 2, 1, tzinfo=UTC))
    except ValueError:
        raise Malformed(f"expected a year from 1 to 9998, found {year}", where="quarter") from None


def _us(at: datetime) -> int:
    us = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return max(-_US_MAX, min(_US_MAX, us))
