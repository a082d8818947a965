"""Advisories in the OSV schema: which versions of which package have which flaw.

`versions` and `ranges` are a union, as the schema says. A withdrawn advisory is read and then
never matches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.errors import Malformed
from engine.inputs.feeds_osv import micros
from engine.inputs.packages import Identity, Incomparable, identity, release_of, version_of
from engine.inputs.reading import (
    kind,
    list_of,
    object_of,
    objects_of,
    optional_text,
    read_json,
    text_of,
    texts_of,
)

_EVENTS: Final = ("introduced", "fixed", "last_affected", "limit")

# Distributions give each flaw an id of their own: `DEBIAN-CVE-2024-1` is CVE-2024-1 in Debian.
_DISTRIBUTION_ID: Final = re.compile(r"(?:DEBIAN|UBUNTU|ALPINE)-(CVE-\d{4}-\d+)")

# On equal versions the end of one affected stretch comes before the beginning of the next: real
# advisories say "fixed 3.1.1" and "introduced 3.1.1" of two stretches that do not touch.
_ORDER: Final = {"fixed": 0, "introduced": 1, "last_affected": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """Attributes:
    ranges: of each range its events as (kind, version), in the order in which they were written.
    versions: affected ones by name.
    release: of a distribution, when it speaks of one only.
    """

    package: Identity
    ranges: tuple[tuple[tuple[str, str], ...], ...]
    versions: frozenset[str]
    release: str = ""

    @property
    def fixed(self) -> tuple[str, ...]:
        """The versions that it names as fixed, as written."""
        return tuple(at for events in self.ranges for what, at in events if what == "fixed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """Attributes:
    vectors: CVSS vectors as written.
    words: what the source itself calls it, upper case: of the whole, of packages, of releases.
    upstream: flaws that it is about without being another name of one of them.
    modified_us: when it was last modified (UTC microseconds); 0 when it does not say.
    """

    id: str
    aliases: tuple[str, ...]
    withdrawn: bool
    affected: tuple[Affected, ...]
    vectors: tuple[str, ...]
    words: tuple[str, ...]
    upstream: tuple[str, ...] = ()
    modified_us: int = 0


def read_advisory(content: bytes, *, where: str) -> Advisory:
    """Read one OSV document.

    Raises:
        Malformed: naming file, field, expected and found.
    """
    document = read_json(content, where=where)
    scores = objects_of(document, "severity", where)
    words = [object_of(document, "database_specific", where).get("severity")]
    affected = []
    for place, item in objects_of(document, "affected", where):
        scores += objects_of(item, "severity", place)
        for field in ("database_specific", "ecosystem_specific"):
            words.append(object_of(item, field, place).get("severity"))
        if "package" in item:
            affected.append(_affected(item, place))
    found = [text_of(score, "score", place) for place, score in scores]
    name = text_of(document, "id", where)
    own = _DISTRIBUTION_ID.fullmatch(name)
    aliases = {*texts_of(document, "aliases", where), own[1] if own else ""} - {""}
    modified = optional_text(document, "modified", where)
    return Advisory(
        id=name,
        aliases=tuple(sorted(aliases)),
        withdrawn=bool(optional_text(document, "withdrawn", where)),
        affected=tuple(affected),
        vectors=tuple(dict.fromkeys(text for text in found if "/" in text)),
        # A score may be a word (type `Ubuntu`), and the free fields hold anything.
        words=tuple(
            dict.fromkeys(
                word.upper()
                for word in (*words, *found)
                if isinstance(word, str) and word.isalpha()
            )
        ),
        upstream=tuple(sorted({*texts_of(document, "upstream", where)} - {""})),
        modified_us=micros(modified, f"{where}.modified") if modified else 0,
    )


def _affected(item: Mapping[str, Any], where: str) -> Affected:
    package = object_of(item, "package", where)
    ranges = []
    for place, part in objects_of(item, "ranges", where):
        if optional_text(part, "type", place) == "GIT":
            continue  # commits: they say nothing about the versions that packages have
        ranges.append(_events(part, place))
    ecosystem = text_of(package, "ecosystem", f"{where}.package")
    return Affected(
        package=identity(ecosystem, text_of(package, "name", f"{where}.package")),
        release=release_of(ecosystem),
        ranges=tuple(ranges),
        versions=frozenset(texts_of(item, "versions", where)),
    )


def _events(part: Mapping[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    events = []
    for n, event in enumerate(list_of(part, "events", where)):
        place = f"{where}.events[{n}]"
        # One event each says the schema; older exports put a beginning and its end into one.
        pairs = list(event.items()) if isinstance(event, dict) else []
        if not pairs or any(name not in _EVENTS for name, _ in pairs):
            raise Malformed(f"expected one of {', '.join(_EVENTS)}, found {event!r}", where=place)
        for name, version in pairs:
            if not isinstance(version, str) or not version:
                raise Malformed(f"expected a version, found {kind(version)}", where=place)
            events.append((name, version))
    return tuple(events)


def is_affected(affected: Affected, version: str) -> bool:
    """Whether `version` has the flaw.

    Raises:
        Incomparable: the list does not name it, and it cannot be placed in a range; or there is
            neither a list nor a range of versions.
    """
    if version in affected.versions:
        return True
    if not affected.ranges and not affected.versions:
        raise Incomparable("no versions, only commits or nothing at all")
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
    limits = [at for what, at in events if what == "limit"]
    if limits and not any(at == "*" or asked < version_of(ecosystem, at) for at in limits):
        return False
    starts = [at for what, at in events if what == "introduced"]
    placed = sorted(
        (
            (version_of(ecosystem, text), what)
            for what, text in events
            if what != "limit" and (what, text) != ("introduced", "0")
        ),
        key=lambda pair: (pair[0], _ORDER[pair[1]]),
    )
    # "introduced 0" stands before every version, whatever its rules say about "0"; and a range
    # without a beginning has none.
    inside = not starts or "0" in starts
    for at, what in placed:
        if at > asked:
            break
        if what == "introduced":
            inside = True
        elif what == "last_affected":
            inside = inside and not asked > at
        else:
            inside = False
    return inside


def _same(listed: str, asked: Any, ecosystem: str) -> bool:
    try:
        return bool(version_of(ecosystem, listed) == asked)
    except Incomparable:
        return False
