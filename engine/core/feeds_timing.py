"""When a feed is synced next by itself, and since when that is overdue. Pure.

A feed is synced at an interval, or once a day at a time. What failed because there was no answer is
tried again with growing pauses. An answer that was refused (it lost too much, it is not signed, it
cannot be read) is the source's, so that asking at once again would not help: it waits for its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.core.feeds import FeedLog, Sync
from engine.core.local_time import DAY_S, clock_text
from engine.core.spans import limit_text

RETRY_FIRST_S: Final = 60
RETRY_MAX_S: Final = 1_800
# A daily feed that is so late is overdue; one with a shorter interval after one interval more.
GRACE_S_MAX: Final = 3_600
_US: Final = 1_000_000
_DAY_US: Final = DAY_S * _US
# Why a source's answer was not taken. It has answered.
_REFUSED: Final = frozenset({"loss", "malformed", "unverified"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedTiming:
    """Attributes:
    every_s: between two syncs; a day where there is a time for it.
    at_s: of the UTC day, in seconds; None = at no time in particular.
    """

    every_s: int
    at_s: int | None = None

    def __str__(self) -> str:
        if self.at_s is None:
            return f"every {limit_text(self.every_s)}"
        return f"daily at {clock_text(self.at_s // 60)} UTC"


def next_us(timing: FeedTiming, log: FeedLog, *, now_us: int) -> int:
    """When it is synced next; `now_us` or before: it is due."""
    if not log.tries:
        return now_us
    newest = log.tries[0]
    # A clock that was set back must not put the next sync off for as long.
    began_us = min(newest.at_us, now_us)
    regular_us = _after(timing, began_us)
    failures = _failures(log)
    if not failures:
        return regular_us
    pause_s = min(RETRY_FIRST_S << min(failures - 1, 10), RETRY_MAX_S)
    ended_us = min(newest.ended_us or newest.at_us, now_us)
    return min(regular_us, ended_us + pause_s * _US)


def overdue_us(timing: FeedTiming, log: FeedLog, *, now_us: int) -> int | None:
    """Since when a sync that brings an answer is overdue; None when it is not.

    A feed that was never synced is overdue from its first try on.
    """
    if log.newest is None:
        since_us = log.tries[-1].at_us if log.tries else now_us
    else:
        since_us = _after(timing, log.newest_us)
    grace_us = min(timing.every_s, GRACE_S_MAX) * _US
    return since_us if now_us >= since_us + grace_us else None


def _after(timing: FeedTiming, began_us: int) -> int:
    """The first time for a sync behind one that began then."""
    if timing.at_s is None:
        return began_us + timing.every_s * _US
    today_us = began_us // _DAY_US * _DAY_US + timing.at_s * _US
    return today_us if today_us > began_us else today_us + _DAY_US


def _failures(log: FeedLog) -> int:
    """How many of the newest tries, one behind the other, got no answer."""
    count = 0
    for one in log.tries:
        if not _unanswered(one):
            break
        count += 1
    return count


def _unanswered(one: Sync) -> bool:
    """Also one that the engine did not live to see the end of."""
    if one.failed is not None:
        return one.failed.code not in _REFUSED
    return one.synced is None
