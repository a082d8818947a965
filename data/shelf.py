"""Journal and database of a home as one thing: opened, caught up, written, brought back.

The journal is the truth. A database that is missing or damaged is made again from it; a damaged
file is set aside as `*.quarantine` and never deleted. When a commit fails after its lines were
journaled, either the database is brought to them or they are taken back: never one without the
other.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb

from data.database import Database
from data.journal import START, Journal
from data.ledger import Append, Draft, Ledger
from data.loading import catch_up, facts_from, fold_from
from engine.core.errors import IllegalTransition, Malformed, StorageFull
from engine.core.events import Event
from engine.core.house import StoreRebuilt
from engine.core.rows import Sample, StepLog
from engine.core.run import Run
from engine.ports import Clock

_log = logging.getLogger(__name__)

STORE_STREAM: Final = "engine:store"
DATABASE: Final = "releaseline.duckdb"
# With less than this, a database that cannot be opened is taken for starved, not for damaged.
_ROOM_BYTES: Final = 16 * 1024 * 1024


class Shelf:
    """Attributes:
    lock: held for every look at or change of `ledger`, and while the database is exchanged.
    writing: held by whoever writes, and by `fsck`, so that nothing moves under it; taken
        before `lock`.
    rebuilt: what has to be said about a rebuild at start; None when there was none.
    """

    def __init__(self, home: Path, *, clock: Clock) -> None:
        """Raises `Malformed` for a damaged journal, `UnsafeConfig` when another process is here."""
        self.home, self._clock = home, clock
        self.lock, self.writing = threading.RLock(), threading.Lock()
        self._filling = threading.Lock()  # innermost: its holder takes no other
        self._path = home / DATABASE
        self.journal = Journal(home / "journal")
        self._database: Database | None = None
        self.rebuilt: StoreRebuilt | None = None
        try:
            self._open()
            self.ledger = self._read()
        except BaseException:
            self.close()
            raise

    def database(self) -> Database:
        """Raises `StorageFull` while it cannot be opened."""
        with self.lock:
            if self._database is None:
                self._reopen()
            assert self._database is not None
            return self._database

    def write(self, draft: Draft) -> None:
        """Journal, then database.

        Raises:
            StorageFull: nothing of it counts; both are as they were.
            duckdb.Error: a defect of ours; nothing of it counts either.
        """
        database = self.database()
        batch = draft.finish()
        end = self.journal.append(draft.lines)
        try:
            database.begin()
            database.add(batch)
            database.commit(end)
        except duckdb.Error as error:
            with self.lock:
                self._after(error)
        except BaseException:
            database.rollback()
            self.journal.retract()
            raise

    def add_volume(self, samples: Sequence[Sample], logs: Sequence[StepLog]) -> None:
        """Beside the writer. Raises `StorageFull`; nothing of it was written then."""
        with self.filling() as database:
            database.add_volume(samples, logs)

    @contextlib.contextmanager
    def filling(self) -> Iterator[Database]:
        """The database, which stays open meanwhile; for what is not journaled.

        Raises:
            StorageFull: it cannot be written; it is closed, and opened again by whoever is next.
        """
        while True:
            database = self.database()
            self._filling.acquire()
            if database is self._database:
                break
            self._filling.release()  # exchanged in between
        try:
            try:
                yield database
            finally:
                self._filling.release()
        except duckdb.Error as error:
            with self.writing, self.lock:
                if database is self._database:
                    self._drop()
            raise _full(error) from error

    def note(self, event: Event) -> Append:
        """An append of the store's own, behind what its stream holds."""
        return Append.of(
            STORE_STREAM,
            (event,),
            after=self.ledger.version(STORE_STREAM),
            actor="engine",
            command_id="",
            rows=(),
        )

    def fold(self, run_id: str) -> Run:
        return fold_from(self.database(), run_id)

    def close(self) -> None:
        self._drop()
        self.journal.close()

    def _open(self) -> None:
        fresh = not self._path.exists()
        try:
            self._database = Database(self._path)
            known = self._database.mark()
        except duckdb.Error as error:
            self._journal_open_without_database()
            self._rebuild(f"the database was damaged: {_first_line(error)}")
            return
        self.journal.open(known)
        self._say_cut()
        taken = catch_up(self._database, self.journal, known)
        if fresh and self.journal.end != START:
            self._made_again("the database was missing", events=taken, aside="")
        elif taken:
            _log.warning("the database was %d events behind the journal", taken)

    def _read(self) -> Ledger:
        assert self._database is not None
        try:
            facts = facts_from(self._database)
        except (duckdb.Error, Malformed, IllegalTransition) as error:
            if self.rebuilt is not None:
                raise
            self._rebuild(f"the database was damaged: {_first_line(error)}")
            facts = facts_from(self._database)
        return Ledger(facts, self.fold)

    def _journal_open_without_database(self) -> None:
        self._drop()
        self.journal.open(START)
        self._say_cut()

    def _say_cut(self) -> None:
        if self.journal.cut is not None:
            _log.warning(
                "%s was torn by a crash and cut off: %d bytes that nobody was told were recorded",
                self.journal.cut.where,
                self.journal.cut.bytes,
            )

    def _rebuild(self, reason: str) -> None:
        """Make the database again from the journal's first line."""
        self._drop()
        aside = self._quarantine()
        self._database = Database(self._path)
        count = catch_up(self._database, self.journal, START)
        self._made_again(reason, events=count, aside=aside)

    def _made_again(self, reason: str, *, events: int, aside: str) -> None:
        _log.warning("%s; rebuilt from the journal, %d events", reason, events)
        self.rebuilt = StoreRebuilt(reason=reason, events=events, quarantined=aside)

    def _quarantine(self) -> str:
        """Set the database's files aside. Returns the new name, empty when there was no file."""
        name = ""
        moment = self._clock.now_us()
        for suffix in (".wal", ""):
            path = self._path.with_name(DATABASE + suffix)
            if path.exists():
                aside = path.with_name(f"releaseline-{moment}.duckdb{suffix}.quarantine")
                path.rename(aside)
                name = aside.name
        return name

    def _after(self, error: duckdb.Error) -> None:
        """The journal has the lines and the database refused them: both or neither.

        Returns when the database has them after all. Raises as `write` says.
        """
        _log.warning("the database refused a commit: %s", error)
        self._drop()
        try:
            database = Database(self._path)
            try:
                catch_up(database, self.journal, database.mark())
            except BaseException:
                database.close()
                raise
        except (duckdb.ConstraintException, Malformed, IllegalTransition):
            self.journal.retract()
            raise
        except (duckdb.Error, StorageFull, OSError) as again:
            self.journal.retract()
            raise _full(again) from error
        self._database = database

    def _reopen(self) -> None:
        try:
            database = Database(self._path)
            mark = database.mark()
            if mark.line > self.journal.end.line:
                # It committed lines that were taken back, because it could not say so.
                database.close()
                self._rebuild("the database held a commit that was not acknowledged")
                return
            catch_up(database, self.journal, mark)
            self._database = database
        except (duckdb.Error, OSError) as error:
            if shutil.disk_usage(self.home).free < _ROOM_BYTES:
                raise _full(error) from error
            try:
                self._rebuild(f"the database was damaged: {_first_line(error)}")
            except (duckdb.Error, OSError) as again:
                self._drop()
                raise _full(again) from error

    def _drop(self) -> None:
        with self._filling:
            database, self._database = self._database, None
            if database is not None:
                try:
                    database.close()
                except duckdb.Error:
                    _log.warning("the database did not close", exc_info=True)


def _full(error: Exception) -> StorageFull:
    return StorageFull(
        f"Nothing can be recorded: {_first_line(error)}.",
        hint="Free space in the home's file system; work goes on by itself.",
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
