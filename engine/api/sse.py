"""Server-sent events: a run's facts, and the snapshot that pages draw.

Streams end when the server stops: an open stream would otherwise hold its shutdown for ever.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """Attributes:
    again: there may be more at once. last: there never will.
    """

    chunks: tuple[bytes, ...] = ()
    again: bool = False
    last: bool = False


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

    def events(self, run_id: str, after: int, who: Principal) -> AsyncIterator[bytes]:
        """Facts behind `after`, then each new one; ids are sequence numbers, so that a client
        resumes without a gap. Ends after the run's last fact, and when `who` is let in no more."""
        seq = after

        def look() -> _Look:
            nonlocal seq
            batch = self._services.store.load(run_id, seq)
            if batch:
                seq = batch[-1].seq
                return _Look(chunks=tuple(_fact(one) for one in batch), again=True)
            ended = self._services.store.run(run_id).terminal
            return _Look(chunks=(b"event: end\ndata: {}\n\n",) if ended else (), last=ended)

        return self._stream(who, look, every_s=_KEEP_ALIVE_S)

    def snapshots(self, run_id: str, who: Principal) -> AsyncIterator[bytes]:
        """The page's snapshot, whenever it changed; ends when `who` is let in no more."""
        version = -1

        def look() -> _Look:
            nonlocal version
            snapshot = self._services.live.wait(run_id, version, 0.0)
            if snapshot is None or snapshot.version == version:
                return _Look()
            version = snapshot.version
            return _Look(chunks=(snapshot.wire,))

        # Ticks and log lines are no events: the snapshot is looked at again soon anyway.
        return self._stream(who, look, every_s=_SNAPSHOT_S)

    def approvals(self, who: Principal) -> AsyncIterator[bytes]:
        """A sign whenever something else waits for approval, or waits otherwise; ends as those."""
        told = ""

        def look() -> _Look:
            nonlocal told
            found = signature(self._services.store.runs_open())
            if found == told:
                return _Look()
            told = found
            return _Look(chunks=(_sign(self._services.clock.now_us() // 1000, found),))

        return self._stream(who, look, every_s=_KEEP_ALIVE_S)

    async def _stream(
        self, who: Principal, look: Callable[[], _Look], *, every_s: float
    ) -> AsyncIterator[bytes]:
        """What `look` finds, now, whenever something is recorded, and every so often.

        Looking happens in a thread: it reads the store, and finds a session at its end, which is
        recorded.
        """
        silent_s = 0.0
        with self._listening() as wake:
            while not self._closed.is_set():
                wake.clear()
                found = await run_in_threadpool(self._if_still, who, look)
                if found is None:
                    yield _SIGNED_OUT
                    return
                for chunk in found.chunks:
                    yield chunk
                if found.last:
                    return
                if found.again:
                    continue
                woken = await _woken(wake, every_s)
                silent_s = 0.0 if woken or found.chunks else silent_s + every_s
                if silent_s >= _KEEP_ALIVE_S:
                    silent_s = 0.0
                    yield b": still here\n\n"

    def _if_still(self, who: Principal, look: Callable[[], _Look]) -> _Look | None:
        """None for somebody who is let in no more."""
        return look() if self._services.identity.still(who) else None

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
