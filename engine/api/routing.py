"""How routes of this API answer: written where the answer was made, in one go.

FastAPI checks what a plain function returned in one more thread and writes it on the event loop,
where everybody waits for it. Ours are documents of our own; tests hold them against what the
OpenAPI document says.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response


class AnsweringRoute(APIRoute):
    """A route of whatever returns a document, as plain data, or a response as it is."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        status = more.get("status_code") or 200
        super().__init__(path, _answering(endpoint, status), **more | {"response_model": None})


def _answering(endpoint: Callable[..., Any], status: int) -> Callable[..., Any]:
    def answer(found: Any) -> Response:
        if isinstance(found, Response):
            return found
        return JSONResponse(found, status_code=status)

    if inspect.iscoroutinefunction(endpoint):

        @functools.wraps(endpoint)
        async def coming(*given: Any, **named: Any) -> Response:
            return answer(await endpoint(*given, **named))

        return coming

    @functools.wraps(endpoint)
    def plain(*given: Any, **named: Any) -> Response:
        return answer(endpoint(*given, **named))

    return plain
