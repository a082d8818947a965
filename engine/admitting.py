"""What is done about people: links, tokens and sessions; the same for the API and the console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.asker import Asker, refusal_of
from engine.core.scopes import (
    CREATE_LINK,
    CREATE_TOKEN,
    LIST_SESSIONS,
    LIST_TOKENS,
    PIPELINE,
    RELEASE_ACCOUNT,
    REVOKE_TOKEN,
    SIGN_OUT,
    Scope,
)
from engine.core.statemachine import Role
from engine.identity import DAY_US, TOKEN_DAYS, NewToken, SessionInfo, TokenInfo
from engine.services import Services

_ADMIN: Final = frozenset({Role.ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWish:
    """Attributes:
    scopes: None = what is usual: for a service what a pipeline needs, for a person no limit.
    environments: empty = wherever.
    """

    user: str
    service: bool = False
    scopes: Sequence[Scope] | None = None
    environments: Sequence[str] = ()
    days: int = TOKEN_DAYS

    @property
    def granted(self) -> tuple[str, ...]:
        usual: Sequence[Scope] = PIPELINE if self.service else ()
        scopes = usual if self.scopes is None else self.scopes
        return tuple(dict.fromkeys(scope.value for scope in scopes))


def is_admin(house: Services, asker: Asker) -> bool:
    return refusal_of(house.settings, asker, LIST_SESSIONS, _ADMIN, what="look") is None


def admin_of(house: Services, asker: Asker, verb: str, *, what: str) -> str:
    """The user, who has to be an admin or to have a shell on the home.

    Args:
        verb: of `engine.core.scopes`; the attempt is on record under it.

    Raises:
        Refused: they are neither.
    """
    house.service.require(asker, verb, _ADMIN, what=what)
    return asker.user


def check_link(house: Services, asker: Asker, user: str) -> None:
    """Raises `Refused`, and `NotFound` for a stranger."""
    admin_of(house, asker, CREATE_LINK, what="make sign-in links")
    house.settings.person(user)


def make_link(house: Services, asker: Asker, user: str, *, command_id: str = "") -> str:
    """The secret of a one-time link. Raises as `check_link`."""
    check_link(house, asker, user)
    return house.identity.create_link(user, actor=asker.user, command_id=command_id)


def release_account(house: Services, asker: Asker, user: str, *, reason: str) -> None:
    """Raises `Refused`, and `NotFound` when no account is bound to them."""
    admin_of(house, asker, RELEASE_ACCOUNT, what="release accounts")
    house.identity.release_account(user, actor=asker.user, reason=reason)


def check_token(house: Services, asker: Asker, wish: TokenWish) -> None:
    """Raises `Refused`, and `NotFound` for an unknown person or environment."""
    admin_of(house, asker, CREATE_TOKEN, what="make tokens")
    house.settings.person(wish.user)
    for name in wish.environments:
        house.settings.environment(name)


def make_token(house: Services, asker: Asker, wish: TokenWish, *, command_id: str = "") -> NewToken:
    """Raises as `check_token`."""
    check_token(house, asker, wish)
    return house.identity.create_token(
        wish.user,
        service=wish.service,
        actor=asker.user,
        ttl_us=wish.days * DAY_US,
        scopes=wish.granted,
        environments=tuple(dict.fromkeys(wish.environments)),
        command_id=command_id,
    )


def tokens(house: Services, asker: Asker) -> tuple[TokenInfo, ...]:
    """Raises `Refused`."""
    admin_of(house, asker, LIST_TOKENS, what="list tokens")
    return house.identity.tokens()


def revoke_token(house: Services, asker: Asker, token_id: str, *, reason: str) -> None:
    """Raises `Refused`, and `NotFound` when there is no such token (any more)."""
    admin_of(house, asker, REVOKE_TOKEN, what="revoke tokens")
    house.identity.revoke_token(token_id, actor=asker.user, reason=reason)


def sessions(house: Services, asker: Asker) -> tuple[SessionInfo, ...]:
    """All of them for an admin, one's own for everybody else."""
    every = is_admin(house, asker)
    return tuple(one for one in house.identity.sessions() if every or one.user == asker.user)


def end_session(house: Services, asker: Asker, key: str, *, reason: str) -> None:
    """End one's own session, or anybody's as an admin.

    Raises:
        Refused: it is nobody's of theirs; whether there is one is not said.
        NotFound: an admin asks, and there is none (any more).
    """
    own = any(one.session_id == key and one.user == asker.user for one in sessions(house, asker))
    if asker.limits.scopes or not own:
        admin_of(house, asker, SIGN_OUT, what="end sessions of others")
    house.identity.end_session(key, actor=asker.user, reason=reason)
