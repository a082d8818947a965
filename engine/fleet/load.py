"""The load generator: real requests at a steady rate, and an exact account of what became of them.

Open loop: a request is sent when it is due, whether or not earlier ones were answered, and its
latency counts from that moment. A slow router can therefore not hide behind a slow generator.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from bisect import bisect_left
from pathlib import Path
from typing import Any, Final

from engine.core.metrics import LATENCY_BOUNDS_MS
from engine.fleet import marker
from engine.fleet.logfile import LogFile
from engine.fleet.wire import (
    BadMessage,
    Connection,
    PeerGone,
    Request,
    Response,
    Server,
    as_json,
    control_body,
    get,
)

BEAT_S: Final = 0.005
TIMEOUT_S: Final = 10.0
OPEN_MAX: Final = 512
RATE_MAX: Final = 20_000
BEHIND_S: Final = 1.0  # further behind than this, what is due is not made up for


class Load:
    """Totals since the start: `sent` = `ok` + all of `failed` + those still open.

    `skipped` were due and never sent, because this process had no time or too many were open.
    """

    def __init__(self, home: Path, rate_rps: int) -> None:
        self.home = home
        self.rate_rps = rate_rps
        self.paused = False
        self.port: int | None = None
        self.sent = 0
        self.ok = 0
        self.open = 0
        self.failed: dict[str, int] = {}
        self.buckets = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        self.skipped = 0
        self._idle: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._seeking: asyncio.Task[None] | None = None

    async def generate(self) -> None:
        due, last = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(BEAT_S)
            now = time.monotonic()
            if self.paused:
                last = now
                continue
            elapsed = now - last
            if elapsed > BEHIND_S:
                self.skipped += int((elapsed - BEHIND_S) * self.rate_rps)
                elapsed = BEHIND_S
            due, last = due + elapsed * self.rate_rps, now
            while due >= 1:
                due -= 1
                if self.open >= OPEN_MAX:
                    self.skipped += 1
                    continue
                self.open += 1
                task = asyncio.create_task(self._one(time.monotonic()))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _one(self, due_s: float) -> None:
        self.sent += 1
        kind = await self._ask()
        self.open -= 1
        if kind:
            self.failed[kind] = self.failed.get(kind, 0) + 1
        else:
            self.ok += 1
            took_ms = (time.monotonic() - due_s) * 1000
            self.buckets[bisect_left(LATENCY_BOUNDS_MS, took_ms)] += 1

    async def _ask(self) -> str:
        """Send one request; empty when it was answered well, else what went wrong."""
        try:
            connection = await self._connection()
        except (OSError, TimeoutError):
            await self._seek()
            return "no_connection"
        try:
            response = await connection.send(get("/"), timeout_s=TIMEOUT_S)
        except PeerGone as gone:
            connection.close()
            return "timeout" if gone.timed_out else "connection_lost"
        if connection.open:
            self._idle.append(connection)
        return f"status_{response.status}" if response.status >= 400 else ""

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        if self.port is None:
            await self._seek()
        if self.port is None:
            raise OSError("no router was found")
        return await Connection.to(self.port, timeout_s=TIMEOUT_S)

    async def _seek(self) -> None:
        """Find the router, which may have come back elsewhere; all who ask share one look."""
        if self._seeking is None or self._seeking.done():
            self._seeking = asyncio.create_task(self._look())
        await self._seeking

    async def _look(self) -> None:
        processes = await asyncio.to_thread(marker.scan, self.home.parent)
        self.port = next((p.port for p in processes if p.role == marker.ROUTER), self.port)

    async def settle(self, timeout_s: float) -> None:
        """Wait for the answers to what was sent."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    def control(self, request: Request) -> Response:
        try:
            if request.path == "/stats":
                return as_json(self.totals())
            if request.path != "/rate":
                return Response(404, b"there is no such address here")
            body = control_body(request)
            rate_rps = int(body["rate_rps"])
            if not 0 <= rate_rps <= RATE_MAX:
                raise BadMessage(400, f"rate_rps is 0 to {RATE_MAX}")
        except BadMessage as bad:
            return Response(bad.status, str(bad).encode())
        except (KeyError, TypeError, ValueError) as error:
            return Response(400, f"bad field: {error}".encode())
        self.rate_rps, self.paused = rate_rps, rate_rps == 0
        return as_json(self.totals())

    def totals(self) -> dict[str, Any]:
        return {
            "rate_rps": self.rate_rps,
            "sent": self.sent,
            "ok": self.ok,
            "open": self.open,
            "failed": dict(self.failed),
            "buckets": list(self.buckets),
            "skipped": self.skipped,
        }


async def run(listening: socket.socket, home: Path, rate_rps: int) -> None:
    log = LogFile(home / "load.log")
    load = Load(home, rate_rps)
    load.paused = rate_rps == 0
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = Server(load.control)
    await server.start(listening)
    log.write("info", f"sends {rate_rps} requests/s as pid {os.getpid()}")
    generating = asyncio.create_task(load.generate())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({generating, stopping}, return_when=asyncio.FIRST_COMPLETED)
    generating.cancel()
    load.paused = True
    await load.settle(1.0)
    log.write("info", f"stops: {load.totals()}")
    await server.stop(0.2)


def main() -> None:
    listening = socket.socket(fileno=int(sys.argv[1]))
    asyncio.run(run(listening, Path(os.environ["RL_TARGET"]), int(sys.argv[2])))


if __name__ == "__main__":
    main()
