"""What has to hold before a scheduled run starts, and whether it does. Pure.

Each precondition is OFF, WARN or ENFORCE. What is not known is never met. An OFF one stays on
record as not checked, so that nobody takes silence for a yes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import JsonValue, canonical
from engine.core.spans import limit_text

LIMIT_S_MAX: Final = 366 * 86_400
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Mode(StrEnum):
    OFF = "OFF"
    WARN = "WARN"
    ENFORCE = "ENFORCE"


class State(StrEnum):
    MET = "MET"
    UNMET = "UNMET"
    UNKNOWN = "UNKNOWN"
    NOT_CHECKED = "NOT_CHECKED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Attributes:
    title: as people read it; `limited`: it takes a duration.
    """

    title: str
    limited: bool = False


FEEDS, SCANS, INTEGRATIONS, SOAKED, DEBT, ROLLBACK, ON_CALL = (
    "feeds_fresh",
    "scans_complete",
    "integrations_healthy",
    "previous_soaked",
    "no_override_debt",
    "rollback_ready",
    "on_call_present",
)
# In the order in which they are shown and recorded.
KINDS: Final[Mapping[str, Kind]] = {
    FEEDS: Kind(title="Feeds fresh", limited=True),
    SCANS: Kind(title="SBOM rescans complete"),
    INTEGRATIONS: Kind(title="Integrations healthy"),
    SOAKED: Kind(title="Previous environment soaked", limited=True),
    DEBT: Kind(title="No open override debt"),
    ROLLBACK: Kind(title="Rollback ready"),
    ON_CALL: Kind(title="On-call present"),
}
# Always asked, whatever a schedule says: who made it may still ask for it, the bundle is not held,
# no freeze closes the environment, and nobody else has it.
CREATOR, HELD, FROZEN, ENVIRONMENT = (
    "creator_allowed",
    "bundle_not_held",
    "no_freeze",
    "environment_free",
)
TITLES: Final = {name: kind.title for name, kind in KINDS.items()} | {
    CREATOR: "Creator may start it",
    HELD: "Bundle not held",
    FROZEN: "No freeze",
    ENVIRONMENT: "Environment free",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Precondition:
    """`limit_s`: 0 for one that takes no duration."""

    name: str
    mode: Mode
    limit_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One precondition at one moment.

    Attributes:
        value: what was found, in words; `threshold`: what was asked for.
        observed_us: when what it rests on was observed; 0 = it never was, or was not asked.
        source: digest of what was read, which the evidence has whole; empty where nothing was.
    """

    name: str
    mode: Mode
    state: State
    value: str
    threshold: str
    observed_us: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was read for one precondition.

    Attributes:
        state: MET, UNMET or UNKNOWN.
        source: what the answer rests on, as it goes into the evidence; None = nothing was read.
    """

    state: State
    value: str
    observed_us: int = 0
    source: JsonValue = None


def parse(text: str, *, where: str = "require") -> Precondition:
    """Read `feeds_fresh=1h`, `integrations_healthy=on:warn`, `rollback_ready=off`.

    Raises:
        Malformed: names the part, what is expected, and what was found.
    """
    name, equals, rest = text.partition("=")
    kind = KINDS.get(name)
    if kind is None or not equals:
        known = ", ".join(KINDS)
        raise Malformed(
            f"expected NAME=VALUE with one of {known}, found {text[:60]!r}", where=where
        )
    value, colon, strength = rest.partition(":")
    if strength not in ({"warn", "enforce"} if colon else {""}):
        raise Malformed(f"expected :warn or :enforce, found {strength[:20]!r}", where=where)
    mode = Mode.WARN if strength == "warn" else Mode.ENFORCE
    if value == "off" and not colon:
        return Precondition(name=name, mode=Mode.OFF)
    if not kind.limited:
        if value != "on":
            raise Malformed(f"expected {name}=on or off, found {value[:20]!r}", where=where)
        return Precondition(name=name, mode=mode)
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", value, re.ASCII)
    limit_s = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < limit_s <= LIMIT_S_MAX:
        raise Malformed(f"expected a duration such as {name}=1h, found {value[:20]!r}", where=where)
    return Precondition(name=name, mode=mode, limit_s=limit_s)


def complete(given: Sequence[Precondition], *, where: str = "require") -> tuple[Precondition, ...]:
    """Every precondition there is, in order; OFF where none was given.

    Raises:
        Malformed: one is unknown or there twice, or its limit is none.
    """
    for one in given:
        _check(one, where)
    named = {one.name: one for one in given}
    if len(named) < len(given):
        twice = next(one.name for one in given if [g.name for g in given].count(one.name) > 1)
        raise Malformed(f"expected {twice} once, found it again", where=where)
    return tuple(named.get(name, Precondition(name=name, mode=Mode.OFF)) for name in KINDS)


def _check(one: Precondition, where: str) -> None:
    kind = KINDS.get(one.name)
    if kind is None:
        raise Malformed(f"expected one of {', '.join(KINDS)}, found {one.name[:40]!r}", where=where)
    limited = kind.limited and one.mode is not Mode.OFF
    if limited and not 0 < one.limit_s <= LIMIT_S_MAX:
        raise Malformed(
            f"expected {one.name} with a limit from 1 s to 366 d, found {one.limit_s} s",
            where=where,
        )
    if not kind.limited and one.limit_s:
        raise Malformed(f"expected {one.name} without a limit, found {one.limit_s} s", where=where)


def asked(wanted: Sequence[Precondition]) -> frozenset[str]:
    """Names of those that have to be read."""
    return frozenset(one.name for one in wanted if one.mode is not Mode.OFF)


def rows(wanted: Sequence[Precondition], read: Mapping[str, Read]) -> tuple[Row, ...]:
    """A row for each of `wanted`, and one before them for each that is always asked."""
    always = [
        Precondition(name=name, mode=Mode.ENFORCE)
        for name in (CREATOR, HELD, FROZEN, ENVIRONMENT)
        if name in read
    ]
    return tuple(_row(one, read.get(one.name)) for one in (*always, *wanted))


def _row(one: Precondition, read: Read | None) -> Row:
    limit = threshold(one)
    if one.mode is Mode.OFF:
        return Row(
            name=one.name,
            mode=one.mode,
            state=State.NOT_CHECKED,
            value="not checked",
            threshold=limit,
            observed_us=0,
            source="",
        )
    found = read or Read(state=State.UNKNOWN, value="nothing here can tell")
    source = "" if found.source is None else str(Digest.of(canonical(found.source)))
    return Row(
        name=one.name,
        mode=one.mode,
        state=found.state,
        value=found.value,
        threshold=limit,
        observed_us=found.observed_us,
        source=source,
    )


def threshold(one: Precondition) -> str:
    """What it asks for, in words."""
    match one.name:
        case _ if one.mode is Mode.OFF:
            return "off"
        case name if name == FEEDS:
            return f"each younger than {limit_text(one.limit_s)}"
        case name if name == SOAKED:
            return f"for at least {limit_text(one.limit_s)}"
        case _:
            return "yes"


def unmet(checked: Sequence[Row]) -> tuple[str, ...]:
    """What keeps a run from starting, one phrase each: every ENFORCE that is not known to hold."""
    return tuple(
        phrase(row) for row in checked if row.mode is Mode.ENFORCE and row.state is not State.MET
    )


def warnings(checked: Sequence[Row]) -> tuple[str, ...]:
    """What somebody who approves should know, one phrase each."""
    return tuple(
        phrase(row) for row in checked if row.mode is Mode.WARN and row.state is not State.MET
    )


def phrase(row: Row) -> str:
    """`Feeds fresh: NVD 3 h 05 m old (each younger than 1 h)`."""
    asked_for = "" if row.threshold == "yes" else f" ({row.threshold})"
    return f"{TITLES.get(row.name, row.name)}: {row.value}{asked_for}"


def same(one: Sequence[Row], other: Sequence[Row]) -> bool:
    """Whether two checks say the same; ages and moments always differ."""
    return [(r.name, r.mode, r.state) for r in one] == [(r.name, r.mode, r.state) for r in other]
