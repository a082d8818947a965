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
    acting,
    again,
    approvals,
    attestations,
    audit,
    drills,
    environments,
    evidence,
    feeds,
    feeds_files,
    findings,
    freezes,
    gates,
    hooks,
    integrations,
    integrity,
    log,
    orchestrator,
    people,
    places,
    policies,
    replays,
    rescans,
    reviews,
    runs,
    schedules,
    waivers,
    webhooks,
)
from engine.api.conventions import Conventions
from engine.api.once import Keys
from engine.api.openapi import describe
from engine.api.problems import CODES, of_error, problem, request_id
from engine.api.rate import Buckets
from engine.api.routing import AnsweringRoute
from engine.api.sse import Streams
from engine.core.errors import ReleaselineError
from engine.identity import Principal
from engine.services import Services
from engine.trail.asking import asking, new_request_id

_log = logging.getLogger(__name__)

PREFIX: Final = "/api/v1"


def build_api(services: Services, streams: Streams, *, limited: bool = True) -> FastAPI:
    """Build the application; who asks stands in the scope as `rl_principal`.

    Args:
        limited: whether callers are held to `server.rate_limit`; not those in this process.
    """
    api = FastAPI(docs_url=None, redoc_url=None)
    to = api.router
    to.route_class = AnsweringRoute
    acting.routes(to, services)
    runs.routes(to, services, streams)
    approvals.routes(to, services, streams)
    places.routes(to, services)
    environments.routes(to, services)
    people.routes(to, services)
    evidence.routes(to, services)
    feeds_files.routes(to, services)  # before `/feeds/{name}`
    feeds.routes(to, services)
    findings.routes(to, services)
    freezes.routes(to, services)
    integrations.routes(to, services)
    integrity.routes(to, services)
    rescans.routes(to, services)
    orchestrator.routes(to, services)
    schedules.routes(to, services)
    attestations.routes(to, services)
    gates.routes(to, services)
    log.routes(to, services)
    again.routes(to, services)
    reviews.routes(to, services)
    drills.routes(to, services)
    policies.routes(to, services)
    waivers.routes(to, services)
    replays.routes(to, services)
    webhooks.routes(to, services)
    hooks.routes(to, services)
    audit.routes(to, services)
    _explain_errors(api)
    describe(api, PREFIX)
    api.state.keys = Keys(services)
    rate = services.settings.server.rate_limit
    buckets = Buckets(per_second=rate.per_second, burst=rate.burst) if limited else None
    api.add_middleware(
        Conventions,
        routes=api.routes,
        buckets=buckets,
        clock_s=services.clock.monotonic_s,
    )
    return api


def in_process(services: Services, principal: Principal) -> ASGIApp:
    """The API for one caller in this process, under the same addresses as on a server.

    Args:
        principal: who asks; the caller has proven it, by a token or by the shell it runs in.
    """
    api = build_api(services, Streams(services), limited=False)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        rid = new_request_id()
        inner = dict(scope, rl_principal=principal, rl_request_id=rid)
        inner["path"] = scope["path"].removeprefix(PREFIX)
        inner["raw_path"] = inner["path"].encode()
        with asking(principal, rid):
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
        code = CODES.get(error.status_code, "http_error")
        response = problem(
            error.status_code, code, _sentence(error), request_id=request_id(request)
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


def _sentence(error: HTTPException) -> str:
    match error.status_code:
        case 404:
            return "There is no such address in this API."
        case _:
            return str(error.detail)


_EXPECTED: Final = {
    "missing": "expected a value",
    "extra_forbidden": "expected no such field",
    "string_pattern_mismatch": "expected text of the form {pattern}",
    "string_too_long": "expected at most {max_length} characters",
    "string_too_short": "expected at least {min_length} characters",
    "greater_than_equal": "expected {ge} or more",
    "less_than_equal": "expected {le} or less",
    "enum": "expected one of {expected}",
    "literal_error": "expected one of {expected}",
    "json_invalid": "expected JSON: {error}",
}


def _field(detail: dict[str, Any]) -> dict[str, str]:
    place = [str(part) for part in detail["loc"]]
    found = "nothing" if detail["type"] == "missing" else repr(detail.get("input"))
    told = _EXPECTED.get(detail["type"])
    return {
        "field": ".".join(place[1:] or place),
        "message": told.format(**detail.get("ctx", {})) if told else str(detail["msg"]),
        "found": found if len(found) <= 80 else f"{found[:77]}...",
    }
