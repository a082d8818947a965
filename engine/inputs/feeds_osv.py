"""OSV's published layout: bulk archives, one file per advisory, and the list of modifications.

`modified_id.csv` has a line per advisory, the newest first; a sync needs only those that are newer
than what is here. Every line is looked at nevertheless, which costs nothing once the list is here:
so an advisory that came late with an old date, or is gone, is noticed too, and an incremental sync
ends with the files that a full one ends with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from engine.core.errors import Malformed
from engine.inputs.reading import read_json

# An id is also the name of its file: nothing in it may lead elsewhere.
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,199}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list. `ecosystem` is empty in the list of one ecosystem."""

    ecosystem: str
    id: str
    modified_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an incremental sync has to do: ids to fetch, newest first, and ids to drop."""

    fetch: tuple[Listed, ...]
    drop: tuple[str, ...]


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None and ".." not in text


def read_modified(content: bytes, *, where: str) -> list[Listed]:
    """The lines of a `modified_id.csv`, of one ecosystem or of all, in its order.

    Raises:
        Malformed: naming the line. A list without its last line break is taken for a part of one:
            ids that are missing at its end would otherwise be dropped.
    """
    if not content.strip():
        raise Malformed("expected at least one line, found none", where=where)
    if not content.endswith(b"\n"):
        raise Malformed("expected a line break at the end, found a cut line", where=where)
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise Malformed(f"expected UTF-8 text, found byte {error.start}", where=where) from error
    return [_listed(line, f"{where}: line {number}") for number, line in enumerate(lines, 1)]


def _listed(line: str, where: str) -> Listed:
    stamp, comma, name = line.partition(",")
    ecosystem, _, advisory = name.rpartition("/")
    if not comma or not is_id(advisory) or ".." in ecosystem or not ecosystem.isprintable():
        raise Malformed(f"expected `time,id`, found {line[:80]!r}", where=where)
    return Listed(ecosystem=ecosystem, id=advisory, modified_us=micros(stamp, where))


def micros(text: str, where: str) -> int:
    """UTC microseconds of an RFC 3339 time. Raises `Malformed`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(
            f"expected a time like 2026-01-31T12:00:00Z, found {text[:60]!r}", where=where
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


_MICROSECOND: Final = datetime.resolution


def modified_us(content: bytes, *, where: str) -> int:
    """When an advisory was last modified (UTC microseconds). Raises `Malformed`."""
    stamp = read_json(content, where=where).get("modified")
    if not isinstance(stamp, str):
        raise Malformed("expected a time, found none", where=f"{where}.modified")
    return micros(stamp, f"{where}.modified")


def plan(listed: Iterable[Listed], held: Mapping[str, int | None]) -> Plan:
    """What has to be fetched and dropped, so that what is here becomes what is listed.

    Args:
        listed: the newest line of an id counts.
        held: when each advisory that is here was modified (UTC microseconds), by id; None for one
            that cannot be read, which is always fetched again.
    """
    newest: dict[str, Listed] = {}
    for one in listed:
        known = newest.get(one.id)
        if known is None or one.modified_us > known.modified_us:
            newest[one.id] = one
    due = [one for one in newest.values() if _is_due(one, held)]
    due.sort(key=lambda one: (-one.modified_us, one.id))
    return Plan(fetch=tuple(due), drop=tuple(sorted(held.keys() - newest.keys())))


def _is_due(one: Listed, held: Mapping[str, int | None]) -> bool:
    known = held.get(one.id)
    return known is None or one.modified_us > known


def by_id(members: Mapping[str, bytes], *, where: str) -> tuple[dict[str, bytes], list[str]]:
    """Advisories by id from files by name, and what is wrong with the others.

    A file that cannot be read stays, under the id that its name claims: the gate has to see that
    something is missing there. Of an id that comes twice the newer one counts.
    """
    found: dict[str, bytes] = {}
    problems: list[str] = []
    for name, content in sorted(members.items()):
        place = f"{where}/{name}"
        claimed = name.rpartition("/")[2].removesuffix(".json")
        try:
            said = read_json(content, where=place).get("id")
        except Malformed:
            said = claimed  # what is wrong inside is said by the census
        if not isinstance(said, str) or not is_id(said):
            said = claimed
        if not is_id(said):
            problems.append(f"{place}: expected an id as name, found {claimed[:60]!r}")
            continue
        if said != claimed:
            problems.append(f"{place}: expected the id {claimed}, found {said}")
        if said in found and found[said] != content:
            problems.append(f"{place}: expected {said} once; the newer one is taken")
            if _when(content) <= _when(found[said]):
                continue
        found[said] = content
    return found, problems


def _when(content: bytes) -> int:
    try:
        return modified_us(content, where="")
    except Malformed:
        return -1
