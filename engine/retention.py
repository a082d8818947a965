"""How long raw health samples are kept: once a day the old ones go, and it is said what went.

What may go and how is the store's affair (data/retire.py): samples of ended runs whose archive can
be read and whose roll-up by the minute is equal to them. Here is when, and who is told.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

from engine.core.errors import StorageFull
from engine.core.house import SamplesRetired
from engine.core.retirement import DAY_US, Retirement
from engine.ports import Clock, EventStore
from engine.recording import append_to

_log = logging.getLogger(__name__)

STREAM: Final = "engine:retention"
LOOK_EVERY_S: Final = 3600


class Retire(Protocol):
    """Takes raw samples of ended runs away that are older than `before_us`."""

    def __call__(
        self, before_us: int, *, dry_run: bool = ..., stop: Callable[[], bool] = ...
    ) -> Retirement: ...


class Retention:
    """Args:
    keep_us: raw samples younger than this stay.
    """

    def __init__(self, *, store: EventStore, clock: Clock, retire: Retire, keep_us: int) -> None:
        self._store, self._clock, self._retire = store, clock, retire
        self._keep_us = keep_us
        self._stopping = threading.Event()
        self._running = threading.Lock()

    def run(self, *, dry_run: bool = False, actor: str = "engine") -> Retirement:
        """Take away what is old now, and record what that was; with `dry_run` only look.

        Raises:
            StorageFull: nothing more can be written; what was recorded before counts.
        """
        before_us = self._clock.now_us() - self._keep_us
        with self._running:
            done = self._retire(before_us, dry_run=dry_run, stop=self._stopping.is_set)
            if not dry_run and not done.stopped:
                self._record(done, actor)
        if not dry_run:
            _log.info("retention: %s", done.sentence())
        return done

    def when_due(self) -> None:
        """For the alarm clock: run when the last time is a day ago, or never was."""
        last = self._store.load(STREAM, max(0, self._store.version(STREAM) - 1))
        if self._stopping.is_set():
            return
        if last and self._clock.now_us() - last[-1].ts_us < DAY_US:
            return
        try:
            self.run()
        except StorageFull as full:
            _log.warning("retention waits: %s", full)

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """End after the run under way; the next time goes on from there."""
        self._stopping.set()
        if self._running.acquire(timeout=timeout_s):
            self._running.release()

    def _record(self, done: Retirement, actor: str) -> None:
        event = SamplesRetired(
            before_us=done.before_us,
            runs=done.runs,
            attempts=done.attempts,
            samples=done.samples,
            minutes=done.minutes,
            kept=done.kept,
            bytes_before=done.bytes_before,
            bytes_after=done.bytes_after,
            took_ms=done.took_ms,
        )
        append_to(self._store, STREAM, event, actor=actor)
