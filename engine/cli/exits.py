"""Exit codes: what a script may rely on. Every way that a command can end is mapped here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.core.errors import (
    AdapterFailed,
    Conflict,
    LogForked,
    Malformed,
    NotFound,
    Refused,
    ReleaselineError,
    StorageFull,
    StoredDamaged,
    Unauthenticated,
    UnsafeConfig,
    Unverified,
)

DONE: Final = 0
DEFECT: Final = 1
USAGE: Final = 2
FORBIDDEN: Final = 3
NOT_FOUND: Final = 4
CONFLICT: Final = 5
GATE_FAIL: Final = 10
NOT_APPROVED: Final = 11
ROLLED_BACK: Final = 12
PAUSED: Final = 13
BLOCKED: Final = 14
FAILED: Final = 15
CANCELLED: Final = 16
INPUT: Final = 17
MISMATCH: Final = 20
INVALID_EVIDENCE: Final = 21
UNREACHABLE: Final = 75
BAD_CONFIG: Final = 78
TIMEOUT: Final = 124
INTERRUPTED: Final = 130

# What an HTTP problem's stable code means for a script (engine.api.problems).
_OF_PROBLEM: Final[Mapping[str, int]] = {
    "not_signed_in": FORBIDDEN,
    "role": FORBIDDEN,
    "conflict_of_interest": FORBIDDEN,
    "scope": FORBIDDEN,
    "environment": FORBIDDEN,
    "wrong_origin": FORBIDDEN,
    "no_origin": FORBIDDEN,
    "not_found": NOT_FOUND,
    "conflict": CONFLICT,
    "state": CONFLICT,
    "held": CONFLICT,
    "stale": CONFLICT,
    "reason": USAGE,
    "ticket": USAGE,
    "malformed": USAGE,
    "method_not_allowed": USAGE,
    "wrong_host": BAD_CONFIG,
    "storage_full": BAD_CONFIG,
    "unsafe_config": BAD_CONFIG,
    "outside_failed": UNREACHABLE,
    "unverified": INVALID_EVIDENCE,
    "stored_damaged": INVALID_EVIDENCE,
    "log_forked": INVALID_EVIDENCE,
    "defect": DEFECT,
}
_OF_REFUSAL: Final[Mapping[str, int]] = {
    "role": FORBIDDEN,
    "conflict_of_interest": FORBIDDEN,
    "scope": FORBIDDEN,
    "environment": FORBIDDEN,
    "reason": USAGE,
    "ticket": USAGE,
}
# Seen in the attempt of an inputs step that found an input missing or bytes of another digest.
_INPUT_RESULTS: Final = frozenset({"MISSING", "MISMATCH"})


class Ended(Exception):
    """A command ends here.

    Attributes:
        code: the exit code.
        message: one sentence for people; empty when everything was said already.
        document: what `--json` prints about it beside code and sentence.
    """

    def __init__(
        self,
        code: int,
        message: str = "",
        *,
        hint: str = "",
        document: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint
        self.document = dict(document or {})


def of_error(error: ReleaselineError) -> int:
    match error:
        case UnsafeConfig() | StorageFull():
            return BAD_CONFIG
        case Unauthenticated():
            return FORBIDDEN
        case NotFound():
            return NOT_FOUND
        case Refused(code=code):
            return _OF_REFUSAL.get(code, CONFLICT)
        case StoredDamaged():
            return INVALID_EVIDENCE
        case Malformed():
            return USAGE
        case Conflict():
            return CONFLICT
        case Unverified() | LogForked():
            return INVALID_EVIDENCE
        case AdapterFailed():
            return UNREACHABLE
        case _:
            return DEFECT


def of_problem(status: int, body: object) -> Ended:
    """An HTTP answer that is no success, as the end of the command."""
    document = body if isinstance(body, Mapping) else {}
    code = _OF_PROBLEM.get(str(document.get("code")))
    if code is None:
        code = {401: FORBIDDEN, 403: FORBIDDEN, 404: NOT_FOUND, 409: CONFLICT}.get(status)
    if code is None:
        code = UNREACHABLE if status in {429, 502, 503, 504} else DEFECT
    sentence = str(document.get("detail") or f"The server answered {status} without a reason.")
    return Ended(code, sentence, hint=str(document.get("hint") or ""), document=document)


def of_run(run: Mapping[str, Any]) -> int:
    """What a run's present status means: the exit code of `--wait`."""
    status = run["status"]
    match status:
        case "SUCCEEDED":
            return DONE
        case "REJECTED":
            return NOT_APPROVED if run.get("failure_class") == "approval" else GATE_FAIL
        case "EXPIRED":
            return NOT_APPROVED if run.get("failure_class") == "approval" else BLOCKED
        case "ROLLED_BACK":
            return ROLLED_BACK
        case "CANCELLED":
            return CANCELLED
        case "PAUSED" | "FAILED" if _stopped_at_inputs(run):
            return INPUT
        case "PAUSED":
            return PAUSED
        case "FAILED" | "ROLLBACK_FAILED":
            return FAILED
        case _:
            return DONE


def _stopped_at_inputs(run: Mapping[str, Any]) -> bool:
    for step in run.get("steps", ()):
        attempts = step.get("attempts") or []
        if step.get("kind") == "inputs" and attempts:
            return attempts[-1].get("result") in _INPUT_RESULTS
    return False
