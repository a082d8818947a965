"""Who asks at this moment, by which proof: set by each door, read when something is recorded.

A door says it once for everything that it calls, so that no room in between can forget to hand it
on. What the engine does by itself has none.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from engine.core.auth import AuthContext
from engine.identity import Principal

_CURRENT: Final[ContextVar[AuthContext | None]] = ContextVar("auth", default=None)


def current() -> AuthContext | None:
    """None: nobody asks, the engine does it."""
    return _CURRENT.get()


def new_request_id() -> str:
    return f"req_{secrets.token_hex(8)}"


def auth_of(principal: Principal, request_id: str) -> AuthContext:
    return AuthContext(method=principal.method, credential=principal.key, request_id=request_id)


@contextmanager
def asking(principal: Principal, request_id: str) -> Iterator[None]:
    """Everything that is recorded within was asked for by this principal."""
    token = _CURRENT.set(auth_of(principal, request_id))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def from_now_on(principal: Principal, request_id: str) -> None:
    """The same for the rest of this thread: a page's script has no end that could be wrapped."""
    _CURRENT.set(auth_of(principal, request_id))
