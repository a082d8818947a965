"""Who is asking: one-time links, sessions and tokens, all revocable, all on record.

Only hashes of secrets are kept (SHA-256 is right for 256-bit random secrets; a slow hash is for
passwords, and there are none). State is the fold of the `admin` stream. What a person may do is
not decided here: roles come from the settings, permission from `engine.core.decide`.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass
from typing import Final

from engine.core.errors import Conflict, NotFound, StorageFull, Unauthenticated
from engine.core.events import Event, Recorded
from engine.core.house import (
    ADMIN,
    LinkCreated,
    SessionOpened,
    SessionRevoked,
    TokenCreated,
    TokenRevoked,
)
from engine.ports import Clock, EventStore

LINK_TTL_US: Final = 15 * 60 * 1_000_000
SESSION_TTL_US: Final = 12 * 3600 * 1_000_000
SESSION_IDLE_S: Final = 30 * 60
TOKEN_TTL_US: Final = 30 * 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who has shown a secret. `method` is link, session or token."""

    user: str
    method: str
    service: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo:
    token_id: str
    user: str
    service: bool
    expires_us: int


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Identity:
    """Thread-safe. Built once; reads the `admin` stream and follows it."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._links: dict[str, LinkCreated] = {}
        self._sessions: dict[str, SessionOpened] = {}
        self._tokens: dict[str, TokenCreated] = {}
        self._seen_s: dict[str, float] = {}
        for recorded in store.load(ADMIN):
            self._apply(recorded.event)
        self.stop = store.subscribe(self._follow)

    def create_link(self, user: str, *, actor: str) -> str:
        """Return the secret of a new one-time link for `user`; it is never shown again."""
        secret = secrets.token_urlsafe(32)
        self._append(
            LinkCreated(
                secret_hash=hash_secret(secret),
                user=user,
                expires_us=self._clock.now_us() + LINK_TTL_US,
            ),
            actor=actor,
        )
        return secret

    def redeem_link(self, secret: str) -> str:
        """Use a link up and return the secret of the session that it opens.

        Raises:
            Unauthenticated: the link is unknown, used or expired.
        """
        link_hash = hash_secret(secret)
        with self._lock:
            # Taken out before the session is recorded: two clicks at once must not both win.
            link = self._links.pop(link_hash, None)
        if link is None or self._clock.now_us() >= link.expires_us:
            raise Unauthenticated("This link was used already or has expired; ask for a new one.")
        session = secrets.token_urlsafe(32)
        opened = SessionOpened(
            secret_hash=hash_secret(session),
            user=link.user,
            method="link",
            link_hash=link_hash,
            expires_us=self._clock.now_us() + SESSION_TTL_US,
        )
        try:
            self._append(opened, actor=link.user)
        except (Conflict, StorageFull):
            with self._lock:
                self._links[link_hash] = link  # nothing was recorded: it is as good as before
            raise
        return session

    def session(self, secret: str) -> Principal:
        """Raises `Unauthenticated` for a session that is unknown, revoked, idle or expired."""
        key = hash_secret(secret)
        now_s = self._clock.monotonic_s()
        with self._lock:
            session = self._sessions.get(key)
            idle = now_s - self._seen_s.get(key, now_s)
            if session is None or self._clock.now_us() >= session.expires_us:
                raise Unauthenticated("Not signed in, or the session has ended.")
            if idle > SESSION_IDLE_S:
                raise Unauthenticated("The session ended after 30 minutes without a click.")
            self._seen_s[key] = now_s
        return Principal(user=session.user, method="session")

    def revoke_session(self, secret: str, *, reason: str) -> None:
        key = hash_secret(secret)
        with self._lock:
            session = self._sessions.get(key)
        if session is not None:
            self._append(SessionRevoked(secret_hash=key, reason=reason), actor=session.user)

    def create_token(
        self, user: str, *, service: bool, actor: str, ttl_us: int = TOKEN_TTL_US
    ) -> str:
        """Return a new API token of `user`, shown this once."""
        token_id = secrets.token_hex(4)
        token = f"rl_{token_id}_{secrets.token_urlsafe(32)}"
        self._append(
            TokenCreated(
                token_id=token_id,
                secret_hash=hash_secret(token),
                user=user,
                service=service,
                expires_us=self._clock.now_us() + ttl_us,
            ),
            actor=actor,
        )
        return token

    def token(self, token: str) -> Principal:
        """Raises `Unauthenticated` for a token that is unknown, revoked or expired."""
        with self._lock:
            known = self._tokens.get(hash_secret(token))
        if known is None or self._clock.now_us() >= known.expires_us:
            raise Unauthenticated("The token is unknown, revoked or expired.")
        return Principal(user=known.user, method="token", service=known.service)

    def tokens(self) -> tuple[TokenInfo, ...]:
        with self._lock:
            return tuple(
                TokenInfo(
                    token_id=t.token_id, user=t.user, service=t.service, expires_us=t.expires_us
                )
                for t in self._tokens.values()
            )

    def revoke_token(self, token_id: str, *, actor: str, reason: str) -> None:
        """Raises `NotFound` when there is no such token (any more)."""
        if all(info.token_id != token_id for info in self.tokens()):
            raise NotFound(f"There is no token {token_id!r}.")
        self._append(TokenRevoked(token_id=token_id, reason=reason), actor=actor)

    def _append(self, event: Event, *, actor: str) -> None:
        append_to(self._store, ADMIN, event, actor=actor)

    def _follow(self, recorded: tuple[Recorded, ...]) -> None:
        for one in recorded:
            if one.stream == ADMIN:
                self._apply(one.event)

    def _apply(self, event: Event) -> None:
        with self._lock:
            match event:
                case LinkCreated():
                    self._links[event.secret_hash] = event
                case SessionOpened():
                    self._links.pop(event.link_hash, None)
                    self._sessions[event.secret_hash] = event
                case SessionRevoked():
                    self._sessions.pop(event.secret_hash, None)
                case TokenCreated():
                    self._tokens[event.secret_hash] = event
                case TokenRevoked():
                    gone = [h for h, t in self._tokens.items() if t.token_id == event.token_id]
                    for secret_hash in gone:
                        del self._tokens[secret_hash]
                case _:
                    pass


def append_to(store: EventStore, stream: str, event: Event, *, actor: str) -> None:
    """Append one event at the end of a stream whose order does not matter to its meaning."""
    for _ in range(50):
        try:
            store.append(stream, (event,), after=store.version(stream), actor=actor)
        except Conflict:
            continue
        return
    raise Conflict(f"stream {stream} is too busy")
