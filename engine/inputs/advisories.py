"""Advisories in the OSV schema: which versions of which package have which flaw.

`versions` and `ranges` are a union, as the schema says. A withdrawn advisory is read and then
never matches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.errors import Malformed
from engine.inputs.packages import Identity, Incomparable, identity, version_of
from engine.inputs.reading import (
    list_of,
    object_of,
    objects_of,
    optional_text,
    read_json,
    text_of,
    texts_of,
)

_EVENTS: Final = ("introduced", "fixed", "last_affected", "limit")

# On equal versions the end of one affected stretch comes before the beginning of the next: real
# advisories say "fixed 3.1.1" and "introduced 3.1.1" of two stretches that do not touch.
_ORDER: Final = {"fixed": 0, "limit": 0, "introduced": 1, "last_affected": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """Attributes:
    ranges: of each range its events as (kind, version), in the order in which they were written.
    versions: affected ones by name.
    """

    package: Identity
    ranges: tuple[tuple[tuple[str, str], ...], ...]
    versions: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """Attributes:
    vectors: CVSS vectors as written.
    severity: the source's own word for it, upper case; empty when it has none.
    """

    id: str
    aliases: tuple[str, ...]
    withdrawn: bool
    affected: tuple[Affected, ...]
    vectors: tuple[str, ...]
    severity: str


def read_advisory(content: bytes, *, where: str) -> Advisory:
    """Read one OSV document.

    Raises:
        Malformed: naming file, field, expected and found.
    """
    document = read_json(content, where=where)
    vectors = [
        text_of(item, "score", place) for place, item in objects_of(document, "severity", where)
    ]
    affected = []
    for place, item in objects_of(document, "affected", where):
        vectors += [
            text_of(part, "score", spot) for spot, part in objects_of(item, "severity", place)
        ]
        if "package" in item:
            affected.append(_affected(item, place))
    specific = object_of(document, "database_specific", where)
    severity = specific.get("severity")
    return Advisory(
        id=text_of(document, "id", where),
        aliases=tuple(sorted({name for name in texts_of(document, "aliases", where) if name})),
        withdrawn=bool(optional_text(document, "withdrawn", where)),
        affected=tuple(affected),
        vectors=tuple(dict.fromkeys(vectors)),
        severity=severity.upper() if isinstance(severity, str) else "",
    )


def _affected(item: Mapping[str, Any], where: str) -> Affected:
    package = object_of(item, "package", where)
    ranges = []
    for place, part in objects_of(item, "ranges", where):
        if optional_text(part, "type", place) == "GIT":
            continue  # commits: they say nothing about the versions that packages have
        ranges.append(_events(part, place))
    return Affected(
        package=identity(
            text_of(package, "ecosystem", f"{where}.package"),
            text_of(package, "name", f"{where}.package"),
        ),
        ranges=tuple(ranges),
        versions=frozenset(texts_of(item, "versions", where)),
    )


def _events(part: Mapping[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    events = []
    for n, event in enumerate(list_of(part, "events", where)):
        place = f"{where}.events[{n}]"
        pair = next(iter(event.items()), None) if isinstance(event, dict) else None
        if pair is None or len(event) != 1 or pair[0] not in _EVENTS:
            raise Malformed(f"expected one of {', '.join(_EVENTS)}, found {event!r}", where=place)
        if not isinstance(pair[1], str) or not pair[1]:
            raise Malformed(f"expected a version, found {pair[1]!r}", where=place)
        events.append((pair[0], pair[1]))
    return tuple(events)


def is_affected(affected: Affected, version: str) -> bool:
    """Whether `version` has the flaw.

    Raises:
        Incomparable: the list does not name it, and it cannot be placed in a range.
    """
    if version in affected.versions:
        return True
    if not affected.ranges:
        return False
    ecosystem = affected.package.ecosystem
    asked = version_of(ecosystem, version)
    unreadable: Incomparable | None = None
    for events in affected.ranges:
        try:
            if _in_range(events, asked, ecosystem):
                return True
        except Incomparable as error:
            unreadable = error
    # PyPI compares 1.0 and 1.0.0 as one version, and so must the list.
    if any(_same(listed, asked, ecosystem) for listed in affected.versions):
        return True
    if unreadable is not None:
        raise unreadable
    return False


def _in_range(events: tuple[tuple[str, str], ...], asked: Any, ecosystem: str) -> bool:
    # "introduced 0" stands before every version, whatever its rules say about "0".
    start = any(event == ("introduced", "0") for event in events)
    placed = sorted(
        (
            (version_of(ecosystem, text), kind)
            for kind, text in events
            if (kind, text) != ("introduced", "0")
        ),
        key=lambda pair: (pair[0], _ORDER[pair[1]]),
    )
    inside = start
    for at, kind in placed:
        if at > asked:
            break
        if kind == "introduced":
            inside = True
        elif kind == "last_affected":
            inside = inside and not asked > at
        else:
            inside = False
    return inside


def _same(listed: str, asked: Any, ecosystem: str) -> bool:
    try:
        return bool(version_of(ecosystem, listed) == asked)
    except Incomparable:
        return False
