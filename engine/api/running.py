"""Run the console, the API and the engine of an open house under uvicorn, until told to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn

from engine import wiring
from engine.api.oidc import check_safe
from engine.core.errors import UnsafeConfig
from engine.home import remove_server_file, write_server_file
from engine.services import Services

# Open pages are ended by the stop signal itself; what else is open gets this long.
_GRACE_S: Final = 3
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# app.py and .streamlit/config.toml lie here; Streamlit looks for them in the working folder.
_SOURCE: Final = Path(__file__).resolve().parents[2]


class _Uvicorn(uvicorn.Server):
    """uvicorn that tells which signal ended it, instead of raising it again before we clean up."""

    stopped_by: int | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if self._captured_signals:
                self.stopped_by = self._captured_signals[0]


def check_port(host: str, port: int) -> None:
    """Raise `UnsafeConfig` when nobody can listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UnsafeConfig(
                f"server.port: expected a free port, found {host}:{port} taken "
                f"({error.strerror}); choose another with --port"
            ) from error


def serve(services: Services, *, beside: Callable[[Callable[[], None]], None]) -> int | None:
    """Serve until a signal comes or `beside` says so. Call in the main thread.

    While it serves, the home's server.json says where.

    Args:
        beside: run in a thread of its own once the server answers; it is given the function that
            stops the server.

    Returns:
        The signal that ended it; None when `beside` did.

    Raises:
        UnsafeConfig: the port is taken, or an option of Streamlit is not safe.
    """
    config = services.settings.server
    check_port(config.host, config.port)
    os.chdir(_SOURCE)
    check_safe(os.environ)
    # Before the pages are loaded, which takes seconds: open runs must not wait for a web server.
    wiring.start(services)
    server = _Uvicorn(
        uvicorn.Config(
            "app:app",
            host=config.host,
            port=config.port,
            log_level="warning",
            lifespan="on",
            timeout_graceful_shutdown=_GRACE_S,
            server_header=False,
            proxy_headers=config.behind_proxy,
        )
    )

    def stop() -> None:
        server.should_exit = True

    def ready() -> None:
        write_server_file(services.home, services.settings.server.url)
        beside(stop)

    threading.Thread(target=_when_ready, args=(server, ready), daemon=True).start()
    try:
        server.run()
    finally:
        remove_server_file(services.home)
    if not server.started:
        raise RuntimeError("the server could not start; its log says why")
    return server.stopped_by


def _when_ready(server: uvicorn.Server, ready: Callable[[], None]) -> None:
    waiting = threading.Event()
    while not server.started:
        if server.should_exit or waiting.wait(0.05):
            return
    ready()
