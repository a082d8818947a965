"""A receiver of webhooks: a real HTTP server on loopback that misbehaves when it is told to."""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Ways to answer that are no status.
HANG, RESET, TRUNCATE, DRIP, BIG = "hang", "reset", "truncate", "drip", "big"


@dataclass
class Got:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Attributes:
    then: answers to come, first one first: a status, (status, headers), or a way above; when they
        are used up, `always` is given.
    """

    port: int = 0
    got: list[Got] = field(default_factory=list)
    then: deque[Any] = field(default_factory=deque)
    always: Any = 200
    let_go: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    def wait_for(self, count: int, timeout_s: float = 20.0) -> list[Got]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.got) >= count, timeout_s), len(self.got)
            return list(self.got)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): text for name, text in self.headers.items()}
            with receiver.arrived:
                receiver.got.append(Got(self.path, headers, body))
                answer = receiver.then.popleft() if receiver.then else receiver.always
                receiver.arrived.notify_all()
            _answer(self, receiver, answer)

        do_GET = do_POST  # whoever follows a redirect is seen

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.let_go.set()
        server.shutdown()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, receiver: Receiver, answer: Any) -> None:
    headers: dict[str, str] = {}
    if isinstance(answer, tuple):
        answer, headers = answer
    handler.close_connection = True
    match answer:
        case "hang":
            receiver.let_go.wait(30.0)
        case "reset":
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
        case "truncate":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
        case "drip":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not receiver.let_go.wait(0.05):
                handler.wfile.write(b"x")
        case "big":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            block = b"x" * 65_536
            while not receiver.let_go.is_set():
                handler.wfile.write(block)
        case int():
            said = b"said by the receiver"
            handler.send_response(answer)
            for name, text in headers.items():
                handler.send_header(name, text)
            handler.send_header("Content-Length", str(len(said)))
            handler.end_headers()
            handler.wfile.write(said)
