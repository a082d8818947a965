"""Who is at the door, and what they may do at most in an environment: one answer for every door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.core.approvals import Actor
from engine.core.commands import Refusal
from engine.core.scopes import UNLIMITED, Limits, refusal
from engine.core.statemachine import Role
from engine.identity import Principal
from engine.settings import Settings

# Whoever has a shell on the machine and can read the home holds its keys anyway; this is the name
# under which that shell talks to a running server. It may look and make links, and nothing else.
LOCAL_ADMIN: Final = "local-admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who is at the door. Roles are looked up per environment, never handed in.

    Attributes:
        method: link, oidc, token or shell: how they have proven who they are; empty = by nothing
            that was looked at here.
        key: id of the session or token; never a secret.
        groups: of the provider that they signed in at, while these are new enough to count.
        owner: of a machine's token: who had it made, and so is part of what it asks for.
        hand: another person, who made the link or token that a person came in with.
    """

    user: str
    service: bool = False
    method: str = ""
    key: str = ""
    limits: Limits = UNLIMITED
    groups: tuple[str, ...] = ()
    owner: str = ""
    hand: str = ""

    @property
    def maker(self) -> str:
        """Who else is part of what they ask for: who made their token or link."""
        return self.owner or self.hand


def asker_of(principal: Principal) -> Asker:
    return Asker(
        user=principal.user,
        service=principal.service,
        method=principal.method,
        key=principal.key,
        limits=principal.limits,
        groups=principal.groups,
        owner=principal.owner,
        hand=principal.hand,
    )


def actor_of(settings: Settings, asker: Asker, environment: str) -> Actor:
    """The asker with the roles that count in the environment.

    A token limits what its user's roles give and never adds to them: outside its environments it
    has no role, and what its scopes leave out is refused by `Actor.beyond_token`.
    """
    if asker.user == LOCAL_ADMIN:
        roles = frozenset({Role.ADMIN, Role.VIEWER})
    else:
        roles = settings.roles_of(asker.user, environment)
        roles |= settings.roles_of_groups(asker.groups, environment)
    if not asker.limits.covers(environment):
        roles = frozenset()
    return Actor(
        user=asker.user,
        roles=roles,
        service=asker.service,
        limits=asker.limits,
        hand=asker.hand,
        provider="" if settings.oidc is None else settings.oidc.name,
    )


def actors_of(settings: Settings, asker: Asker) -> tuple[Actor, ...]:
    """The asker in each environment, for deeds that are about none of them."""
    return tuple(actor_of(settings, asker, name) for name in settings.environments)


def refusal_of(
    settings: Settings,
    asker: Asker,
    verb: str,
    roles: frozenset[Role],
    *,
    what: str,
    environment: str = "",
) -> Refusal | None:
    """Why the asker may not do what takes one of `roles`; None when they may.

    Args:
        what: the deed in words, behind "may not".
        environment: where the role has to be held; empty = in any of them.
    """
    actors = actors_of(settings, asker)
    if environment:
        actors = (actor_of(settings, asker, environment),)
    beyond = refusal(asker.limits, asker.user, verb, environment)
    if beyond is not None or any(actor.roles & roles for actor in actors):
        return beyond
    names = " or ".join(role.value.replace("_", " ") for role in Role if role in roles)
    return Refusal(
        sentence=f"{asker.user} may not {what}: this needs the role {names}.", code="role"
    )
