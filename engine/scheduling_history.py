"""What the log tells of past days: were the feeds fresh, did the integrations work, and when.

Read for a forecast beside a schedule (`engine.core.forecast`), never for a decision.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.core.data_health import Level
from engine.core.errors import Malformed
from engine.core.feed_events import FEEDS, FeedSynced
from engine.core.firings import check
from engine.core.forecast import DAYS, Forecast, look_back
from engine.core.health_events import HEALTH, DataHealthChanged
from engine.core.local_time import instant_of, local, minute_of
from engine.core.preconditions import FEEDS as FEEDS_FRESH
from engine.core.preconditions import INTEGRATIONS, Precondition
from engine.core.schedule_events import Timing
from engine.ports import EventStore
from engine.time_zones import offset_at

_US = 1_000_000


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

    def _held_at(
        self, one: Precondition, environment: str, now_us: int
    ) -> Callable[[int], bool | None] | None:
        match one.name:
            case name if name == FEEDS_FRESH:
                return self._fresh(environment, one.limit_s, now_us)
            case name if name == INTEGRATIONS:
                return self._working(environment, now_us)
            case _:
                return None

    def _fresh(
        self, environment: str, limit_s: int, now_us: int
    ) -> Callable[[int], bool | None] | None:
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

    def _working(self, environment: str, now_us: int) -> Callable[[int], bool | None] | None:
        courses = {name: Course() for name in self._integrations(environment)}
        for recorded in self._store.load(HEALTH):
            event = recorded.event
            if isinstance(event, DataHealthChanged) and event.name in courses:
                courses[event.name].take(recorded.ts_us, event.level == Level.OK.value)

        def held_at(us: int) -> bool | None:
            if us > now_us:
                return None
            known = [course.at(us) for course in courses.values()]
            return None if any(was is None for was in known) else all(known)

        return held_at if courses else None


def _opened(timing: Timing, now_us: int) -> list[int]:
    """When windows at that wall time opened on the days before today."""
    zone = offset_at(timing.zone)
    today, _ = local(now_us, zone)
    minute = minute_of(timing.time, where="time")
    return [instant_of(today - n, minute, zone).at_us for n in range(1, DAYS + 1)]
