"""Where advisory feeds come from: the section `feeds` of the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from engine.core.errors import Malformed
from engine.core.feeds import is_url
from engine.core.feeds_timing import FeedTiming
from engine.core.local_time import DAY_S, minute_of
from engine.evidence.foreign_key import parse_key
from engine.settings_parts import Duration, Text, duration_ms
from engine.settings_yaml import KeyPath, Located, Problem, problem_at

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_KEY_MAX: Final = 64 * 1024
_EVERY_MS: Final = (60_000, 720 * 3_600_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOrigin:
    """Where one feed is taken from.

    Attributes:
        address: http(s), or the path of a folder on this machine.
        ecosystems: of OSV and GHSA; empty = all that the source has.
        manifest: path below the address of a list of SHA-256 digests; empty = it has none.
        key: PEM of the public key that the list is signed with; empty = it is not signed.
        token: where the token is read, `env:NAME` or `file:PATH`; empty = none is sent.
        pause_ms: between two requests, where a server limits their rate.
        timing: when it is synced by itself; None = when somebody asks for it.
    """

    name: str
    address: str
    ecosystems: tuple[str, ...] = ()
    manifest: str = ""
    key: str = ""
    token: str = ""
    pause_ms: int = 0
    timing: FeedTiming | None = None


class FeedSourceSection(BaseModel):
    """Where one feed is synced from."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Literal["EPSS", "GHSA", "KEV", "NVD", "OSV"]
    from_: Annotated[
        Text, Field(alias="from", description="https address, or a folder on this machine")
    ]
    ecosystems: Annotated[
        list[Text] | None,
        Field(min_length=1, description="of OSV and GHSA; left out: all that the source has"),
    ] = None
    manifest: Annotated[
        Text | None, Field(description="list of SHA-256 digests below the address")
    ] = None
    key: Annotated[
        Text | None, Field(description="PEM file of the key that the list is signed with")
    ] = None
    token: Annotated[
        str | None, Field(pattern=r"^(env|file):.+$", description="env:NAME or file:PATH")
    ] = None
    pause_ms: Annotated[
        int, Field(ge=0, le=60_000, description="between two requests, in milliseconds")
    ] = 0
    every: Annotated[Duration | None, Field(description="between two syncs, 1m to 720h")] = None
    at: Annotated[
        str | None,
        Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description='daily, UTC: "02:30"'),
    ] = None

    @model_validator(mode="after")
    def _fits(self) -> FeedSourceSection:
        if self.key is not None and self.manifest is None:
            raise PydanticCustomError("feed", "manifest beside key: the list that it signs")
        if self.ecosystems is not None and self.name not in {"OSV", "GHSA"}:
            raise PydanticCustomError("feed", "ecosystems with OSV and GHSA only")
        if self.every is not None and self.at is not None:
            raise PydanticCustomError("feed", "every or at, not both")
        if self.every is not None and not _EVERY_MS[0] <= duration_ms(self.every) <= _EVERY_MS[1]:
            raise PydanticCustomError("feed", "every from 1m to 720h")
        return self

    def timing(self) -> FeedTiming | None:
        if self.every is not None:
            return FeedTiming(every_s=duration_ms(self.every) // 1_000)
        if self.at is None:
            return None
        return FeedTiming(every_s=DAY_S, at_s=minute_of(self.at, where="at") * 60)


class FeedsSection(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    folder: Text
    sources: list[FeedSourceSection] = []
    import_keys: Annotated[
        list[Text],
        Field(description="PEM files: keys of homes whose exported feeds may be imported"),
    ] = []


def address_problem(address: str, *, signed: bool) -> str | None:
    """What is wrong with the address of a feed, as `expected ..., found ...`; None when nothing is.

    Args:
        signed: its files are checked by a signature, so that it does not matter who carries them.
    """
    if not is_url(address):
        return None
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        return f"expected https://HOST[:PORT]/PATH, found {address!r} ({error})"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return f"expected a folder, or https://HOST[:PORT]/PATH, found {address!r}"
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        shown = f"{parts.scheme}://{parts.hostname}{'' if port is None else f':{port}'}"
        return (
            "expected an address without user, password, query and fragment (a secret goes into "
            f"token), found more behind {shown}"
        )
    if parts.scheme == "http" and not signed and parts.hostname not in _LOOPBACK:
        return (
            f"expected https://, or a key that its files are signed with, found {address!r}: "
            "anybody on the way could change what is said"
        )
    return None


def check_feeds(document: Located, home: Path) -> list[Problem]:
    """Every source that is named twice, has no address to be asked at, or names no good key."""
    problems: list[Problem] = []
    seen: set[object] = set()
    for path, item in _entries(document):
        name, address, key = item.get("name"), item.get("from"), item.get("key")
        if isinstance(name, str) and name in seen:
            message = f"expected each feed once, found {name} again"
            problems.append(problem_at(document, (*path, "name"), message))
        seen.add(name)
        if isinstance(address, str):
            wrong = address_problem(address, signed=key is not None)
            if wrong is not None:
                problems.append(problem_at(document, (*path, "from"), wrong))
        if isinstance(key, str):
            problems += _key_problems(document, (*path, "key"), home / key)
    for i, name in enumerate(_import_keys(document)):
        if isinstance(name, str):
            problems += _key_problems(document, ("feeds", "import_keys", i), home / name)
    return problems


def _key_problems(document: Located, path: KeyPath, file: Path) -> list[Problem]:
    try:
        parse_key(_read(file), where="")
    except OSError as error:
        message = f"expected a file that can be read, found {file}: {error.strerror}"
    except Malformed as error:
        message = f"{str(error).removeprefix(': ')} in {file}"
    else:
        return []
    return [problem_at(document, path, message)]


def import_keys_of(home: Path, section: FeedsSection) -> tuple[str, ...]:
    """The keys as PEM. The files have been checked."""
    return tuple(_read(home / one).decode("ascii", "replace") for one in section.import_keys)


def origins_of(home: Path, section: FeedsSection) -> tuple[FeedOrigin, ...]:
    """The sources with their keys read. The files have been checked."""
    return tuple(
        FeedOrigin(
            name=one.name,
            address=one.from_.rstrip("/") if is_url(one.from_) else str(home / one.from_),
            ecosystems=tuple(one.ecosystems or ()),
            manifest=one.manifest or "",
            key=_read(home / one.key).decode("ascii", "replace") if one.key else "",
            token=one.token or "",
            pause_ms=one.pause_ms,
            timing=one.timing(),
        )
        for one in section.sources
    )


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_KEY_MAX)


def _import_keys(document: Located) -> list[Any]:
    section = document.value.get("feeds") if isinstance(document.value, Mapping) else None
    keys = section.get("import_keys") if isinstance(section, Mapping) else None
    return keys if isinstance(keys, list) else []


def _entries(document: Located) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    section = document.value.get("feeds") if isinstance(document.value, Mapping) else None
    sources = section.get("sources") if isinstance(section, Mapping) else None
    for i, item in enumerate(sources if isinstance(sources, list) else []):
        if isinstance(item, Mapping):
            yield ("feeds", "sources", i), item
