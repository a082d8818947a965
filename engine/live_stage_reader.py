"""Where pages and snapshots get a stage's course from: read once, followed from there.

Every viewer of a stage, and the live snapshot, share one gate per watch. It is fed with the rows
that came since the last look; what has ended is not read again at all.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from engine.core.run import Run
from engine.core.state import StepState
from engine.live_feed import Feed
from engine.live_stage_course import Course, CourseReader

# Watches that are kept: the stages that people look at now, and some that they come back to.
_KEPT: Final = 24
_MINUTE_US: Final = 60_000_000

P95 = Mapping[int, tuple[int | None, int | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A watch as it stands.

    Attributes:
        p95: by poll, the worst canary's and the worst baseline's, in ms.
        by_minute: single polls are not kept any more: each has the highest value of its minute.
    """

    course: Course
    p95: P95
    by_minute: bool = False


@dataclass(slots=True)
class _Watch:
    lock: threading.Lock = field(default_factory=threading.Lock)
    reader: CourseReader = field(default_factory=CourseReader)
    seen: Seen | None = None
    settled: bool = False


class StageReader:
    """Thread-safe."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._lock = threading.Lock()
        self._watches: OrderedDict[tuple[str, str, int], _Watch] = OrderedDict()

    def look(self, run: Run, step: StepState) -> Seen | None:
        """The step's newest watch, up to its newest tick; None before the first.

        Raises:
            Malformed: the stored rows cannot be read as ticks.
        """
        if not step.attempts:
            return None
        watch = self._watch((run.run_id, step.id, step.watch_from))
        with watch.lock:
            if watch.settled:
                return watch.seen
            course = watch.reader.follow(self._feed.ticks(run, step))
            before = watch.seen
            if course is not None and (before is None or before.course is not course):
                watch.seen = self._seen(run, step, course)
            elif course is None:
                watch.seen = None
            # Nothing is added to the watch of a run that has ended.
            watch.settled = run.terminal
            return watch.seen

    def _seen(self, run: Run, step: StepState, course: Course) -> Seen:
        p95 = self._feed.p95(run, step)
        if p95 or not run.terminal:
            return Seen(course=course, p95=p95)
        minutes = self._feed.p95_minutes(run, step)
        return Seen(course=course, p95=_by_poll(minutes, course), by_minute=bool(minutes))

    def _watch(self, key: tuple[str, str, int]) -> _Watch:
        with self._lock:
            watch = self._watches.setdefault(key, _Watch())
            self._watches.move_to_end(key)
            while len(self._watches) > _KEPT:
                self._watches.popitem(last=False)
            return watch


def _by_poll(minutes: P95, course: Course) -> P95:
    """What each poll's minute had. A reading is a little older than its tick, so the first tick of
    a minute may belong to the one before."""
    found = {}
    for point in course.points:
        begin_us = point.ts_us - point.ts_us % _MINUTE_US
        pair = minutes.get(begin_us) or minutes.get(begin_us - _MINUTE_US)
        if pair is not None:
            found[point.ts_us] = pair
    return found
