"""Errors as RFC 9457 problems: a stable `code`, one sentence, a hint, and the request's id."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.core.errors import (
    AdapterFailed,
    Conflict,
    LogForked,
    Malformed,
    NotFound,
    Refused,
    ReleaselineError,
    StorageFull,
    Unauthenticated,
    Unverified,
)
from engine.redact import redact_document

MEDIA_TYPE: Final = "application/problem+json"
_REFUSED_STATUS: Final = {
    "role": 403,
    "conflict_of_interest": 403,
    "scope": 403,
    "environment": 403,
    "reason": 422,
    "ticket": 422,
}


def problem(
    status: int, code: str, detail: str, *, request_id: str, hint: str = "", **more: Any
) -> Response:
    body = {
        "type": f"urn:releaseline:problem:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
        "hint": hint,
        **more,
    }
    return JSONResponse(redact_document(body), status_code=status, media_type=MEDIA_TYPE)


def request_id(request: Request) -> str:
    return str(request.scope.get("rl_request_id", ""))


def of_error(request: Request, error: ReleaselineError) -> Response:
    """The problem that tells this error; every deliberate error has one."""
    rid = request_id(request)
    match error:
        case Refused(code=code):
            status = _REFUSED_STATUS.get(code, 409)
            more = {} if error.opens_at_us is None else {"opens_at_us": error.opens_at_us}
            return problem(status, code, str(error), request_id=rid, hint=error.hint, **more)
        case Unauthenticated():
            return problem(401, "not_signed_in", str(error), request_id=rid, hint=error.hint)
        case NotFound():
            return problem(404, "not_found", str(error), request_id=rid, hint=error.hint)
        case Malformed():
            return problem(
                422, "malformed", str(error), request_id=rid, hint=error.hint, where=error.where
            )
        case Conflict():
            return problem(409, "conflict", str(error), request_id=rid, hint=error.hint)
        case StorageFull():
            return problem(503, "storage_full", str(error), request_id=rid, hint=error.hint)
        case AdapterFailed():
            return problem(502, "outside_failed", str(error), request_id=rid, hint=error.hint)
        case Unverified():
            return problem(409, "unverified", str(error), request_id=rid, check=error.check)
        case LogForked():
            return problem(409, "log_forked", str(error), request_id=rid, hint=error.hint)
        case _:
            return problem(500, "error", str(error), request_id=rid, hint=error.hint)
