"""The HTTP API as one FastAPI application over the rooms of a house.

The server mounts it under /api/v1 behind the gate; the command line drives the very same
application in its own process when no server runs on the home. Routes by resource stand in
`runs` and `places`; every deliberate error leaves as an RFC 9457 problem.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.api import (
    again,
    attestations,
    drills,
    evidence,
    feeds,
    findings,
    gates,
    integrations,
    log,
    people,
    places,
    policies,
    replays,
    reviews,
    runs,
)
from engine.api.problems import of_error, problem, request_id
from engine.api.sse import Streams
from engine.core.errors import ReleaselineError
from engine.identity import Principal
from engine.services import Services

_log = logging.getLogger(__name__)

PREFIX: Final = "/api/v1"


def build_api(services: Services, streams: Streams) -> FastAPI:
    """Build the application; who asks stands in the scope as `rl_principal`."""
    api = FastAPI(
        title="Releaseline",
        version="1",
        description="Runs a release promotion and tells it as one auditable story.",
        docs_url=None,
        redoc_url=None,
    )
    api.include_router(runs.router(services, streams))
    api.include_router(places.router(services))
    api.include_router(people.router(services))
    api.include_router(evidence.router(services))
    api.include_router(feeds.router(services))
    api.include_router(findings.router(services))
    api.include_router(integrations.router(services))
    api.include_router(attestations.router(services))
    api.include_router(gates.router(services))
    api.include_router(log.router(services))
    api.include_router(again.router(services))
    api.include_router(reviews.router(services))
    api.include_router(drills.router(services))
    api.include_router(policies.router(services))
    api.include_router(replays.router(services))
    _explain_errors(api)
    return api


def in_process(services: Services, principal: Principal) -> ASGIApp:
    """The API for one caller in this process, under the same addresses as on a server.

    Args:
        principal: who asks; the caller has proven it, by a token or by the shell it runs in.
    """
    api = build_api(services, Streams(services))

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        inner = dict(scope, rl_principal=principal, rl_request_id="local")
        inner["path"] = scope["path"].removeprefix(PREFIX)
        inner["raw_path"] = inner["path"].encode()
        await api(inner, receive, send)

    return application


def _explain_errors(api: FastAPI) -> None:
    @api.exception_handler(ReleaselineError)
    async def deliberate(request: Request, error: ReleaselineError) -> Response:
        return of_error(request, error)

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        problems = [_field(detail) for detail in error.errors()]
        return problem(
            422,
            "malformed",
            "; ".join(f"{p['field']}: {p['message']}, found {p['found']}" for p in problems),
            request_id=request_id(request),
            problems=problems,
        )

    @api.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed"}
        code = codes.get(error.status_code, "http_error")
        response = problem(
            error.status_code, code, str(error.detail), request_id=request_id(request)
        )
        response.headers.update(error.headers or {})
        return response

    @api.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> Response:
        rid = request_id(request)
        _log.exception("request failed by a defect", exc_info=error, extra={"request_id": rid})
        return problem(
            500,
            "defect",
            "This is a defect of ours; the server's log has the details under this request id.",
            request_id=rid,
        )


def _field(detail: dict[str, Any]) -> dict[str, str]:
    place = [str(part) for part in detail["loc"]]
    found = repr(detail.get("input"))
    return {
        "field": ".".join(place[1:] or place),
        "message": str(detail["msg"]),
        "found": found if len(found) <= 80 else f"{found[:77]}...",
    }
