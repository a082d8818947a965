"""The one thread that writes: groups what waits, journal first, then the database, one commit.

While a commit is under way the next group gathers, so that many callers share one `fdatasync`.
What happens when the disk is full is decided here: nothing of a group counts, callers are told,
and the next append tries again. When one gets through, the store says how long it was silent.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from typing import Final

import duckdb

from data.dispatch import Dispatcher, Pending
from data.ledger import Append, Draft
from data.loading import events_between
from data.shelf import Shelf
from engine.core.errors import StorageFull
from engine.core.house import DiskFull
from engine.core.pace import Pace, Recent
from engine.ports import Clock

_log = logging.getLogger(__name__)

_GROUP_MAX: Final = 256


class Writer:
    def __init__(self, shelf: Shelf, *, dispatcher: Dispatcher, clock: Clock) -> None:
        self._shelf, self._dispatcher, self._clock = shelf, dispatcher, clock
        self._queue: queue.SimpleQueue[Pending | None] = queue.SimpleQueue()
        self._intake = threading.Lock()
        self._full_since_us: int | None = None
        self._closing = threading.Event()
        self._took, self._timing = Recent(), threading.Lock()
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, append: Append) -> Pending:
        pending = Pending(append, waits_for_subscribers=not self._dispatcher.here())
        with self._intake:  # either the writer still sees it, or the caller is told here
            if self._closing.is_set():
                raise RuntimeError("the store is closed")
            self._queue.put(pending)
        return pending

    def pace(self) -> Pace:
        """How long commits took: journal and database, without waiting for their turn."""
        with self._timing:
            return self._took.pace(self._clock.monotonic_s())

    def stop(self) -> None:
        """Write what is left, then end."""
        with self._intake:
            self._closing.set()
            self._queue.put(None)
        self._thread.join(timeout=30.0)

    def _work(self) -> None:
        while True:
            group = self._gather()
            if group:
                try:
                    self._commit(group)
                except Exception as defect:
                    _log.exception("the writer failed")
                    for pending in group:
                        pending.fail(defect)
            if self._closing.is_set() and self._queue.empty():
                return

    def _gather(self) -> list[Pending]:
        group: list[Pending] = []
        item = self._queue.get()
        try:
            while True:
                if item is not None:
                    group.append(item)
                if len(group) >= _GROUP_MAX:
                    break
                item = self._queue.get_nowait()
        except queue.Empty:
            pass
        return group

    def _commit(self, group: Sequence[Pending]) -> None:
        with self._shelf.writing:
            with self._shelf.lock:
                draft = Draft(self._shelf.ledger, self._clock.now_us)
                taken = _take(draft, group)
            try:
                if draft.lines:
                    self._write(draft)
            except (StorageFull, duckdb.Error) as error:
                self._refuse(taken, error)
                return
            with self._shelf.lock:
                self._shelf.ledger.absorb(draft)
        self._answer(draft, taken)
        if draft.lines:
            self._space_again()

    def _write(self, draft: Draft) -> None:
        began_s = self._clock.monotonic_s()
        self._shelf.write(draft)
        now_s = self._clock.monotonic_s()
        with self._timing:
            self._took.add(now_s - began_s, at_s=now_s)

    def _answer(self, draft: Draft, taken: Sequence[tuple[Pending, int]]) -> None:
        waiting = []
        for pending, start in taken:
            if start >= 0:
                end = start + len(pending.append.events)
                pending.settle(tuple(draft.recorded[start:end]))
            else:
                place = draft.command(pending.append.command_id)
                assert place is not None  # `take` said that it is known
                try:
                    pending.settle(events_between(self._shelf.database(), *place))
                except (StorageFull, duckdb.Error) as error:
                    pending.fail(error)
                    continue
            if pending.waits_for_subscribers:
                waiting.append(pending)
            else:
                pending.release()
        self._dispatcher.deliver(tuple(draft.recorded), waiting)

    def _refuse(self, taken: Sequence[tuple[Pending, int]], error: Exception) -> None:
        if isinstance(error, StorageFull) and self._full_since_us is None:
            self._full_since_us = self._clock.now_us()
            _log.error("nothing can be recorded: %s", error)
        for pending, _ in taken:
            pending.fail(error)

    def _space_again(self) -> None:
        if self._full_since_us is None:
            return
        since_us, self._full_since_us = self._full_since_us, None
        event = DiskFull(from_us=since_us, to_us=self._clock.now_us())
        self._commit([Pending(self._shelf.note(event), waits_for_subscribers=False)])


def _take(draft: Draft, group: Sequence[Pending]) -> list[tuple[Pending, int]]:
    """Take each append or refuse it. Returns those taken, with the place of their first event
    among the draft's; -1 = its command was recorded before."""
    taken = []
    for pending in group:
        start = len(draft.recorded)
        try:
            known = draft.take(pending.append) is None
        except Exception as refusal:  # whatever it is, it is this caller's answer and no other's
            pending.fail(refusal)
            continue
        taken.append((pending, -1 if known else start))
    return taken
