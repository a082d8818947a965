"""What the log tells of past days: what held of a schedule's preconditions, and when.

Read for a forecast beside a schedule (`engine.core.forecast`), never for a decision.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from engine.core.data_health import Level
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.feed_events import FEEDS, FeedSynced
from engine.core.firings import check
from engine.core.forecast import DAYS, Forecast, look_back
from engine.core.health_events import HEALTH, DataHealthChanged
from engine.core.local_time import instant_of, local, minute_of
from engine.core.people_events import ReviewClosed, ReviewOpened
from engine.core.preconditions import DEBT, INTEGRATIONS, ON_CALL, SCANS, Precondition
from engine.core.preconditions import FEEDS as FEEDS_FRESH
from engine.core.rescan_events import RESCANS, RescanFailed, RescanFinished, RescanStarted
from engine.core.reviews import DEBTS
from engine.core.schedule_events import Timing
from engine.ports import EventStore
from engine.time_zones import offset_at

_US = 1_000_000
# Whether it held at an instant, UTC microseconds; None = not known.
HeldAt: TypeAlias = Callable[[int], bool | None]


@dataclass(slots=True)
class Course:
    """What something was, from each of these moments on."""

    at_us: list[int] = field(default_factory=list)
    was: list[int] = field(default_factory=list)

    def take(self, at_us: int, value: int) -> None:
        self.at_us.append(at_us)
        self.was.append(value)

    def at(self, us: int) -> int | None:
        """None before the first moment."""
        place = bisect_right(self.at_us, us)
        return self.was[place - 1] if place else None


class ScheduleHistory:
    """Thread-safe; reads the log anew at every call.

    Args:
        feeds: names of the feeds that an environment's policy rests on.
        integrations: names of the integrations that an environment rests on.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        feeds: Callable[[str], frozenset[str]],
        integrations: Callable[[str], frozenset[str]],
    ) -> None:
        self._store, self._feeds, self._integrations = store, feeds, integrations

    def forecasts(
        self, wanted: tuple[Precondition, ...], environment: str, timing: Timing, *, now_us: int
    ) -> Mapping[str, Forecast]:
        """Of those whose past is on record, by name; empty for a timing that is none."""
        try:
            check(timing)
            opened = _opened(timing, now_us)
        except Malformed:
            return {}
        found = {}
        for one in wanted:
            held_at = self._held_at(one, environment, now_us)
            if held_at is not None:
                found[one.name] = look_back(held_at, opened, window_s=timing.window_s)
        return found

    def _held_at(self, one: Precondition, environment: str, now_us: int) -> HeldAt | None:
        """None for one of which the log keeps no past."""
        ways: Mapping[str, Callable[[], HeldAt | None]] = {
            FEEDS_FRESH: lambda: self._fresh(environment, one.limit_s, now_us),
            SCANS: lambda: self._rescanned(now_us),
            INTEGRATIONS: lambda: self._working(environment, now_us),
            DEBT: lambda: self._without_debt(environment, now_us),
            ON_CALL: lambda: self._on_call(now_us),
        }
        way = ways.get(one.name)
        return None if way is None else way()

    def _fresh(self, environment: str, limit_s: int, now_us: int) -> HeldAt | None:
        courses = {name: Course() for name in self._feeds(environment)}
        for recorded in self._store.load(FEEDS):
            event = recorded.event
            if isinstance(event, FeedSynced) and event.name in courses:
                courses[event.name].take(recorded.ts_us, event.as_of_s)

        def held_at(us: int) -> bool | None:
            if us > now_us:
                return None
            known = [course.at(us) for course in courses.values()]
            if any(as_of_s is None for as_of_s in known):
                return None
            return all(
                us - as_of_s * _US < limit_s * _US for as_of_s in known if as_of_s is not None
            )

        return held_at if courses else None

    def _rescanned(self, now_us: int) -> HeldAt | None:
        """From the end of a rescan until a feed has other bytes, or the next one begins."""
        course, bytes_of = Course(), dict[str, Digest]()
        log = (*self._store.load(FEEDS), *self._store.load(RESCANS))
        for recorded in sorted(log, key=lambda one: one.gseq):
            match recorded.event:
                case FeedSynced(name=name, digest=digest):
                    if bytes_of.get(name) != digest:
                        course.take(recorded.ts_us, False)
                    bytes_of[name] = digest
                case RescanStarted() | RescanFailed():
                    course.take(recorded.ts_us, False)
                case RescanFinished():
                    course.take(recorded.ts_us, True)
        return _one(course, now_us) if any(course.was) else None

    def _working(self, environment: str, now_us: int) -> HeldAt | None:
        names = self._integrations(environment)
        return _together(self._levels(lambda event: event.name in names), len(names), all, now_us)

    def _on_call(self, now_us: int) -> HeldAt | None:
        """One schedule where somebody was on call is enough."""
        courses = self._levels(lambda event: event.kind == "on_call")
        return _together(courses, len(courses), any, now_us)

    def _levels(self, wanted: Callable[[DataHealthChanged], bool]) -> list[Course]:
        """Of each of the integrations that are wanted and on record: whether it was OK."""
        courses = defaultdict[str, Course](Course)
        for recorded in self._store.load(HEALTH):
            event = recorded.event
            if isinstance(event, DataHealthChanged) and wanted(event):
                courses[event.name].take(recorded.ts_us, event.level == Level.OK.value)
        return list(courses.values())

    def _without_debt(self, environment: str, now_us: int) -> HeldAt | None:
        """Since the first run there began: no review of an override was open."""
        runs = self._store.runs_started(environment)
        if not runs:
            return None
        course, owed, numbers = Course(), set[tuple[str, int]](), Counter[str]()
        course.take(self._store.load(runs[0], 0, 1)[0].ts_us, True)
        for recorded in self._store.of_kinds([ReviewOpened.TYPE, ReviewClosed.TYPE]):
            if recorded.stream not in runs:
                continue
            match recorded.event:
                case ReviewOpened(kind=kind):
                    numbers[recorded.stream] += 1
                    if kind in DEBTS:
                        owed.add((recorded.stream, numbers[recorded.stream]))
                case ReviewClosed(number=number):
                    owed.discard((recorded.stream, number))
            course.take(recorded.ts_us, not owed)
        return _one(course, now_us)


def _one(course: Course, now_us: int) -> HeldAt:
    def held_at(us: int) -> bool | None:
        was = None if us > now_us else course.at(us)
        return None if was is None else bool(was)

    return held_at


def _together(
    courses: Sequence[Course], count: int, how: Callable[[Iterable[object]], bool], now_us: int
) -> HeldAt | None:
    """Whether all or any of `count` held; not known while one of them is not."""

    def held_at(us: int) -> bool | None:
        known = [course.at(us) for course in courses]
        if us > now_us or len(known) < count or any(was is None for was in known):
            return None
        return how(known)

    return held_at if count else None


def _opened(timing: Timing, now_us: int) -> list[int]:
    """When windows at that wall time opened on the days before today."""
    zone = offset_at(timing.zone)
    today, _ = local(now_us, zone)
    minute = minute_of(timing.time, where="time")
    return [instant_of(today - n, minute, zone).at_us for n in range(1, DAYS + 1)]
