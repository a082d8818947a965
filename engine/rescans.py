"""SBOM rescans: the stored SBOMs of bundles that matter are matched again when the feeds know more.

One rescan runs at a time, in a process of its own, begun by the engine as soon as other snapshots
come into force, or by a person. What each bundle was found to hold is on record with the snapshots
that it was matched against, and so is why a rescan failed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.asker import Asker, refusal_of
from engine.catalog import Catalog
from engine.child import Child, ChildEnded, Progress
from engine.core.commands import Refusal
from engine.core.errors import Conflict, ReleaselineError
from engine.core.event_parts import NamedDigest
from engine.core.events import Event, Recorded
from engine.core.fact_events import PolicyEvaluated
from engine.core.feed_events import FeedSynced
from engine.core.rescan_events import RESCANS, RescanFailed, RescanFinished, RescanStarted
from engine.core.rescans import (
    MAY_RESCAN,
    RescanLog,
    Snapshots,
    Standing,
    Subject,
    due,
    evolve,
    standing,
)
from engine.core.scopes import RESCAN
from engine.ports import Clock, EventStore, FeedSnapshot
from engine.recording import append_to
from engine.rescans_found import Answers, told
from engine.rescans_job import BundleOf, FeedOf, Job
from engine.rescans_subjects import Subjects
from engine.settings import Settings
from engine.trail.denials import admit

_log = logging.getLogger(__name__)

# Between two looks at what nobody tells of: files put into the folder by hand, a retry that is due.
LOOK_EVERY_S: Final = 15
DEADLINE_S: Final = 900.0
ENGINE: Final = "engine"
_NOTHING: Final = "No bundle that is live or in an open run has an SBOM to rescan."


@dataclass(slots=True)
class _Running:
    done: int = 0
    progress: Progress = field(default_factory=Progress)
    child: Child | None = None


class Rescans:
    """Thread-safe. Begins nothing by itself before `start`.

    Args:
        feeds: the snapshots in force; raises `Malformed` when they cannot be read.
        blobs: folder of the home's blobs, for the process that matches.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        clock: Clock,
        settings: Settings,
        catalog: Catalog,
        feeds: Callable[[], Sequence[FeedSnapshot]],
        blobs: Path,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._store, self._clock, self._settings = store, clock, settings
        self._feeds, self._blobs, self._deadline_s = feeds, blobs, deadline_s
        self._subjects = Subjects(
            store=store, catalog=catalog, environments=tuple(settings.environments)
        )
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._log = RescanLog()
        self._in_force: Snapshots | None = None
        self._running: _Running | None = None
        self._threads: list[threading.Thread] = []
        self._started, self._stopped = False, False
        for recorded in store.load(RESCANS):
            self._log = evolve(self._log, recorded)
        self._unsubscribe = store.subscribe(self._follow)

    # --- what is known ------------------------------------------------------------------------

    def log(self) -> RescanLog:
        with self._lock:
            return self._log

    def progress(self) -> Progress | None:
        """Of the rescan under way; None when none is."""
        with self._lock:
            return None if self._running is None else self._running.progress

    def subjects(self) -> tuple[Subject, ...]:
        """The bundles that matter, by label."""
        return self._subjects.now()

    def snapshots(self) -> Snapshots:
        """In force, as of the last look. Raises `Malformed` when they cannot be read."""
        with self._lock:
            known = self._in_force
        return self._read()[0] if known is None else known

    def standing(self, environment: str = "") -> Standing:
        """Of the home, or of what one environment rests on. Raises as `snapshots`."""
        snapshots = self.snapshots()
        subjects = [
            one for one in self.subjects() if not environment or environment in one.environments
        ]
        with self._lock:
            done = None if self._running is None else self._running.done
            return standing(self._log, subjects, snapshots, done=done)

    # --- beginning ----------------------------------------------------------------------------

    def start(self) -> None:
        """From now on a rescan begins by itself when one is due."""
        self._started = True

    def when_due(self) -> None:
        """For the alarm clock, and after whatever may make a rescan due."""
        if not self._started:
            return
        with self._looking:
            try:
                self._begin_what_is_due()
            except ReleaselineError as error:  # the feeds are told of where their health is
                _log.info("no rescan could be begun: %s", error)

    def why_not(self, asker: Asker) -> Refusal | None:
        """Why they may not have a rescan now; None when they may."""
        why = refusal_of(self._settings, asker, RESCAN, MAY_RESCAN, what="have SBOMs rescanned")
        if why is not None:
            return why
        if self.progress() is not None:
            return Refusal(sentence="A rescan is under way.", code="state")
        if not self.subjects():
            return Refusal(sentence=_NOTHING, code="state")
        return None

    def ask(self, asker: Asker, *, command_id: str = "") -> int:
        """Begin to rescan every bundle that matters, in the background. Returns its number.

        Raises:
            Refused: not allowed now. The attempt is on record.
            Malformed: the feeds cannot be read.
            Conflict: one has begun just now.
        """
        admit(self._store, self.why_not(asker), user=asker.user, action=RESCAN)
        with self._looking:
            snapshots, feeds = self._read()
            number = self._begin("asked", self.subjects(), snapshots, feeds, asker.user, command_id)
        if number is None:
            raise Conflict("A rescan has begun just now.")
        return number

    def wait(self, timeout_s: float | None = None) -> None:
        """Until what was begun here has ended."""
        for thread in tuple(self._threads):
            thread.join(timeout_s)

    def stop(self) -> None:
        """End what is under way; what it found so far is recorded."""
        with self._lock:
            self._stopped = True
            child = None if self._running is None else self._running.child
        if child is not None:
            child.cancel("the engine was stopped")
        self.wait()
        self._unsubscribe()
        self._subjects.stop()

    def _begin_what_is_due(self) -> None:
        snapshots, feeds = self._read()
        with self._lock:
            if self._running is not None:
                return
            log = self._log
        found = due(log, self.subjects(), snapshots, now_us=self._clock.now_us())
        if found is not None:
            self._begin(*found, snapshots, feeds, ENGINE)

    def _read(self) -> tuple[Snapshots, tuple[FeedSnapshot, ...]]:
        feeds = tuple(self._feeds())
        named = [NamedDigest(name=one.name, digest=one.digest) for one in feeds]
        snapshots = tuple(sorted(named, key=lambda one: one.name))
        with self._lock:
            self._in_force = snapshots
        return snapshots, feeds

    def _begin(
        self,
        cause: str,
        subjects: Sequence[Subject],
        snapshots: Snapshots,
        feeds: Sequence[FeedSnapshot],
        user: str,
        command_id: str = "",
    ) -> int | None:
        """The rescan's number; None when another one was faster, or the engine is being stopped."""
        with self._lock:
            if self._stopped or self._running is not None:
                return None
            self._running = _Running()
            newest = self._log.newest
            number = 1 if newest is None else newest.started.number + 1
        bundles = tuple(one.bundle for one in subjects)
        event = RescanStarted(number=number, cause=cause, snapshots=snapshots, bundles=bundles)
        try:
            self._record(event, user, command_id)
        except BaseException:
            with self._lock:
                self._running = None
            raise
        thread = threading.Thread(
            target=copy_context().run,  # whoever asks is asked for in there too
            args=(self._work, number, tuple(subjects), tuple(feeds), user),
            name="rescan",
        )
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()
        return number

    # --- one rescan ---------------------------------------------------------------------------

    def _work(
        self, number: int, subjects: Sequence[Subject], feeds: Sequence[FeedSnapshot], user: str
    ) -> None:
        began_s = self._clock.monotonic_s()
        try:
            answers = self._answers(subjects, feeds)
            took_ms = int((self._clock.monotonic_s() - began_s) * 1000)
            self._record(self._event(number, subjects, answers, took_ms), user)
        except ReleaselineError:
            _log.exception("rescan %d could not be recorded", number)
        finally:  # whatever happened, the next one may begin
            with self._lock:
                self._running = None

    def _answers(self, subjects: Sequence[Subject], feeds: Sequence[FeedSnapshot]) -> Answers:
        answers = Answers()
        try:
            for one in feeds:  # files of the folder are no blobs yet
                self._store.blobs.put(one.content)
            self._listen(self._job(subjects, feeds), answers)
        except ChildEnded as ended:
            answers.fail("stopped" if self._stopped else "worker", str(ended))
        except (ReleaselineError, OSError) as error:
            answers.fail("worker", str(error))
        return answers

    def _listen(self, job: Job, answers: Answers) -> None:
        child = Child("engine.rescans_child", deadline_s=self._deadline_s)
        with self._lock:
            running, stopped = self._running, self._stopped
            assert running is not None  # set before this thread was started
            running.child = child
        if stopped:
            child.cancel("the engine was stopped")

        def progress(now: Progress) -> None:
            with self._lock:
                running.progress = now

        with closing(child.talk(job.line(), progress)) as said:
            for document in said:
                if answers.take(document):
                    return
                with self._lock:
                    running.done = len(answers.outcomes)

    def _job(self, subjects: Sequence[Subject], feeds: Sequence[FeedSnapshot]) -> Job:
        return Job(
            blobs=str(self._blobs),
            feeds=tuple(
                FeedOf(name=one.name, digest=str(one.digest), as_of_s=one.as_of_s) for one in feeds
            ),
            bundles=tuple(
                BundleOf(
                    digest=str(one.bundle),
                    sources="" if one.verdict_sources is None else str(one.verdict_sources),
                )
                for one in subjects
            ),
        )

    def _event(
        self, number: int, subjects: Sequence[Subject], answers: Answers, took_ms: int
    ) -> RescanFinished | RescanFailed:
        found, failed = told(
            answers, subjects, self.log(), self._store.blobs, self._subjects.keys_of
        )
        code, reason = answers.code, answers.reason
        if failed and not code:
            code, reason = "sbom", failed[0].reason
        if code:
            return RescanFailed(
                number=number,
                code=code,
                reason=reason,
                bundles=found,
                failed=failed,
                took_ms=took_ms,
            )
        return RescanFinished(number=number, bundles=found, took_ms=took_ms)

    def _record(self, event: Event, user: str, command_id: str = "") -> None:
        append_to(self._store, RESCANS, event, actor=user, command_id=command_id)

    # --- following the log --------------------------------------------------------------------

    def _follow(self, recorded: tuple[Recorded, ...]) -> None:
        look = False
        for one in recorded:
            if one.stream == RESCANS:
                with self._lock:
                    self._log = evolve(self._log, one)
            # A gate may have seen files that were put into the folder since the last look.
            look = look or isinstance(one.event, FeedSynced | PolicyEvaluated)
        if look and self._started and not self._stopped:
            threading.Thread(target=self.when_due, name="rescan-look", daemon=True).start()
