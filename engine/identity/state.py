"""What the `admin` stream says of links, sessions, accounts and tokens. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.core.events import Recorded
from engine.core.house import (
    AccountReleased,
    LinkCreated,
    SessionOpened,
    SessionRevoked,
    TokenCreated,
    TokenRevoked,
)
from engine.identity.values import session_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """`made_by`: who made the link that it began with; empty for none."""

    opened: SessionOpened
    opened_us: int
    made_by: str = ""

    @property
    def key(self) -> str:
        return session_id(self.opened.secret_hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    created: TokenCreated
    created_by: str
    created_us: int


@dataclass(slots=True)
class IdentityState:
    """Attributes:
    links, sessions, tokens: by the hash of their secrets; what was revoked or used is gone.
    makers: who made a link, by its hash; kept when it is used up.
    accounts: (issuer, subject) of the provider's account that is somebody's, by user.
    """

    links: dict[str, LinkCreated] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, tuple[str, str]] = field(default_factory=dict)

    def apply(self, recorded: Recorded) -> None:
        match recorded.event:
            case LinkCreated() as link:
                self.links[link.secret_hash] = link
                self.makers[link.secret_hash] = recorded.actor
            case SessionOpened() as opened:
                self.links.pop(opened.link_hash, None)
                if self._is_theirs(opened):
                    made_by = self.makers.get(opened.link_hash, "")
                    session = Session(opened=opened, opened_us=recorded.ts_us, made_by=made_by)
                    self.sessions[opened.secret_hash] = session
            case SessionRevoked(secret_hash=secret_hash):
                self.sessions.pop(secret_hash, None)
            case AccountReleased(user=user):
                self.accounts.pop(user, None)
                self.sessions = {
                    secret_hash: one
                    for secret_hash, one in self.sessions.items()
                    if not (one.opened.user == user and one.opened.issuer)
                }
            case TokenCreated() as token:
                self.tokens[token.secret_hash] = Token(
                    created=token, created_by=recorded.actor, created_us=recorded.ts_us
                )
            case TokenRevoked(token_id=token_id):
                self.tokens = {
                    secret_hash: one
                    for secret_hash, one in self.tokens.items()
                    if one.created.token_id != token_id
                }
            case _:
                pass

    def _is_theirs(self, opened: SessionOpened) -> bool:
        """The first account that signs in as somebody is theirs. Of two at once the later loses."""
        if not opened.issuer:
            return True
        account = (opened.issuer, opened.subject)
        return self.accounts.setdefault(opened.user, account) == account

    def session_of(self, key: str) -> Session | None:
        return next((one for one in self.sessions.values() if one.key == key), None)

    def token_of(self, token_id: str) -> Token | None:
        found = (one for one in self.tokens.values() if one.created.token_id == token_id)
        return next(found, None)
