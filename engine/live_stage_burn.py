"""How fast the environment spends its error budget, from what a run's stages have counted. Pure.

The windows are real time, whatever the run's speed. What reaches back less far than a window is
said to be too short and gets no number: a rate of half an hour says nothing about an hour.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from engine.core.burn import span_text
from engine.live_stage_course import Course

WINDOWS_S: Final = (300, 3600)
# A window may lack this part of its polls (a missed one, a turn-over between two stages).
_KNOWN_BP_MIN: Final = 9_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """Attributes:
    bad, total: over the window that ends with each point, or None where too little is known.
    known_ms: how much of the window the newest point knows.
    """

    window_s: int
    bad: tuple[int | None, ...]
    total: tuple[int | None, ...]
    known_ms: int

    @property
    def name(self) -> str:
        return span_text(self.window_s)

    @property
    def known(self) -> bool:
        return bool(self.total) and self.total[-1] is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Poll:
    ts_us: int
    length_ms: int
    bad: int
    total: int


def burns(course: Course, before: Sequence[Course], *, changed_us: int) -> tuple[Burn, ...]:
    """One series per window over the points of `course`.

    Args:
        before: watches of the run's earlier stages, oldest first.
        changed_us: when the first change began; the history ends there.
    """
    first = before[0] if before else course
    polls = _history(first, changed_us)
    for one in (*before, course):
        polls += _polls(one)
    polls.sort(key=lambda poll: poll.ts_us)
    return tuple(_burn(course, polls, window_s) for window_s in WINDOWS_S)


def _history(course: Course, changed_us: int) -> list[_Poll]:
    newest_first = reversed(course.history)
    return [
        _Poll(
            ts_us=changed_us - age * course.poll_ms * 1000,
            length_ms=course.poll_ms,
            bad=sum(errors for _, errors in cells),
            total=sum(requests for requests, _ in cells),
        )
        for age, cells in enumerate(newest_first)
    ]


def _polls(course: Course) -> list[_Poll]:
    """What both arms counted; a poll without an answer is not one without errors."""
    found = []
    for point in course.points:
        arms = [arm for arm in (point.canary, point.baseline) if arm is not None]
        if point.ok and arms:
            found.append(
                _Poll(
                    ts_us=point.ts_us,
                    length_ms=course.poll_ms,
                    bad=sum(arm.errors for arm in arms),
                    total=sum(arm.requests for arm in arms),
                )
            )
    return found


def _burn(course: Course, polls: Sequence[_Poll], window_s: int) -> Burn:
    times = [poll.ts_us for poll in polls]
    bad = [0, *accumulate(poll.bad for poll in polls)]
    total = [0, *accumulate(poll.total for poll in polls)]
    known_ms = [0, *accumulate(poll.length_ms for poll in polls)]
    series: list[tuple[int | None, int | None]] = []
    length_ms = 0
    for point in course.points:
        to = bisect_right(times, point.ts_us)
        since = bisect_right(times, point.ts_us - window_s * 1_000_000)
        length_ms = min(known_ms[to] - known_ms[since], window_s * 1000)
        counted = total[to] - total[since]
        enough = length_ms * 10_000 >= window_s * 1000 * _KNOWN_BP_MIN and counted > 0
        series.append((bad[to] - bad[since], counted) if enough else (None, None))
    return Burn(
        window_s=window_s,
        bad=tuple(pair[0] for pair in series),
        total=tuple(pair[1] for pair in series),
        known_ms=length_ms,
    )
