"""Puts away what ended attempts left, samples and log lines in a blob each, and brings it back.

The blob comes first, then the journaled row that names it, then the roll-up: a process that dies
in between leaves nothing that the next look would not finish. A database that was made again takes
its samples and log lines in from here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import polars as pl

from data import minutes, segments
from data.blobs import Blobs
from data.database import LOGS, SAMPLES, Database, columns
from data.segments import Frame
from data.shelf import Shelf
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.rows import Row, Segment
from engine.core.run import Run
from engine.ports import Clock

_log = logging.getLogger(__name__)

TABLES: Final = {segments.SAMPLES: SAMPLES, segments.LOGS: LOGS}
Key = tuple[str, str, int]  # run, step, attempt

_UNHELD: Final = f"""
SELECT {", ".join(columns(Segment))}
  FROM segments ANTI JOIN segments_held USING (kind, run_id, step, attempt, part)
 ORDER BY kind, run_id, step, attempt, part
"""  # noqa: S608 (constants)
_IN_PARTS: Final = """
SELECT s.kind, s.step, s.attempt, max(s.part),
       CAST(coalesce(sum(s.count) FILTER (h.part IS NOT NULL), 0) AS BIGINT)
  FROM segments s LEFT JOIN segments_held h USING (kind, run_id, step, attempt, part)
 WHERE s.run_id = ?
 GROUP BY ALL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """What a start brought back; `unread` counts archives that could not be read."""

    samples: int = 0
    lines: int = 0
    unread: int = 0


class Archive:
    """Args:
    flush: writes the samples and lines that wait, so that they are seen.
    record: appends rows to the journal, durably.
    """

    def __init__(
        self,
        shelf: Shelf,
        blobs: Blobs,
        *,
        flush: Callable[[], None],
        record: Callable[[Sequence[Row]], None],
        clock: Clock,
    ) -> None:
        self._shelf, self._blobs, self._clock = shelf, blobs, clock
        self._flush, self._record = flush, record
        self.working = threading.Lock()  # one at a time puts away, takes in or retires

    def put_away(self, run: Run) -> int:
        """Archive what the run's ended attempts left since the last time. Returns how many blobs
        and empty marks that took; 0 = everything was put away before.

        Raises:
            StorageFull: nothing more can be written now; call again later.
        """
        ended = [
            (step.id, attempt.number)
            for step in run.steps
            for attempt in step.attempts
            if attempt.ended_us is not None
        ]
        if not ended:
            return 0
        with self.working:
            self._flush()
            database = self._shelf.database()
            done = {
                (kind, step, attempt): (part, held)
                for kind, step, attempt, part, held in database.rows(_IN_PARTS, [run.run_id])
            }
            retired = set(
                database.rows("SELECT step, attempt FROM retired WHERE run_id = ?", [run.run_id])
            )
            made = 0
            for kind, table in TABLES.items():
                there = _counts(database, kind, table, run.run_id)
                for step, attempt in ended:
                    if kind == segments.SAMPLES and (step, attempt) in retired:
                        continue
                    part, held = done.get((kind, step, attempt), (0, 0))
                    found = there.get((step, attempt))
                    # An empty mark says that an attempt left nothing; only once, and samples
                    # only where somebody watched.
                    due = found is not None and (found > held or (part == 0))
                    if due or (part == 0 and kind == segments.LOGS):
                        self._put(database, kind, (run.run_id, step, attempt), part + 1, held)
                        made += 1
            return made

    def take_in(self) -> TakenIn:
        """Finish what a dead process began, and bring back what a lost database held."""
        with self.working:
            found = [
                Segment(**dict(zip(columns(Segment), row, strict=True)))
                for row in self._shelf.database().rows(_UNHELD)
            ]
            groups: dict[tuple[str, Key], list[Segment]] = {}
            for one in found:
                key = (one.run_id, one.step, one.attempt)
                groups.setdefault((one.kind, key), []).append(one)
            samples = lines = unread = 0
            for (kind, key), parts in groups.items():
                count, failed = self._take(kind, key, parts)
                unread += failed
                if kind == segments.SAMPLES:
                    samples += count
                else:
                    lines += count
        return TakenIn(samples=samples, lines=lines, unread=unread)

    def _put(self, database: Database, kind: str, key: Key, part: int, held: int) -> None:
        """One segment: blob, journal, roll-up. `held` rows of the attempt are put away already."""
        names = ", ".join(segments.SCHEMAS[kind])
        # In order of arrival, and counted: times may jump back, and two lines may share one.
        rows = database.frame(
            f"SELECT {names} FROM {TABLES[kind]} "  # noqa: S608 (constants)
            "WHERE run_id = ? AND step = ? AND attempt = ? ORDER BY rowid OFFSET ?",
            [*key, held],
        )
        empty = rows.is_empty()
        run_id, step, attempt = key
        segment = Segment(
            kind=kind,
            run_id=run_id,
            step=step,
            attempt=attempt,
            part=part,
            blob="" if empty else str(self._blobs.put(segments.encode(kind, rows))),
            count=len(rows),
            first_us=0 if empty else int(rows["ts_us"].min()),  # type: ignore[arg-type]
            last_us=0 if empty else int(rows["ts_us"].max()),  # type: ignore[arg-type]
            ts_us=self._clock.now_us(),
        )
        self._record((segment,))
        with self._shelf.filling() as current, current.transaction() as cursor:
            _hold(cursor, [segment])
            if kind == segments.SAMPLES:
                minutes.roll_up(cursor, key)

    def _take(self, kind: str, key: Key, parts: Sequence[Segment]) -> tuple[int, int]:
        """Returns (rows brought back, archives that could not be read)."""
        database = self._shelf.database()
        wanted = sum(one.count for one in parts)
        ((held,),) = database.rows(
            "SELECT CAST(coalesce(sum(count), 0) AS BIGINT) "
            "  FROM segments SEMI JOIN segments_held USING (kind, run_id, step, attempt, part) "
            " WHERE kind = ? AND run_id = ? AND step = ? AND attempt = ?",
            [kind, *key],
        )
        ((there,),) = database.rows(
            f"SELECT count(*) FROM {TABLES[kind]} "  # noqa: S608 (constants)
            "WHERE run_id = ? AND step = ? AND attempt = ?",
            [*key],
        )
        retired = kind == segments.SAMPLES and bool(
            database.rows(
                "SELECT 1 FROM retired WHERE run_id = ? AND step = ? AND attempt = ?", [*key]
            )
        )
        if there >= held + wanted and not retired:
            # Its process died after the journal had it, and before the roll-up was made.
            with self._shelf.filling() as current, current.transaction() as cursor:
                _hold(cursor, parts)
                if kind == segments.SAMPLES:
                    minutes.roll_up(cursor, key)
            return 0, 0
        read = [(one, self._read(one)) for one in parts]
        good = [(one, rows) for one, rows in read if rows is not None]
        if good:
            frame = pl.concat([rows for _, rows in good])
            self._bring_back(kind, key, [one for one, _ in good], frame, retired=retired)
        brought = 0 if retired else sum(one.count for one, _ in good)
        return brought, len(read) - len(good)

    def _bring_back(
        self, kind: str, key: Key, parts: Sequence[Segment], rows: Frame, *, retired: bool
    ) -> None:
        with self._shelf.filling() as database:
            with database.transaction() as cursor:
                if kind == segments.LOGS:
                    first = database.log_n + 1
                    numbered = rows.with_row_index("n", offset=first).with_columns(
                        pl.col("n").cast(pl.Int64)
                    )
                    _insert(cursor, LOGS, numbered)
                elif not retired:
                    _insert(cursor, SAMPLES, rows)
                if kind == segments.SAMPLES:
                    minutes.roll_up(cursor, key, samples=rows if retired else None)
                _hold(cursor, parts)
            if kind == segments.LOGS:
                database.log_n += len(rows)

    def _read(self, segment: Segment) -> Frame | None:
        """The rows of a segment; None when its blob is gone or is not what it was."""
        if not segment.count:
            return pl.DataFrame(schema=segments.SCHEMAS[segment.kind])
        where = f"{segment.kind} of {segment.run_id} {segment.step} {segment.attempt}"
        try:
            rows = segments.decode(segment.kind, self._blobs.get(Digest.parse(segment.blob)))
            if len(rows) != segment.count:
                raise Malformed(f"expected {segment.count} rows, found {len(rows)}", where=where)
        except (Malformed, NotFound, OSError) as error:
            _log.warning("%s cannot be brought back: %s", where, error)
            return None
        return rows


def _counts(database: Database, kind: str, table: str, run_id: str) -> dict[tuple[str, int], int]:
    found: dict[tuple[str, int], int] = {}
    if kind == segments.SAMPLES:  # watched, and perhaps without a single sample
        for step, attempt in database.rows(
            "SELECT DISTINCT step, attempt FROM gate_ticks WHERE run_id = ?", [run_id]
        ):
            found[step, attempt] = 0
    for step, attempt, count in database.rows(
        f"SELECT step, attempt, count(*) FROM {table} "  # noqa: S608 (constants)
        "WHERE run_id = ? GROUP BY ALL",
        [run_id],
    ):
        found[step, attempt] = count
    return found


def _hold(cursor: duckdb.DuckDBPyConnection, parts: Sequence[Segment]) -> None:
    for one in parts:
        cursor.execute(
            "INSERT INTO segments_held VALUES (?, ?, ?, ?, ?)",
            [one.kind, one.run_id, one.step, one.attempt, one.part],
        )


def _insert(cursor: duckdb.DuckDBPyConnection, table: str, rows: Frame) -> None:
    names: Any = ", ".join(rows.columns)
    cursor.register("incoming", rows)
    try:
        cursor.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM incoming")  # noqa: S608
    finally:
        cursor.unregister("incoming")
