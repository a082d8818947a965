"""View-model of people, tokens and sessions: who may do what, and who is let in now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from engine.core.scopes import Scope
from engine.core.statemachine import Role
from engine.identity import SessionInfo, TokenInfo
from engine.live_text import day_time, span

TOKENS: Final = (
    {"name": "Token", "width": "12%"},
    {"name": "Of", "width": "15%"},
    {"name": "May at most", "width": "25%"},
    {"name": "Where", "width": "16%"},
    {"name": "Last used", "width": "14%"},
    {"name": "Expires", "width": "18%"},
)
SESSIONS: Final = (
    {"name": "Session", "width": "22%"},
    {"name": "Who", "width": "18%"},
    {"name": "Signed in", "width": "22%"},
    {"name": "Last used", "width": "16%"},
    {"name": "Ends", "width": "22%"},
)
NO_TOKENS: Final = "No token is in force."
_METHODS: Final = {"link": "one-time link", "oidc": "single sign-on"}
_SOON_US: Final = 7 * 24 * 3600 * 1_000_000
SCOPES: Final[Mapping[str, str]] = {
    Scope.READ: "read only",
    Scope.BUNDLES: "create bundles",
    Scope.ATTEST: "import attestations",
    Scope.PROMOTE: "request promotions and re-runs",
    Scope.OPERATE: "pause, resume, continue, roll back, cancel, lift holds, freeze",
    Scope.APPROVE: "approve, reject, review, confirm overrides (never a service)",
    Scope.EVIDENCE: "export, replay, annotate",
    Scope.POLICIES: "publish policies (never a service)",
    Scope.FEEDS: "sync feeds",
    Scope.ADMIN: "end sessions, revoke tokens, check the store",
}


def scope_text(scope: str) -> str:
    return f"{scope}: {SCOPES[scope]}"


def people_columns(environments: Sequence[str]) -> list[dict[str, str]]:
    each = f"{70 // max(1, len(environments))}%"
    return [
        {"name": "Person", "width": "30%"},
        *({"name": name, "width": each} for name in environments),
    ]


def people_rows(
    people: Iterable[tuple[str, str, Sequence[frozenset[Role]]]],
) -> list[dict[str, Any]]:
    """Args:
    people: user, e-mail address, and the roles in each environment, in the columns' order.
    """
    return [
        {"cells": [{"text": user, "sub": email}, *({"text": _roles(one)} for one in held)]}
        for user, email, held in people
    ]


def _roles(roles: frozenset[Role]) -> str:
    return ", ".join(role.value.replace("_", " ") for role in Role if role in roles) or "–"


def token_rows(tokens: Sequence[TokenInfo], now_us: int) -> list[dict[str, Any]]:
    return [_token(one, now_us) for one in reversed(tokens)]


def _token(one: TokenInfo, now_us: int) -> dict[str, Any]:
    left_us = one.expires_us - now_us
    return {
        "tone": "warn" if left_us < _SOON_US else "",
        "cells": [
            {"text": one.token_id, "sub": "program" if one.service else "person"},
            {"text": one.user, "sub": f"made by {one.created_by}"},
            {"text": ", ".join(one.scopes) or "all that the roles give"},
            {"text": ", ".join(one.environments) or "everywhere"},
            {"text": _ago(one.used_us, now_us)},
            {"text": f"in {span(max(0, left_us))}", "sub": day_time(one.expires_us)},
        ],
    }


def session_rows(sessions: Sequence[SessionInfo], here: str, now_us: int) -> list[dict[str, Any]]:
    """Args:
    here: id of the session that this page is looked at with.
    """
    return [
        {
            "cells": [
                {"text": one.session_id, "sub": "this one" if one.session_id == here else ""},
                {"text": one.user},
                {
                    "text": _ago(one.opened_us, now_us),
                    "sub": f"by {_METHODS.get(one.method, one.method)}",
                },
                {"text": _ago(one.used_us, now_us)},
                {
                    "text": f"in {span(max(0, one.ends_us - now_us))} if unused",
                    "sub": f"at the latest {day_time(one.expires_us)}",
                },
            ]
        }
        for one in reversed(sessions)
    ]


def _ago(at_us: int | None, now_us: int) -> str:
    if at_us is None:
        return "never"
    return "now" if now_us - at_us < 1_000_000 else f"{span(now_us - at_us)} ago"


def token_label(one: TokenInfo) -> str:
    return f"{one.token_id} of {one.user}"


def session_label(one: SessionInfo, here: str) -> str:
    mine = ", this one" if one.session_id == here else ""
    return f"{one.session_id} of {one.user}{mine}"
