"""The DuckDB file of a home: opened, brought to the newest schema, written by one commit at a time.

It is a fast copy of the journal, plus samples and log lines. Whoever reads takes a cursor of its
own; what is journaled is written by the store's one writer, samples and log lines beside it. What
the numbers mean is not known here.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl

from data.chain import EventText
from data.journal import START, Position
from data.migrate import migrate, migrations
from data.project import Projected
from data.replays import count
from engine.core.errors import UnsafeConfig
from engine.core.hook_rows import HookMessage, HookTry
from engine.core.replays import ReplayRequest, ReplayRow
from engine.core.rows import (
    CommandRow,
    GateTick,
    Retired,
    Row,
    Sample,
    Segment,
    StepLog,
    TlogEntry,
    TlogHead,
    VerdictRow,
)

TABLES: Final[dict[type, str]] = {
    EventText: "events",
    GateTick: "gate_ticks",
    TlogEntry: "tlog_entries",
    TlogHead: "tlog_heads",
    VerdictRow: "verdicts",
    CommandRow: "commands",
    Segment: "segments",
    Retired: "retired",
    ReplayRequest: "replay_requests",
    ReplayRow: "replays",
    HookMessage: "outbox",
    HookTry: "hook_tries",
    Projected: "projections",
}


def columns(cls: type) -> tuple[str, ...]:
    """Columns of the class's table: its fields, by their names."""
    return tuple(f.name for f in dataclasses.fields(cls))


def _insert(cls: type, values: str, value: str) -> str:
    names = columns(cls)
    given = ", ".join(value.format(n) for n in range(1, len(names) + 1))
    return f"INSERT INTO {TABLES[cls]} ({', '.join(names)}) {values.format(given)}"


# One statement per batch, whatever its size: DuckDB's cost is per statement. Most batches are one
# row, and planning that without lists takes half as long.
_INSERT: Final = {cls: _insert(cls, "SELECT {}", "unnest(${})") for cls in TABLES}
_INSERT_ONE: Final = {cls: _insert(cls, "VALUES ({})", "${}") for cls in TABLES}
SAMPLES: Final = "health_samples"
LOGS: Final = "step_logs"
LOG_COLUMNS: Final = ("run_id", "step", "attempt", "n", "ts_us", "level", "target", "text")
_sample_values: Final = attrgetter(*columns(Sample))
# The range prunes by DuckDB's own block statistics; the list then picks the rows.
_DELETE_PROJECTED: Final = """
DELETE FROM projections
 WHERE number BETWEEN $1 AND $2
   AND list_contains($3, number || '/' || kind || '/' || name || '/' || idx)
"""


@dataclass(slots=True, kw_only=True)
class Batch:
    """What one commit adds. `stale` are projection rows to take away, in their old form."""

    events: list[EventText] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    stale: list[Projected] = field(default_factory=list)
    projected: list[Projected] = field(default_factory=list)


class Database:
    """`log_n` is the number of the newest log line.

    Raises `duckdb.Error` as it comes: what it means for the home is the store's decision."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            UnsafeConfig: another process holds it.
            Malformed: its schema is not ours.
        """
        try:
            self._connection = duckdb.connect(str(path), config={"checkpoint_threshold": "32MB"})
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise UnsafeConfig(f"{path} is in use by another process: {error}") from None
            raise
        try:
            self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
            migrate(self._connection, migrations())
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")
            self._writing = self._connection.cursor()
            self.log_n = self._scalar("SELECT coalesce(max(n), 0) FROM step_logs")
        except BaseException:
            self._connection.close()
            raise

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A new cursor; one per call, because an unfetched result owns its connection."""
        return self._connection.cursor()

    def close(self) -> None:
        self._connection.close()

    def rows(
        self, query: str, params: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        given = params if isinstance(params, Mapping) else list(params)
        return self.cursor().execute(query, given).fetchall()

    def frame(self, query: str, params: Sequence[object]) -> pl.DataFrame:
        found: pl.DataFrame = self.cursor().sql(query, params=list(params)).pl()
        return found

    def mark(self) -> Position:
        """How far the journal has been taken in."""
        found = self.rows(
            "SELECT line, digest, segment, segment_bytes FROM journal_marks "
            "ORDER BY line DESC LIMIT 1"
        )
        if not found:
            return START
        line, digest, segment, offset = found[0]
        return Position(line=line, digest=digest, segment=segment, offset=offset)

    def begin(self) -> None:
        self._writing.begin()

    def add(self, batch: Batch) -> None:
        """Write within the transaction that `begin` opened."""
        writing = self._writing
        if batch.events:
            self._insert(EventText, batch.events)
        by_type: dict[type, list[Row]] = {}
        for row in batch.rows:
            by_type.setdefault(type(row), []).append(row)
        for cls, rows in by_type.items():
            self._insert(cls, rows)
            if cls is ReplayRow:
                count(writing, [row for row in rows if isinstance(row, ReplayRow)])
        if batch.stale:
            numbers = [row.number for row in batch.stale]
            keys = [row.key for row in batch.stale]
            writing.execute(_DELETE_PROJECTED, [min(numbers), max(numbers), keys])
        if batch.projected:
            self._insert(Projected, batch.projected)

    def commit(self, end: Position) -> None:
        """Note how far the journal is taken in, and commit."""
        self._writing.execute(
            "INSERT INTO journal_marks VALUES (?, ?, ?, ?)",
            [end.line, end.digest, end.segment, end.offset],
        )
        self._writing.commit()

    def rollback(self) -> None:
        """After an error. DuckDB has often rolled back by itself and then refuses to."""
        with contextlib.suppress(duckdb.Error):
            self._writing.rollback()

    def add_volume(self, samples: Sequence[Sample], logs: Sequence[StepLog]) -> None:
        """Samples and log lines, in a commit of their own. One caller at a time."""
        if not samples and not logs:
            return
        with self.transaction() as cursor:
            if samples:
                _append(cursor, SAMPLES, columns(Sample), [_sample_values(one) for one in samples])
            if logs:
                numbered = enumerate(logs, start=self.log_n + 1)
                _append(
                    cursor,
                    LOGS,
                    LOG_COLUMNS,
                    [
                        (r.run_id, r.step, r.attempt, n, r.ts_us, r.level, r.target, r.text)
                        for n, r in numbered
                    ],
                )
        self.log_n += len(logs)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction beside the writer's, on tables that it does not write."""
        cursor = self.cursor()
        cursor.begin()
        try:
            yield cursor
            cursor.commit()
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                cursor.rollback()
            raise
        finally:
            cursor.close()

    def _insert(self, cls: type, values: Iterable[Any]) -> None:
        listed, names = list(values), columns(cls)
        if len(listed) == 1:
            one = listed[0]
            self._writing.execute(_INSERT_ONE[cls], [getattr(one, name) for name in names])
            return
        self._writing.execute(
            _INSERT[cls], [[getattr(value, name) for value in listed] for name in names]
        )

    def _scalar(self, query: str) -> int:
        ((value,),) = self.rows(query)
        return int(value)


def _append(
    cursor: duckdb.DuckDBPyConnection,
    table: str,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> None:
    """All of `rows` at once. The appender never leaves this function: one that is dropped before
    its flush would lose what it holds without a word."""
    appender = cursor.appender(table, columns=list(names))
    appender.append_rows(rows)
    appender.flush()
