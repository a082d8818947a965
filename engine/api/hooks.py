"""Calls from outside over HTTP: proven by their own signature, not by a session."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from engine.api.documents.base import says
from engine.api.documents.hooks import ReceivedDoc
from engine.api.problems import problem, request_id
from engine.core.hook_presets import BODY_BYTES_MAX, Call
from engine.services import Services

_Named = Annotated[str, Path(pattern=r"^[!-.0-~]{1,64}$")]


def routes(api: APIRouter, services: Services) -> None:
    @api.post("/hooks/{name}", status_code=202, responses=says(ReceivedDoc, status=202))
    async def receive(name: _Named, request: Request) -> Response:
        """Take a call in that is proven by its own signature; what was received is done once."""
        body = await _body(request)
        if body is None:
            return problem(
                413,
                "too_large",
                f"Expected at most {BODY_BYTES_MAX} bytes, found more.",
                request_id=request_id(request),
            )
        headers = {key.lower(): text for key, text in request.headers.items()}
        call = Call(headers=headers, body=body)
        done = await run_in_threadpool(services.hooks.inbound.receive, name, call)
        return JSONResponse({"ignored": not done.what, **asdict(done)}, status_code=202)


async def _body(request: Request) -> bytes | None:
    """The body; None as soon as it is longer than a call may be."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > BODY_BYTES_MAX:
        return None
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            return None
    return bytes(body)
