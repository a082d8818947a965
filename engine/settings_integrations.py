"""What this home talks to: the section `integrations` of the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from engine.core.health_criteria import shown
from engine.home import is_loopback
from engine.settings_parts import Name, Text
from engine.settings_yaml import KeyPath, Located, Problem, problem_at

Kind: TypeAlias = Literal["vault", "consul", "registry", "jenkins", "http", "webhook", "on_call"]
Method: TypeAlias = Literal["token", "approle", "kubernetes"]

# Kinds of which inputs name the scheme alone, so that there can be one only.
SOURCES: Final = ("vault", "consul")
_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "vault": frozenset({"auth", "namespace"}),
    "consul": frozenset({"token", "datacenter"}),
    "registry": frozenset({"token"}),
    "jenkins": frozenset({"user", "token"}),
    "http": frozenset({"token", "expect"}),
    "webhook": frozenset(),
    "on_call": frozenset({"token", "schedule"}),
}
_METHODS: Final[Mapping[str, frozenset[str]]] = {
    "token": frozenset({"token"}),
    "approle": frozenset({"role_id", "secret_id"}),
    "kubernetes": frozenset({"role", "jwt"}),
}
Reference = Annotated[str, Field(pattern=r"^(env|file):.+$", description="env:NAME or file:PATH")]


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultAuth:
    """How we sign in to a Vault. Secrets are named by reference, `env:NAME` or `file:PATH`.

    Attributes:
        mount: of the auth method.
    """

    method: Method
    mount: str = ""
    token: str = ""
    role_id: str = ""
    secret_id: str = ""
    role: str = ""
    jwt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationConfig:
    """Attributes:
    token: where the token is read, `env:NAME` or `file:PATH`; empty = none is sent.
    ca: path of a PEM file with the authorities to trust; empty = those of this machine.
    schedule: of on_call: whose shifts count; empty = every one that the server tells of.
    timeout_ms: how long one question may take in all.
    """

    name: str
    kind: Kind
    url: str
    timeout_ms: int
    ca: str = ""
    token: str = ""
    auth: VaultAuth | None = None
    namespace: str = ""
    datacenter: str = ""
    user: str = ""
    expect: int = 200
    schedule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationsConfig:
    """`every_s`: between two looks at each integration."""

    every_s: int = 30
    entries: tuple[IntegrationConfig, ...] = ()

    def of_kind(self, kind: Kind) -> IntegrationConfig | None:
        """The first of this kind; None when there is none."""
        return next((one for one in self.entries if one.kind == kind), None)


class VaultAuthSection(BaseModel):
    """By a token, by AppRole, or by the service account's token of Kubernetes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    method: Method
    mount: Annotated[
        Text | None, Field(description="of the auth method; left out: its own name")
    ] = None
    token: Reference | None = None
    role_id: Reference | None = None
    secret_id: Reference | None = None
    role: Text | None = None
    jwt: Reference | None = None

    @model_validator(mode="after")
    def _fits(self) -> VaultAuthSection:
        wanted = _METHODS[self.method]
        given = {
            key
            for key in ("token", "role_id", "secret_id", "role", "jwt")
            if getattr(self, key) is not None
        }
        if given != wanted:
            keys = " and ".join(sorted(wanted))
            raise PydanticCustomError("auth", f"method {self.method} with {keys} alone")
        return self


class IntegrationSection(BaseModel):
    """One server that is asked. Vault and Consul can be named by inputs; all are looked at."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    kind: Kind
    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    ca: Annotated[
        Text | None, Field(description="PEM file of the authorities to trust instead")
    ] = None
    timeout: Annotated[
        str, Field(pattern=r"^([1-9][0-9]{0,4}ms|[1-9][0-9]?s)$", description="like 500ms or 5s")
    ] = "5s"
    token: Reference | None = None
    auth: Annotated[VaultAuthSection | None, Field(description="of vault, required there")] = None
    namespace: Annotated[Text | None, Field(description="of vault")] = None
    datacenter: Annotated[Text | None, Field(description="of consul; left out: its own")] = None
    user: Annotated[Text | None, Field(description="of jenkins, beside token")] = None
    expect: Annotated[int | None, Field(ge=100, le=599, description="of http; else 200")] = None
    schedule: Annotated[Text | None, Field(description="of on_call; left out: all")] = None

    @model_validator(mode="after")
    def _fits(self) -> IntegrationSection:
        for key in ("token", "auth", "namespace", "datacenter", "user", "expect", "schedule"):
            if getattr(self, key) is not None and key not in _KEYS[self.kind]:
                raise PydanticCustomError("integration", f"no {key} with kind {self.kind}")
        if self.kind == "vault" and self.auth is None:
            raise PydanticCustomError("integration", "auth with kind vault")
        if (self.user is None) != (self.token is None) and self.kind == "jenkins":
            raise PydanticCustomError("integration", "user and token together, or neither")
        return self


class IntegrationsSection(BaseModel):
    """`every`: how often each is looked at, in whole seconds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    every: Annotated[str, Field(pattern=r"^([5-9]|[1-9][0-9]{1,3})s$", description="like 30s")] = (
        "30s"
    )
    servers: list[IntegrationSection] = []


def integrations_of(home: Path, section: IntegrationsSection) -> IntegrationsConfig:
    """The section as a frozen value; its references have been checked."""
    return IntegrationsConfig(
        every_s=int(section.every.removesuffix("s")),
        entries=tuple(
            IntegrationConfig(
                name=one.name,
                kind=one.kind,
                url=one.url.rstrip("/"),
                timeout_ms=_ms(one.timeout),
                ca=str(home / one.ca) if one.ca else "",
                token=one.token or "",
                auth=None if one.auth is None else _auth(one.auth),
                namespace=one.namespace or "",
                datacenter=one.datacenter or "",
                user=one.user or "",
                expect=one.expect or 200,
                schedule=one.schedule or "",
            )
            for one in section.servers
        ),
    )


def _auth(one: VaultAuthSection) -> VaultAuth:
    return VaultAuth(
        method=one.method,
        mount=(one.mount or one.method).strip("/"),
        token=one.token or "",
        role_id=one.role_id or "",
        secret_id=one.secret_id or "",
        role=one.role or "",
        jwt=one.jwt or "",
    )


def _ms(text: str) -> int:
    return int(text[:-2]) if text.endswith("ms") else int(text[:-1]) * 1_000


def check_integrations(document: Located, home: Path) -> list[Problem]:
    """What more than one key says wrong: doubled names, addresses, files, sources of inputs."""
    problems: list[Problem] = []

    def add(path: KeyPath, expected: str, found: str) -> None:
        message = f"expected {expected}, found {found}"
        problems.append(problem_at(document, path, message))

    names, kinds = set[object](), set[object]()
    for path, item in _entries(document):
        name, kind, url = item.get("name"), item.get("kind"), item.get("url")
        if isinstance(name, str) and name in names:
            add((*path, "name"), "a name of its own", f"{shown(name)} again")
        if kind in SOURCES and kind in kinds:
            add((*path, "kind"), f"one {kind}, since inputs only say {kind}:", "a second one")
        names.add(name)
        kinds.add(kind)
        if isinstance(url, str):
            wrong = _address(url, secret=bool({"token", "auth"} & item.keys()))
            if wrong:
                add((*path, "url"), *wrong)
        ca = item.get("ca")
        if isinstance(ca, str) and not _is_file(home, ca):
            add((*path, "ca"), "a file", f"none at {home / ca}")
    for path, origin in _inputs(document):
        scheme = origin.partition(":")[0]
        if scheme in SOURCES and scheme not in kinds:
            expected = f"a server of kind {scheme} under integrations, since this names it"
            add(path, expected, "none")
        place = origin.partition(":")[2].partition("#")[0]
        if scheme == "vault" and ("/" not in place.strip("/") or place != place.strip("/")):
            add(path, "vault:MOUNT/PATH or vault:MOUNT/PATH#FIELD", shown(origin))
    return problems


def _address(url: str, *, secret: bool) -> tuple[str, str] | None:
    """Expected and found; what is found is not repeated where it may hold a password."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        return "an address", f"one that can't be read ({error})"
    if not host:
        return "an address with a host", "one without"
    if "@" in parts.netloc:
        return "an address without a name or password (`token` and `auth` name secrets)", "both"
    if "?" in url or "#" in url:
        return "an address that ends before ? and #", "one that goes on"
    if secret and parts.scheme == "http" and not is_loopback(host):
        return "https:// or a loopback address, since a secret is sent there", shown(url)
    return None


def _is_file(home: Path, name: str) -> bool:
    try:
        return (home / name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _entries(document: Located) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    section = document.value.get("integrations") if isinstance(document.value, Mapping) else None
    servers = section.get("servers") if isinstance(section, Mapping) else None
    for i, item in enumerate(servers if isinstance(servers, list) else []):
        if isinstance(item, Mapping):
            yield ("integrations", "servers", i), item


def _inputs(document: Located) -> Iterator[tuple[KeyPath, str]]:
    value = document.value
    environments = value.get("environments") if isinstance(value, Mapping) else None
    for i, environment in enumerate(environments if isinstance(environments, list) else []):
        inputs = environment.get("inputs") if isinstance(environment, Mapping) else None
        for j, one in enumerate(inputs if isinstance(inputs, list) else []):
            origin = one.get("from") if isinstance(one, Mapping) else None
            if isinstance(origin, str):
                yield ("environments", i, "inputs", j, "from"), origin
