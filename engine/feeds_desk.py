"""The feeds of a home: which snapshot is in force, what was tried, and syncing on request.

A snapshot is a blob, and the newest `FeedSynced` of the stream `feeds` names it: a power cut leaves
the old one in force or the new one, never half of one. A feed that was never synced is read from
the folder of the settings, where somebody puts files by hand.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.adapters.feeds_dir import FOLDERS, FeedsDir
from engine.child import Progress
from engine.core.commands import Refusal
from engine.core.digest import Digest
from engine.core.errors import Conflict, Malformed, NotFound, Refused, ReleaselineError
from engine.core.events import Event, Recorded
from engine.core.feed_events import FEEDS, FeedSynced, FeedSyncFailed, FeedSyncStarted
from engine.core.feeds import NAMES, FeedLog, evolve, is_url, refusal
from engine.core.scopes import SYNC_FEEDS, UNLIMITED, Limits
from engine.core.scopes import refusal as beyond
from engine.core.statemachine import Role
from engine.feeds_job import Job, Taken
from engine.feeds_process import SyncFailed, SyncProcess
from engine.feeds_sync import Wish, event_of, job_for
from engine.inputs.feeds_unpack import FeedLimits
from engine.ports import Clock, EventStore, FeedSnapshot
from engine.recording import append_to
from engine.settings import FeedOrigin, FeedsConfig
from engine.settings_feeds import address_problem
from engine.trail.denials import admit

_log = logging.getLogger(__name__)

_INCOMING: Final = "incoming"
_SENTENCE_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Somebody who asks, with the roles that they have in any environment.

    Attributes:
        local: by a shell on the home.
        limits: of the token that they ask with.
    """

    user: str
    roles: frozenset[Role]
    local: bool = False
    limits: Limits = UNLIMITED


@dataclass(slots=True)
class _Running:
    progress: Progress = field(default_factory=Progress)
    process: SyncProcess | None = None


class FeedDesk:
    """Implements `engine.ports.FeedSource`. Thread-safe; follows the stream `feeds`."""

    def __init__(
        self,
        *,
        store: EventStore,
        clock: Clock,
        config: FeedsConfig,
        home: Path,
        limits: FeedLimits | None = None,
    ) -> None:
        self._store, self._clock, self._config, self._home = store, clock, config, home
        self._limits = limits or FeedLimits()
        self._folder = FeedsDir(config.folder)
        self._lock = threading.Lock()
        self._logs: dict[str, FeedLog] = {name: FeedLog() for name in NAMES}
        self._running: dict[str, _Running] = {}
        self._threads: list[threading.Thread] = []
        self._kept: dict[str, tuple[Digest, bytes]] = {}
        self._stopped = False
        for recorded in store.load(FEEDS):
            self._apply(recorded)
        self._unsubscribe = store.subscribe(self._follow)
        for left in (home / _INCOMING).glob("*"):  # of a process that was killed
            if left.is_dir():  # a file that was being imported
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)

    # --- what is there ------------------------------------------------------------------------

    def snapshots(self) -> Sequence[FeedSnapshot]:
        """As the port has it. A blob that is gone or damaged is `Malformed`."""
        with self._lock:
            newest = {name: log.newest for name, log in self._logs.items() if log.newest}
        found = [self._synced(one) for one in newest.values() if one is not None]
        found += self._folder.snapshots_of(NAMES - newest.keys())
        return tuple(sorted(found, key=lambda one: one.name))

    def logs(self) -> Mapping[str, FeedLog]:
        """What is on record, by name."""
        with self._lock:
            return dict(self._logs)

    def running(self) -> Mapping[str, Progress]:
        """The syncs under way in this process, by name."""
        with self._lock:
            return {name: one.progress for name, one in self._running.items()}

    def origins(self) -> Mapping[str, FeedOrigin]:
        """The configured sources, by name of feed."""
        return {one.name: one for one in self._config.sources}

    def now_us(self) -> int:
        """By the clock that its record is dated with."""
        return self._clock.now_us()

    @property
    def folder(self) -> Path:
        return self._config.folder

    # --- syncing ------------------------------------------------------------------------------

    def why_not(self, wish: Wish, who: Who) -> Refusal | None:
        """Why this person may not have it now, in one sentence; None when they may."""
        why = beyond(who.limits, who.user, SYNC_FEEDS) or refusal(
            who.roles, local=who.local, chosen=wish.chosen
        )
        if why is not None:
            return why
        with self._lock:
            busy = sorted(self._running.keys() & set(self.names(wish)))
        if busy:
            return Refusal(sentence=f"{', '.join(busy)}: a sync is under way.", code="state")
        if not wish.origin:
            without = [name for name in self.names(wish) if name not in self.origins()]
            if without:
                return Refusal(
                    sentence=f"{', '.join(without)}: no source is configured "
                    "(feeds.sources in releaseline.yaml); files come from the folder by hand.",
                    code="state",
                )
            if not self.names(wish):
                return Refusal(
                    sentence="No feed has a source (feeds.sources in releaseline.yaml).",
                    code="state",
                )
        return None

    def sync(self, wish: Wish, who: Who) -> tuple[str, ...]:
        """Begin, and return the names of the feeds that are synced now, one after another.

        Raises:
            NotFound: there is no such feed.
            Malformed: the address is none to take feeds from.
            Refused: not allowed now. The attempt is on record.
        """
        names = self.names(wish)
        unknown = sorted(set(names) - set(NAMES))
        if unknown:
            raise NotFound(f"There is no feed {', '.join(unknown)}; there are {', '.join(NAMES)}.")
        if wish.origin:
            wrong = address_problem(wish.origin, signed=False)
            if wrong:
                raise Malformed(wrong, where="from")
        admit(
            self._store,
            self.why_not(wish, who),
            user=who.user,
            action=SYNC_FEEDS,
            subject=" ".join(names),
            override=wish.accept_loss,
        )
        self._begin(names, wish, who.user)
        return names

    def begin(self, names: Sequence[str], *, by: str) -> None:
        """Sync feeds from their configured sources in the background, because it is time to.

        Raises:
            Conflict: a sync of one of them has begun just now, or the engine is being stopped.
        """
        self._begin(names, Wish(names=tuple(names)), by)

    def _begin(self, names: Sequence[str], wish: Wish, user: str) -> None:
        with self._lock:
            if self._stopped or self._running.keys() & set(names):
                raise Conflict("A sync of one of them has begun just now.")
            self._running |= {name: _Running() for name in names}
        thread = threading.Thread(
            target=copy_context().run,  # whoever asks is asked for in there too
            args=(self._one_after_another, names, wish, user),
            name="feeds",
        )
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    @contextmanager
    def taking(self, names: Sequence[str]) -> Iterator[None]:
        """While something else brings snapshots of these feeds, no sync of them begins.

        Raises:
            Conflict: a sync of one is under way, or the engine is being stopped.
        """
        with self._lock:
            busy = sorted(self._running.keys() & set(names))
            if self._stopped or busy:
                raise Conflict(f"A sync of {', '.join(busy) or 'the feeds'} is under way.")
            self._running |= {name: _Running() for name in names}
        try:
            yield
        finally:
            with self._lock:
                for name in names:
                    del self._running[name]

    def wait(self, timeout_s: float | None = None) -> None:
        """Until the syncs that were begun here have ended."""
        for thread in tuple(self._threads):
            thread.join(timeout_s)

    def stop(self) -> None:
        """End what is under way; nothing of it is taken."""
        with self._lock:
            self._stopped = True
            under_way = [one.process for one in self._running.values() if one.process is not None]
        for process in under_way:
            process.cancel("the engine was stopped")
        self.wait()
        self._unsubscribe()

    def names(self, wish: Wish) -> tuple[str, ...]:
        if wish.names:
            return tuple(dict.fromkeys(name.upper() for name in wish.names))
        if wish.origin and not is_url(wish.origin):
            root = Path(wish.origin)
            return tuple(name for name in NAMES if _is_folder(root / FOLDERS[name]))
        return tuple(NAMES) if wish.origin else tuple(sorted(self.origins()))

    def _one_after_another(self, names: Sequence[str], wish: Wish, user: str) -> None:
        for name in names:
            try:
                self._one(name, wish, user)
            except ReleaselineError:
                _log.exception("a sync of %s could not be recorded", name)
            finally:
                with self._lock:
                    del self._running[name]

    def _one(self, name: str, wish: Wish, user: str) -> None:
        with self._lock:
            before, stopped = self._logs[name].newest, self._stopped
            self._running[name].progress = Progress(what="asking the source")
        if stopped:
            return
        began_s = self._clock.monotonic_s()
        origin = self._origin(name, wish)
        started = FeedSyncStarted(name=name, source=origin.address, accept_loss=wish.accept_loss)
        self._record(started, user)
        into = self._home / _INCOMING / secrets.token_hex(8)
        event: Event
        try:
            into.parent.mkdir(exist_ok=True)
            held = "" if before is None else str(self._store.blobs.path(before.digest))
            job = job_for(
                origin,
                wish,
                before,
                previous=held,
                home=self._home,
                into=into,
                asked_s=self._clock.now_us() // 1_000_000,
                limits=self._limits,
            )
            taken = self._run(name, job)
            self._put(taken, into)
            event = event_of(taken, job, before, wish, took_ms=self._took_ms(began_s))
        except (ReleaselineError, OSError) as error:
            event = FeedSyncFailed(
                name=name,
                source=origin.address,
                code=_code(error),
                reason=str(error)[:_SENTENCE_MAX],
                took_ms=self._took_ms(began_s),
            )
        finally:
            into.unlink(missing_ok=True)
        self._record(event, user)

    def _origin(self, name: str, wish: Wish) -> FeedOrigin:
        if not wish.origin:
            return self.origins()[name]
        address = wish.origin.rstrip("/") or "/"
        several = is_url(address) and len(self.names(wish)) > 1
        if several or (not is_url(address) and _is_folder(Path(address) / FOLDERS[name])):
            address = f"{address}/{FOLDERS[name]}"
        return FeedOrigin(name=name, address=address, ecosystems=wish.ecosystems)

    def _run(self, name: str, job: Job) -> Taken:
        process = SyncProcess(job)
        with self._lock:
            running, stopped = self._running[name], self._stopped
            running.process = process
        if stopped:
            process.cancel("the engine was stopped")

        def told(progress: Progress) -> None:
            with self._lock:
                running.progress = progress

        return process.run(told)

    def _put(self, taken: Taken, into: Path) -> None:
        """Keep the snapshot; it is not in force before an event names it."""
        if taken.how == "unchanged":
            return
        digest = self._store.blobs.put(into.read_bytes())
        if str(digest) != taken.digest:
            raise Malformed(f"expected {taken.digest}, found {digest}", where=str(into))

    def _took_ms(self, began_s: float) -> int:
        return int((self._clock.monotonic_s() - began_s) * 1000)

    def _synced(self, one: FeedSynced) -> FeedSnapshot:
        with self._lock:
            kept = self._kept.get(one.name)
        if kept is None or kept[0] != one.digest:
            kept = (one.digest, self._store.blobs.get(one.digest))
            with self._lock:
                self._kept[one.name] = kept
        return FeedSnapshot(name=one.name, digest=one.digest, as_of_s=one.as_of_s, content=kept[1])

    def _record(self, event: Event, user: str) -> None:
        append_to(self._store, FEEDS, event, actor=user)

    def _follow(self, recorded: tuple[Recorded, ...]) -> None:
        for one in recorded:
            if one.stream == FEEDS:
                self._apply(one)

    def _apply(self, recorded: Recorded) -> None:
        match recorded.event:
            case FeedSyncStarted(name=name) | FeedSynced(name=name) | FeedSyncFailed(name=name):
                with self._lock:
                    self._logs[name] = evolve(self._logs.get(name, FeedLog()), recorded)
            case _:
                pass


def _is_folder(path: Path) -> bool:
    """False also for what can be no path here, such as a name that is too long."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _code(error: Exception) -> str:
    match error:
        case SyncFailed(code=code):
            return code
        case Refused():
            return "loss"
        case Malformed():
            return "malformed"
        case _:
            return "unreachable"
