"""Framing: where a request ends is never a matter of opinion."""

from __future__ import annotations

import asyncio
import socket

import pytest

from engine.fleet.wire import (
    BODY_BYTES_MAX,
    HEAD_BYTES_MAX,
    BadMessage,
    Connection,
    Head,
    PeerGone,
    Request,
    Response,
    Server,
    get,
)


async def say(payload: bytes, *, pieces: int = 1) -> tuple[bytes, list[str]]:
    """Send bytes to a server that echoes bodies; returns what came back, and what it was asked."""
    asked: list[str] = []

    async def later(request: Request) -> Response:
        await asyncio.sleep(0.01)
        return Response(200, b"late " + request.path.encode())

    def handle(request: Request) -> Response | object:
        asked.append(f"{request.method} {request.path}")
        return later(request) if request.path == "/late" else Response(200, request.body)

    listening = socket.create_server(("127.0.0.1", 0))
    server = Server(handle)  # type: ignore[arg-type]
    await server.start(listening)
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    size = -(-len(payload) // pieces)
    for start in range(0, len(payload), size):
        writer.write(payload[start : start + size])
        await writer.drain()
        await asyncio.sleep(0)
    answer = b""
    try:
        async with asyncio.timeout(0.3):
            while piece := await reader.read(65_536):
                answer += piece
    except TimeoutError:
        pass  # kept open, as it should be
    writer.close()
    await server.stop(0.1)
    return answer, asked


@pytest.mark.parametrize("pieces", [1, 2, 7, 60])
def test_requests_sent_ahead_are_answered_in_order(pieces: int) -> None:
    two = (
        b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nde"
    )
    answer, asked = asyncio.run(say(two, pieces=pieces))
    assert asked == ["POST /late", "POST /b"]
    assert answer.index(b"late /late") < answer.index(b"de")
    assert answer.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"501"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length : 1\r\n\r\na", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/2\r\n\r\n", b"400"),
        (b"GET /\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * (HEAD_BYTES_MAX + 1), b"431"),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1), b"413"),
    ],
)
def test_what_cannot_be_framed_is_refused_and_the_connection_ends(
    request_bytes: bytes, status: bytes
) -> None:
    answer, asked = asyncio.run(say(request_bytes + b"GET /smuggled HTTP/1.1\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in answer
    assert asked == []


def test_connection_close_and_http_1_0_end_the_connection() -> None:
    for request in (b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"):
        answer, asked = asyncio.run(say(request + b"GET /next HTTP/1.1\r\n\r\n"))
        assert b"Connection: close" in answer
        assert asked == ["GET /"]


def test_a_proxy_passes_on_headers_but_not_those_of_the_hop() -> None:
    head = Head(b"POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-A: 1\r\nContent-Length: 2")
    onward = Request(head, b"ab").onward()
    assert onward == b"POST /x HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nab"


def test_an_answer_without_a_body_has_none_behind_it() -> None:
    for status in (204, 304):
        encoded = Response(status, b"HTTP/1.1 200 OK").encode(keep_alive=True, bodiless=False)
        assert encoded.endswith(b"\r\n\r\n")


def test_an_empty_post_keeps_its_length() -> None:
    head = Head(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0")
    assert b"Content-Length: 0\r\n" in Request(head, b"").onward()


@pytest.mark.parametrize(
    ("answer", "silent"),
    [
        (b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", False),
        (b"HTTP/1.1 200 OK\r\n\r\nno length", False),
        (b"garbage\r\n\r\n", False),
    ],
)
def test_half_an_answer_is_none_and_says_whether_anything_came(answer: bytes, silent: bool) -> None:
    async def play() -> PeerGone:
        async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(peer, "127.0.0.1", 0)
        connection = await Connection.to(server.sockets[0].getsockname()[1], timeout_s=1)
        with pytest.raises(PeerGone) as caught:
            await connection.send(get("/"), timeout_s=1)
        server.close()
        return caught.value

    assert asyncio.run(play()).silent is silent


def test_a_drip_feed_does_not_outlive_the_deadline() -> None:
    async def play() -> float:
        async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            for _ in range(40):
                writer.write(b"x")
                await asyncio.sleep(0.05)

        server = await asyncio.start_server(peer, "127.0.0.1", 0)
        connection = await Connection.to(server.sockets[0].getsockname()[1], timeout_s=1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(PeerGone) as caught:
            await connection.send(get("/"), timeout_s=0.3)
        assert caught.value.timed_out
        server.close()
        return loop.time() - began

    assert asyncio.run(play()) < 0.6


def test_a_head_without_a_colon_is_no_head() -> None:
    with pytest.raises(BadMessage):
        Head(b"GET / HTTP/1.1\r\n: empty name")
