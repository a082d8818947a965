"""Server-sent events: a run's facts, and the snapshot that pages draw.

Streams end when the server stops: an open stream would otherwise hold its shutdown for ever.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from starlette.concurrency import run_in_threadpool

from data.codec import to_document
from engine.api.shapes import event_shape
from engine.approving.inbox import signature
from engine.core.events import Recorded
from engine.identity import Principal
from engine.services import Services

_KEEP_ALIVE_S: Final = 15.0
_SNAPSHOT_S: Final = 0.25
_SIGNED_OUT: Final = b"event: signed_out\ndata: {}\n\n"


class Streams:
    """Thread-safe. Each stream lives in the event loop of its own request."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._wakers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._closed = threading.Event()
        self._unsubscribe = services.store.subscribe(self._recorded)

    def close(self) -> None:
        """End every stream. May be called from a signal handler or another thread."""
        self._closed.set()
        self._unsubscribe()
        self._wake_all()

    async def events(self, run_id: str, after: int, who: Principal) -> AsyncIterator[bytes]:
        """Facts behind `after`, then each new one; ids are sequence numbers, so that a client
        resumes without a gap. Ends after the run's last fact, and when `who` is let in no more."""
        with self._listening() as wake:
            while not self._closed.is_set():
                wake.clear()
                if not self._services.identity.still(who):
                    yield _SIGNED_OUT
                    return
                batch = await run_in_threadpool(self._services.store.load, run_id, after)
                for recorded in batch:
                    after = recorded.seq
                    yield _fact(recorded)
                if batch:
                    continue
                if self._services.store.run(run_id).terminal:
                    yield b"event: end\ndata: {}\n\n"
                    return
                if not await _woken(wake, _KEEP_ALIVE_S):
                    yield b": still here\n\n"

    async def snapshots(self, run_id: str, who: Principal) -> AsyncIterator[bytes]:
        """The page's snapshot, whenever it changed; ends when `who` is let in no more."""
        version = -1
        with self._listening() as wake:
            while not self._closed.is_set():
                wake.clear()
                if not self._services.identity.still(who):
                    yield _SIGNED_OUT
                    return
                snapshot = await run_in_threadpool(self._services.live.wait, run_id, version, 0.0)
                if snapshot is not None and snapshot.version != version:
                    version = snapshot.version
                    yield snapshot.wire
                # Ticks and log lines are no events: the snapshot is looked at again soon anyway.
                await _woken(wake, _SNAPSHOT_S)

    async def approvals(self, who: Principal) -> AsyncIterator[bytes]:
        """A sign whenever something else waits for approval, or waits otherwise; ends as those."""
        told = ""
        with self._listening() as wake:
            while not self._closed.is_set():
                wake.clear()
                if not self._services.identity.still(who):
                    yield _SIGNED_OUT
                    return
                runs = await run_in_threadpool(self._services.store.runs_open)
                if (found := signature(runs)) != told:
                    told = found
                    yield _sign(self._services.clock.now_us() // 1000, found)
                    continue
                if not await _woken(wake, _KEEP_ALIVE_S):
                    yield b": still here\n\n"

    @contextmanager
    def _listening(self) -> Iterator[asyncio.Event]:
        waker = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._wakers.add(waker)
        try:
            yield waker[1]
        finally:
            with self._lock:
                self._wakers.discard(waker)

    def _recorded(self, _: tuple[Recorded, ...]) -> None:
        self._wake_all()

    def _wake_all(self) -> None:
        with self._lock:
            wakers = tuple(self._wakers)
        for loop, wake in wakers:
            if not loop.is_closed():
                loop.call_soon_threadsafe(wake.set)


def _fact(recorded: Recorded) -> bytes:
    body = json.dumps(event_shape(recorded, to_document(recorded.event)))
    return f"id: {recorded.seq}\nevent: {recorded.event.TYPE}\ndata: {body}\n\n".encode()


def _sign(seq: int, sig: str) -> bytes:
    """As a page's live document, without a run in it."""
    body = json.dumps({"run": "", "seq": seq, "sig": sig, "end": False})
    return f"event: snapshot\nid: {seq}\ndata: {body}\n\n".encode()


async def _woken(wake: asyncio.Event, timeout_s: float) -> bool:
    try:
        await asyncio.wait_for(wake.wait(), timeout_s)
    except TimeoutError:
        return False
    return True
