"""The exit codes that scripts rely on, each from what causes it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.cli import exits
from engine.core.errors import (
    AdapterFailed,
    Conflict,
    Fenced,
    IllegalTransition,
    Malformed,
    NotFound,
    Refused,
    ReleaselineError,
    StorageFull,
    Unauthenticated,
    UnsafeConfig,
    Unverified,
)
from engine.core.statemachine import RunStatus

pytestmark = pytest.mark.house


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnsafeConfig("x"), 78),
        (StorageFull("x"), 78),
        (Unauthenticated("x"), 3),
        (Refused("x", code="role"), 3),
        (Refused("x", code="conflict_of_interest"), 3),
        (Refused("x", code="reason"), 2),
        (Refused("x", code="state"), 5),
        (Refused("x", code="stale"), 5),
        (NotFound("x"), 4),
        (Malformed("x", where="y"), 2),
        (Conflict("x"), 5),
        (AdapterFailed("x", transient=True), 75),
        (Fenced("x"), 75),
        (Unverified("x", check="y"), 21),
        (IllegalTransition("x"), 1),
        (ReleaselineError("x"), 1),
    ],
)
def test_of_error(error: ReleaselineError, code: int) -> None:
    assert exits.of_error(error) == code


@pytest.mark.parametrize(
    ("status", "problem", "code"),
    [
        (401, {"code": "not_signed_in"}, 3),
        (403, {"code": "role"}, 3),
        (404, {"code": "not_found"}, 4),
        (409, {"code": "state"}, 5),
        (422, {"code": "malformed"}, 2),
        (422, {"code": "reason"}, 2),
        (421, {"code": "wrong_host"}, 78),
        (503, {"code": "storage_full"}, 78),
        (502, {"code": "outside_failed"}, 75),
        (503, None, 75),
        (502, "<html>a proxy</html>", 75),
        (429, {}, 75),
        (404, None, 4),
        (500, {"code": "defect"}, 1),
        (500, None, 1),
    ],
)
def test_of_problem(status: int, problem: object, code: int) -> None:
    ended = exits.of_problem(status, problem)
    assert ended.code == code
    assert ended.message


def _run(status: str, failure: str = "", result: str = "RESOLVED") -> dict[str, Any]:
    return {
        "status": status,
        "failure_class": failure,
        "steps": [
            {"kind": "inputs", "attempts": [{"result": result}]},
            {"kind": "gate_eval", "attempts": []},
        ],
    }


_OUTCOMES = {
    ("SUCCEEDED", "", "RESOLVED"): 0,
    ("REJECTED", "policy", "RESOLVED"): 10,
    ("REJECTED", "approval", "RESOLVED"): 11,
    ("EXPIRED", "approval", "RESOLVED"): 11,
    ("EXPIRED", "window", "RESOLVED"): 14,
    ("ROLLED_BACK", "health", "RESOLVED"): 12,
    ("PAUSED", "", "RESOLVED"): 13,
    ("PAUSED", "", "MISSING"): 17,
    ("PAUSED", "", "MISMATCH"): 17,
    ("FAILED", "technical", "RESOLVED"): 15,
    ("FAILED", "technical", "MISSING"): 17,
    ("ROLLBACK_FAILED", "", "RESOLVED"): 15,
    ("CANCELLED", "operator", "RESOLVED"): 16,
}


@pytest.mark.parametrize(("case", "code"), _OUTCOMES.items())
def test_of_run(case: tuple[str, str, str], code: int) -> None:
    assert exits.of_run(_run(*case)) == code


def test_every_terminal_status_has_its_own_line() -> None:
    told = {status for status, _, _ in _OUTCOMES}
    ended = {"SUCCEEDED", "REJECTED", "EXPIRED", "ROLLED_BACK", "FAILED", "CANCELLED"}
    assert ended <= told
    assert told <= {status.value for status in RunStatus}
