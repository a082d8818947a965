"""Sending one request to one target: pooled connections, and what may be tried twice.

A pooled connection may have been closed by the target a moment ago. If not one byte of an answer
came, and the request may be repeated, it is sent once more on a new connection; anything else
that goes wrong is the target's failure and is counted as such.
"""

from __future__ import annotations

from typing import Final

from engine.fleet.balance import Backend
from engine.fleet.wire import IDEMPOTENT, Connection, PeerGone, Request, Response

CONNECT_TIMEOUT_S: Final = 2.0
ANSWER_TIMEOUT_S: Final = 30.0
IDLE_MAX: Final = 64


class NotReached(Exception):
    """The target took no connection: the request has not been sent at all."""


class Pool:
    """Idle connections per target; a target on another port begins anew."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[Connection]] = {}

    async def exchange(self, backend: Backend, request: Request) -> Response:
        """Raises `NotReached`, or `PeerGone` when it was sent and no whole answer came."""
        payload = request.onward()
        bodiless = request.method == "HEAD"
        pooled = self._take(backend)
        if pooled is not None:
            try:
                return await self._send(backend, pooled, payload, bodiless)
            except PeerGone as gone:
                repeatable = gone.silent and not gone.timed_out and request.method in IDEMPOTENT
                if not repeatable:
                    raise
        fresh = await self._connect(backend)
        return await self._send(backend, fresh, payload, bodiless)

    async def _send(
        self, backend: Backend, connection: Connection, payload: bytes, bodiless: bool
    ) -> Response:
        port = backend.port
        try:
            response = await connection.send(payload, timeout_s=ANSWER_TIMEOUT_S, bodiless=bodiless)
        except PeerGone:
            connection.close()
            raise
        if connection.open and port == backend.port:
            idle = self._idle.setdefault((backend.target, port or 0), [])
            if len(idle) < IDLE_MAX:
                idle.append(connection)
                return response
        connection.close()
        return response

    async def _connect(self, backend: Backend) -> Connection:
        if backend.port is None:
            raise NotReached("no process of this target was found")
        try:
            return await Connection.to(
                backend.port, timeout_s=CONNECT_TIMEOUT_S, on_lost=self._forget
            )
        except (OSError, TimeoutError) as error:
            raise NotReached(str(error)) from error

    def _take(self, backend: Backend) -> Connection | None:
        idle = self._idle.get((backend.target, backend.port or 0), [])
        while idle:
            connection = idle.pop()  # the warmest one
            if connection.open:
                return connection
        return None

    def _forget(self, connection: Connection) -> None:
        for idle in self._idle.values():
            if connection in idle:
                idle.remove(connection)

    def drop(self, target: str) -> None:
        """Close what is idle towards `target`: it is about to end."""
        for key in [key for key in self._idle if key[0] == target]:
            for connection in self._idle.pop(key):
                connection.close()
