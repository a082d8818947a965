"""The OpenAPI 3.1 document of the API: who may ask, what every route may answer, and how."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi._compat import ModelField
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi.utils import create_model_field
from pydantic import TypeAdapter

from engine.api.cookies import COOKIE
from engine.api.documents.base import ProblemDoc, Responses, Said, problems

_TOLD: Final = """\
Runs a release promotion and tells it as one auditable story.

Refusals are problems (RFC 9457) with a stable `code`, one sentence in `detail`, and the
`request_id` under which the server's log has it. Times are UTC epoch microseconds in `_us` fields,
digests are `sha256:<hex>`. Lists come in pages: `limit` and `after`, which is the `next` of the
page before. `Idempotency-Key` on a POST makes a repeated request the same request for 24 hours; the
repeated answer carries `Idempotent-Replayed: true`, and a secret only the first one. `If-Match`
with a run's ETag does something to a run only as it was looked at.
"""
PROBLEMS: Final[Responses] = problems(
    [
        (400, "the body cannot be read"),
        (401, "not signed in, or the token is unknown, revoked or expired"),
        (403, "this person may not"),
        (404, "there is no such thing"),
        (405, "this address does not take that method"),
        (408, "the body did not come"),
        (409, "not now, or not as it stands"),
        (412, "it is at another version than the one that was looked at"),
        (413, "the body is too long"),
        (415, "the body is of another kind"),
        (421, "not a host of this server"),
        (422, "a field is not what it should be"),
        (429, "asked too often; Retry-After says when again"),
        (500, "a defect of ours"),
        (502, "something outside did not do its part"),
        (503, "nothing can be recorded now; Retry-After says when to ask again"),
        (504, "no answer in time; what was begun may go on"),
    ]
)
_EXAMPLE: Final = {
    "type": "urn:releaseline:problem:not_found",
    "title": "not found",
    "status": 404,
    "detail": "There is no run run-999.",
    "code": "not_found",
    "request_id": "req_00e1f2d3c4b5a697",
    "hint": "",
}
_SECURITY: Final = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "of a person or a program: `releaseline token create --user NAME`",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "of a browser; a change then has to name our own Origin",
    },
}


def describe(api: FastAPI, prefix: str) -> None:
    """Make `api.openapi()` the whole document; it is made when it is first asked for."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _document(api, prefix)
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]


def _document(api: FastAPI, prefix: str) -> dict[str, Any]:
    for route in api.routes:
        if isinstance(route, APIRoute):
            route.response_fields = _fields(route)
    made = get_openapi(
        title="Releaseline",
        version="1",
        openapi_version="3.1.0",
        description=_TOLD,
        routes=api.routes,
        servers=[{"url": prefix}],
    )
    parts = made.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # ours are problems
        schemas.pop(name, None)
    problem = TypeAdapter(ProblemDoc).json_schema()
    schemas["ProblemDoc"] = {**problem, "examples": [_EXAMPLE]}
    parts["responses"] = {str(status): said for status, said in PROBLEMS.items()}
    parts["securitySchemes"] = _SECURITY
    made["security"] = [{"token": []}, {"session": []}]
    for operations in made["paths"].values():
        for operation in operations.values():
            _finish(operation)
    return made


def _fields(route: APIRoute) -> dict[int | str, ModelField]:
    """The answers of a route by their status, as FastAPI keeps them of a `model`."""
    return {
        status: create_model_field(
            name=f"Response_{status}_{route.unique_id}", type_=said.model, mode="serialization"
        )
        for status, said in route.responses.items()
        if isinstance(said, Said)
    }


def _finish(operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    refer = "#/components/responses/"
    answers.update({str(status): {"$ref": f"{refer}{status}"} for status in PROBLEMS})
    if any(one["name"] == "If-None-Match" for one in operation.get("parameters", ())):
        answers["304"] = {"description": "it is still what you hold"}
    operation["responses"] = dict(sorted(answers.items()))
