"""The integrity sweep: reads everything that is stored, and says what is not what it was.

What a run names comes first, the newest run before all others; then whatever else lies in the
folder of blobs. What is damaged is on record as soon as it is seen, and so is its repair.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import duckdb

from data import queries
from engine.core.digest import Digest
from engine.core.errors import Conflict, Malformed, NotFound, ReleaselineError
from engine.core.events import Event
from engine.core.integrity import (
    BLOB,
    HOUSE_KINDS,
    LEAF,
    NAMELESS,
    NESTED_MAX_BYTES,
    NO_ITEM,
    Damage,
    IntegrityLog,
    Named,
    evolve,
    named_in,
    nested_in,
    newest_first,
)
from engine.core.integrity_events import INTEGRITY, DamageCleared, DamageFound, IntegritySwept
from engine.evidence.merkle import leaf_hash
from engine.evidence.strict import parse_object
from engine.evidence.tlog_entry import parse_receipt
from engine.ports import BlobStore, Clock, EventStore
from engine.recording import append_to
from engine.settings import IntegrityConfig

_log = logging.getLogger(__name__)

ENGINE: Final = "engine"
LOOK_EVERY_S: Final = 5
_CHUNK_BYTES: Final = 1 << 20
# What a file or a run costs beside its bytes, in bytes, so that many small ones are paced too.
_FILE_COST: Final = 16 << 10
_LEAF_COST: Final = 4 << 10
_RUN_COST: Final = 64 << 10
_AHEAD_S: Final = 0.02
_RECEIPT: Final = "rekor-entry.json"


class SweptBlobs(BlobStore, Protocol):
    def every(self) -> Iterator[Digest]: ...


class SweptStore(EventStore, Protocol):
    @property
    def blobs(self) -> SweptBlobs: ...
    def cursor(self) -> duckdb.DuckDBPyConnection: ...


class _Stopped(Conflict):
    """The sweep was told to end; what it saw so far is on record."""

    def __init__(self) -> None:
        super().__init__(
            "The sweep was ended early: another one was asked for, or the engine ends."
        )


@dataclass(slots=True)
class _Looked:
    """What one sweep saw. `nested`: what a good blob names; `indexes`: of leaves by hash."""

    bad: dict[str, DamageFound] = field(default_factory=dict)
    nested: dict[str, tuple[Named, ...]] = field(default_factory=dict)
    leaves: set[str] = field(default_factory=set)
    indexes: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    size_bytes: int = 0


class _Pace:
    """Waits so that no more than `rate` bytes a second are read; a rate of 0 never waits."""

    def __init__(self, clock: Clock, rate: int, stop: threading.Event) -> None:
        self._clock, self._rate, self._stop = clock, rate, stop
        self._began_s, self._spent = clock.monotonic_s(), 0

    def spend(self, size_bytes: int) -> None:
        """Raises `_Stopped`."""
        if self._stop.is_set():
            raise _Stopped
        if not self._rate:
            return
        self._spent += size_bytes
        ahead_s = self._spent / self._rate - (self._clock.monotonic_s() - self._began_s)
        if ahead_s > _AHEAD_S and self._stop.wait(ahead_s):
            raise _Stopped


class Integrity:
    """Thread-safe. One sweep at a time; one that somebody asks for ends one that was due."""

    def __init__(self, store: SweptStore, clock: Clock, config: IntegrityConfig) -> None:
        self._store, self._clock, self._config = store, clock, config
        self._lock, self._working = threading.Lock(), threading.Lock()
        self._stop, self._closed = threading.Event(), False
        self._thread: threading.Thread | None = None
        self._log = IntegrityLog()
        for recorded in store.load(INTEGRITY):
            self._log = evolve(self._log, recorded)

    @property
    def every_us(self) -> int:
        return self._config.every_us

    def log(self) -> IntegrityLog:
        with self._lock:
            return self._log

    @property
    def running(self) -> bool:
        return self._working.locked()

    def when_due(self) -> None:
        """For the alarm clock: begin a sweep when the last one ended long enough ago."""
        log = self.log()
        if log.swept is not None and self._clock.now_us() - log.swept_us < self.every_us:
            return
        with self._lock:
            begun = self._thread is not None and self._thread.is_alive()
            if self._closed or begun or self.running:
                return
            self._thread = threading.Thread(target=self._by_itself, name="integrity", daemon=True)
            self._thread.start()

    def sweep(self, user: str) -> IntegrityLog:
        """Look at everything now, as fast as the disk reads. Returns what is known then.

        Raises:
            StorageFull: what was found cannot be recorded.
            Conflict: it was ended early, by another one or by the engine's end.
        """
        self._stop.set()  # one that was due takes its time
        with self._working:
            self._stop.clear()
            self._sweep(user, "asked", 0)
        return self.log()

    def wait(self, timeout_s: float) -> None:
        """Until a sweep that began by itself has ended."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def stop(self) -> None:
        with self._lock:
            self._closed = True
        self._stop.set()
        self.wait(10.0)

    # --- one sweep ----------------------------------------------------------------------------

    def _by_itself(self) -> None:
        if not self._working.acquire(blocking=False):
            return
        try:
            self._sweep(ENGINE, "due", self._config.bytes_per_s)
        except _Stopped:
            _log.info("the integrity sweep was ended early")
        except ReleaselineError:
            _log.exception("the integrity sweep could not go on")
        finally:
            self._working.release()

    def _sweep(self, user: str, cause: str, rate: int) -> None:
        began_s = self._clock.monotonic_s()
        pace, seen = _Pace(self._clock, rate, self._stop), _Looked()
        for damage in self.log().damaged.values():  # what is whole again is told first
            self._again(seen, damage, pace, user)
        for number in range(self._store.last_run_number(), 0, -1):
            self._run(f"run-{number}", seen, pace, user)
        for leaf in self._store.tlog_leaves():
            pace.spend(_LEAF_COST)
            self._leaf(leaf, NO_ITEM, "", seen, user)
        for named in self._house():
            self._blob(named, "", seen, pace, user)
        for digest in self._store.blobs.every():
            self._blob(Named(digest=digest, item=NAMELESS, kept=False), "", seen, pace, user)
        for found in seen.bad.values():  # by now every run that it belongs to is known
            self._tell(found, user)
        swept = IntegritySwept(
            cause=cause,
            runs=seen.runs,
            blobs=len(seen.nested),
            size_bytes=seen.size_bytes,
            leaves=len(seen.leaves),
            damaged=len(self.log().damaged),
            took_ms=int((self._clock.monotonic_s() - began_s) * 1000),
        )
        self._record(swept, user)

    def _again(self, seen: _Looked, damage: Damage, pace: _Pace, user: str) -> None:
        known = damage.found
        if known.place.startswith(BLOB):
            digest = Digest.parse(known.place.removeprefix(BLOB))
            kept = known.check == "blob.present"
            self._blob(Named(digest=digest, item=known.item, kept=kept), "", seen, pace, user)
        else:
            self._leaf(known.place.removeprefix(LEAF), known.item, "", seen, user)

    def _run(self, run_id: str, seen: _Looked, pace: _Pace, user: str) -> None:
        pace.spend(_RUN_COST)
        seen.runs += 1
        waiting = deque(n for one in self._store.load(run_id) for n in named_in(one.event))
        waiting += self._archives(run_id)
        here: set[str] = set()
        while waiting:
            named = waiting.popleft()
            if named.digest.hex in here:
                continue
            waiting += self._blob(named, run_id, seen, pace, user)
            if named.digest.hex in seen.nested:
                here.add(named.digest.hex)
            if named.item.endswith(_RECEIPT):
                self._receipt(named, run_id, seen, user)

    def _archives(self, run_id: str) -> list[Named]:
        rows = queries.run_archives(self._store.cursor(), run_id=run_id).to_dicts()
        return [
            Named(
                digest=Digest.parse(row["blob"]),
                item=f"archived {row['kind']} of {row['step']}, attempt {row['attempt']}",
                kept=True,
            )
            for row in rows
        ]

    def _house(self) -> Iterator[Named]:
        for recorded in self._store.of_kinds(HOUSE_KINDS):
            yield from named_in(recorded.event)

    def _blob(
        self, named: Named, run_id: str, seen: _Looked, pace: _Pace, user: str
    ) -> tuple[Named, ...]:
        """Look at bytes once in a sweep. Returns what they name in turn."""
        place = f"{BLOB}{named.digest}"
        if place in seen.bad:
            self._also(seen, place, run_id, named)
            return ()
        known = seen.nested.get(named.digest.hex)
        if known is not None:
            return known
        wrong, content = self._read(named, seen, pace)
        if wrong is not None:
            self._bad(seen, place, named.item, wrong, run_id, user)
            return ()
        if content is None:  # it lies elsewhere, or is no file at all
            return ()
        self._good(place, user)
        nested = tuple(nested_in(content, named.item))
        seen.nested[named.digest.hex] = nested
        return nested

    def _read(
        self, named: Named, seen: _Looked, pace: _Pace
    ) -> tuple[tuple[str, str, str] | None, bytes | None]:
        """What is wrong (check, expected, found), and the first bytes; None for neither."""
        expected, first = str(named.digest), b""
        try:
            path = self._store.blobs.path(named.digest)
        except NotFound:
            return (("blob.present", expected, "no file") if named.kept else None), None
        pace.spend(_FILE_COST)
        hasher = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    pace.spend(len(chunk))
                    hasher.update(chunk)
                    seen.size_bytes += len(chunk)
                    if len(first) <= NESTED_MAX_BYTES:
                        first += chunk
        except OSError as error:
            return ("blob.readable", expected, str(error.strerror or error)), None
        found = f"sha256:{hasher.hexdigest()}"
        return (None, first) if found == expected else (("blob.sha256", expected, found), None)

    def _receipt(self, named: Named, run_id: str, seen: _Looked, user: str) -> None:
        """The leaf that a receipt is about is in the log, with the bytes that it had."""
        if f"{BLOB}{named.digest}" in seen.bad:
            return
        try:
            content = self._store.blobs.get(named.digest)
            receipt = parse_receipt(parse_object(content, where=named.item), where=named.item)
        except (Malformed, NotFound):  # not one of ours, or told already
            return
        item = f"the log's entry of {named.item.removesuffix('.' + _RECEIPT)}"
        self._leaf(leaf_hash(receipt.body).hex(), item, run_id, seen, user)

    def _leaf(self, leaf: str, item: str, run_id: str, seen: _Looked, user: str) -> None:
        place = f"{LEAF}{leaf}"
        if leaf in seen.leaves:
            self._also(seen, place, run_id, None)
            return
        seen.leaves.add(leaf)
        wrong = self._leaf_trouble(leaf, seen)
        if wrong:
            self._bad(seen, place, item, ("log.leaf", leaf, wrong), run_id, user)
        else:
            self._good(place, user)

    def _leaf_trouble(self, leaf: str, seen: _Looked) -> str:
        if leaf not in seen.indexes:  # the log has grown since, or nothing was looked up yet
            seen.indexes = {one: n for n, one in enumerate(self._store.tlog_leaves())}
        index = seen.indexes.get(leaf)
        if index is None:
            return "no such leaf"
        for entry in self._store.tlog_entries(index, index + 1):
            return "" if leaf_hash(entry.body.encode()).hex() == leaf else "another body"
        return f"no row {index}"

    # --- what was found -----------------------------------------------------------------------

    def _bad(
        self,
        seen: _Looked,
        place: str,
        item: str,
        wrong: tuple[str, str, str],
        run_id: str,
        user: str,
    ) -> None:
        check, expected, found = wrong
        known = self.log().damaged.get(place)
        runs = set(() if known is None else known.found.runs) | ({run_id} if run_id else set())
        seen.bad[place] = DamageFound(
            place=place,
            item=item,
            check=check,
            expected=expected,
            found=found,
            runs=newest_first(runs),
        )
        if known is None:
            self._record(seen.bad[place], user)

    def _also(self, seen: _Looked, place: str, run_id: str, named: Named | None) -> None:
        """Something damaged belongs to one more run."""
        known = seen.bad.get(place)
        if known is None or not run_id or run_id in known.runs:
            return
        item = known.item if named is None or known.runs else named.item
        seen.bad[place] = replace(known, item=item, runs=newest_first({*known.runs, run_id}))

    def _good(self, place: str, user: str) -> None:
        known = self.log().damaged.get(place)
        if known is not None:
            event = DamageCleared(place=place, item=known.found.item, runs=known.found.runs)
            self._record(event, user)

    def _tell(self, found: DamageFound, user: str) -> None:
        known = self.log().damaged.get(found.place)
        if known is None or known.found != found:
            self._record(found, user)

    def _record(self, event: Event, user: str) -> None:
        recorded = append_to(self._store, INTEGRITY, event, actor=user)
        with self._lock:  # nobody else writes to this stream
            for one in recorded:
                self._log = evolve(self._log, one)
