"""Checks a home against its journal: every line, every chain, every table, row by row.

The journal is read again from its first line and everything that the database should hold is made
from it in memory. What differs is named by table and key; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from data.blobs import Blobs
from data.chain import EventText
from data.database import TABLES, Database, columns
from data.findings import Finding, FsckReport
from data.fsck_volume import Unarchived, volume
from data.journal import START, Journal
from data.loading import Follower
from data.project import Projected, project
from data.replays import KEY as COUNT_KEY
from data.replays import TABLE as COUNTS
from data.replays import counted
from engine.core.errors import IllegalTransition, Malformed
from engine.core.hook_rows import HookMessage, HookTry
from engine.core.replays import ReplayRequest, ReplayRow
from engine.core.rows import (
    CommandRow,
    GateTick,
    Retired,
    Row,
    Segment,
    TlogEntry,
    TlogHead,
    VerdictRow,
)

# What names a row in its table. Heads have no key of their own: all their fields name them.
_KEYS: Final[Mapping[type, tuple[str, ...]]] = {
    EventText: ("stream", "seq"),
    GateTick: ("run_id", "step", "attempt", "n"),
    TlogEntry: ("idx",),
    TlogHead: ("size", "root", "note", "gseq", "hash"),
    VerdictRow: ("verdict_id",),
    CommandRow: ("command_id",),
    Segment: ("kind", "run_id", "step", "attempt", "part"),
    Retired: ("run_id", "step", "attempt"),
    ReplayRequest: ("n",),
    ReplayRow: ("n", "idx"),
    HookMessage: ("hook", "gseq", "idx", "wave"),
    HookTry: ("hook", "gseq", "idx", "wave", "n"),
    Projected: ("number", "kind", "name", "idx"),
}

_ROWS: Final = (
    GateTick,
    TlogEntry,
    TlogHead,
    VerdictRow,
    CommandRow,
    Segment,
    Retired,
    ReplayRequest,
    ReplayRow,
    HookMessage,
    HookTry,
)


def check(database: Database, journal: Journal, blobs: Blobs) -> FsckReport:
    """Raises `duckdb.Error` when the database cannot be read at all."""
    events: list[EventText] = []
    rows: list[Row] = []
    unarchived = Unarchived()
    follower = Follower(None)
    follower.gseq = 0
    lines = 0
    try:
        for _, line in journal.lines(START):
            follower.take(line.events, where=f"journal line {line.number}")
            events += line.events
            rows += line.rows
            unarchived.take(line)
            lines = line.number
        if lines != journal.end.line:
            raise Malformed(
                f"expected {journal.end.line} lines, found {lines}: lines are missing",
                where="journal",
            )
    except (Malformed, IllegalTransition) as damage:
        finding = Finding(table="journal", key=f"behind line {lines}", problem=str(damage))
        return FsckReport(ok=False, findings=(finding,), lines=lines, events=len(events))
    findings = [
        *_marks(database, journal),
        *_compare(database, EventText, events),
        *(
            finding
            for cls in _ROWS
            for finding in _compare(database, cls, [r for r in rows if type(r) is cls])
        ),
        *_compare(
            database,
            Projected,
            [row for run in follower.runs.values() for row in project(run)],
        ),
        *_replay_counts(database, rows),
        *volume(database, blobs, rows, unarchived),
    ]
    wrong = [f for f in findings if not f.lost]
    return FsckReport(ok=not wrong, findings=tuple(findings), lines=lines, events=len(events))


def _marks(database: Database, journal: Journal) -> Iterable[Finding]:
    mark = database.mark()
    if mark != journal.end:
        yield Finding(
            table="journal_marks",
            key=str(mark.line),
            problem=f"expected the journal's end, line {journal.end.line}",
        )


def _replay_counts(database: Database, rows: Iterable[Row]) -> Iterable[Finding]:
    wanted = counted(row for row in rows if isinstance(row, ReplayRow))
    found = {
        tuple(key): count
        for *key, count in database.rows(
            f"SELECT {', '.join(COUNT_KEY)}, count FROM {COUNTS}"  # noqa: S608 (constants)
        )
    }
    for key in wanted.keys() | found.keys():
        if wanted.get(key, 0) != found.get(key, 0):
            yield Finding(
                table=COUNTS,
                key=" ".join(map(str, key)),
                problem=f"expected {wanted.get(key, 0)}, found {found.get(key, 0)}",
            )


def _compare(database: Database, cls: type, expected: Iterable[Any]) -> Iterable[Finding]:
    """Row for row: changed, missing, added, and twice there."""
    names, table = columns(cls), TABLES[cls]
    key_of = _key_reader(names, _KEYS[cls])
    wanted: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for value in expected:
        row = tuple(getattr(value, name) for name in names)
        wanted[key_of(row)] = row
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in database.rows(f"SELECT {', '.join(names)} FROM {table}"):  # noqa: S608
        key = key_of(row)
        if key in found:
            yield _finding(cls, table, key, "is there twice")
        found[key] = row
    for key, row in wanted.items():
        if key not in found:
            yield _finding(cls, table, key, "is missing")
        elif found[key] != row:
            differing = [n for n, a, b in zip(names, row, found[key], strict=True) if a != b]
            yield _finding(cls, table, key, f"differs in {', '.join(differing)}")
    for key in found:
        if key not in wanted:
            yield _finding(cls, table, key, "is not in the journal")


def _key_reader(names: tuple[str, ...], key: tuple[str, ...]) -> Any:
    places = [names.index(name) for name in key]
    return lambda row: tuple(row[place] for place in places)


def _finding(cls: type, table: str, key: tuple[Any, ...], problem: str) -> Finding:
    if cls is Projected:  # pages know the views, not the table beneath
        number, kind, name, idx = key
        return Finding(table=kind, key=f"run-{number} {name} {idx}", problem=problem)
    return Finding(table=table, key=" ".join(map(str, key)), problem=problem)
