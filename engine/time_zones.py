"""The rules of time zones, as the machine has them: IANA names to offsets."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from engine.core.errors import Malformed
from engine.core.local_time import OffsetAt

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def offset_at(name: str, *, where: str = "time zone") -> OffsetAt:
    """The offset of a zone (`Europe/Sofia`) at each instant of UTC.

    Raises:
        Malformed: this machine knows no zone of that name.
    """
    try:
        return _offsets(name)
    except (KeyError, OSError, ValueError):  # no such name; a folder; no name at all
        raise Malformed(
            f"expected an IANA time zone such as Europe/Sofia, found {name[:60]!r}", where=where
        ) from None


@functools.cache
def names() -> tuple[str, ...]:
    """Every zone that this machine knows, as people choose among them: sorted, UTC first."""
    places = {name for name in available_timezones() if "/" in name and not name.startswith("Etc/")}
    return ("UTC", *sorted(places))


@functools.cache
def _offsets(name: str) -> OffsetAt:
    zone = ZoneInfo(name)

    def offset(at_s: int) -> int:
        there = (_EPOCH + timedelta(seconds=at_s)).astimezone(zone).utcoffset()
        assert there is not None  # an aware moment always has one
        return int(there.total_seconds())

    return offset
