"""ETags: what did not change is not sent again (RFC 9110, 8.8.3 and 13.1.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Header
from starlette.responses import JSONResponse, Response

IfNoneMatch = Annotated[
    str,
    Header(
        alias="If-None-Match",
        max_length=2_000,
        description="ETags that you hold; 304 when one of them is still right.",
    ),
]


def tagged(tag: str, known: str, body: Callable[[], Any]) -> Response:
    """The document under its tag; nothing but the tag when the client holds it already.

    Args:
        tag: quoted.
        known: the request's If-None-Match.
        body: makes the document; not called when it is known.
    """
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if is_known(tag, known):
        return Response(status_code=304, headers=headers)
    return JSONResponse(body(), headers=headers)


def is_known(tag: str, known: str) -> bool:
    """Whether If-None-Match names the tag; the comparison is weak, as a GET's is."""
    named = {one.strip().removeprefix("W/") for one in known.split(",")}
    return tag in named or "*" in named
