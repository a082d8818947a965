"""Made-up answers of a Prometheus: series of one exporter, sampled once a second."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.adapters.prometheus_series import Series

AT_S = 1_800_000_000


def series(name: str, values: Sequence[float], *, first_s: int = AT_S, **labels: str) -> Series:
    """One series of the exporter `r` at `p`, a sample per second from `first_s` on."""
    named = {"__name__": name, "job": "r", "instance": "p", **labels}
    points = tuple(((first_s + n) * 1000, float(value)) for n, value in enumerate(values))
    return Series(named, points)


def document(found: Sequence[Series], **more: Any) -> dict[str, Any]:
    """The matrix as the API answers it."""
    result = [
        {
            "metric": dict(one.labels),
            "values": [[at / 1000, f"{value:g}"] for at, value in one.points],
        }
        for one in found
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}


def response(body: bytes | Mapping[str, Any], status: int = 200, *headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


@contextlib.contextmanager
def peer(answer: bytes, *, every_s: float | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that sends `answer` to whoever asks; with `every_s` one byte at a time.

    Yields its address and what it was asked.
    """
    asked: list[bytes] = []
    ended = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                asked.append(connection.recv(65_536))
                if every_s is None:
                    connection.sendall(answer)
                    continue
                for n in range(len(answer)):
                    connection.sendall(answer[n : n + 1])
                    if ended.wait(every_s):
                        return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
    finally:
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)
        assert not thread.is_alive()
