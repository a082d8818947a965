"""The event store of one home: what is recorded, and the runs folded from it.

Thread-safe. Appends go through one writer thread (data/writer.py), which asks nothing of the
database to decide; everything else reads. One process at a time may have a home open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from data.blobs import Blobs
from data.dispatch import Dispatcher
from data.fsck import FsckReport, check
from data.ledger import Append
from data.loading import events_between, events_of, ticks_of
from data.shelf import Shelf
from data.writer import Writer
from engine.core.events import Event, Recorded
from engine.core.rows import GateTick, Row, Sample, StepLog
from engine.core.run import Run
from engine.ports import Clock


class Store:
    """Implements `ports.EventStore`."""

    def __init__(self, shelf: Shelf, blobs: Blobs, *, clock: Clock) -> None:
        self._shelf, self._blobs = shelf, blobs
        self._lock = shelf.lock
        self._epochs: dict[str, int] = {}
        self._dispatcher = Dispatcher()
        self._writer = Writer(shelf, dispatcher=self._dispatcher, clock=clock)
        self._closed = False

    @classmethod
    def open(cls, home: Path, *, clock: Clock) -> Store:
        """Open the home's store, creating what is not there.

        A damaged or missing database is rebuilt from the journal, which is then on record.

        Raises:
            Malformed: the journal is damaged; names the file and the line.
            UnsafeConfig: another process has the home open.
        """
        home.mkdir(parents=True, exist_ok=True)
        shelf = Shelf(home, clock=clock)
        store = cls(shelf, Blobs(home / "blobs"), clock=clock)
        if shelf.rebuilt is not None:
            store._writer.submit(shelf.note(shelf.rebuilt)).answer()
        return store

    @property
    def blobs(self) -> Blobs:
        return self._blobs

    def append(
        self,
        stream: str,
        events: Sequence[Event],
        *,
        after: int,
        actor: str,
        command_id: str = "",
        rows: Sequence[Row] = (),
    ) -> tuple[Recorded, ...]:
        append = Append.of(
            stream, events, after=after, actor=actor, command_id=command_id, rows=rows
        )
        return self._writer.submit(append).answer()

    def record(self, rows: Sequence[Row]) -> None:
        self.append("", (), after=0, actor="", rows=rows)

    def samples(self, samples: Sequence[Sample]) -> None:
        self._writer.volume(samples, ())

    def logs(self, lines: Sequence[StepLog]) -> None:
        self._writer.volume((), lines)

    def load(self, stream: str, after: int = 0) -> tuple[Recorded, ...]:
        with self._lock:
            database = self._shelf.database()
        return events_of(database, stream, after)

    def version(self, stream: str) -> int:
        with self._lock:
            return self._shelf.ledger.version(stream)

    def run(self, run_id: str) -> Run:
        with self._lock:
            return self._shelf.ledger.run(run_id)

    def runs_open(self) -> tuple[Run, ...]:
        with self._lock:
            return self._shelf.ledger.open_runs()

    def by_command(self, command_id: str) -> tuple[Recorded, ...]:
        with self._lock:
            place = self._shelf.ledger.facts.commands.get(command_id)
            database = self._shelf.database()
        return () if place is None else events_between(database, *place)

    def last_run_number(self) -> int:
        with self._lock:
            return self._shelf.ledger.facts.last_number

    def next_epoch(self, environment: str) -> int:
        with self._lock:
            recorded = self._shelf.ledger.facts.epochs.get(environment, 0)
            given = max(recorded, self._epochs.get(environment, 0)) + 1
            self._epochs[environment] = given
            return given

    def gate_ticks(self, run_id: str, step: str, first_attempt: int) -> tuple[GateTick, ...]:
        with self._lock:
            database = self._shelf.database()
        return ticks_of(database, run_id, step, first_attempt)

    def tlog_leaves(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._shelf.ledger.facts.leaves)

    def subscribe(self, callback: Callable[[tuple[Recorded, ...]], None]) -> Callable[[], None]:
        return self._dispatcher.subscribe(callback)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor for `data.queries`, to read with; take a new one for each call."""
        with self._lock:
            return self._shelf.database().cursor()

    def fsck(self) -> FsckReport:
        """Read the journal again and compare every table with it. Appends wait meanwhile."""
        self._writer.flush()
        with self._shelf.writing:
            return check(self._shelf.database(), self._shelf.journal)

    def close(self) -> None:
        """Write what is left and let go of the home. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._writer.stop()
        self._dispatcher.stop()
        self._shelf.close()
