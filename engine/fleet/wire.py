"""HTTP/1.1 as the fleet's own processes speak it: keep-alive, bodies with a length, no more.

Used by the service, the router and the load generator, which must start fast and import nothing
heavy. Messages are framed by Content-Length alone; what is framed otherwise is refused, so that
two readers of the same bytes can never disagree where a request ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

HEAD_BYTES_MAX: Final = 16_384
BODY_BYTES_MAX: Final = 8 * 1024 * 1024
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade",
     b"content-length", b"transfer-encoding"}
)  # fmt: skip
_REASONS: Final = {
    200: b"OK", 204: b"No Content", 304: b"Not Modified", 400: b"Bad Request", 404: b"Not Found",
    405: b"Method Not Allowed", 413: b"Content Too Large", 415: b"Unsupported Media Type",
    431: b"Request Header Fields Too Large", 500: b"Internal Server Error",
    501: b"Not Implemented", 502: b"Bad Gateway", 503: b"Service Unavailable",
    504: b"Gateway Timeout",
}  # fmt: skip


class BadMessage(Exception):
    """These bytes are no message that we accept. `status` is what a server answers."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class PeerGone(Exception):
    """The connection ended before the answer was whole. `silent`: not one byte of it came."""

    def __init__(self, why: str, *, silent: bool, timed_out: bool = False) -> None:
        super().__init__(why)
        self.silent = silent
        self.timed_out = timed_out


class Head:
    """First line and headers. `headers` are the lines worth passing on, as they came."""

    __slots__ = ("content_type", "first", "headers", "keep_alive", "length")

    def __init__(self, raw: bytes) -> None:
        first, *lines = raw.split(b"\r\n")
        self.first = first
        self.keep_alive = b"HTTP/1.1" in first
        self.length: int | None = None
        self.content_type = b""
        kept = []
        for line in lines:
            name, colon, value = line.partition(b":")
            key, value = name.lower(), value.strip()
            if not colon or not key or key != key.strip():
                raise BadMessage(400, "malformed header line")
            if key == b"content-length":
                if self.length is not None or not value.isdigit():
                    raise BadMessage(400, "malformed Content-Length")
                self.length = int(value)
            elif key == b"transfer-encoding":
                raise BadMessage(501, "bodies need a Content-Length here")
            elif key == b"connection":
                self.keep_alive = value.lower() != b"close" and self.keep_alive
            elif key == b"content-type":
                self.content_type = value
            if key not in _HOP_BY_HOP:
                kept.append(line)
        self.headers = kept


class Request:
    __slots__ = ("body", "head", "method", "path")

    def __init__(self, head: Head, body: bytes) -> None:
        parts = head.first.split(b" ")
        if len(parts) != 3 or not parts[1].startswith(b"/") or not parts[2].startswith(b"HTTP/1."):
            raise BadMessage(400, "malformed request line")
        self.method = parts[0].decode("latin-1")
        self.path = parts[1].decode("latin-1")
        self.head = head
        self.body = body

    def onward(self) -> bytes:
        """The request as a proxy sends it on."""
        sized = self.head.length is not None
        length = [b"Content-Length: %d" % len(self.body)] if sized else []
        return b"\r\n".join([self.head.first, *self.head.headers, *length, b"", self.body])


class Response:
    __slots__ = ("body", "close", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: list[bytes] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = headers if headers is not None else [b"Content-Type: text/plain"]
        self.close = False

    def encode(self, *, keep_alive: bool, bodiless: bool) -> bytes:
        reason = _REASONS.get(self.status, b"Status")
        lines = [b"HTTP/1.1 %d %b" % (self.status, reason), *self.headers]
        if self.status in {204, 304}:
            bodiless = True  # bytes behind these would be read as the next answer
        else:
            lines.append(b"Content-Length: %d" % len(self.body))
        if not keep_alive:
            lines.append(b"Connection: close")
        return b"\r\n".join([*lines, b"", b"" if bodiless else self.body])


def as_json(value: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(value).encode(), [b"Content-Type: application/json"])


Handler = Callable[[Request], "Response | Awaitable[Response]"]


class Server:
    """Serves `handle` on a socket that already listens. Counts requests under way."""

    def __init__(self, handle: Handler) -> None:
        self.handle = handle
        self.under_way = 0
        self.stopping = False
        self.quiet = asyncio.Event()  # set when nothing is under way while stopping
        self.connections: set[_Incoming] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Incoming(self), sock=listening, backlog=1024
        )

    async def stop(self, grace_s: float) -> int:
        """Stop accepting, let requests under way end; returns how many did not in time."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.close_when_idle()
        if self.under_way:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.quiet.wait(), grace_s)
        return self.under_way


class _Incoming(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)

    def close_when_idle(self) -> None:
        if not self._busy and self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._serve()

    def _serve(self) -> None:
        # A loop, not recursion: a client may have sent many requests ahead.
        while not self._busy and self._buffer:
            if self._transport is None or self._transport.is_closing():
                return
            try:
                request = self._take()
            except BadMessage as bad:
                refusal = Response(bad.status, str(bad).encode())
                self._transport.write(refusal.encode(keep_alive=False, bodiless=False))
                self._transport.close()
                return
            if request is None:
                return
            self._busy = True
            self._server.under_way += 1
            answer = self._server.handle(request)
            if isinstance(answer, Response):
                self._answer(request, answer)
            else:
                task = asyncio.ensure_future(self._later(request, answer))
                self._server.tasks.add(task)
                task.add_done_callback(self._server.tasks.discard)

    def _take(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if (end if end >= 0 else len(self._buffer)) > HEAD_BYTES_MAX:
            raise BadMessage(431, "the head of the request is too long")
        if end < 0:
            return None
        head = Head(bytes(self._buffer[:end]))
        length = head.length or 0
        if length > BODY_BYTES_MAX:
            raise BadMessage(413, "the body of the request is too long")
        if len(self._buffer) < end + 4 + length:
            return None
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        return Request(head, body)

    async def _later(self, request: Request, answer: Awaitable[Response]) -> None:
        try:
            response = await answer
        except Exception as error:  # a defect of the handler must not hang its caller
            response = Response(500, f"{type(error).__name__}: {error}".encode())
        self._answer(request, response)
        self._serve()

    def _answer(self, request: Request, response: Response) -> None:
        self._busy = False
        self._server.under_way -= 1
        if self._server.stopping and not self._server.under_way:
            self._server.quiet.set()
        if self._transport is None:
            return
        keep = request.head.keep_alive and not self._server.stopping and not response.close
        bodiless = request.method == "HEAD"
        self._transport.write(response.encode(keep_alive=keep, bodiless=bodiless))
        if not keep:
            self._transport.close()


class Connection(asyncio.Protocol):
    """A client's keep-alive connection, one request at a time."""

    def __init__(self, on_lost: Callable[[Connection], None] | None = None) -> None:
        self.open = False
        self._on_lost = on_lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._bodiless = False
        self._head: tuple[int, Head, int] | None = None
        self._timed_out = False

    @classmethod
    async def to(
        cls,
        port: int,
        *,
        timeout_s: float,
        on_lost: Callable[[Connection], None] | None = None,
    ) -> Connection:
        """Connect to a loopback port. Raises `OSError` or `TimeoutError`."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(lambda: cls(on_lost), "127.0.0.1", port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.open = True

    async def send(self, payload: bytes, *, timeout_s: float, bodiless: bool = False) -> Response:
        """Send one request and return its answer.

        Raises:
            PeerGone: the connection ended, or the time was up, before the answer was whole.
        """
        if self._transport is None or not self.open:
            raise PeerGone("the connection is closed", silent=True)
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        self._bodiless = bodiless
        timer = loop.call_later(timeout_s, self._time_is_up)
        try:
            self._transport.write(payload)
            return await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def _time_is_up(self) -> None:
        self._timed_out = True
        self.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._waiter is None or self._waiter.done():
            self.close()  # nobody asked: whatever this is, it is not the next answer
            return
        try:
            response = self._take()
        except (BadMessage, ValueError) as bad:
            self._waiter.set_exception(PeerGone(f"unreadable answer: {bad}", silent=False))
            self.close()
            return
        if response is not None:
            self._waiter.set_result(response)

    def _take(self) -> Response | None:
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = Head(bytes(self._buffer[:end]))
            status = int(head.first.split(b" ", 2)[1])
            length = 0 if self._bodiless or status in {204, 304} else head.length
            if length is None:
                raise BadMessage(502, "an answer without Content-Length")
            self._head = (status, head, length)
            del self._buffer[: end + 4]
        status, head, length = self._head
        if len(self._buffer) < length:
            return None
        response = Response(status, bytes(self._buffer[:length]), head.headers)
        del self._buffer[:length]
        self._head = None
        if not head.keep_alive:
            self.open = False
        return response

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._transport = None
        if self._waiter is not None and not self._waiter.done():
            silent = not self._buffer and self._head is None
            why = "no answer in time" if self._timed_out else "the connection ended early"
            self._waiter.set_exception(PeerGone(why, silent=silent, timed_out=self._timed_out))
        if self._on_lost is not None:
            self._on_lost(self)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode("latin-1")


def control_body(request: Request) -> dict[str, Any]:
    """The JSON object of a control request.

    The media type is demanded because a web page cannot send it across origins unasked.

    Raises:
        BadMessage: wrong method, media type or JSON.
    """
    if request.method != "POST":
        raise BadMessage(405, "expected POST")
    if request.head.content_type != b"application/json":
        raise BadMessage(415, "expected Content-Type: application/json")
    try:
        body = json.loads(request.body or b"{}")
    except ValueError as error:
        raise BadMessage(400, f"expected JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadMessage(400, "expected a JSON object")
    return body
