"""Checks the chain of events: the journal from its first line, and row by row what pages read.

The first event that is not as it was recorded is named by its place. Appends go on meanwhile: what
is checked is the state of the moment in which the check began. `data.fsck` compares all the other
tables as well, and holds everything still for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import duckdb

from data.chain import ZEROS, EventText
from data.database import columns
from data.journal import START, Journal
from data.shelf import Shelf
from engine.core.errors import Malformed

_NAMES: Final = columns(EventText)
_ROWS: Final = (
    f"SELECT {', '.join(_NAMES)} FROM events "  # noqa: S608 (constants)
    "WHERE gseq >= ? AND gseq < ? ORDER BY gseq, stream, seq"
)
_HEADS: Final = "SELECT gseq, hash FROM tlog_heads WHERE gseq > 0"
_CHUNK: Final = 5_000
_values: Final = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailReport:
    """Attributes:
    lines, events: that were found in order before anything was not.
    gseq, hash: of the last event that is in order; 0 and 64 zeros without one.
    broken_at: place of the first event that is not in order; 0 when all are.
    problem: what is wrong there; empty when nothing is.
    """

    lines: int
    events: int
    gseq: int
    hash: str
    broken_at: int
    problem: str

    @property
    def ok(self) -> bool:
        return not self.problem


class _Broken(Exception):
    """The first place at which something is wrong."""


class _Walk:
    """Follows journal and table side by side, and keeps the hashes of the events in `kept`."""

    def __init__(
        self,
        journal: Journal,
        rows: Iterator[tuple[Any, ...]],
        last_line: int,
        kept: frozenset[int],
    ) -> None:
        self._journal, self._rows, self._last_line = journal, rows, last_line
        self._kept = kept
        self._heads: dict[str, tuple[int, str]] = {}
        self.lines = self.gseq = 0
        self.hash = ZEROS
        self.hashes: dict[int, str] = {}

    def go(self) -> None:
        """Raises `_Broken`, or `Malformed` for a line that is not as it was written."""
        if self._last_line:
            for position, line in self._journal.lines(START):
                for text in line.events:
                    self._event(text)
                self.lines = position.line
                if position.line == self._last_line:
                    break
        if self.lines != self._last_line:
            raise _Broken(f"expected {self._last_line} lines of the journal, found {self.lines}")

    def _event(self, text: EventText) -> None:
        seq, prev = self._heads.get(text.stream, (0, ZEROS))
        expected = (self.gseq + 1, seq + 1, prev)
        if (text.gseq, text.seq, text.prev) != expected:
            raise _Broken(
                f"expected event {expected[0]}, {text.stream} {expected[1]} behind {prev[:12]}, "
                f"found {text.gseq}, {text.seq} behind {text.prev[:12]}: added or taken away"
            )
        self._same(text)
        self.gseq, self.hash = text.gseq, text.hash
        if text.gseq in self._kept:
            self.hashes[text.gseq] = text.hash
        self._heads[text.stream] = (text.seq, text.hash)

    def _same(self, text: EventText) -> None:
        """The table's next row has to be this event."""
        row = next(self._rows, None)
        if row is None or row[0] > text.gseq:
            raise _Broken("expected this event in the table, found none: its row is gone")
        if row[0] < text.gseq:
            raise _Broken(f"expected this event in the table, found event {row[0]} twice: added")
        wanted = _values(text)
        if row != wanted:
            differing = [n for n, a, b in zip(_NAMES, wanted, row, strict=True) if a != b]
            raise _Broken(f"its row differs from the journal in {', '.join(differing)}: changed")


def check_trail(shelf: Shelf) -> TrailReport:
    """Raises `duckdb.Error` when the database cannot be read at all."""
    with shelf.writing, shelf.lock:  # both as of one moment
        last_line = shelf.journal.end.line
        cursor = shelf.database().cursor()
        cursor.begin()
        anchors = cursor.execute(_HEADS).fetchall()
    try:
        rows = _rows(cursor)
        named = frozenset(gseq for gseq, _ in anchors)
        walk = _Walk(shelf.journal, rows, last_line, named)
        problem = ""
        try:
            walk.go()
            extra = next(rows, None)
            if extra is not None:
                problem = f"the table has event {extra[0]}, which the journal has not: added"
        except (_Broken, Malformed) as broken:
            problem = str(broken)
    finally:
        cursor.rollback()
        cursor.close()
    wrong = [gseq for gseq, digest in anchors if walk.hashes.get(gseq, digest) != digest]
    if wrong:
        return _report(walk, min(wrong), "a signed head of the log knows another event")
    return _report(walk, walk.gseq + 1 if problem else 0, problem)


def _report(walk: _Walk, broken_at: int, problem: str) -> TrailReport:
    return TrailReport(
        lines=walk.lines,
        events=walk.gseq,
        gseq=walk.gseq,
        hash=walk.hash,
        broken_at=broken_at,
        problem=problem,
    )


def _rows(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    """The whole table in the order of its places, a chunk at a time; none lies outside a chunk."""
    start = _next(cursor, "SELECT min(gseq) FROM events")
    while start is not None:
        yield from cursor.execute(_ROWS, [start, start + _CHUNK]).fetchall()
        start = _next(cursor, "SELECT min(gseq) FROM events WHERE gseq >= ?", start + _CHUNK)


def _next(cursor: duckdb.DuckDBPyConnection, query: str, *params: int) -> int | None:
    ((found,),) = cursor.execute(query, list(params)).fetchall()
    return None if found is None else int(found)
