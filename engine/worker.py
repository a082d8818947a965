"""Wakes runs: APScheduler is the alarm clock, a few threads do the work, a watchdog watches both.

A run is advanced by one thread at a time. Every second a tick looks for runs that are due, so that
a lost alarm costs a second and never a run. What a run does next is not decided here.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers.background import BackgroundScheduler

from engine.core.errors import Conflict, StorageFull
from engine.core.events import Recorded
from engine.core.pace import Recent
from engine.core.pulse import ChoreHealth, Pulse
from engine.ports import EventStore
from engine.worker_health import WorkerHealth, Working

_log = logging.getLogger(__name__)

TICK_S: Final = 1.0
SILENT_MAX_S: Final = 3.0
_ADVANCED_KEPT: Final = 10_000
CHORE_AFTER_S: Final = 5.0  # behind a start, so that open runs come first


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """Something for the house now and then, on a thread of the scheduler's. `do` must know by
    itself whether it is due: a new scheduler calls it soon, whenever the last one did."""

    name: str
    every_s: int
    do: Callable[[], None]


class Worker:
    """Args:
    advance: takes a run as far as it goes now; returns seconds until it wants to be called
        again, or None when only an event can change it.
    on_watchdog: told how long the scheduler was silent and what was done about it.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        advance: Callable[[str], float | None],
        on_watchdog: Callable[[int, str], None],
        threads: int = 4,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._store, self._advance, self._on_watchdog = store, advance, on_watchdog
        self._chores = tuple(chores)
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._due: dict[str, float] = {}
        self._broken: dict[str, str] = {}
        self._at_work: dict[str, float] = {}
        self._advanced: OrderedDict[str, float] = OrderedDict()
        self._chored: dict[str, ChoreHealth] = {}
        self._chore_began: dict[str, float] = {}
        self._chore_ended: dict[str, float] = {}
        self._lag, self._watchdogs = Recent(), 0
        self._storage_full = False
        self._ticked_s = time.monotonic()
        self._stopping = threading.Event()
        self._scheduler = self._new_scheduler()
        self._threads = [
            threading.Thread(target=self._work, name=f"step-{n}", daemon=True)
            for n in range(threads)
        ]
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Start everything and wake every open run."""
        self._unsubscribe = self._store.subscribe(self._recorded)
        self._ticked_s = time.monotonic()
        self._scheduler.start()
        for thread in (*self._threads, self._watchdog):
            thread.start()
        for run in self._store.runs_open():
            self.wake(run.run_id)

    def stop(self, *, timeout_s: float = 5.0) -> None:
        """Let effects under way end, at most `timeout_s`; what is left the next start finds."""
        deadline = time.monotonic() + timeout_s
        self._stopping.set()
        self._unsubscribe()
        if self._watchdog.is_alive():  # first, or it might start a scheduler after the last one
            self._watchdog.join(timeout_s)
        _end(self._scheduler)
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def wake(self, run_id: str) -> None:
        """Have the run advanced soon; again afterwards when it is being advanced right now."""
        with self._lock:
            self._due.pop(run_id, None)
            if run_id in self._busy:
                self._again.add(run_id)
                return
            self._busy.add(run_id)
        self._queue.put(run_id)

    def health(self) -> WorkerHealth:
        now_s = time.monotonic()
        with self._lock:
            working = [Working(run_id=r, for_s=now_s - at_s) for r, at_s in self._at_work.items()]
            return WorkerHealth(
                running=self._scheduler.running and not self._stopping.is_set(),
                tick_age_s=now_s - self._ticked_s,
                queued=self._queue.qsize(),
                busy=len(self._busy),
                storage_full=self._storage_full,
                stopped_because=dict(self._broken),
                threads=len(self._threads),
                working=tuple(sorted(working, key=lambda one: -one.for_s)),
                tick_lag=self._lag.pace(now_s),
                watchdogs=self._watchdogs,
            )

    def pulse(self, run_id: str) -> Pulse:
        """How the run was served lately."""
        now_s = time.monotonic()
        with self._lock:
            began_s = self._at_work.get(run_id)
            last_s, due_s = self._advanced.get(run_id), self._due.get(run_id)
            return Pulse(
                working_s=None if began_s is None else now_s - began_s,
                waiting=run_id in self._busy and began_s is None,
                rested_s=None if last_s is None else now_s - last_s,
                due_s=None if due_s is None else due_s - now_s,
            )

    def chores(self) -> tuple[ChoreHealth, ...]:
        """Every chore, in the order in which they were given."""
        return tuple(self._chore(one) for one in self._chores)

    def _chore(self, chore: Chore) -> ChoreHealth:
        job = self._scheduler.get_job(f"chore {chore.name}") if self._scheduler.running else None
        due = None if job is None else job.next_run_time
        now_s = time.monotonic()
        with self._lock:
            known = self._chored.get(chore.name)
            began_s = self._chore_began.get(chore.name)
            ended_s = self._chore_ended.get(chore.name)
        return replace(
            known or ChoreHealth(name=chore.name, every_s=chore.every_s),
            running_s=None if began_s is None else now_s - began_s,
            ended_s=None if ended_s is None else now_s - ended_s,
            next_s=None if due is None else (due - datetime.now(UTC)).total_seconds(),
        )

    def _do(self, chore: Chore) -> None:
        """Do a chore, and keep how that went. What it raises goes on to the scheduler's log."""
        began_s, error = time.monotonic(), ""
        with self._lock:
            self._chore_began[chore.name] = began_s
        try:
            chore.do()
        except Exception as defect:
            error = f"{type(defect).__name__}: {defect}"
            raise
        finally:
            ended_s = time.monotonic()
            with self._lock:
                self._chore_began.pop(chore.name, None)
                self._chore_ended[chore.name] = ended_s
                self._chored[chore.name] = ChoreHealth(
                    name=chore.name,
                    every_s=chore.every_s,
                    took_s=ended_s - began_s,
                    error=error,
                )

    def _recorded(self, batch: tuple[Recorded, ...]) -> None:
        for run_id in {r.stream for r in batch if r.stream.startswith("run-")}:
            self.wake(run_id)

    def _work(self) -> None:
        while (run_id := self._queue.get()) is not None:
            with self._lock:
                self._at_work[run_id] = time.monotonic()
            again_s = self._step(run_id)
            with self._lock:
                self._at_work.pop(run_id, None)
                self._advanced[run_id] = time.monotonic()
                self._advanced.move_to_end(run_id)
                while len(self._advanced) > _ADVANCED_KEPT:
                    self._advanced.popitem(last=False)
                self._busy.discard(run_id)
                again_now = run_id in self._again
                self._again.discard(run_id)
            if again_now:
                self.wake(run_id)
            elif again_s is not None:
                self._alarm(run_id, again_s)

    def _step(self, run_id: str) -> float | None:
        if self._stopping.is_set():
            return None
        try:
            wait_s = self._advance(run_id)
        except StorageFull as full:
            self._storage_full = True
            _log.warning("stepping waits for disk space: %s", full)
            return TICK_S
        except Conflict as conflict:
            _log.info("run is asked again: %s", conflict, extra={"run": run_id})
            return TICK_S
        except Exception as defect:
            # A defect of ours: this run stops and the health page says so; others go on.
            _log.exception("run stopped by a defect", extra={"run": run_id})
            with self._lock:
                self._broken[run_id] = f"{type(defect).__name__}: {defect}"
            return 30.0
        self._storage_full = False
        with self._lock:
            self._broken.pop(run_id, None)
        return wait_s

    def _alarm(self, run_id: str, after_s: float) -> None:
        with self._lock:
            self._due[run_id] = time.monotonic() + after_s
        if self._stopping.is_set():
            return
        try:
            self._scheduler.add_job(
                self.wake,
                "date",
                args=(run_id,),
                id=run_id,
                run_date=datetime.now(UTC) + timedelta(seconds=after_s),
                replace_existing=True,
                misfire_grace_time=None,
            )
        except Exception:
            # The watchdog may be exchanging the scheduler right now; the tick finds the run.
            _log.warning("no alarm for %s; the tick will wake it", run_id, exc_info=True)

    def _tick(self) -> None:
        now_s = time.monotonic()
        late_s, self._ticked_s = max(0.0, now_s - self._ticked_s - TICK_S), now_s
        with self._lock:
            self._lag.add(late_s, at_s=now_s)
            overdue = [run_id for run_id, at_s in self._due.items() if at_s <= now_s]
        for run_id in overdue:
            self.wake(run_id)

    def _watch(self) -> None:
        """APScheduler's thread can die while it says it runs, and a wall clock set back stops
        every job: the monotonic clock notices, and a new scheduler takes over."""
        while not self._stopping.wait(TICK_S):
            silent_s = time.monotonic() - self._ticked_s
            if silent_s <= SILENT_MAX_S:
                continue
            self._ticked_s = time.monotonic()
            old, self._scheduler = self._scheduler, self._new_scheduler()
            _end(old)
            self._scheduler.start()
            with self._lock:
                self._watchdogs += 1
                self._lag.add(silent_s, at_s=self._ticked_s)
            try:
                self._on_watchdog(int(silent_s * 1000), "scheduler recreated")
            except Exception:
                # Told or not (the disk may be full), somebody has to go on watching.
                _log.exception("the watchdog could not be recorded")

    def _new_scheduler(self) -> BackgroundScheduler:
        scheduler = BackgroundScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        scheduler.add_job(self._tick, "interval", seconds=TICK_S, id="tick")
        for chore in self._chores:
            scheduler.add_job(
                self._do,
                "interval",
                args=(chore,),
                seconds=chore.every_s,
                id=f"chore {chore.name}",
                next_run_time=datetime.now(UTC) + timedelta(seconds=CHORE_AFTER_S),
            )
        scheduler.add_listener(
            lambda event: _log.warning("scheduler job %s: code %s", event.job_id, event.code),
            EVENT_JOB_MISSED | EVENT_JOB_ERROR | EVENT_JOB_MAX_INSTANCES,
        )
        return scheduler


def _end(scheduler: BackgroundScheduler) -> None:
    """Shut a scheduler down, whatever state it is in.

    A shutdown in the middle of a round makes APScheduler's thread die of a job that it just
    fired; pausing it and taking its jobs away waits for the round to end.
    """
    try:
        scheduler.pause()
        scheduler.remove_all_jobs()
        scheduler.shutdown(wait=False)
    except Exception:
        _log.warning("a scheduler could not be shut down", exc_info=True)
