"""Links, sessions, tokens and who somebody is, over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from engine.api.gate import principal_of
from engine.api.runs import asker
from engine.asker import Asker
from engine.core.scopes import ADMINISTER, MAKE_CREDENTIALS, PIPELINE, Scope
from engine.core.statemachine import Role
from engine.identity import DAY_US, TOKEN_DAYS, TOKEN_DAYS_MAX, SessionInfo, TokenInfo
from engine.services import Services

_ADMIN: Final = frozenset({Role.ADMIN})
Reason = Annotated[str, Field(max_length=400)]


class LinkIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    user: str


class TokenIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    user: str
    service: bool = Field(default=False, description="for a program: it never counts as a person")
    scopes: list[Scope] | None = Field(
        default=None,
        description="what it may be used for at most; left out: of a service token what a pipeline "
        "needs (read, bundles, attest, promote), of a person's all that their roles give",
    )
    environments: list[str] = Field(
        default=[], max_length=1_000, description="where it may be used; none: wherever"
    )
    days: int = Field(default=TOKEN_DAYS, ge=1, le=TOKEN_DAYS_MAX, description="until it expires")


def router(services: Services) -> APIRouter:
    api = APIRouter()
    _people(api, services)
    _sessions(api, services)
    _tokens(api, services)
    return api


def admin_of(services: Services, who: Asker, what: str, *, verb: str = ADMINISTER) -> str:
    """The user, who has to be an admin or to have a shell on the home.

    Raises:
        Refused: they are not. The attempt is on record.
    """
    services.service.require(who, verb, _ADMIN, what=what)
    return who.user


def _people(api: APIRouter, services: Services) -> None:
    @api.get("/whoami")
    def whoami(request: Request) -> Any:
        who = principal_of(request)
        return {
            "user": who.user,
            "method": who.method,
            "service": who.service,
            "key": who.key,
            "scopes": sorted(who.limits.scopes),
            "environments": sorted(who.limits.environments),
        }

    @api.post("/links", status_code=201)
    def link(body: LinkIn, request: Request) -> Any:
        who = admin_of(services, asker(request), "make sign-in links", verb=MAKE_CREDENTIALS)
        services.settings.person(body.user)
        return {"user": body.user, "secret": services.identity.create_link(body.user, actor=who)}

    @api.delete("/people/{user}/account")
    def release(user: str, request: Request, reason: Reason = "released") -> Any:
        """Let another account of the OpenID provider sign in as this person."""
        who = admin_of(services, asker(request), "release accounts")
        services.identity.release_account(user, actor=who, reason=reason)
        return {"released": user}


def _sessions(api: APIRouter, services: Services) -> None:
    @api.get("/sessions")
    def sessions(request: Request) -> Any:
        """All of them for an admin, their own for everybody else."""
        who = asker(request)
        return {
            "items": [
                _session(one, current=one.session_id == who.key)
                for one in services.service.sessions_of(services.identity.sessions(), who)
            ]
        }

    @api.delete("/sessions/{key}")
    def end(key: str, request: Request, reason: Reason = "revoked") -> Any:
        """End a session at once; one's own, or anybody's as an admin."""
        who = asker(request)
        found = [one for one in services.identity.sessions() if one.session_id == key]
        if who.limits.scopes or not services.service.sessions_of(found, who):
            admin_of(services, who, "end sessions of others")
        services.identity.end_session(key, actor=who.user, reason=reason)
        return {"revoked": key}


def _tokens(api: APIRouter, services: Services) -> None:
    @api.post("/tokens", status_code=201)
    def create(body: TokenIn, request: Request) -> Any:
        who = admin_of(services, asker(request), "make tokens", verb=MAKE_CREDENTIALS)
        services.settings.person(body.user)
        for name in body.environments:
            services.settings.environment(name)
        scopes = body.scopes
        if scopes is None:
            scopes = list(PIPELINE) if body.service else []
        made = services.identity.create_token(
            body.user,
            service=body.service,
            actor=who,
            ttl_us=body.days * DAY_US,
            scopes=tuple(dict.fromkeys(scopes)),
            environments=tuple(dict.fromkeys(body.environments)),
        )
        return {
            "id": made.token_id,
            "user": body.user,
            "token": made.token,
            "scopes": list(dict.fromkeys(scopes)),
            "environments": list(dict.fromkeys(body.environments)),
            "expires_us": made.expires_us,
        }

    @api.get("/tokens")
    def tokens(request: Request) -> Any:
        admin_of(services, asker(request), "list tokens")
        return {"items": [_token(one) for one in services.identity.tokens()]}

    @api.delete("/tokens/{token_id}")
    def revoke(token_id: str, request: Request, reason: Reason = "revoked") -> Any:
        who = admin_of(services, asker(request), "revoke tokens")
        services.identity.revoke_token(token_id, actor=who, reason=reason)
        return {"revoked": token_id}


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
