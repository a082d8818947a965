"""Who signs in, and how beside one-time links: the sections `people` and `sign_in`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from engine.core.health_criteria import shown
from engine.core.statemachine import Role
from engine.home import is_loopback
from engine.settings_parts import Name, Text
from engine.settings_values import Grant, OidcConfig
from engine.settings_yaml import KeyPath, Located, Problem, problem_at

CALLBACK: Final = "/oauth2callback"
# Who approves and who administers stands in the settings, where everybody can read it.
_NOT_BY_GROUP: Final = frozenset({Role.APPROVER, Role.ADMIN, Role.CI})
_PLACE: Final = ("sign_in", "oidc")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class RoleGrant(_Part):
    role: Annotated[Role, Field(strict=False)]
    in_: Annotated[list[Name] | None, Field(alias="in", min_length=1)] = None


class PersonSection(_Part):
    user: Name
    email: Annotated[str, Field(pattern=r"^\S+@\S+$")]
    roles: list[RoleGrant] = []


class GroupSection(_Part):
    """What a group of the provider gives, while its word is at most 15 minutes old."""

    group: Text
    roles: Annotated[list[RoleGrant], Field(min_length=1)]


class OidcSection(_Part):
    """An OpenID Connect provider. Whoever signs in there has to be a person of the settings."""

    name: Text = "single sign-on"
    metadata_url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    client_id: Text
    client_secret: Annotated[
        str, Field(pattern=r"^(env|file):.+$", description="env:NAME or file:PATH")
    ]
    redirect_uri: Annotated[
        str,
        Field(
            pattern=r"^https?://[^/?#\s]+/oauth2callback$",
            description="the address that browsers use for this server, with /oauth2callback",
        ),
    ]
    user_claim: Annotated[
        Text,
        Field(
            description="email, or with an @, is compared to the people's email; else to their user"
        ),
    ] = "email"
    groups_claim: Text = "groups"
    groups: list[GroupSection] = []
    allowed_domains: list[Text] = []
    prompt: Annotated[str, Field(pattern=r"^(login|select_account|consent)$")] = "login"
    scope: Text = "openid email profile"


class SignInSection(_Part):
    oidc: OidcSection | None = None


def check_sign_in(document: Located, _: Path) -> list[Problem]:
    """Addresses that would give a secret away, and roles that no group may give."""
    root = document.value if isinstance(document.value, Mapping) else {}
    oidc = _mapping(_mapping(root, "sign_in"), "oidc")
    problems: list[Problem] = []

    def add(path: KeyPath, message: str) -> None:
        problems.append(problem_at(document, (*_PLACE, *path), message))

    for key in ("metadata_url", "redirect_uri"):
        url = oidc.get(key)
        if isinstance(url, str) and not _safe(url):
            add((key,), f"expected https:// or a loopback address, found {shown(url)}")
    redirect = oidc.get("redirect_uri")
    if isinstance(redirect, str) and not _ours(redirect, _mapping(root, "server")):
        expected = "an address of this server (server.port, or one of server.allowed_hosts)"
        add(("redirect_uri",), f"expected {expected}, found {shown(redirect)}")
    environments = {
        one.get("name") for one in _list(root, "environments") if isinstance(one, Mapping)
    }
    for i, group in enumerate(_list(oidc, "groups")):
        for j, grant in enumerate(_list(group, "roles")):
            spot = ("groups", i, "roles", j)
            role = grant.get("role") if isinstance(grant, Mapping) else None
            if role in {one.value for one in _NOT_BY_GROUP}:
                expected = "a role that a group may give; this one is given under people"
                add((*spot, "role"), f"expected {expected}, found {shown(role)}")
            for k, name in enumerate(_list(grant, "in")):
                if isinstance(name, str) and name not in environments:
                    add((*spot, "in", k), f"expected an environment, found {shown(name)}")
    return problems


def grants_of(roles: list[RoleGrant]) -> tuple[Grant, ...]:
    return tuple(
        Grant(role=one.role, environments=None if one.in_ is None else frozenset(one.in_))
        for one in roles
    )


def oidc_of(section: SignInSection) -> OidcConfig | None:
    one = section.oidc
    if one is None:
        return None
    return OidcConfig(
        name=one.name,
        metadata_url=one.metadata_url,
        client_id=one.client_id,
        client_secret=one.client_secret,
        redirect_uri=one.redirect_uri,
        user_claim=one.user_claim,
        groups_claim=one.groups_claim,
        groups={group.group: grants_of(group.roles) for group in one.groups},
        allowed_domains=tuple(domain.lower() for domain in one.allowed_domains),
        prompt=one.prompt,
        scope=one.scope,
    )


def _safe(url: str) -> bool:
    """Whether nobody on the way reads what is sent there."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def _ours(redirect: str, server: Mapping[str, Any]) -> bool:
    """Whether the server answers for the host that the provider sends people back to."""
    try:
        parts = urlsplit(redirect)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    allowed = [one.lower() for one in _list(server, "allowed_hosts") if isinstance(one, str)]
    return host in allowed or is_loopback(host)


def _mapping(item: object, key: str) -> Mapping[str, Any]:
    value = item.get(key) if isinstance(item, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _list(item: object, key: str) -> list[Any]:
    value = item.get(key) if isinstance(item, Mapping) else None
    return value if isinstance(value, list) else []
