"""The server's side of the console's process: its lifespan, its routes, its gate.

`app.py` hands these to Streamlit's ASGI application. The house is opened when the server starts,
not when the module is imported; until then, and after it was closed, every route says so.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import FrameType
from typing import Any, Final

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from engine import wiring
from engine.api import log_files, sign_in
from engine.api.app import PREFIX, build_api
from engine.api.gate import Gate
from engine.api.metrics import exposition
from engine.api.oidc import Exchange, check_safe, streamlit_secrets
from engine.api.sse import Streams
from engine.core.errors import UnsafeConfig
from engine.services import Services

_BAD_CONFIG: Final = 78  # as the command line has it; it imports us, not we it


class Server:
    """What the routes of one process talk to. Thread-safe after `open`."""

    def __init__(self) -> None:
        self._services: Services | None = None
        self._streams: Streams | None = None
        self._api: FastAPI | None = None

    @property
    def services(self) -> Services:
        if self._services is None:
            raise RuntimeError("the house is not open")
        return self._services

    @asynccontextmanager
    async def lifespan(self, _: Any) -> AsyncIterator[dict[str, Any]]:
        services = await run_in_threadpool(wiring.open_house, os.environ)
        self._services, self._streams = services, Streams(services)
        self._api = build_api(services, self._streams)
        restore = _on_stop_signals(self._streams.close)
        try:
            await run_in_threadpool(wiring.start, services)
            yield {}
        finally:
            restore()
            self._streams.close()
            self._services = None
            await run_in_threadpool(services.stop)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
            Route("/log/{path:path}", self._log_file, methods=["GET"]),
            *sign_in.routes(lambda: self.services),
            _whole(Mount(PREFIX, self._mounted)),
        ]

    def middleware(self) -> list[Middleware]:
        return [
            Middleware(Gate, services=lambda: self.services),
            Middleware(Exchange, services=lambda: self.services),
        ]

    def secrets(self) -> dict[str, Any] | None:
        """For Streamlit's login, which asks for them when the application is made.

        Whoever started the process, an unsafe one ends here, with a sentence and exit code 78.
        """
        try:
            check_safe(os.environ)
            return streamlit_secrets(os.environ)
        except UnsafeConfig as error:
            print(error, error.hint, sep="\n  ", file=sys.stderr, flush=True)
            raise SystemExit(_BAD_CONFIG) from None

    async def _mounted(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._api is None:
            raise RuntimeError("the house is not open")
        await self._api(scope, receive, send)

    async def _healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "pid": os.getpid()})

    async def _readyz(self, _: Request) -> Response:
        health = self.services.worker.health()
        ready = health.running and not health.storage_full
        why = "storage_full" if health.storage_full else "ok" if ready else "not_running"
        return JSONResponse({"ready": ready, "why": why}, status_code=200 if ready else 503)

    async def _log_file(self, request: Request) -> Response:
        return await run_in_threadpool(log_files.file, request, self.services)

    async def _metrics(self, _: Request) -> Response:
        text = await run_in_threadpool(exposition, self.services)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


def _whole(mount: Mount) -> Mount:
    """The mount, for a path with line breaks in it too: what it is told is ours to say."""
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
    return mount


def _on_stop_signals(close: Callable[[], None]) -> Callable[[], None]:
    """Call `close` first when the process is told to stop; returns how to undo this.

    The server waits for open responses before it ends the lifespan, so streams that end only
    with the lifespan would hold it for ever: they have to hear the signal themselves.
    """
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def chained(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(close)
        former = before[signal.Signals(number)]
        if callable(former):
            former(number, frame)
        elif former is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    with suppress(ValueError):  # not in the main thread: nobody signals us there
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.getsignal(number)
            signal.signal(number, chained)

    def restore() -> None:
        with suppress(ValueError):
            for number, former in before.items():
                signal.signal(number, former)

    return restore
