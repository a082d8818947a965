"""The fleet's router: one address for the traffic, weights and drain behind it, honest counts.

A process of its own, so that it goes on when the engine dies. Weights survive its restart;
counters do not, and readers see that by their getting smaller. Ports of targets are found by the
markers of their processes, anew whenever one does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from engine.fleet import exposition, marker
from engine.fleet.balance import FAILED_FROM, Backend, Balance
from engine.fleet.budget import Budget
from engine.fleet.logfile import LogFile
from engine.fleet.upstream import NotReached, Pool
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

PROBE_EVERY_S: Final = 1.0
PROBE_TIMEOUT_S: Final = 2.0
HOLD_S: Final = 5.0  # a request waits this long for a target before it is refused
STOP_GRACE_S: Final = 3.0
WEIGHT_MAX: Final = 100


class Router:
    def __init__(self, home: Path, log: LogFile, *, slow_over_ms: int, admin_port: int) -> None:
        self.home = home
        self.log = log
        self.environment = home.parent.name
        self.admin_port = admin_port
        self.since_us = time.time_ns() // 1000
        self.balance = Balance(slow_over_ms=slow_over_ms, now_s=time.monotonic())
        self.budget = Budget(time.monotonic())
        self.pool = Pool()
        self.unrouted = 0
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()  # the last request under way at a drained target ended
        self._saved = self._read_state()
        self._addresses = ""  # as last written

    # --- traffic --------------------------------------------------------------------------

    async def forward(self, request: Request) -> Response:
        if request.path.startswith("/-/"):
            return Response(404, b"control requests are not routed")
        answer = await self._answer(request)
        self.budget.count(bad=answer.status >= FAILED_FROM, now_s=time.monotonic())
        return answer

    async def _answer(self, request: Request) -> Response:
        tried: list[str] = []
        while len(tried) < 2:
            backend = self.balance.pick(tried)
            if backend is None and not tried:
                backend = await self._wait_for_one()
            if backend is None:
                break
            try:
                return await self._attempt(backend, request)
            except NotReached:
                tried.append(backend.target)
        if tried:
            return Response(502, f"no connection to {', '.join(tried)}".encode())
        self.unrouted += 1
        return Response(503, b"no target takes traffic")

    async def _wait_for_one(self) -> Backend | None:
        """During a switch of the only target there is nobody for a moment: wait, do not refuse."""
        until = time.monotonic() + HOLD_S
        while (left := until - time.monotonic()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return None
            backend = self.balance.pick()
            if backend is not None:
                return backend
        return None

    async def _attempt(self, backend: Backend, request: Request) -> Response:
        """One try at one target, counted. Raises `NotReached` when another one may be tried."""
        began = time.monotonic()
        code = 502
        backend.in_flight += 1
        try:
            response = await self.pool.exchange(backend, request)
            code = response.status
        except NotReached:
            backend.refused = True
            raise
        except PeerGone as gone:
            code = 504 if gone.timed_out else 502
            return Response(code, f"{backend.target}: {gone}".encode())
        else:
            return response
        finally:
            backend.in_flight -= 1
            if backend.drained and not backend.in_flight:
                self._ended.set()
            ended = time.monotonic()
            self.balance.count(backend, code=code, took_ms=(ended - began) * 1000, now_s=ended)

    # --- what the targets are -------------------------------------------------------------

    async def watch(self) -> None:
        """Probe for ever, and look for moved targets."""
        while True:
            began = time.monotonic()
            backends = list(self.balance.backends.values())
            await asyncio.gather(*(self.probe(b) for b in backends))
            if any(b.healthy is not True for b in backends):
                await self.discover()
            self._tell_addresses()
            self.balance.roll(time.monotonic())
            self.log.rotate()
            await asyncio.sleep(max(0.05, PROBE_EVERY_S - (time.monotonic() - began)))

    async def probe(self, backend: Backend) -> None:
        """Ask a target how it is. The answer is its own; silence is None."""
        answer: bool | None = None
        if backend.port is not None:
            try:
                connection = await Connection.to(backend.port, timeout_s=PROBE_TIMEOUT_S)
                try:
                    response = await connection.send(get("/healthz"), timeout_s=PROBE_TIMEOUT_S)
                    answer = bool(json.loads(response.body)["ready"])
                finally:
                    connection.close()
            except (OSError, TimeoutError, PeerGone, ValueError, KeyError, TypeError):
                answer = None
        was_up = backend.up
        backend.probed(answer)
        if backend.up != was_up:
            self.log.write("info", f"{backend.target} is {'up' if backend.up else 'down'}")
            self._changed.set()

    async def discover(self) -> None:
        """Read the ports of the targets off their processes."""
        root = self.home.parent
        # In a thread: reading /proc takes milliseconds that requests would wait for.
        processes = await asyncio.to_thread(marker.scan, root)
        for process in processes:
            if process.role == marker.SERVICE:
                self._set_port(process.name, process.port)

    def _set_port(self, target: str, port: int) -> None:
        backend = self.balance.backends.get(target)
        if backend is not None and backend.port != port:
            backend.port = port
            self.pool.drop(target)
            self._changed.set()

    def _tell_addresses(self) -> None:
        """Write down, for whoever scrapes us, where everybody is now."""
        ports = {t: b.port for t, b in self.balance.backends.items() if b.port is not None}
        text = exposition.addresses(self.environment, admin_port=self.admin_port, ports=ports)
        if text == self._addresses:
            return
        place = self.home.parent / "prometheus.json"
        fresh = place.with_suffix(".new")
        try:
            fresh.write_text(text)
            fresh.replace(place)
        except OSError as error:  # the traffic goes on; the next look writes it
            self.log.write("error", f"{place.name} can't be written: {error}")
            return
        self._addresses = text

    # --- control --------------------------------------------------------------------------

    def control(self, request: Request) -> Response | Awaitable[Response]:
        path, _, query = request.path.partition("?")
        match path:
            case "/healthz":
                return as_json({"role": "router", "pid": os.getpid(), "since_us": self.since_us})
            case "/counters":
                return as_json(self._counters())
            case exposition.ROUTER_PATH:
                return exposition.as_text(
                    exposition.of_router(
                        self.balance, unrouted=self.unrouted, since_us=self.since_us
                    )
                )
            case "/history":
                return self._history(query)
            case "/burn":
                return self._burn(query)
            case "/config" | "/weights" | "/drain" | "/undrain":
                return self._change(path, request)
            case _:
                return Response(404, b"there is no such address here")

    def _counters(self) -> dict[str, Any]:
        return {
            "since_us": self.since_us,
            "slow_over_ms": self.balance.slow_over_ms,
            "unrouted": self.unrouted,
            "targets": {t: b.document() for t, b in self.balance.backends.items()},
        }

    def _history(self, query: str) -> Response:
        text = parse_qs(query).get("seconds", ["900"])[0]
        if not text.isdecimal():
            return Response(400, b"seconds is a whole number")
        targets, rows = self.balance.history(int(text), time.monotonic())
        return as_json({"targets": targets, "rows": rows})

    def _burn(self, query: str) -> Response:
        """Bad and all requests by window; null for one that we don't reach back to."""
        texts = parse_qs(query).get("windows", [""])[0].split(",")
        if not all(text.isdecimal() and len(text) < 8 for text in texts):
            return Response(400, b"windows is a list of whole seconds")
        now_s = time.monotonic()
        return as_json({"windows": {text: self.budget.over(int(text), now_s) for text in texts}})

    async def _change(self, path: str, request: Request) -> Response:
        try:
            body = control_body(request)
            match path:
                case "/config":
                    return await self._configure(body)
                case "/weights":
                    return self._weigh(body)
                case "/drain":
                    return await self._drain(body)
                case _:
                    return await self._undrain(body)
        except BadMessage as bad:
            return Response(bad.status, str(bad).encode())
        except (KeyError, TypeError, ValueError) as error:
            return Response(400, f"bad field: {error}".encode())

    async def _configure(self, body: dict[str, Any]) -> Response:
        self.balance.retarget([str(target) for target in body["targets"]])
        self.balance.slow_over_ms = int(body["slow_over_ms"])
        self.environment = str(body.get("environment", self.environment))
        for target, backend in self.balance.backends.items():
            kept = self._saved.get(target)
            if kept is not None:
                backend.weight, backend.drained = kept
        await self.discover()
        self._tell_addresses()
        self._save()
        return as_json(self._counters())

    def _weigh(self, body: dict[str, Any]) -> Response:
        wanted = {self._backend(target): int(weight) for target, weight in body.items()}
        if not all(0 <= weight <= WEIGHT_MAX for weight in wanted.values()):
            raise BadMessage(400, "a weight is 0 to 100")
        for backend, weight in wanted.items():
            backend.weight = weight
        self._save()
        return as_json({t: b.weight for t, b in self.balance.backends.items()})

    async def _drain(self, body: dict[str, Any]) -> Response:
        """No new request for the target; answers when those under way have ended, or in time."""
        backend = self._backend(body["target"])
        until = time.monotonic() + float(body["wait_s"])
        backend.drained = True
        self._save()
        while backend.in_flight and (left := until - time.monotonic()) > 0:
            self._ended.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), left)
        self.pool.drop(backend.target)
        return as_json({"in_flight": backend.in_flight})

    async def _undrain(self, body: dict[str, Any]) -> Response:
        """Traffic again, after a probe: the first request must not find out that it is early."""
        backend = self._backend(body["target"])
        if body.get("port"):
            self._set_port(backend.target, int(body["port"]))
        backend.bad_probes, backend.refused = 0, False
        await self.probe(backend)
        backend.drained = False
        self._save()
        return as_json({"healthy": backend.healthy, "weight": backend.weight})

    def _backend(self, target: Any) -> Backend:
        backend = self.balance.backends.get(str(target))
        if backend is None:
            raise BadMessage(404, f"there is no target {target!r}")
        return backend

    # --- what outlives a restart ----------------------------------------------------------

    def _save(self) -> None:
        self._saved |= {t: (b.weight, b.drained) for t, b in self.balance.backends.items()}
        self._changed.set()
        # No fsync: this outlives our death, and when the machine dies all targets begin anew.
        fresh = self.home / "state.json.new"
        fresh.write_text(json.dumps({"targets": self._saved}))
        fresh.replace(self.home / "state.json")

    def _read_state(self) -> dict[str, tuple[int, bool]]:
        try:
            saved = json.loads((self.home / "state.json").read_text())["targets"]
            return {str(t): (int(weight), bool(drained)) for t, (weight, drained) in saved.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.log.write("error", f"state.json is unreadable, weights begin anew: {error}")
            return {}


async def run(traffic: socket.socket, admin: socket.socket, home: Path, slow_over_ms: int) -> None:
    log = LogFile(home / "router.log")
    admin_port = admin.getsockname()[1]
    router = Router(home, log, slow_over_ms=slow_over_ms, admin_port=admin_port)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    front, back = Server(router.forward), Server(router.control)
    await back.start(admin)
    await front.start(traffic)
    log.write("info", f"routes on port {traffic.getsockname()[1]} as pid {os.getpid()}")
    watching = asyncio.create_task(router.watch())
    stopping = asyncio.create_task(stop.wait())
    # A defect in the watch must end the process visibly, not leave a router that is blind.
    await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        log.write("error", f"the watch ended: {watching.exception()!r}")
    watching.cancel()
    left = await front.stop(STOP_GRACE_S)
    await back.stop(0.2)
    log.write("info", f"stops, {left} requests unanswered")


def main() -> None:
    traffic, admin = (socket.socket(fileno=int(fd)) for fd in sys.argv[1:3])
    asyncio.run(run(traffic, admin, Path(os.environ["RL_TARGET"]), int(sys.argv[3])))


if __name__ == "__main__":
    main()
