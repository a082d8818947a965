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
    Outdated,
    Refused,
    ReleaselineError,
    StorageFull,
    StoredDamaged,
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


# What Starlette and FastAPI refuse by themselves, in our words.
CODES: Final = {
    400: "malformed",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    415: "unsupported_media_type",
}
_RETRY_AFTER_S: Final = 5


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    request_id: str,
    hint: str = "",
    retry_after_s: int = 0,
    **more: Any,
) -> Response:
    """The answer that tells a refusal.

    Args:
        detail: one sentence for people.
        retry_after_s: when asking again may help; 0 = say so only where the status does.
    """
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
    headers = {}
    if retry_after_s or status == 503:
        headers["Retry-After"] = str(retry_after_s or _RETRY_AFTER_S)
    told = redact_document(body)
    return JSONResponse(told, status_code=status, media_type=MEDIA_TYPE, headers=headers)


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
        case StoredDamaged():
            return problem(
                500,
                "stored_damaged",
                f"A stored file of ours is damaged. {error}.",
                request_id=rid,
                hint="`releaseline integrity` says whose it is and what may still be done.",
                where=error.where,
                expected=error.expected,
                found=error.found,
            )
        case Malformed():
            return problem(
                422, "malformed", str(error), request_id=rid, hint=error.hint, where=error.where
            )
        case Outdated():
            response = problem(
                412,
                "outdated",
                str(error),
                request_id=rid,
                hint=error.hint,
                version=error.version,
            )
            response.headers["ETag"] = f'"{error.version}"'
            return response
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
