"""Takes raw samples of long-ended runs away, when their roll-up says the same and for ever will.

In this order: the roll-up is compared with the raw rows and the archive is read back; that they may
go is journaled; then they go. A process that dies anywhere leaves either everything as it was or a
journaled word that the next time carries out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import duckdb

from data import minutes, segments
from data.archive import Key
from data.blobs import Blobs
from data.database import Database
from data.shelf import Shelf
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.retirement import Retirement
from engine.core.rows import Retired, Row
from engine.core.statemachine import TERMINAL
from engine.ports import Clock

_log = logging.getLogger(__name__)

# Attempts of ended runs whose newest archived sample is old, and those whose word was given and
# not carried out. `parts` counts segments, `held` those whose rows lie in this database.
_DUE: Final = """
WITH raw AS (
    SELECT run_id, step, attempt, count(*) AS samples FROM health_samples GROUP BY ALL
), put AS (
    SELECT run_id, step, attempt, CAST(sum(count) AS BIGINT) AS archived,
           max(last_us) AS last_us, count(*) AS parts, count(h.part) AS held,
           list(blob ORDER BY part) FILTER (count > 0) AS blobs
      FROM segments s LEFT JOIN segments_held h USING (kind, run_id, step, attempt, part)
     WHERE kind = 'samples'
     GROUP BY ALL
)
SELECT r.number, raw.run_id, raw.step, raw.attempt, raw.samples, put.archived,
       put.parts = put.held AS held, put.blobs, t.samples IS NOT NULL AS retired
  FROM raw JOIN put USING (run_id, step, attempt)
  JOIN runs r ON r.run_id = raw.run_id
  LEFT JOIN retired t ON t.run_id = raw.run_id AND t.step = raw.step AND t.attempt = raw.attempt
 WHERE r.status IN (SELECT unnest($ended)) AND put.last_us < $before_us
 ORDER BY r.number, raw.step, raw.attempt
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Old:
    """An attempt whose raw samples are old enough to go."""

    number: int
    run_id: str
    step: str
    attempt: int
    samples: int
    archived: int
    held: bool
    blobs: tuple[str, ...]
    retired: bool

    @property
    def key(self) -> Key:
        return self.run_id, self.step, self.attempt

    def __str__(self) -> str:
        return f"{self.run_id} {self.step} {self.attempt}"


class Retiring:
    """Args:
    working: held while a run's samples are judged and taken away; archives take turns with it.
    """

    def __init__(
        self,
        shelf: Shelf,
        blobs: Blobs,
        *,
        working: threading.Lock,
        record: Callable[[Sequence[Row]], None],
        clock: Clock,
    ) -> None:
        self._shelf, self._blobs, self._clock = shelf, blobs, clock
        self._working, self._record = working, record

    def retire(self, before_us: int, *, dry_run: bool, stop: Callable[[], bool]) -> Retirement:
        """Take away what is older than `before_us`, run by run.

        Args:
            stop: asked between runs; True = end here, the rest comes next time.

        Raises:
            StorageFull: nothing more can be written now; what went before is gone and on record.
        """
        started_s, database = time.monotonic(), self._shelf.database()
        bytes_before = _used_bytes(database)
        runs = attempts = samples = rolled = 0
        kept: list[str] = []
        stopped = False
        for run_id, old in groupby(_due(database, before_us), key=lambda one: one.run_id):
            if stop():
                stopped = True
                break
            with self._working:
                gone, why = self._run(list(old), dry_run=dry_run)
            kept += why
            if gone:
                runs, attempts = runs + 1, attempts + len(gone)
                samples += sum(one.samples for one in gone)
                rolled += sum(one.minutes for one in gone)
                _log.debug("raw samples retired", extra={"run": run_id})
        if samples and not dry_run:
            self._checkpoint()
        return Retirement(
            before_us=before_us,
            runs=runs,
            attempts=attempts,
            samples=samples,
            minutes=rolled,
            kept=tuple(kept),
            bytes_before=bytes_before,
            bytes_after=bytes_before if dry_run else _used_bytes(self._shelf.database()),
            took_ms=int((time.monotonic() - started_s) * 1000),
            dry_run=dry_run,
            stopped=stopped,
        )

    def _run(self, old: Sequence[_Old], *, dry_run: bool) -> tuple[list[Retired], list[str]]:
        """One run's attempts. Returns those whose samples went, and why others did not."""
        database, now_us = self._shelf.database(), self._clock.now_us()
        gone, words, kept = [], [], []
        for one in old:
            cursor = database.cursor()
            try:
                why = self._objection(cursor, one)
                if why:
                    kept.append(f"{one}: {why}")
                    continue
                word = Retired(
                    run_id=one.run_id,
                    step=one.step,
                    attempt=one.attempt,
                    samples=one.samples,
                    minutes=minutes.counted(cursor, one.key)[0],
                    ts_us=now_us,
                )
            finally:
                cursor.close()
            gone.append(word)
            if not one.retired:
                words.append(word)
        if gone and not dry_run:
            if words:
                self._record(words)
            with self._shelf.filling() as current, current.transaction() as cursor:
                _take_away(cursor, gone, now_us)
        return gone, kept

    def _objection(self, cursor: duckdb.DuckDBPyConnection, one: _Old) -> str:
        """Why the raw samples have to stay; empty = they may go."""
        if one.retired and minutes.counted(cursor, one.key)[1] >= one.samples:
            return ""  # judged before; the process died before they were gone
        if not one.held or one.samples != one.archived:
            return f"{one.samples} samples are there and {one.archived} were archived"
        wrong = minutes.differing(cursor, one.key)
        if wrong:
            return f"{wrong} minutes of the roll-up are not what the samples say"
        for blob in one.blobs:
            try:
                segments.decode(segments.SAMPLES, self._blobs.get(Digest.parse(blob)))
            except (Malformed, NotFound, OSError) as error:
                return f"the archive cannot be read ({error})"
        return ""

    def _checkpoint(self) -> None:
        """Give the blocks back. Not while others write: then DuckDB does it by itself later."""
        cursor = self._shelf.database().cursor()
        try:
            cursor.execute("CHECKPOINT")
        except duckdb.TransactionException as busy:
            _log.info("the space is given back later: %s", busy)
        finally:
            cursor.close()


def _due(database: Database, before_us: int) -> Iterator[_Old]:
    ended = sorted(status.value for status in TERMINAL)
    for row in database.rows(_DUE, {"ended": ended, "before_us": before_us}):
        number, run_id, step, attempt, samples, archived, held, blobs, retired = row
        yield _Old(
            number=number,
            run_id=run_id,
            step=step,
            attempt=attempt,
            samples=samples,
            archived=archived,
            held=held,
            blobs=tuple(blobs or ()),
            retired=retired,
        )


def _take_away(cursor: duckdb.DuckDBPyConnection, words: Sequence[Retired], now_us: int) -> None:
    cursor.execute("INSERT INTO retiring VALUES (?)", [now_us])
    for word in words:
        cursor.execute(
            "DELETE FROM health_samples WHERE run_id = ? AND step = ? AND attempt = ?",
            [word.run_id, word.step, word.attempt],
        )
    cursor.execute("DELETE FROM retiring")


def _used_bytes(database: Database) -> int:
    ((used,),) = database.rows(
        "SELECT CAST(used_blocks * block_size AS BIGINT) FROM pragma_database_size()"
    )
    return int(used)
