"""The cookie of our session: how it is read, set and taken back."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.responses import Response

from engine.identity import SESSION_TTL_US
from engine.settings import ServerConfig

COOKIE: Final = "rl_session"


def session_cookie(cookie_header: str) -> str:
    """The session secret of a Cookie header; empty when there is none or it is malformed."""
    try:
        morsel = SimpleCookie(cookie_header).get(COOKIE)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value


def set_session(response: Response, secret: str, server: ServerConfig) -> None:
    # Lax: a link to a run that stands in a ticket has to open it. What changes anything asks for
    # our Origin, and what is no navigation gets no cookie from another site.
    response.set_cookie(
        COOKIE,
        secret,
        max_age=SESSION_TTL_US // 1_000_000,
        httponly=True,
        samesite="lax",
        secure=server.behind_proxy,  # TLS ends there
    )


def forget_session(response: Response) -> None:
    response.delete_cookie(COOKIE)
