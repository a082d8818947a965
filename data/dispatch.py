"""Tells subscribers what was recorded, in order, on a thread of its own.

Whoever appended is answered after the subscribers were called, so that what they derive from the
log (the catalog's bundles, somebody's session) is there when the call returns. A subscriber that
raises is logged and disturbs no other; one that hangs holds callers up for a second, not longer.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final

from data.ledger import Append
from engine.core.events import Recorded

_log = logging.getLogger(__name__)

_PATIENCE_S: Final = 1.0


class Pending:
    """An append that waits for its answer."""

    def __init__(self, append: Append, *, waits_for_subscribers: bool) -> None:
        self.append = append
        self.waits_for_subscribers = waits_for_subscribers
        self._done = threading.Event()
        self._settled = False
        self._result: tuple[Recorded, ...] = ()
        self._error: BaseException | None = None

    def settle(self, result: tuple[Recorded, ...]) -> None:
        """It is recorded; `release` lets the caller go on."""
        self._result, self._settled = result, True

    def release(self) -> None:
        self._done.set()

    def fail(self, error: BaseException) -> None:
        self._error, self._settled = error, True
        self._done.set()

    def answer(self) -> tuple[Recorded, ...]:
        """Wait for the answer. Raises what the append was refused with."""
        while not self._done.wait(_PATIENCE_S):
            if self._settled:
                _log.warning("a subscriber is slow", extra={"stream": self.append.stream})
                break
        if self._error is not None:
            raise self._error
        return self._result


class Dispatcher:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: list[Callable[[tuple[Recorded, ...]], None]] = []
        self._queue: queue.SimpleQueue[tuple[tuple[Recorded, ...], Sequence[Pending]] | None]
        self._queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="store-dispatch", daemon=True)
        self._thread.start()

    def subscribe(self, callback: Callable[[tuple[Recorded, ...]], None]) -> Callable[[], None]:
        with self._lock:
            self._subscribers.append(callback)

        def stop() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return stop

    def here(self) -> bool:
        """Whether the calling thread is the dispatcher's: it cannot wait for itself."""
        return threading.current_thread() is self._thread

    def deliver(self, recorded: tuple[Recorded, ...], waiting: Sequence[Pending]) -> None:
        self._queue.put((recorded, waiting))

    def stop(self) -> None:
        """Deliver what is left, then end."""
        self._queue.put(None)
        if not self.here():
            self._thread.join(timeout=5.0)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            recorded, waiting = item
            with self._lock:
                subscribers = tuple(self._subscribers)
            for subscriber in subscribers if recorded else ():
                try:
                    subscriber(recorded)
                except Exception:
                    _log.exception("a subscriber failed", extra={"gseq": recorded[-1].gseq})
            for pending in waiting:
                pending.release()
