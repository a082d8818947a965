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

P95 = Mapping[int, tuple[int | None, int | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A watch as it stands. `p95`: by poll, the worst canary's and the worst baseline's, in ms."""

    course: Course
    p95: P95


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
                watch.seen = Seen(course=course, p95=self._feed.p95(run, step))
            elif course is None:
                watch.seen = None
            # Nothing is added to the watch of a run that has ended.
            watch.settled = run.terminal
            return watch.seen

    def _watch(self, key: tuple[str, str, int]) -> _Watch:
        with self._lock:
            watch = self._watches.setdefault(key, _Watch())
            self._watches.move_to_end(key)
            while len(self._watches) > _KEPT:
                self._watches.popitem(last=False)
            return watch
