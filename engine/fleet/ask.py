"""Blocking questions to the fleet's own processes, with a deadline over the whole exchange.

A timeout per read is no deadline: a peer that sends one byte at a time outlives it for ever.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from engine.core.errors import AdapterFailed

_ANSWER_BYTES_MAX = 16 * 1024 * 1024


def ask(port: int, path: str, *, deadline_s: float, body: Any = None) -> Any:
    """GET `path` of a loopback port, or POST `body` as JSON; returns the JSON answered.

    Raises:
        AdapterFailed: no whole answer within `deadline_s`, or a status other than 200.
    """
    where = f"127.0.0.1:{port}{path}"
    until = time.monotonic() + deadline_s
    try:
        status, content = _exchange(port, _request(port, path, body), until)
    except TimeoutError as error:
        raise AdapterFailed(f"{where}: no answer in {deadline_s:.1f} s", transient=True) from error
    except (OSError, ValueError, IndexError) as error:
        raise AdapterFailed(f"{where}: {error}", transient=True) from error
    if status != 200:
        text = content[:200].decode("utf-8", "replace")
        raise AdapterFailed(f"{where}: status {status}, {text}", transient=status >= 500)
    try:
        return json.loads(content)
    except ValueError as error:
        raise AdapterFailed(f"{where}: not JSON, {error}", transient=False) from error


def _request(port: int, path: str, body: Any) -> bytes:
    method, payload, extra = "GET", b"", ""
    if body is not None:
        method, payload = "POST", json.dumps(body).encode()
        extra = f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{extra}\r\n"
    return head.encode("latin-1") + payload


def _exchange(port: int, request: bytes, until: float) -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=_left(until)) as connection:
        connection.sendall(request)
        received = bytearray()
        while True:
            connection.settimeout(_left(until))
            piece = connection.recv(65_536)
            if not piece:
                break
            received += piece
            if len(received) > _ANSWER_BYTES_MAX:
                raise ValueError("the answer is too long")
    head, blank, content = bytes(received).partition(b"\r\n\r\n")
    if not blank:
        raise ValueError("the connection ended before an answer")
    length = next(
        (
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ),
        None,
    )
    if length != len(content):
        raise ValueError(f"expected {length} bytes of answer, found {len(content)}")
    return int(head.split(b" ", 2)[1]), content


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
