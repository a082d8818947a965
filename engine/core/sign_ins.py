"""How failed sign-ins go on record without letting a flood fill the journal. Pure.

The first few of a method and code within a window are written one by one. What comes behind them
is only counted, and told as one record when the window is over. So at most `SINGLE_MAX + 1` records
a window come of each of the few methods and codes there are, whatever is thrown at the door.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from engine.core.audit_events import SignInFailed

WINDOW_US: Final = 10 * 60 * 1_000_000
SINGLE_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Of one method and code.

    Attributes:
        start_us: when the window began.
        written: how many of it were written one by one.
        waiting: those that are only counted so far; None when there are none.
    """

    start_us: int
    written: int = 0
    waiting: SignInFailed | None = None


def tried(tally: Tally | None, one: SignInFailed) -> tuple[Tally, tuple[SignInFailed, ...]]:
    """The tally after one more try, and what is to be recorded now, oldest first.

    Args:
        one: with `count` 1; its `last_us` is the present moment.
    """
    due: tuple[SignInFailed, ...] = ()
    if tally is None or over(tally, one.last_us):
        due = () if tally is None or tally.waiting is None else (tally.waiting,)
        tally = Tally(start_us=one.last_us)
    if tally.written < SINGLE_MAX:
        return replace(tally, written=tally.written + 1), (*due, one)
    before = tally.waiting
    counted = (
        one
        if before is None
        else replace(one, count=before.count + 1, first_us=before.first_us, credential="")
    )
    return replace(tally, waiting=counted), due


def over(tally: Tally, now_us: int) -> bool:
    """Whether its window has passed. A clock that went back ends it as well."""
    return not tally.start_us <= now_us < tally.start_us + WINDOW_US
