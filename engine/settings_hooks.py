"""Who is told what, who may call in, and where we may go: the sections `webhooks`, `hooks` and
`outbound` of the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from engine.core.errors import Malformed
from engine.core.health_criteria import shown
from engine.core.hook_names import EVERYTHING, NAMES, WAITS, unknown
from engine.core.outbound import Allowed, read_address
from engine.settings_parts import Name, Text
from engine.settings_yaml import KeyPath, Located, Problem, problem_at

_REFERENCES: Final = ("env:", "file:")
# Presets whose calls name bytes that can be fetched and checked by their digest.
_BUNDLING: Final = frozenset({"registry", "standard"})

Reference = Annotated[
    str, Field(pattern=r"^(env|file):.+$", description="env:NAME or file:PATH", max_length=500)
]
Host = Annotated[
    str,
    Field(
        pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$",
        description="a host name or IP address, with :PORT where only that port is meant",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundConfig:
    """Attributes:
    public_url: where people reach the console; empty = as the server is bound.
    allowed_hosts: may be asked over http and lie in our own network; lower case.
    """

    public_url: str = ""
    allowed_hosts: tuple[str, ...] = ()

    @property
    def allowed(self) -> Allowed:
        return Allowed(hosts=frozenset(self.allowed_hosts))


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfig:
    """As `engine.core.hook_events.WebhookSet`; `events` empty = what its format tells by itself."""

    name: str
    url: str
    secret: str
    former_secret: str
    events: tuple[str, ...]
    environments: tuple[str, ...]
    format: Literal["cdevents", "slack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundConfig:
    """Who may call in, and what a call brings about.

    Attributes:
        secret, former_secret: `env:NAME` or `file:PATH`; either proves a call.
        user: whose rights a call has; it acts as a service and never approves.
        sources: beginnings of addresses that a bundle may be fetched from; empty = none is made.
        token: for these sources; empty = none is sent.
        environment: where the bundle is to be promoted to; empty = nowhere.
    """

    name: str
    preset: Literal["github", "gitlab", "registry", "standard"]
    secret: str
    former_secret: str
    user: str
    sources: tuple[str, ...] = ()
    token: str = ""
    environment: str = ""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class OutboundSection(_Part):
    """Addresses that users name are asked over https and never inside our own network, but here."""

    public_url: Annotated[
        str | None,
        Field(pattern=r"^https?://[^\s/?#]+$", description="where people reach the console"),
    ] = None
    allowed_hosts: Annotated[list[Host], Field(max_length=200)] = []


class WebhookSection(_Part):
    """Somebody who is told what happens here."""

    name: Name
    url: Annotated[
        str,
        Field(
            min_length=1, max_length=2_000, description="address, or env:NAME or file:PATH of it"
        ),
    ]
    secret: Annotated[
        Reference | None, Field(description="holds whsec_ and base64 of 24 to 64 bytes")
    ] = None
    former_secret: Annotated[
        Reference | None, Field(description="signs beside it while receivers change over")
    ] = None
    events: Annotated[
        list[Text] | None,
        Field(min_length=1, description="stable names, `family.*`, `*`, or `waiting`"),
    ] = None
    environments: Annotated[
        list[Name] | None, Field(min_length=1, description="left out: every one")
    ] = None
    format: Literal["cdevents", "slack"] = "cdevents"

    @model_validator(mode="after")
    def _signed(self) -> WebhookSection:
        if self.format == "cdevents" and self.secret is None:
            raise PydanticCustomError("webhook", "a secret, so that a receiver can check it is us")
        if self.former_secret is not None and self.secret is None:
            raise PydanticCustomError("webhook", "secret beside former_secret")
        return self


class BundleSource(_Part):
    """Where a call may have a bundle fetched from; everything is checked by its digest."""

    from_: Annotated[
        list[Text],
        Field(alias="from", min_length=1, max_length=50, description="beginnings of addresses"),
    ]
    token: Annotated[Reference | None, Field(description="sent there as a bearer token")] = None


class HookSection(_Part):
    """Somebody who may call in, at /api/v1/hooks/NAME."""

    name: Name
    preset: Literal["github", "gitlab", "registry", "standard"]
    secret: Reference
    former_secret: Reference | None = None
    as_: Annotated[Name, Field(alias="as", description="the person whose rights a call has")]
    creates_bundle: BundleSource | None = None
    promotes_to: Name | None = None

    @model_validator(mode="after")
    def _does_something(self) -> HookSection:
        if self.creates_bundle is None and self.promotes_to is None:
            raise PydanticCustomError("hook", "creates_bundle, promotes_to, or both")
        if self.creates_bundle is not None and self.preset not in _BUNDLING:
            raise PydanticCustomError(
                "hook",
                "creates_bundle with the presets registry and standard only: calls of the others "
                "name no digests of what could be fetched",
            )
        return self


def check_hooks(document: Located, home: Path) -> list[Problem]:
    """Addresses that may not be asked, events that nobody knows, names that stand for nothing."""
    value = document.value
    if not isinstance(value, Mapping):
        return []
    check = _Check(document, _allowed(value.get("outbound")))
    for path, item in _entries(value, "webhooks"):
        check.address((*path, "url"), item.get("url"))
        check.events((*path, "events"), item.get("events"))
        for i, environment in enumerate(_list(item, "environments")):
            check.known((*path, "environments", i), environment, "environments", "name")
    for path, item in _entries(value, "hooks"):
        check.known((*path, "as"), item.get("as"), "people", "user")
        check.known((*path, "promotes_to"), item.get("promotes_to"), "environments", "name")
        source = item.get("creates_bundle")
        for i, address in enumerate(_list(source, "from")):
            check.address((*path, "creates_bundle", "from", i), address)
    for section in ("webhooks", "hooks"):
        check.unique(section)
    return check.problems


class _Check:
    def __init__(self, document: Located, allowed: Allowed) -> None:
        self._document, self._allowed = document, allowed
        self.problems: list[Problem] = []

    def address(self, path: KeyPath, url: object) -> None:
        if not isinstance(url, str) or url.startswith(_REFERENCES):
            return
        try:
            read_address(url, self._allowed, where="")
        except Malformed as wrong:
            self._say(path, str(wrong).removeprefix(": "))

    def events(self, path: KeyPath, events: object) -> None:
        listed = events if isinstance(events, list) else []
        for i, one in enumerate(listed):
            if isinstance(one, str) and unknown((one,)):
                known = ", ".join((EVERYTHING, WAITS, *sorted(NAMES)))
                self._say((*path, i), f"expected any of {known}, found {shown(one)}")

    def known(self, path: KeyPath, name: object, section: str, key: str) -> None:
        names = [item.get(key) for _, item in _entries(self._document.value, section)]
        if isinstance(name, str) and name not in names:
            choice = ", ".join(str(one) for one in names if isinstance(one, str)) or "none"
            self._say(path, f"expected one of {choice}, found {shown(name)}")

    def unique(self, section: str) -> None:
        seen: set[str] = set()
        for path, item in _entries(self._document.value, section):
            name = item.get("name")
            if isinstance(name, str) and name in seen:
                self._say((*path, "name"), f"expected a name of its own, found {shown(name)} again")
            elif isinstance(name, str):
                seen.add(name)

    def _say(self, path: KeyPath, message: str) -> None:
        self.problems.append(problem_at(self._document, path, message))


def outbound_of(section: OutboundSection) -> OutboundConfig:
    return OutboundConfig(
        public_url=section.public_url or "",
        allowed_hosts=tuple(sorted({_bare(host) for host in section.allowed_hosts})),
    )


def webhooks_of(sections: list[WebhookSection]) -> tuple[WebhookConfig, ...]:
    return tuple(
        WebhookConfig(
            name=one.name,
            url=one.url,
            secret=one.secret or "",
            former_secret=one.former_secret or "",
            events=tuple(one.events or ()),
            environments=tuple(sorted(set(one.environments or ()))),
            format=one.format,
        )
        for one in sections
    )


def inbound_of(sections: list[HookSection]) -> tuple[InboundConfig, ...]:
    return tuple(
        InboundConfig(
            name=one.name,
            preset=one.preset,
            secret=one.secret,
            former_secret=one.former_secret or "",
            user=one.as_,
            sources=() if one.creates_bundle is None else tuple(one.creates_bundle.from_),
            token="" if one.creates_bundle is None else one.creates_bundle.token or "",
            environment=one.promotes_to or "",
        )
        for one in sections
    )


def _allowed(section: object) -> Allowed:
    hosts = _list(section, "allowed_hosts")
    return Allowed(hosts=frozenset(_bare(host) for host in hosts if isinstance(host, str)))


def _bare(host: str) -> str:
    """As `Address` writes it: lower case, an IPv6 address without brackets."""
    return host.lower().replace("[", "").replace("]", "")


def _entries(value: object, section: str) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    for i, item in enumerate(_list(value, section)):
        if isinstance(item, Mapping):
            yield (section, i), item


def _list(item: object, key: str) -> list[Any]:
    value = item.get(key) if isinstance(item, Mapping) else None
    return value if isinstance(value, list) else []
