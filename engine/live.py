"""What pages see of a run: one immutable snapshot, made once and shared by every viewer.

A snapshot is made anew after a commit, and while a stage is watched also for new health samples
and log lines, at most four times a second. Runs that nobody looks at cost nothing. Nothing is
decided here, and nothing is read from the database in a viewer's own thread.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Any, Final

from engine.core.errors import NotFound, ReleaselineError
from engine.core.events import Recorded
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.state import StepState
from engine.live_feed import Feed, LiveStore, StoreFeed
from engine.live_now import under_way
from engine.live_stage import StageNow, stage_now
from engine.live_stage_reader import Seen, StageReader
from engine.live_view import document, wire
from engine.ports import Clock

_log = logging.getLogger(__name__)

# Between two snapshots of one run at least; a commit is shown after this at the latest.
_PAUSE_S: Final = 0.25
# How often a watched stage is looked at for new samples and log lines.
_LOOK_S: Final = 0.5
# A run without a viewer for so long is forgotten.
_IDLE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Attributes:
    version: grows with every change, also over a restart of the server.
    run_version: how many events of the run it knows.
    document: engine.live_view; `wire`: the same as a server-sent event.
    """

    version: int
    run_version: int
    document: dict[str, Any]
    wire: bytes


@dataclass(slots=True)
class _Watched:
    snapshot: Snapshot | None = None
    dirty: bool = True
    made_s: float = 0.0
    seen_s: float = 0.0


class Live:
    """Thread-safe.

    Args:
        feed: where log tails, ticks and latencies are read; by default the store.
    """

    def __init__(self, store: LiveStore, clock: Clock, *, feed: Feed | None = None) -> None:
        self._store, self._clock = store, clock
        self._feed = StoreFeed(store) if feed is None else feed
        self._stages = StageReader(self._feed)
        self._changed = threading.Condition()
        self._making = threading.Lock()
        self._watched: dict[str, _Watched] = {}
        self._stopped = False
        self._unsubscribe = store.subscribe(self._recorded)
        self._thread = threading.Thread(target=self._follow, name="live", daemon=True)
        self._thread.start()

    def snapshot(self, run_id: str) -> Snapshot:
        """The run as it is now; knows every event committed so far. Raises `NotFound`."""
        version = self._store.version(run_id)
        with self._changed:
            watched = self._watched.setdefault(run_id, _Watched())
            watched.seen_s = self._clock.monotonic_s()
            known = watched.snapshot
        if known is not None and known.run_version >= version:
            return known
        return self._make(run_id)

    def stage(self, run: Run, step: StepState) -> Seen | None:
        """The step's watch as it stands, live or ended; None before its first tick."""
        return self._stages.look(run, step)

    def under_way(self, run: Run) -> tuple[str, ...]:
        """The targets whose switch a pause lets finish; empty while nothing is pausing."""
        return under_way(run, self._feed.log(run)) if run.unsettled else ()

    def wait(self, run_id: str, version: int, timeout_s: float) -> Snapshot | None:
        """The first snapshot that is not `version`, after at most `timeout_s`; None when there is
        none by then. Raises `NotFound` for a run that does not exist."""
        current = self.snapshot(run_id)
        deadline = self._clock.monotonic_s() + timeout_s
        with self._changed:
            while not self._stopped:
                watched = self._watched.setdefault(run_id, _Watched())
                watched.seen_s = self._clock.monotonic_s()
                current = watched.snapshot or current
                if current.version != version:
                    return current
                left_s = deadline - self._clock.monotonic_s()
                if left_s <= 0 or not self._changed.wait(left_s):
                    break
        return current if current.version != version else None

    def stop(self) -> None:
        """Wake everybody who waits and make no snapshot any more."""
        self._unsubscribe()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(2.0)

    def _recorded(self, batch: tuple[Recorded, ...]) -> None:
        with self._changed:
            for recorded in batch:
                watched = self._watched.get(recorded.stream)
                if watched is not None:
                    watched.dirty = True
            self._changed.notify_all()

    def _follow(self) -> None:
        while True:
            due, wait_s = self._due()
            if self._stopped:
                return
            for run_id in due:
                try:
                    self._make(run_id)
                except NotFound:
                    self._forget(run_id)
                except ReleaselineError as error:
                    _log.warning("no live snapshot: %s", error, extra={"run": run_id})
            with self._changed:
                if not self._stopped:
                    self._changed.wait(wait_s)

    def _due(self) -> tuple[list[str], float]:
        """Runs whose snapshot is to be made now, and how long to sleep after that."""
        now_s = self._clock.monotonic_s()
        with self._changed:
            for run_id, watched in list(self._watched.items()):
                if now_s - watched.seen_s > _IDLE_S:
                    del self._watched[run_id]
            due, soon = [], False
            for run_id, watched in self._watched.items():
                age_s = now_s - watched.made_s
                moving = watched.snapshot is not None and not watched.snapshot.document["end"]
                if not watched.dirty and not (moving and age_s >= _LOOK_S):
                    continue
                if age_s < _PAUSE_S:
                    soon = True
                    continue
                due.append(run_id)
            return due, _PAUSE_S if soon else _LOOK_S if self._watched else 60.0

    def _make(self, run_id: str) -> Snapshot:
        with self._making:
            with self._changed:
                watched = self._watched.setdefault(run_id, _Watched())
                watched.dirty, watched.made_s = False, self._clock.monotonic_s()
                before = watched.snapshot
            run = self._store.run(run_id)
            made = document(run, self._stage(run), self._feed.log(run))
            if before is not None and before.document == {**made, "seq": before.version}:
                after = before
                if before.run_version != run.version:
                    after = Snapshot(
                        version=before.version,
                        run_version=run.version,
                        document=before.document,
                        wire=before.wire,
                    )
            else:
                # From the clock, so that a page does not wait after a restart until a count that
                # began again has caught up.
                floor = 0 if before is None else before.version + 1
                version = max(floor, self._clock.now_us() // 1000)
                after = Snapshot(
                    version=version,
                    run_version=run.version,
                    document={**made, "seq": version},
                    wire=wire(made, version),
                )
            with self._changed:
                watched.snapshot = after
                self._changed.notify_all()
            return after

    def _stage(self, run: Run) -> StageNow | None:
        step = watched_step(run)
        if step is None:
            return None
        seen = self._stages.look(run, step)
        return None if seen is None else stage_now(run, step, seen.course, seen.p95)

    def _forget(self, run_id: str) -> None:
        with self._changed:
            self._watched.pop(run_id, None)


def watched_step(run: Run) -> StepState | None:
    """The step whose health is being watched, now or before the run was stopped in it."""
    if run.terminal:
        return None
    step = run.current_step
    if step is None or step.spec.kind not in {StepKind.DEPLOY, StepKind.VERIFY}:
        return None
    return step if step.attempts else None
