"""Samples and log lines on their way in: gathered, then written together beside the writer.

A thread and transactions of their own, so that a thousand samples never hold up a commit. They are
not journaled: what is not written yet when the process dies is lost, at most a quarter of a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

import duckdb

from data.shelf import Shelf
from engine.core.errors import StorageFull
from engine.core.rows import Sample, StepLog

_log = logging.getLogger(__name__)

FLUSH_S: Final = 0.2
RETRY_S: Final = 1.0
_KEPT_MAX: Final = 200_000  # samples or lines kept while they cannot be written


class Volume:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._intake = threading.Condition()
        self._flushing = threading.Lock()
        self._samples: list[Sample] = []
        self._logs: list[StepLog] = []
        self._due_s: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="store-volume", daemon=True)
        self._thread.start()

    def take(self, samples: Sequence[Sample], logs: Sequence[StepLog]) -> None:
        """Keep for the next flush, which comes within a quarter of a second."""
        with self._intake:
            self._samples += samples
            self._logs += logs
            if self._due_s is None:
                self._due_s = time.monotonic() + FLUSH_S
                self._intake.notify()

    def flush(self) -> None:
        """Write what waits. Any thread may ask for it; what was taken before is written then."""
        with self._flushing:  # one after the other, or lines would change places
            with self._intake:
                samples, self._samples = self._samples, []
                logs, self._logs = self._logs, []
                self._due_s = None
            try:
                self._shelf.add_volume(samples, logs)
            except (StorageFull, duckdb.Error) as error:
                self._keep(samples, logs, error)

    def stop(self) -> None:
        """Write what is left, then end."""
        with self._intake:
            self._closing = True
            self._intake.notify()
        self._thread.join(timeout=30.0)

    def _keep(self, samples: list[Sample], logs: list[StepLog], error: Exception) -> None:
        _log.warning("samples and log lines wait: %s", error)
        with self._intake:
            if self._closing:
                _log.error("lost: %d samples, %d log lines", len(samples), len(logs))
                return
            every_sample, every_line = [*samples, *self._samples], [*logs, *self._logs]
            self._samples = every_sample[-_KEPT_MAX:]
            self._logs = every_line[-_KEPT_MAX:]
            self._due_s = time.monotonic() + RETRY_S
            self._intake.notify()
        dropped = len(every_sample) - len(self._samples) + len(every_line) - len(self._logs)
        if dropped:
            _log.error("lost: %d of the oldest samples and log lines", dropped)

    def _work(self) -> None:
        while True:
            with self._intake:
                while not self._closing and self._wait_s() != 0.0:
                    self._intake.wait(self._wait_s())
                closing = self._closing
            self.flush()
            if closing:
                return

    def _wait_s(self) -> float | None:
        return None if self._due_s is None else max(0.0, self._due_s - time.monotonic())
