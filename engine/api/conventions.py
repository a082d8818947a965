"""What every request to the API has to keep, whatever its route: size, speed, kind and patience.

An ASGI middleware inside the application, so that its refusals are problems like all others and
the paths of the routes are known: 413 for a body that is too long, 408 for one that does not come,
415 for one of another kind than the route reads, 429 for a caller who asks too often, 504 for an
answer that takes too long, and on a 405 every method that the path has.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.api.addresses import FORM, Address, Addresses
from engine.api.once import REPLAYED
from engine.api.problems import problem, request_id
from engine.api.rate import Buckets
from engine.identity import Principal

JSON_BYTES_MAX: Final = 16 * 1024 * 1024
UPLOAD_BYTES_MAX: Final = 1024 * 1024 * 1024
_FORM_WITHOUT_FILES: Final = "application/x-www-form-urlencoded"


class Conventions:
    """Args:
    routes: of the application, one by one.
    buckets: None for callers in this process, who are nobody's load.
    clock_s: monotonic seconds.
    silence_s: how long a body may not come on.
    answer_s: how long an answer may take to begin; a stream may then go on for ever.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Sequence[BaseRoute],
        buckets: Buckets | None,
        clock_s: Callable[[], float],
        silence_s: float = 30.0,
        answer_s: float = 120.0,
    ) -> None:
        self._app, self._addresses, self._buckets = app, Addresses(routes), buckets
        self._clock_s, self._silence_s, self._answer_s = clock_s, silence_s, answer_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        address = self._addresses.at(scope)
        kind = "" if address is None else address.kind_of(request.method)
        refused = self._refused(request, address, kind)
        if refused is not None:
            await refused(scope, receive, send)
            return
        body = _Body(receive, _limit_of(kind), self._silence_s)
        answer = _Answer(send, scope)
        work = asyncio.create_task(self._work(scope, body, answer))
        begun = asyncio.create_task(answer.begun.wait())
        try:
            await asyncio.wait(
                {work, begun}, timeout=self._answer_s, return_when=asyncio.FIRST_COMPLETED
            )
            if work.done() or answer.begun.is_set():
                await work
                return
            await self._given_up(request, body, answer, work, send)
        except asyncio.CancelledError:
            work.cancel()
            raise
        finally:
            begun.cancel()

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _refused(self, request: Request, address: Address | None, kind: str) -> ASGIApp | None:
        wait_s = self._wait_s(request)
        rid = request_id(request)
        if wait_s > 0:
            return problem(
                429,
                "too_many_requests",
                "You ask more often than this server answers one caller.",
                request_id=rid,
                hint="Wait for as many seconds as Retry-After says; server.rate_limit sets it.",
                retry_after_s=math.ceil(wait_s),
            )
        if address is not None and request.method not in address.routes:
            return _not_taken(address, rid)
        limit = _limit_of(kind)
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdecimal() and int(length[:20]) > limit:
            return problem(413, "too_large", _too_long(limit), request_id=rid)
        given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        has_body = length not in {"", "0"} or "transfer-encoding" in request.headers
        fits = given == kind or (kind == FORM and given == _FORM_WITHOUT_FILES)
        if kind and has_body and not fits:
            return problem(
                415,
                "unsupported_media_type",
                f"Expected a body of {kind}, found {given or 'one without Content-Type'}.",
                request_id=rid,
            )
        return None

    def _wait_s(self, request: Request) -> float:
        if self._buckets is None:
            return 0.0
        return self._buckets.take(caller_of(request.scope), self._clock_s())

    async def _given_up(
        self,
        request: Request,
        body: _Body,
        answer: _Answer,
        work: asyncio.Task[None],
        send: Send,
    ) -> None:
        """Answer that there is none yet. What was begun goes on: a thread cannot be taken back."""
        answer.closed = True
        work.add_done_callback(_forgotten)
        late = problem(
            504,
            "deadline",
            f"There was no answer within {self._answer_s:.0f} s; what was begun may go on.",
            request_id=request_id(request),
            hint="Look at what it was about; the same Idempotency-Key asks for nothing twice.",
        )
        await late(request.scope, body, send)


def caller_of(scope: Scope) -> str:
    """Who a request is counted for: the token or session that the gate has let in; where nobody has
    proven anything yet (inbound hooks), the address that it came from and the one it goes to.

    What a request merely says of itself would let it choose its own limit, or use up somebody's.
    """
    who = scope.get("rl_principal")
    if isinstance(who, Principal):
        return f"{who.user}/{who.key}"
    address = (scope.get("client") or ("",))[0]
    return f"{address} {scope['path']}"


class _Body:
    """`receive` that counts the bytes, and does not wait for ever while there are more to come.

    Raises HTTPException, which FastAPI lets through while it reads a body: 413, 408.
    """

    def __init__(self, receive: Receive, limit: int, silence_s: float) -> None:
        self._receive, self._limit, self._silence_s = receive, limit, silence_s
        self._size, self._whole = 0, False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._silence_s)
        except TimeoutError:
            raise HTTPException(
                408, f"The body did not come on for {self._silence_s:.0f} s."
            ) from None
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._size > self._limit:
                raise HTTPException(413, _too_long(self._limit))
        return message


class _Answer:
    """`send` that says when an answer begins, and marks an answer that was given before."""

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send, self._scope = send, scope
        self.begun, self.closed = asyncio.Event(), False

    async def __call__(self, message: Message) -> None:
        if self.closed:
            return
        if message["type"] == "http.response.start":
            if self._scope.get(REPLAYED):
                MutableHeaders(scope=message)["Idempotent-Replayed"] = "true"
            self.begun.set()
        await self._send(message)


def _not_taken(address: Address, rid: str) -> Response:
    """Said for the address as a whole: its methods may lie in several routes, and another address
    with a parameter in it may take the method."""
    response = problem(
        405,
        "method_not_allowed",
        "This address does not take that method; Allow names those that it takes.",
        request_id=rid,
    )
    response.headers["Allow"] = address.allow
    return response


def _limit_of(kind: str) -> int:
    return UPLOAD_BYTES_MAX if kind == FORM else JSON_BYTES_MAX


def _too_long(limit: int) -> str:
    return f"Expected a body of at most {limit} bytes, found more."


def _forgotten(work: asyncio.Task[None]) -> None:
    if not work.cancelled():
        work.exception()  # its answer went nowhere; the handler of defects has logged it
