"""What the rooms of identity hand out: who somebody is, and which sessions and tokens there are."""

from __future__ import annotations

import hashlib
import secrets
import string
from dataclasses import dataclass
from typing import Final

from engine.core.scopes import UNLIMITED, Limits

LINK_TTL_US: Final = 15 * 60 * 1_000_000
SESSION_TTL_US: Final = 12 * 3600 * 1_000_000
SESSION_IDLE_S: Final = 30 * 60
DAY_US: Final = 24 * 3600 * 1_000_000
TOKEN_DAYS: Final = 30
TOKEN_DAYS_MAX: Final = 90
# Roles that the provider's groups give are asked for anew by signing in again.
GROUPS_TTL_US: Final = 15 * 60 * 1_000_000
_BASE62: Final = string.digits + string.ascii_letters
_SECRET_SIGNS: Final = 43  # 256 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who has shown a secret.

    Attributes:
        method: link or oidc for a session, by how it began; token; shell.
        key: id of the session or token; never a secret.
        limits: of the token; a session has none.
        groups: of the provider's account, while they are new enough to give roles.
        owner: of a machine's token: who had it made; empty for people.
        hand: another person of the settings, who made the link or token that a person shows; empty
            where it was they themselves, a provider, or whoever has a shell on the home.
    """

    user: str
    method: str
    service: bool = False
    key: str = ""
    limits: Limits = UNLIMITED
    groups: tuple[str, ...] = ()
    owner: str = ""
    hand: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session that may still be used.

    Attributes:
        issuer: the provider that vouched for the person; empty for a link.
        ends_us: when it ends if it is not used before.
        expires_us: when it ends however busy.
    """

    session_id: str
    user: str
    method: str
    issuer: str
    opened_us: int
    used_us: int
    ends_us: int
    expires_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo:
    """A token that may still be used. `used_us`: None = never was, or before there was a record."""

    token_id: str
    user: str
    service: bool
    expires_us: int
    scopes: tuple[str, ...]
    environments: tuple[str, ...]
    created_by: str
    created_us: int
    used_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """`token` is shown once and kept nowhere."""

    token_id: str
    token: str
    expires_us: int


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def session_id(secret_hash: str) -> str:
    """The name of a session: the beginning of its secret's hash, from which nothing follows."""
    return f"s-{secret_hash[:16]}"


def new_token() -> tuple[str, str]:
    """An id and a token that carries it; 256 bits of chance in signs that a double click takes."""
    token_id = secrets.token_hex(4)
    chance = "".join(secrets.choice(_BASE62) for _ in range(_SECRET_SIGNS))
    return token_id, f"rl_{token_id}_{chance}"
