"""Links, sessions, tokens and who somebody is, over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from engine import admitting
from engine.admitting import TokenWish
from engine.api.acting import Count, Name, Yes
from engine.api.documents.base import PageOf, says
from engine.api.documents.people import (
    LinkDoc,
    ReleasedDoc,
    RevokedDoc,
    SessionDoc,
    TokenDoc,
    TokenMadeDoc,
    WhoDoc,
)
from engine.api.gate import principal_of
from engine.api.once import OnceOnly
from engine.api.pages import Paged, page_of
from engine.api.runs import asker
from engine.core.events import Recorded
from engine.core.house import TokenCreated
from engine.core.scopes import Scope
from engine.identity import TOKEN_DAYS, TOKEN_DAYS_MAX, SessionInfo, TokenInfo
from engine.services import Services

Reason = Annotated[str, Query(max_length=400)]
Key = Annotated[str, Path(pattern=r"^[!-.0-~]{1,64}$")]


class LinkIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    user: Name


class TokenIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    user: Name
    service: Yes = Field(default=False, description="for a program: it never counts as a person")
    scopes: list[Scope] | None = Field(
        default=None,
        description="what it may be used for at most; left out: of a service token what a pipeline "
        "needs (read, bundles, attest, promote), of a person's all that their roles give",
    )
    environments: list[Name] = Field(
        default=[], max_length=1_000, description="where it may be used; none: wherever"
    )
    days: Count = Field(default=TOKEN_DAYS, ge=1, le=TOKEN_DAYS_MAX, description="until it expires")


def routes(api: APIRouter, services: Services) -> None:
    _people(api, services)
    _sessions(api, services)
    _tokens(api, services)


def _people(api: APIRouter, services: Services) -> None:
    @api.get("/whoami", responses=says(WhoDoc))
    def whoami(request: Request) -> Any:
        """Who asks, as this server sees it."""
        who = principal_of(request)
        return {
            "user": who.user,
            "method": who.method,
            "service": who.service,
            "key": who.key,
            "scopes": sorted(who.limits.scopes),
            "environments": sorted(who.limits.environments),
        }

    @api.post("/links", status_code=201, responses=says(LinkDoc, status=201))
    def link(body: LinkIn, request: Request, once: OnceOnly) -> Any:
        """Make a link that signs somebody in once. Its secret is in the first answer only."""
        who = asker(request)
        admitting.check_link(services, who, body.user)
        with once.doing(body.model_dump()) as asked:
            secret = None
            if not asked.again:
                secret = admitting.make_link(services, who, body.user, command_id=asked.id)
        return {"user": body.user, "secret": secret}

    @api.delete("/people/{user}/account", responses=says(ReleasedDoc))
    def release(user: Key, request: Request, reason: Reason = "released") -> Any:
        """Let another account of the OpenID provider sign in as this person."""
        admitting.release_account(services, asker(request), user, reason=reason)
        return {"released": user}


def _sessions(api: APIRouter, services: Services) -> None:
    @api.get("/sessions", responses=says(PageOf[SessionDoc]))
    def sessions(request: Request, page: Paged) -> Any:
        """All of them for an admin, their own for everybody else."""
        who = asker(request)
        found, following = page_of(
            admitting.sessions(services, who),
            page,
            "sessions",
            lambda one: (one.opened_us, one.session_id),
        )
        return {
            "items": [_session(one, current=one.session_id == who.key) for one in found],
            "next": following,
        }

    @api.delete("/sessions/{key}", responses=says(RevokedDoc))
    def end(key: Key, request: Request, reason: Reason = "revoked") -> Any:
        """End a session at once; one's own, or anybody's as an admin."""
        admitting.end_session(services, asker(request), key, reason=reason)
        return {"revoked": key}


def _tokens(api: APIRouter, services: Services) -> None:
    @api.post("/tokens", status_code=201, responses=says(TokenMadeDoc, status=201))
    def create(body: TokenIn, request: Request, once: OnceOnly) -> Any:
        """Make a token. It is in the first answer only: when that was lost, revoke it."""
        who = asker(request)
        wish = TokenWish(
            user=body.user,
            service=body.service,
            scopes=body.scopes,
            environments=body.environments,
            days=body.days,
        )
        admitting.check_token(services, who, wish)
        with once.doing(body.model_dump(mode="json")) as asked:
            if asked.again:
                return _made_before(asked.earlier)
            made = admitting.make_token(services, who, wish, command_id=asked.id)
        return {
            "id": made.token_id,
            "user": body.user,
            "token": made.token,
            "scopes": list(wish.granted),
            "environments": list(dict.fromkeys(body.environments)),
            "expires_us": made.expires_us,
        }

    @api.get("/tokens", responses=says(PageOf[TokenDoc]))
    def tokens(request: Request, page: Paged) -> Any:
        """The tokens in force; their secrets are not kept."""
        found, following = page_of(
            admitting.tokens(services, asker(request)), page, "tokens", lambda one: (one.token_id,)
        )
        return {"items": [_token(one) for one in found], "next": following}

    @api.delete("/tokens/{token_id}", responses=says(RevokedDoc))
    def revoke(token_id: Key, request: Request, reason: Reason = "revoked") -> Any:
        """End a token at once."""
        admitting.revoke_token(services, asker(request), token_id, reason=reason)
        return {"revoked": token_id}


def _made_before(earlier: tuple[Recorded, ...]) -> dict[str, Any]:
    """The answer of then, without the token: nobody has it but whoever got it first."""
    (created,) = (one.event for one in earlier if isinstance(one.event, TokenCreated))
    return {
        "id": created.token_id,
        "user": created.user,
        "token": None,
        "scopes": list(created.scopes),
        "environments": list(created.environments),
        "expires_us": created.expires_us,
    }


def _session(one: SessionInfo, *, current: bool) -> dict[str, Any]:
    return {
        "id": one.session_id,
        "user": one.user,
        "method": one.method,
        "issuer": one.issuer,
        "opened_us": one.opened_us,
        "used_us": one.used_us,
        "ends_us": one.ends_us,
        "expires_us": one.expires_us,
        "current": current,
    }


def _token(one: TokenInfo) -> dict[str, Any]:
    return {
        "id": one.token_id,
        "user": one.user,
        "service": one.service,
        "scopes": list(one.scopes),
        "environments": list(one.environments),
        "created_by": one.created_by,
        "created_us": one.created_us,
        "expires_us": one.expires_us,
        "used_us": one.used_us,
    }
