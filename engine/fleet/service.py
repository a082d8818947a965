"""One target of the local fleet: a real HTTP process that serves the bundle it was given.

Started by `engine.fleet.control` with a listening socket and the marker in its environment; says
of itself what it runs (`/healthz`), what is loaded (`/runtime`), and can be made to fail or be
slow (`/-/inject`) to see what the house does about it.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from engine.fleet import exposition
from engine.fleet.logfile import LogFile
from engine.fleet.shipped import BadBundle, Shipped
from engine.fleet.wire import BadMessage, Request, Response, Server, as_json, control_body

STOP_GRACE_S: Final = 5.0
HANDLER_THREADS: Final = 32  # a sleeping handler holds one; the others still answer
FAULTS_LOGGED_PER_S: Final = 5
FULL_BP: Final = 10_000


class Service:
    def __init__(self, home: Path, log: LogFile) -> None:
        self.home = home
        self.log = log
        self.since_us = time.time_ns() // 1000
        self.shipped: Shipped | None = None
        self.handle: Callable[[str], Any] | None = None
        self.trouble = "starting"
        self.error_rate_bp = 0
        self.latency_ms = 0
        self._owed_bp = 0
        self._faults: tuple[int, int] = (0, 0)
        self._threads = ThreadPoolExecutor(HANDLER_THREADS, thread_name_prefix="handle")

    def open_bundle(self) -> None:
        """Read, hash and import what `current` points to. Failure is said, not fatal."""
        try:
            self.shipped = Shipped((self.home / "current").resolve(strict=True))
            self.handle = self.shipped.load()
            self.trouble = ""
            self.log.write("info", f"serves {self.shipped.digest}")
        except (BadBundle, OSError, KeyError, TypeError) as error:
            self.trouble = str(error)
            self.log.write("error", f"cannot serve: {error}")

    def answer(self, request: Request) -> Response | Any:
        match request.path.partition("?")[0]:
            case "/healthz":
                return as_json(self._health(), 200)
            case "/runtime":
                return as_json(self._runtime(), 200)
            case "/-/inject":
                return self._inject(request)
            case exposition.SERVICE_PATH:
                return self._metrics()
            case _:
                return self._serve(request)

    def _health(self) -> dict[str, Any]:
        return {
            "target": self.home.name,
            "digest": None if self.shipped is None else self.shipped.digest,
            "ready": self.handle is not None,
            "trouble": self.trouble,
            "epoch": self._epoch(),
            "since_us": self.since_us,
            "pid": os.getpid(),
        }

    def _epoch(self) -> int:
        # Read each time: an engine may be accepted that then finds nothing to change.
        try:
            return int((self.home / "epoch").read_text())
        except (OSError, ValueError):
            return 0

    def _runtime(self) -> dict[str, Any]:
        shipped = self.shipped
        if shipped is None:
            return {"digest": None, "components": [], "observed": []}
        return {
            "digest": shipped.digest,
            "components": [purl for purl, _module in shipped.ships],
            "observed": shipped.observed(),
        }

    def _metrics(self) -> Response:
        digest = None if self.shipped is None else self.shipped.digest
        return exposition.as_text(
            exposition.of_service(
                ready=self.handle is not None, digest=digest, since_us=self.since_us
            )
        )

    def _inject(self, request: Request) -> Response:
        try:
            body = control_body(request)
            wanted = (int(body.get("error_rate_bp", 0)), int(body.get("latency_ms", 0)))
            if not (0 <= wanted[0] <= FULL_BP and 0 <= wanted[1] <= 60_000):
                raise BadMessage(400, "error_rate_bp is 0 to 10000, latency_ms 0 to 60000")
        except BadMessage as bad:
            return Response(bad.status, str(bad).encode())
        except (TypeError, ValueError):
            return Response(400, b"error_rate_bp and latency_ms are whole numbers")
        self.error_rate_bp, self.latency_ms = wanted
        self.log.write("warn", f"injected: errors {wanted[0]} bp, latency {wanted[1]} ms")
        return as_json({"error_rate_bp": wanted[0], "latency_ms": wanted[1]})

    async def _serve(self, request: Request) -> Response:
        if self.handle is None:
            return Response(503, f"not ready: {self.trouble}".encode())
        if self.latency_ms:
            await asyncio.sleep(self.latency_ms / 1000)
        if self._owes_an_error():
            return Response(500, b"injected error")
        try:
            if inspect.iscoroutinefunction(self.handle):
                status, body = await self.handle(request.path)
            else:
                loop = asyncio.get_running_loop()
                status, body = await loop.run_in_executor(self._threads, self.handle, request.path)
            if not 200 <= int(status) <= 599:
                raise ValueError(f"status {status} is no answer")
            return Response(int(status), bytes(body), self._signature())
        except (Exception, SystemExit) as error:  # a handler may not end the process
            self._note_fault(request.path, error)
            return Response(500, b"the handler failed", self._signature())

    def _owes_an_error(self) -> bool:
        """Spread errors evenly, so that a rate of 5 % is 5 of every 100 and not about that."""
        self._owed_bp += self.error_rate_bp
        if self._owed_bp < FULL_BP:
            return False
        self._owed_bp -= FULL_BP
        return True

    def _signature(self) -> list[bytes]:
        digest = "" if self.shipped is None else self.shipped.digest
        return [
            b"Content-Type: application/octet-stream",
            f"Releaseline-Target: {self.home.name}".encode(),
            f"Releaseline-Bundle: {digest}".encode(),
        ]

    def _note_fault(self, path: str, error: BaseException) -> None:
        second, count = self._faults
        now = int(time.monotonic())
        count = count + 1 if second == now else 1
        self._faults = (now, count)
        if count <= FAULTS_LOGGED_PER_S:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            self.log.write("error", f"handle({path!r}): {type(error).__name__} at {where}: {error}")
        elif count == FAULTS_LOGGED_PER_S + 1:
            self.log.write("error", "more faults in this second are not written down")


async def run(listening: socket.socket, home: Path) -> None:
    log = LogFile(home / "service.log")
    service = Service(home, log)
    server = Server(service.answer)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    log.write("info", f"starts as pid {os.getpid()} on port {listening.getsockname()[1]}")
    await server.start(listening)
    # In a thread: importing may take long, and /healthz must say "starting" meanwhile.
    opening = loop.run_in_executor(ThreadPoolExecutor(1), service.open_bundle)
    opening.add_done_callback(lambda done: done.exception())
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), 1.0)
        except TimeoutError:
            log.rotate()
    left = await server.stop(STOP_GRACE_S)
    log.write("info" if not left else "warn", f"stops, {left} requests unanswered")


def main() -> None:
    home = Path(os.environ["RL_TARGET"])
    root = os.getcwd()  # noqa: PTH109 - as `-m` put it on the path
    listening = socket.socket(fileno=int(sys.argv[1]))
    # The bundle's code must not find ours: `import app` would be the console's.
    sys.path[:] = [entry for entry in sys.path if entry not in {"", root}]
    os.chdir(home)
    asyncio.run(run(listening, home))


if __name__ == "__main__":
    try:
        main()
    finally:
        # Not through the interpreter's exit: that waits for handlers which never return.
        sys.stdout.flush()
        os._exit(0 if sys.exc_info()[0] is None else 1)
