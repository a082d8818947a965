"""Who is asking: one-time links, sessions and tokens, all revocable, all on record."""

from __future__ import annotations

from engine.identity.door import Identity
from engine.identity.values import (
    DAY_US,
    SESSION_TTL_US,
    TOKEN_DAYS,
    TOKEN_DAYS_MAX,
    NewToken,
    Principal,
    SessionInfo,
    TokenInfo,
    hash_secret,
)

__all__ = [
    "DAY_US",
    "SESSION_TTL_US",
    "TOKEN_DAYS",
    "TOKEN_DAYS_MAX",
    "Identity",
    "NewToken",
    "Principal",
    "SessionInfo",
    "TokenInfo",
    "append_to",
    "hash_secret",
]
