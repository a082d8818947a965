"""Who is asking: one-time links, sessions and tokens, all revocable, all on record.

Only hashes of secrets are kept (SHA-256 is right for 256-bit random secrets; a slow hash is for
passwords, and there are none). State is the fold of the `admin` stream. What a person may do is
not decided here: roles come from the settings, permission from `engine.core.decide`.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from engine.core.errors import Conflict, NotFound, StorageFull, Unauthenticated
from engine.core.events import Event, Recorded
from engine.core.house import (
    ADMIN,
    AccountReleased,
    LinkCreated,
    SessionOpened,
    SessionRevoked,
    TokenCreated,
    TokenRevoked,
)
from engine.core.scopes import limits_of
from engine.identity.state import IdentityState, Session
from engine.identity.used import LastUsed
from engine.identity.values import (
    DAY_US,
    GROUPS_TTL_US,
    LINK_TTL_US,
    SESSION_IDLE_S,
    SESSION_TTL_US,
    TOKEN_DAYS,
    NewToken,
    Principal,
    SessionInfo,
    TokenInfo,
    hash_secret,
    new_token,
)
from engine.ports import Clock, EventStore
from engine.recording import append_to

_ENGINE: Final = "engine"
_NOT_SIGNED_IN: Final = "Not signed in, or the session has ended."
_NOT_VALID: Final = "The token is unknown, revoked or expired."


class Identity:
    """Thread-safe. Built once; reads the `admin` stream and follows it.

    Args:
        knows: whether somebody is a person of the settings. Whoever is not has no session and no
            token, whatever was made for them before.
        used: when each was last used.
        shell: the name of whoever has a shell on the home. They hold its keys: what they make for
            somebody is the beginning of all trust, and nobody's hand.
    """

    def __init__(
        self,
        store: EventStore,
        clock: Clock,
        *,
        knows: Callable[[str], bool],
        used: LastUsed,
        shell: str,
    ) -> None:
        self._store, self._clock, self._knows, self._used = store, clock, knows, used
        self._shell = shell
        self._lock = threading.Lock()
        self._state = IdentityState()
        for recorded in store.load(ADMIN):
            self._state.apply(recorded)
        self._unsubscribe = store.subscribe(self._follow)

    def stop(self) -> None:
        self._unsubscribe()
        self.save_used()

    def save_used(self) -> None:
        """For the alarm clock: write down when what was last used."""
        with self._lock:
            keys = {one.key for one in self._state.sessions.values()}
            keys |= {one.created.token_id for one in self._state.tokens.values()}
        self._used.save(keys)

    # --- links and accounts open sessions -----------------------------------------------------

    def create_link(self, user: str, *, actor: str, command_id: str = "") -> str:
        """Return the secret of a new one-time link for `user`; it is never shown again."""
        secret = secrets.token_urlsafe(32)
        self._append(
            LinkCreated(
                secret_hash=hash_secret(secret),
                user=user,
                expires_us=self._clock.now_us() + LINK_TTL_US,
            ),
            actor=actor,
            command_id=command_id,
        )
        return secret

    def redeem_link(self, secret: str) -> str:
        """Use a link up and return the secret of the session that it opens.

        Raises:
            Unauthenticated: the link is unknown, used or expired, or its user is nobody any more.
        """
        link_hash = hash_secret(secret)
        with self._lock:
            # Taken out before the session is recorded: two clicks at once must not both win.
            link = self._state.links.pop(link_hash, None)
        if link is None or self._clock.now_us() >= link.expires_us or not self._knows(link.user):
            raise Unauthenticated("This link was used already or has expired; ask for a new one.")
        try:
            return self._open(link.user, "link", link_hash=link_hash)
        except (Conflict, StorageFull):
            with self._lock:
                self._state.links[link_hash] = link  # nothing was recorded: it is as good as before
            raise

    def open_account(
        self, user: str, *, issuer: str, subject: str, groups: tuple[str, ...] = ()
    ) -> str:
        """Return the secret of a session for somebody whom an OpenID provider vouches for.

        A name in a claim may be given to somebody else; issuer and subject may not. The first
        account that signs in as a person stays theirs until an admin releases it.

        Raises:
            Unauthenticated: nobody of that name is in the settings, or another account is theirs.
        """
        if not self._knows(user):
            raise Unauthenticated(
                f"{user} is not a person of the settings here; an admin has to add them."
            )
        with self._lock:
            known = self._state.accounts.get(user)
        if known is not None and known != (issuer, subject):
            raise Unauthenticated(
                f"{user} signed in with another account of the provider before; an admin has to "
                "release that account first."
            )
        return self._open(user, "oidc", issuer=issuer, subject=subject, groups=groups)

    def release_account(self, user: str, *, actor: str, reason: str) -> None:
        """Let another account of the provider sign in as `user`; sessions of the old one end.

        Raises:
            NotFound: no account is bound to them.
        """
        with self._lock:
            known = user in self._state.accounts
        if not known:
            raise NotFound(f"No account of a provider is bound to {user!r}.")
        self._append(AccountReleased(user=user, reason=reason), actor=actor)

    def _open(
        self,
        user: str,
        method: str,
        *,
        link_hash: str = "",
        issuer: str = "",
        subject: str = "",
        groups: tuple[str, ...] = (),
    ) -> str:
        secret = secrets.token_urlsafe(32)
        opened = SessionOpened(
            secret_hash=hash_secret(secret),
            user=user,
            method=method,
            link_hash=link_hash,
            expires_us=self._clock.now_us() + SESSION_TTL_US,
            issuer=issuer,
            subject=subject,
            groups=groups,
        )
        self._append(opened, actor=user)
        return secret

    # --- sessions -----------------------------------------------------------------------------

    def session(self, secret: str, *, used: bool = True) -> Principal:
        """Who this session belongs to.

        Args:
            used: it is somebody's click; what comes by itself keeps no session alive.

        Raises:
            Unauthenticated: it is unknown, revoked, idle or expired, or its user is nobody any
                more.
        """
        return self._session(hash_secret(secret), used=used)

    def _session(self, secret_hash: str, *, used: bool) -> Principal:
        with self._lock:
            found = self._state.sessions.get(secret_hash)
        if found is None or not self._knows(found.opened.user):
            raise Unauthenticated(_NOT_SIGNED_IN)
        session, key, now_us = found.opened, found.key, self._clock.now_us()
        if now_us >= session.expires_us:
            self._bury(session, "twelve hours are over")
            raise Unauthenticated(_NOT_SIGNED_IN)
        if self._used.idle_s(key, since_us=found.opened_us) > SESSION_IDLE_S:
            self._bury(session, "30 minutes without a click")
            raise Unauthenticated("The session ended after 30 minutes without a click.")
        if used:
            self._used.touch(key)
        fresh = now_us - found.opened_us < GROUPS_TTL_US
        return Principal(
            user=session.user,
            method=session.method,
            key=key,
            groups=session.groups if fresh else (),
            hand=self._hand(found.made_by, session.user),
        )

    def _hand(self, made_by: str, user: str) -> str:
        """Who could be behind `user`: a person that made their link or token, and is not they."""
        return made_by if made_by not in {user, self._shell} and self._knows(made_by) else ""

    def _bury(self, session: SessionOpened, why: str) -> None:
        """What has run out stays ended, also when the clock is set back or the server restarts."""
        with self._lock:
            self._state.sessions.pop(session.secret_hash, None)
        with suppress(StorageFull, Conflict):
            self._append(SessionRevoked(secret_hash=session.secret_hash, reason=why), actor=_ENGINE)

    def sessions(self) -> tuple[SessionInfo, ...]:
        """Those that may still be used, the oldest first."""
        with self._lock:
            known = tuple(self._state.sessions.values())
        now_us = self._clock.now_us()
        return tuple(
            info
            for one in known
            if self._knows(one.opened.user) and (info := self._info(one, now_us)).ends_us > now_us
        )

    def _info(self, one: Session, now_us: int) -> SessionInfo:
        left_s = SESSION_IDLE_S - self._used.idle_s(one.key, since_us=one.opened_us)
        return SessionInfo(
            session_id=one.key,
            user=one.opened.user,
            method=one.opened.method,
            issuer=one.opened.issuer,
            opened_us=one.opened_us,
            used_us=self._used.at_us(one.key) or one.opened_us,
            ends_us=min(now_us + int(left_s * 1_000_000), one.opened.expires_us),
            expires_us=one.opened.expires_us,
        )

    def revoke_session(self, secret: str, *, reason: str) -> None:
        """End the session of this secret; does nothing when there is none."""
        key = hash_secret(secret)
        with self._lock:
            found = self._state.sessions.get(key)
        if found is not None:
            self._append(SessionRevoked(secret_hash=key, reason=reason), actor=found.opened.user)

    def end_session(self, key: str, *, actor: str, reason: str) -> None:
        """End a session by its id. Raises `NotFound` when there is no such session (any more)."""
        with self._lock:
            found = self._state.session_of(key)
        if found is None:
            raise NotFound(f"There is no session {key!r}.")
        ended = SessionRevoked(secret_hash=found.opened.secret_hash, reason=reason)
        self._append(ended, actor=actor)

    # --- tokens -------------------------------------------------------------------------------

    def create_token(
        self,
        user: str,
        *,
        service: bool,
        actor: str,
        ttl_us: int = TOKEN_DAYS * DAY_US,
        scopes: tuple[str, ...] = (),
        environments: tuple[str, ...] = (),
        command_id: str = "",
    ) -> NewToken:
        """Make an API token of `user`.

        Args:
            scopes, environments: what it is limited to; empty = to what the user's roles give.
        """
        token_id, token = new_token()
        created = TokenCreated(
            token_id=token_id,
            secret_hash=hash_secret(token),
            user=user,
            service=service,
            expires_us=self._clock.now_us() + ttl_us,
            scopes=scopes,
            environments=environments,
        )
        self._append(created, actor=actor, command_id=command_id)
        return NewToken(token_id=token_id, token=token, expires_us=created.expires_us)

    def token(self, token: str) -> Principal:
        """Raises `Unauthenticated` for one that is unknown, revoked or expired, or of nobody."""
        return self._token(hash_secret(token), used=True)

    def _token(self, secret_hash: str, *, used: bool) -> Principal:
        with self._lock:
            found = self._state.tokens.get(secret_hash)
        known = None if found is None else found.created
        if known is None or self._clock.now_us() >= known.expires_us or not self._knows(known.user):
            raise Unauthenticated(_NOT_VALID)
        if used:
            self._used.touch(known.token_id)
        return Principal(
            user=known.user,
            method="token",
            service=known.service,
            key=known.token_id,
            limits=limits_of(known.scopes, known.environments),
            owner=found.created_by if found is not None and known.service else "",
            hand="" if known.service or found is None else self._hand(found.created_by, known.user),
        )

    def tokens(self) -> tuple[TokenInfo, ...]:
        """Those that may still be used, the oldest first."""
        with self._lock:
            known = tuple(self._state.tokens.values())
        now_us = self._clock.now_us()
        return tuple(
            TokenInfo(
                token_id=one.created.token_id,
                user=one.created.user,
                service=one.created.service,
                expires_us=one.created.expires_us,
                scopes=one.created.scopes,
                environments=one.created.environments,
                created_by=one.created_by,
                created_us=one.created_us,
                used_us=self._used.at_us(one.created.token_id),
            )
            for one in known
            if now_us < one.created.expires_us and self._knows(one.created.user)
        )

    def revoke_token(self, token_id: str, *, actor: str, reason: str) -> None:
        """Raises `NotFound` when there is no such token (any more)."""
        with self._lock:
            known = self._state.token_of(token_id)
        if known is None:
            raise NotFound(f"There is no token {token_id!r}.")
        self._append(TokenRevoked(token_id=token_id, reason=reason), actor=actor)

    # --- all of them --------------------------------------------------------------------------

    def still(self, principal: Principal) -> bool:
        """Whether somebody who was let in before would be let in again; it counts as no use."""
        with self._lock:
            session = self._state.session_of(principal.key)
            token = self._state.token_of(principal.key)
        try:
            if session is not None:
                self._session(session.opened.secret_hash, used=False)
            elif token is not None:
                self._token(token.created.secret_hash, used=False)
            else:
                return principal.method == "shell"
        except Unauthenticated:
            return False
        return True

    def _append(self, event: Event, *, actor: str, command_id: str = "") -> None:
        append_to(self._store, ADMIN, event, actor=actor, command_id=command_id)

    def _follow(self, recorded: tuple[Recorded, ...]) -> None:
        with self._lock:
            for one in recorded:
                if one.stream == ADMIN:
                    self._state.apply(one)
