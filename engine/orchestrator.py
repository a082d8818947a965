"""What the engine works on now: runs and their steps, the queue of each environment, and jobs.

It reads what worker and store have in memory. The one thing that it does is to wake a run that a
defect stopped, which the worker would do by itself a little later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.asker import Asker, refusal_of
from engine.core import queueing
from engine.core.commands import Refusal
from engine.core.errors import Malformed, NotFound
from engine.core.feeds_timing import next_us
from engine.core.pulse import ChoreHealth, Pulse, stuck_chore, stuck_run
from engine.core.replays import ReplayProgress, ReplayStatus, replay_name
from engine.core.rescans import RescanLog
from engine.core.run import Run
from engine.core.scopes import RETRY_RUN
from engine.core.spans import limit_text, span
from engine.core.statemachine import Role, RunStatus
from engine.feeds_desk import FeedDesk
from engine.feeds_read import overdue
from engine.ports import Clock, EventStore
from engine.rescans import Rescans
from engine.settings import Settings
from engine.trail.denials import admit
from engine.worker import Worker
from engine.worker_health import WorkerHealth

_MAY_RETRY: Final = frozenset({Role.ADMIN, Role.SRE, Role.RELEASE_MANAGER})
_PERSON: Final = frozenset(
    {RunStatus.AWAITING_APPROVAL, RunStatus.PAUSED, RunStatus.ROLLBACK_FAILED}
)
_US: Final = 1_000_000
IDLE, WORKING, FAILED, STUCK = "IDLE", "WORKING", "FAILED", "STUCK"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """An open run.

    Attributes:
        step, step_name, attempt: the current one; empty and 0 before the first.
        since_us: when its current attempt began; of a run without one, its last event.
        serving: what the engine does about it, in words.
        stuck: why it will hardly go on by itself; empty when it will.
        defect: that stopped its stepping; empty when none did.
    """

    run_id: str
    label: str
    environment: str
    status: RunStatus
    step: str
    step_name: str
    attempt: int
    since_us: int
    serving: str
    stuck: str
    defect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRow:
    """An environment: who holds it, and who is next in line, the first one first."""

    environment: str
    holder: str
    queued: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """Attributes:
    kind: chore, feed, rescan or replay.
    word: IDLE, WORKING, FAILED or STUCK.
    last_us, took_ms, next_us: None where there is none, or none is known.
    text: what came of it last, or is being done; in words.
    """

    kind: str
    name: str
    word: str
    last_us: int | None
    took_ms: int | None
    next_us: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestratorNow:
    """`runs`: those that need somebody first, then in order of request."""

    health: WorkerHealth
    runs: tuple[RunRow, ...]
    places: tuple[PlaceRow, ...]
    jobs: tuple[JobRow, ...]

    @property
    def stopped(self) -> tuple[RunRow, ...]:
        return tuple(one for one in self.runs if one.defect)

    @property
    def stuck(self) -> tuple[str, ...]:
        """Names of everything that is."""
        runs = [one.run_id for one in self.runs if one.stuck]
        return (*runs, *(one.name for one in self.jobs if one.word == STUCK))


class Orchestrator:
    """Thread-safe.

    Args:
        replay: when the newest replay was asked for, and how far it is; None when none was.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        clock: Clock,
        settings: Settings,
        worker: Worker,
        feeds: FeedDesk,
        rescans: Rescans,
        replay: Callable[[], tuple[int, ReplayProgress] | None],
    ) -> None:
        self._store, self._clock, self._settings = store, clock, settings
        self._worker, self._feeds, self._rescans = worker, feeds, rescans
        self._replay = replay

    def look(self) -> OrchestratorNow:
        health, now_us = self._worker.health(), self._clock.now_us()
        runs = self._store.runs_open()
        rows = [_run(one, self._worker.pulse(one.run_id), health) for one in runs]
        rows.sort(key=lambda one: not (one.defect or one.stuck))
        jobs = (
            *(_chore(one, now_us) for one in self._worker.chores()),
            *_feeds(self._feeds, now_us),
            _rescan(self._rescans.log(), self._rescans.progress() is not None, self._retry_us),
            _replays(self._replay()),
        )
        return OrchestratorNow(
            health=health,
            runs=tuple(rows),
            places=tuple(_place(name, runs) for name in self._settings.environments),
            jobs=jobs,
        )

    def why_not(self, asker: Asker) -> Refusal | None:
        """Why they may not have a run that a defect stopped tried again; None when they may."""
        what = "have a stopped run tried again"
        return refusal_of(self._settings, asker, RETRY_RUN, _MAY_RETRY, what=what)

    def retry(self, run_id: str, asker: Asker) -> None:
        """Have a run that a defect stopped advanced now.

        Raises:
            NotFound: no defect has stopped such a run.
            Refused: not allowed. The attempt is on record.
        """
        admit(self._store, self.why_not(asker), user=asker.user, action=RETRY_RUN, run=run_id)
        if run_id not in self._worker.health().stopped_because:
            raise NotFound(f"No defect has stopped a run {run_id!r}.")
        self._worker.wake(run_id)

    def _retry_us(self) -> int | None:
        try:
            return self._rescans.standing().retry_us or None
        except Malformed:
            return None


def _run(run: Run, pulse: Pulse, health: WorkerHealth) -> RunRow:
    step = run.current_step
    attempt = step.attempts[-1] if step is not None and step.attempts else None
    return RunRow(
        run_id=run.run_id,
        label=run.label,
        environment=run.environment,
        status=run.status,
        step="" if step is None else step.id,
        step_name="" if step is None else step.spec.name,
        attempt=0 if attempt is None else attempt.number,
        since_us=run.updated_us if attempt is None else attempt.started_us,
        serving=serving(run.status, pulse),
        stuck=stuck_run(run.status, pulse),
        defect=health.stopped_because.get(run.run_id, ""),
    )


def serving(status: RunStatus, pulse: Pulse) -> str:
    """What the engine does about a run, in words."""
    if pulse.working_s is not None:
        return f"being advanced for {span(int(pulse.working_s * _US))}"
    if pulse.waiting:
        return "waits for a thread"
    if pulse.due_s is not None:
        return f"asked again in {span(int(max(0.0, pulse.due_s) * _US))}"
    if status in _PERSON:
        return "waits for a person"
    if status is RunStatus.QUEUED:
        return "waits for the environment"
    if status is RunStatus.SCHEDULED:
        return "waits for its time"
    return "waits for an event"


def _place(name: str, runs: Sequence[Run]) -> PlaceRow:
    here = [run for run in runs if run.environment == name]
    holder = queueing.holder(here)
    return PlaceRow(
        environment=name,
        holder="" if holder is None else holder.run_id,
        queued=tuple(run.run_id for run in queueing.in_line(here)),
    )


def _chore(one: ChoreHealth, now_us: int) -> JobRow:
    stuck = stuck_chore(one)
    word = WORKING if one.running_s is not None else FAILED if one.error else IDLE
    return JobRow(
        kind="chore",
        name=one.name,
        word=STUCK if stuck else word,
        last_us=None if one.ended_s is None else now_us - int(one.ended_s * _US),
        took_ms=None if one.took_s is None else int(one.took_s * 1000),
        next_us=None if one.next_s is None else now_us + int(one.next_s * _US),
        text=stuck or one.error or f"every {limit_text(one.every_s)}",
    )


def _feeds(desk: FeedDesk, now_us: int) -> list[JobRow]:
    """The newest sync of each feed that has a source, or was ever synced."""
    running, origins, rows = desk.running(), desk.origins(), []
    for name, log in sorted(desk.logs().items()):
        newest = log.tries[0] if log.tries else None
        if newest is None and name not in running and name not in origins:
            continue
        timing = origins[name].timing if name in origins else None
        following = None if timing is None else next_us(timing, log, now_us=now_us)
        late = "" if timing is None else overdue(timing, log, now_us=now_us)
        failed = None if newest is None else newest.failed
        took = (newest.failed or newest.synced) if newest is not None else None
        text = "never synced" if newest is None else f"from {newest.started.source}"
        text = text if failed is None else failed.reason
        rows.append(
            JobRow(
                kind="feed",
                name=f"sync of {name}",
                word=WORKING if name in running else FAILED if failed else IDLE,
                last_us=None if newest is None else newest.ended_us or newest.at_us,
                took_ms=None if took is None else took.took_ms,
                next_us=None if name in running else following,
                text=f"{late}: {text}" if late else text,
            )
        )
    return rows


def _rescan(log: RescanLog, running: bool, retry_us: Callable[[], int | None]) -> JobRow:
    newest = log.newest
    if newest is None:
        word, text, took_ms = WORKING if running else IDLE, "never needed so far", None
    elif newest.failed is not None:
        word, text, took_ms = FAILED, newest.failed.reason, newest.failed.took_ms
    elif newest.finished is not None:
        new = sum(one.new for one in newest.finished.bundles)
        word, text, took_ms = IDLE, f"{new} findings new", newest.finished.took_ms
    else:
        text = f"{len(newest.started.bundles)} bundles" if running else "the engine ended before it"
        word, took_ms = WORKING if running else FAILED, None
    return JobRow(
        kind="rescan",
        name="SBOM rescan",
        word=WORKING if running else word,
        last_us=None if newest is None else newest.ended_us or newest.at_us,
        took_ms=took_ms,
        next_us=None if running else retry_us(),
        text=text,
    )


def _replays(newest: tuple[int, ReplayProgress] | None) -> JobRow:
    """The newest replay that somebody asked for."""
    word, text, at_us = IDLE, "none was asked for so far", None
    if newest is not None:
        at_us, one = newest
        words = {ReplayStatus.RUNNING: WORKING, ReplayStatus.FAILED: FAILED}
        word = words.get(one.status, IDLE)
        text = f"{replay_name(one.n)}: {one.done} of {one.total} decisions"
        told = ((one.mismatching, "do not match"), (one.flipped, "flipped"), (one.failed, "failed"))
        text += "".join(f", {count} {what}" for count, what in told if count)
        text += ", cancelled" if one.status is ReplayStatus.CANCELLED else ""
    return JobRow(
        kind="replay",
        name="replays",
        word=word,
        last_us=at_us,
        took_ms=None,
        next_us=None,
        text=text,
    )
