"""The event store of one home: what is recorded, and the runs folded from it.

Thread-safe. Appends go through one writer thread (data/writer.py), which asks nothing of the
database to decide; everything else reads. One process at a time may have a home open.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, TypeVar

import duckdb

from data.archive import Archive
from data.backup import backup
from data.blobs import Blobs
from data.dispatch import Dispatcher
from data.findings import FsckReport
from data.fsck import check
from data.ledger import Append
from data.loading import (
    entries_of,
    events_between,
    events_of,
    heads_of,
    kinds_of,
    texts_of,
    ticks_of,
)
from data.retire import Retiring
from data.shelf import Shelf
from data.sizes import sizes_of
from data.trail import TrailReport, check_trail
from data.volume import Volume
from data.writer import Writer
from engine.core.auth import AuthContext
from engine.core.digest import Digest
from engine.core.errors import StorageFull
from engine.core.events import Event, Recorded
from engine.core.freezes import Freeze
from engine.core.hook_book import Hook, Waiting
from engine.core.pace import Pace
from engine.core.retirement import Retirement
from engine.core.rows import CommandRow, GateTick, Row, Sample, StepLog, TlogEntry, TlogHead
from engine.core.run import Run
from engine.core.standing import Hold
from engine.core.vitals import Disk, Sizes
from engine.ports import Clock

_log = logging.getLogger(__name__)

_LEFT_OPEN: Final = """
SELECT 'run-' || number
  FROM (SELECT number, name, idx FROM projections WHERE kind = 'attempts')
  ANTI JOIN (
    SELECT CAST(run_id[5:] AS INTEGER) AS number, step AS name, attempt AS idx
      FROM segments
     WHERE kind = 'logs'
  ) USING (number, name, idx)
 GROUP BY number
 ORDER BY number
"""

_Kept = TypeVar("_Kept", Event, StepLog)


class Clean(Protocol):
    """Makes of an event or a log line the one that is kept in its place, of the same kind."""

    def __call__(self, record: _Kept, /) -> _Kept: ...


class Store:
    """Implements `ports.EventStore`."""

    def __init__(
        self,
        shelf: Shelf,
        blobs: Blobs,
        *,
        clock: Clock,
        auth: Callable[[], AuthContext | None],
        clean: Clean | None = None,
    ) -> None:
        self._shelf, self._blobs, self._clean, self._auth = shelf, blobs, clean, auth
        self._lock = shelf.lock
        self._epochs: dict[str, int] = {}
        self._dispatcher = Dispatcher()
        self._writer = Writer(shelf, dispatcher=self._dispatcher, clock=clock)
        self._volume = Volume(shelf)
        self._archive = Archive(
            shelf, blobs, flush=self._volume.flush, record=self.record, clock=clock
        )
        self._retiring = Retiring(
            shelf, blobs, working=self._archive.working, record=self.record, clock=clock
        )
        self._asked: dict[str, CommandRow] = {}
        self._closed = False

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        clock: Clock,
        auth: Callable[[], AuthContext | None] = lambda: None,
        clean: Clean | None = None,
    ) -> Store:
        """Open the home's store, creating what is not there.

        A damaged or missing database is rebuilt from the journal, which is then on record.

        Args:
            auth: who asks at this moment; called in the thread that appends.
            clean: makes of every event and every log line the one that is kept in its place.

        Raises:
            Malformed: the journal is damaged; names the file and the line.
            UnsafeConfig: another process has the home open.
        """
        home.mkdir(parents=True, exist_ok=True)
        shelf = Shelf(home, clock=clock)
        store = cls(shelf, Blobs(home / "blobs"), clock=clock, auth=auth, clean=clean)
        try:
            if shelf.rebuilt is not None:
                store._writer.submit(shelf.note(shelf.rebuilt)).answer()
            store._take_in()
        except BaseException:
            store.close()
            raise
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
        before_us: int | None = None,
    ) -> tuple[Recorded, ...]:
        if self._clean is not None:
            events = [self._clean(event) for event in events]
        asked = None
        if events and command_id:
            with self._lock:
                asked = self._asked.get(command_id)
        more = () if asked is None else (asked,)
        append = Append.of(
            stream,
            events,
            after=after,
            actor=actor,
            command_id=command_id,
            rows=(*rows, *more),
            auth=self._auth(),
            before_us=before_us,
        )
        recorded = self._writer.submit(append).answer()
        if asked is not None:
            with self._lock:
                self._asked.pop(command_id, None)
        return recorded

    @contextmanager
    def once(self, row: CommandRow) -> Iterator[None]:
        with self._lock:
            self._asked[row.command_id] = row
        try:
            yield
            with self._lock:
                left = self._asked.get(row.command_id)
            if left is not None:
                self.record((left,))
        finally:
            with self._lock:
                self._asked.pop(row.command_id, None)

    def record(self, rows: Sequence[Row]) -> None:
        self.append("", (), after=0, actor="", rows=rows)

    def samples(self, samples: Sequence[Sample]) -> None:
        self._volume.take(samples, ())

    def logs(self, lines: Sequence[StepLog]) -> None:
        if self._clean is not None:
            lines = [self._clean(line) for line in lines]
        self._volume.take((), lines)

    def put_away(self, run_id: str) -> int:
        """Archive what ended attempts of the run left since the last time. Returns how many
        archives that made. Raises `StorageFull`, `NotFound`."""
        return self._archive.put_away(self.run(run_id))

    def left_open(self) -> tuple[str, ...]:
        """Runs with an attempt whose log lines were never put away, in order of their number."""
        return tuple(run_id for (run_id,) in self._shelf.database().rows(_LEFT_OPEN))

    def retire(
        self, before_us: int, *, dry_run: bool = False, stop: Callable[[], bool] = lambda: False
    ) -> Retirement:
        """Take raw samples of ended runs away that are older than this; see `data.retire`."""
        return self._retiring.retire(before_us, dry_run=dry_run, stop=stop)

    def load(self, stream: str, after: int = 0, limit: int | None = None) -> tuple[Recorded, ...]:
        with self._lock:
            database = self._shelf.database()
        return events_of(database, stream, after, limit)

    def texts(self, stream: str) -> tuple[str, ...]:
        with self._lock:
            database = self._shelf.database()
        return texts_of(database, stream)

    def version(self, stream: str) -> int:
        with self._lock:
            return self._shelf.ledger.version(stream)

    def run(self, run_id: str) -> Run:
        with self._lock:
            return self._shelf.ledger.run(run_id)

    def runs_open(self, environment: str = "", *, scheduled: bool = True) -> tuple[Run, ...]:
        with self._lock:
            return self._shelf.ledger.open_runs(environment, scheduled=scheduled)

    def by_command(self, command_id: str) -> tuple[Recorded, ...]:
        with self._lock:
            place = self._shelf.ledger.facts.commands.get(command_id)
            database = self._shelf.database()
        return () if place is None else events_between(database, *place)

    def last_run_number(self) -> int:
        with self._lock:
            return self._shelf.ledger.facts.last_number

    def last_replay(self) -> int:
        """Number of the newest request to replay something; 0 when there was none."""
        with self._lock:
            return self._shelf.ledger.facts.last_replay

    def next_epoch(self, environment: str) -> int:
        with self._lock:
            recorded = self._shelf.ledger.facts.epochs.get(environment, 0)
            given = max(recorded, self._epochs.get(environment, 0)) + 1
            self._epochs[environment] = given
            return given

    def holds(self) -> tuple[Hold, ...]:
        with self._lock:
            found = self._shelf.ledger.facts.holds.values()
        return tuple(sorted(found, key=lambda hold: (hold.environment, hold.since_us, hold.run)))

    def hold(self, environment: str, bundle: Digest) -> Hold | None:
        with self._lock:
            return self._shelf.ledger.facts.holds.get((environment, bundle))

    def freezes(self) -> tuple[Freeze, ...]:
        with self._lock:
            return tuple(self._shelf.ledger.facts.freezes.values())

    def hooks(self) -> tuple[Hook, ...]:
        with self._lock:
            found = self._shelf.ledger.facts.hooks.values()
        return tuple(sorted(found, key=lambda hook: hook.name))

    def outbox(self, hook: str) -> tuple[Waiting, ...]:
        with self._lock:
            return tuple(self._shelf.ledger.facts.outbox.get(hook, {}).values())

    def waiting_hooks(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(id for id, box in self._shelf.ledger.facts.outbox.items() if box)

    def runs_started(self, environment: str) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._shelf.ledger.facts.started.get(environment, ()))

    def heirs(self, run_id: str) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._shelf.ledger.facts.heirs.get(run_id, ()))

    def gate_ticks(
        self, run_id: str, step: str, first_attempt: int, *, behind: tuple[int, int] = (0, 0)
    ) -> tuple[GateTick, ...]:
        with self._lock:
            database = self._shelf.database()
        return ticks_of(database, run_id, step, first_attempt, behind)

    def last_tick(self, run_id: str, step: str, attempt: int) -> int:
        with self._lock:
            return self._shelf.ledger.facts.ticks.get((run_id, step, attempt), 0)

    def tlog_leaves(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._shelf.ledger.facts.leaves)

    def tlog_entries(self, first: int, end: int) -> tuple[TlogEntry, ...]:
        with self._lock:
            database = self._shelf.database()
        return entries_of(database, first, end)

    def tlog_heads(self, origin: str) -> tuple[tuple[TlogHead, str], ...]:
        with self._lock:
            database = self._shelf.database()
        return heads_of(database, origin)

    def of_kinds(self, kinds: Sequence[str]) -> tuple[Recorded, ...]:
        with self._lock:
            database = self._shelf.database()
        return kinds_of(database, kinds)

    def subscribe(self, callback: Callable[[tuple[Recorded, ...]], None]) -> Callable[[], None]:
        return self._dispatcher.subscribe(callback)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor for `data.queries`, to read with; take a new one for each call."""
        with self._lock:
            return self._shelf.database().cursor()

    def commits(self) -> Pace:
        """How long commits took lately."""
        return self._writer.pace()

    def sizes(self) -> Sizes:
        """How much the home's record takes; looks at every blob's folder."""
        return sizes_of(self._shelf.home)

    def disk(self) -> Disk:
        """Room on the file system of the home."""
        found = shutil.disk_usage(self._shelf.home)
        return Disk(free_bytes=found.free, total_bytes=found.total)

    def backup(self) -> Iterator[bytes]:
        """Everything that was acknowledged by now, as a tar file (`data.backup`); appends go on."""
        with self._shelf.writing, self._shelf.lock:
            end = self._shelf.journal.end
        return backup(self._shelf.home, end)

    def fsck(self) -> FsckReport:
        """Read the journal again and compare every table with it. Appends wait meanwhile."""
        self._volume.flush()
        with self._archive.working, self._shelf.writing:
            return check(self._shelf.database(), self._shelf.journal, self._blobs)

    def check_trail(self) -> TrailReport:
        """Read the chain of events from its beginning; appends go on meanwhile."""
        return check_trail(self._shelf)

    def close(self) -> None:
        """Write what is left and let go of the home. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._volume.stop()
        self._writer.stop()
        self._dispatcher.stop()
        self._shelf.close()

    def _take_in(self) -> None:
        """Samples and log lines that a database made anew does not have yet. A full disk does not
        keep the home from opening: the next start goes on."""
        try:
            taken = self._archive.take_in()
        except StorageFull as full:
            _log.warning("archives wait to be taken in: %s", full)
            return
        if taken.samples or taken.lines or taken.unread:
            _log.warning(
                "%d samples and %d log lines were brought back from archives, %d archives could "
                "not be read",
                taken.samples,
                taken.lines,
                taken.unread,
            )
