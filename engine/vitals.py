"""The platform's numbers as they are now: one function for the page, the API and `/metrics`."""

from __future__ import annotations

import platform
import resource
import threading
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Final, Protocol

import duckdb

from data import queries, queries_replays
from engine.core.errors import LogForked
from engine.core.pace import Pace
from engine.core.vitals import Disk, LogHead, Sizes, Slow, Vitals
from engine.integrity import Integrity
from engine.logbook import LogBook
from engine.ports import Clock, EventStore
from engine.worker_health import WorkerHealth

MEASURE_EVERY_S: Final = 60
_SHOWN: Final = ("duckdb", "streamlit", "apscheduler", "polars")
_REPLAYS_MAX: Final = 1_000
_STATM: Final = Path("/proc/self/statm")


class VitalStore(EventStore, Protocol):
    def commits(self) -> Pace: ...
    def sizes(self) -> Sizes: ...
    def disk(self) -> Disk: ...
    def cursor(self) -> duckdb.DuckDBPyConnection: ...


class VitalsDesk:
    """Thread-safe. What takes a while is measured by the alarm clock, once a minute."""

    def __init__(
        self,
        store: VitalStore,
        clock: Clock,
        logbook: LogBook,
        integrity: Integrity,
        version: str,
    ) -> None:
        self._store, self._clock = store, clock
        self._logbook, self._integrity = logbook, integrity
        self._since_us = clock.now_us()
        self._versions = {"releaseline": version, **_versions()}
        self._lock = threading.Lock()
        self._slow: Slow | None = None

    def now(self, health: WorkerHealth) -> Vitals:
        """Measures what was never measured; that takes a while the first time."""
        with self._lock:
            slow = self._slow
        if slow is None:
            slow = self._measured()
            with self._lock:
                self._slow = slow
        disk = self._store.disk()
        hooks = self._store.waiting_hooks()
        return Vitals(
            at_us=self._clock.now_us(),
            since_us=self._since_us,
            running=health.running,
            tick_age_s=health.tick_age_s,
            tick_lag=health.tick_lag,
            watchdogs=health.watchdogs,
            threads=health.threads,
            working=len(health.working),
            queued=max(0, health.busy - len(health.working)),
            stopped_runs=len(health.stopped_because),
            storage_full=health.storage_full,
            commits=self._store.commits(),
            rss_bytes=rss_bytes(),
            disk=disk,
            waiting_messages=sum(len(self._store.outbox(hook)) for hook in hooks),
            runs=Counter(run.status for run in self._store.runs_open()),
            versions=self._versions,
            slow=slow,
            stored=self._integrity.log(),
            sweep_every_us=self._integrity.every_us,
            sweeping=self._integrity.running,
        )

    def measure(self) -> None:
        """For the alarm clock: look at what takes a while, and keep it."""
        slow = self._measured()
        with self._lock:
            self._slow = slow

    def _measured(self) -> Slow:
        log, trouble = self._head()
        cursor = self._store.cursor()
        dead = queries.webhook_counts(cursor)["dead"].sum()
        under_way = queries_replays.replays(
            self._store.cursor(), status="RUNNING", limit=_REPLAYS_MAX
        )
        return Slow(
            at_us=self._clock.now_us(),
            sizes=self._store.sizes(),
            log=log,
            log_trouble=trouble,
            dead_letters=int(dead or 0),
            replays=under_way.height,
        )

    def _head(self) -> tuple[LogHead | None, str]:
        try:
            origin, size, _ = self._logbook.now()
        except LogForked as forked:
            return None, str(forked)
        rows = queries.log_signed(self._store.cursor(), origin=origin).to_dicts()
        at_us = rows[0]["signed_us"] if rows else None
        return LogHead(origin=origin, size=size, at_us=at_us), ""


def rss_bytes() -> int | None:
    """Memory of this process that lies in RAM; None where the system does not say."""
    try:
        pages = int(_STATM.read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _SHOWN:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # vendored without its metadata
            found[name] = "unknown"
    return found
