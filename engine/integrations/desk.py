"""Data health as it is now, for the banner, the pages, the API, and whoever decides by it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from engine.core.data_health import (
    DataHealth,
    Level,
    Source,
    disk_source,
    engine_source,
    feed_source,
    integration_source,
    rescan_source,
    rescan_unknown,
    stored_source,
)
from engine.core.errors import Malformed
from engine.core.feeds import limits_of, tightest
from engine.core.integrity import IntegrityLog, runs_of
from engine.core.vitals import Disk
from engine.integrations.depends import Dependent, dependents
from engine.integrations.prober import Prober
from engine.live_text import span
from engine.ports import Clock, FeedSnapshot
from engine.rescans import Rescans
from engine.settings import Settings
from engine.verdicts import PolicyDesk
from engine.worker_health import WorkerHealth

# Reading the feeds costs something, and the banner stands on every page.
_FEEDS_FOR_S: Final = 5.0


class HealthDesk:
    """Thread-safe; asks nobody outside."""

    def __init__(
        self,
        *,
        worker: Callable[[], WorkerHealth],
        policies: PolicyDesk,
        settings: Settings,
        prober: Prober,
        rescans: Rescans,
        disk: Callable[[], Disk],
        stored: Callable[[], IntegrityLog],
        environment_of: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._worker, self._policies, self._settings = worker, policies, settings
        self._prober, self._rescans, self._clock = prober, rescans, clock
        self._disk, self._stored, self._environment_of = disk, stored, environment_of
        self._depends = dependents(settings)
        self._lock = threading.Lock()
        self._feeds: tuple[float, Mapping[str, int] | str] = (float("-inf"), "")

    def now(self, environment: str = "") -> DataHealth:
        """Of the whole home, or of what one environment rests on.

        Raises:
            NotFound: there is no such environment.
        """
        now_us = self._clock.now_us()
        health = self._worker()
        engine = engine_source(
            running=health.running,
            tick_age_s=health.tick_age_s,
            storage_full=health.storage_full,
            stopped_because=health.stopped_because,
            now_us=now_us,
        )
        room = self._disk()
        environments = [environment] if environment else list(self._settings.environments)
        return DataHealth(
            sources=(
                engine,
                disk_source(room.free_bytes, room.total_bytes),
                *self._stored_sources(environment),
                *self._feed_sources(environments, now_us),
                *self._integration_sources(environment),
                *self._job_sources(environment),
            )
        )

    def depends(self, name: str) -> Sequence[Dependent]:
        """What rests on the integration."""
        return self._depends.get(name, ())

    def _stored_sources(self, environment: str) -> list[Source]:
        """Nothing before the first sweep, or for an environment that no damage concerns."""
        log = self._stored()
        damaged = [
            one
            for one in log.damaged.values()
            if not environment
            or any(self._environment_of(run) == environment for run in one.found.runs)
        ]
        if not damaged and (environment or log.swept is None):
            return []
        since_us = min((one.since_us for one in damaged), default=None)
        return [stored_source(len(damaged), runs_of(damaged), since_us=since_us)]

    def _integration_sources(self, environment: str) -> list[Source]:
        found = []
        for one in self._prober.integrations():
            resting = [
                by.text for by in self.depends(one.name) if environment in {"", by.environment}
            ]
            if resting or not environment:
                found.append(integration_source(one, resting))
        return found

    def _job_sources(self, environment: str) -> list[Source]:
        """Nothing where no bundle has an SBOM: there is nothing to rescan."""
        try:
            found = self._rescans.standing(environment)
        except Malformed:
            return [rescan_unknown("the feeds cannot be read")]
        return [rescan_source(found)] if found.bundles else []

    def _feed_sources(self, environments: Sequence[str], now_us: int) -> list[Source]:
        configs = {name: self._config(name) for name in environments}
        known = self._known_feeds()
        if isinstance(known, str):
            blocked = (f"policy gates of {', '.join(configs)}",)
            return [Source(kind="feed", name="feeds", level=Level.FAIL, text=known, blocks=blocked)]
        # A feed that no policy names decides nothing.
        names = {
            name
            for config in configs.values()
            for name in (*config.get("feeds", {}), *config.get("required_feeds", ()))
        }
        found = []
        for name in sorted(names):
            as_of_s = known.get(name)
            by = {place: limits_of(config, name) for place, config in configs.items()}
            if as_of_s is None and not any(one is not None and one.required for one in by.values()):
                continue
            found.append(
                feed_source(
                    name,
                    as_of_s,
                    tightest(by.values()),
                    now_s=now_us // 1_000_000,
                    age="" if as_of_s is None else span(max(0, now_us - as_of_s * 1_000_000)),
                    gates=[place for place, limits in by.items() if limits is not None],
                )
            )
        return found

    def _config(self, environment: str) -> Mapping[str, Any]:
        digest = self._policies.policy_digest(environment)
        return self._policies.compiled(digest).policy.config

    def _known_feeds(self) -> Mapping[str, int] | str:
        """As-of seconds by name, or why the snapshots cannot be read."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            read_s, known = self._feeds
            if now_s - read_s < _FEEDS_FOR_S:
                return known
        known = _read(self._policies.feeds)
        with self._lock:
            self._feeds = (now_s, known)
        return known


def _read(feeds: Callable[[], Sequence[FeedSnapshot]]) -> Mapping[str, int] | str:
    try:
        return {one.name: one.as_of_s for one in feeds()}
    except Malformed as error:
        return f"the feeds cannot be read: {error}"
