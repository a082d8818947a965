"""The runs that schedules make: each firing's, once, and nothing lost in between.

Everything is found from what is recorded. A run is made under a command id that names schedule and
local date; a firing that passed without a run is told as SKIPPED. An engine that was killed in
between finds the same again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Final

from engine.catalog import Catalog
from engine.core import schedules
from engine.core.approvals import Actor
from engine.core.commands import Action, Command, Now
from engine.core.decide import decide
from engine.core.digest import Digest
from engine.core.errors import Conflict, Malformed, NotFound
from engine.core.events import Event, Recorded
from engine.core.firings import Firing, firings
from engine.core.run import Run
from engine.core.run_events import RunScheduled
from engine.core.schedule_events import (
    FiringTicked,
    FiringWord,
    ScheduleCancelled,
    ScheduleCreated,
)
from engine.core.schedules import MAY_CANCEL, OVER, Schedule
from engine.core.statemachine import RunStatus
from engine.ports import Clock, EventStore
from engine.recording import append_to, record
from engine.requests import build_request
from engine.settings import Settings
from engine.time_zones import offset_at

_log = logging.getLogger(__name__)

SWEEP_EVERY_S: Final = 30.0
_TRIES: Final = 20


class ScheduleRuns:
    """Thread-safe. Follows the log, and makes runs when `when_due` is called.

    Args:
        numbering: held while a run's number is chosen and taken.
        policy_digest, policy_authors, speed: as of `engine.service.Service`.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        settings: Settings,
        catalog: Catalog,
        clock: Clock,
        policy_digest: Callable[[str], Digest],
        policy_authors: Callable[[str], tuple[str, ...]],
        speed: int,
        numbering: threading.Lock,
    ) -> None:
        self._store, self._settings, self._catalog = store, settings, catalog
        self._clock, self._speed, self.numbering = clock, speed, numbering
        self._policy_digest, self._policy_authors = policy_digest, policy_authors
        self.lock = threading.RLock()
        self._known: dict[str, Schedule] = {}
        self._told: deque[Recorded] = deque()
        self._due: set[str] = set()
        self._swept_s = float("-inf")
        kinds = [ScheduleCreated.TYPE, ScheduleCancelled.TYPE, FiringTicked.TYPE]
        for recorded in store.of_kinds(kinds):
            self.take(recorded)
        for run in store.runs_open():
            self._made(run)  # nothing may have become of it yet, so that it has no tick
        self._due |= set(self._known)
        self.stop = store.subscribe(self._follow)

    def all(self) -> tuple[Schedule, ...]:
        """Every schedule, the newest first."""
        with self.lock:
            self._catch_up()
            found = tuple(self._known.values())
        return tuple(sorted(found, key=lambda one: -one.made.number))

    def get(self, schedule_id: str) -> Schedule | None:
        with self.lock:
            self._catch_up()
            return self._known.get(schedule_id)

    def last_number(self) -> int:
        with self.lock:
            return max((one.made.number for one in self._known.values()), default=0)

    def take(self, recorded: Recorded) -> None:
        """Take in a fact of a schedule or of one of its runs."""
        event = recorded.event
        with self.lock:
            if isinstance(event, ScheduleCreated):
                self._known[recorded.stream] = schedules.begun(recorded, event)
                return
            name = event.schedule if isinstance(event, FiringTicked) else recorded.stream
            known = self._known.get(name)
            if known is not None:
                self._known[name] = schedules.evolve(known, recorded)

    def _follow(self, batch: tuple[Recorded, ...]) -> None:
        # Whoever appends is answered after this: it must not wait for the lock that they hold.
        self._told.extend(one for one in batch if isinstance(one.event, FiringTicked))

    def _catch_up(self) -> None:
        """Take in what was recorded meanwhile. The lock is held."""
        while self._told:
            one = self._told.popleft()
            self.take(one)
            if isinstance(one.event, FiringTicked) and one.event.word in OVER:
                self._due.add(one.event.schedule)

    def _made(self, run: Run) -> None:
        with self.lock:
            known = self._known.get(run.request.schedule)
            if known is None:
                return
            self._known[known.id] = schedules.made_run(known, run)
            if run.status is not RunStatus.SCHEDULED:
                self._due.add(known.id)  # made before, and something has become of it since

    # --- what time asks -----------------------------------------------------------------------

    def when_due(self) -> None:
        """Make the runs that are to be there; every now and then, look at every schedule."""
        now_s = self._clock.monotonic_s()
        with self.lock:
            self._catch_up()
            if now_s - self._swept_s >= SWEEP_EVERY_S:
                self._swept_s = now_s
                self._due |= {one.id for one in self._known.values() if not one.over}
            due, self._due = self._due, set()
        for schedule_id in sorted(due):
            try:
                self.ensure(schedule_id)
            except (NotFound, Malformed) as error:
                self._no_run(schedule_id, str(error))
            except Conflict:
                with self.lock:
                    self._due.add(schedule_id)

    def overdue(self) -> tuple[str, ...]:
        """Runs whose window is open and that nobody has looked at: their alarm was lost, or the
        clock was set forward."""
        now_us = self._clock.now_us()
        return tuple(run.run_id for run in self._store.runs_open() if _overdue(run, now_us))

    def ensure(self, schedule_id: str) -> None:
        """Make the run of the next firing, unless there is one or none is to come.

        Raises:
            NotFound: its environment or bundle is gone.
            Malformed: its time zone is not known here any more.
        """
        with self.lock:
            self._catch_up()
            known = self._known[schedule_id]
            if known.waits:
                if known.cancelled_by:
                    self._cancel_run(known)
                return
            if known.over or known.cancelled_by:
                return
            timing, now_us = known.made.timing, self._clock.now_us()
            for firing in firings(timing, offset_at(timing.zone), after=known.firing):
                # The first one has its run in any case: whoever asked for it is to see it expire.
                if firing.end_us > now_us or not known.firing:
                    self._make_run(known, firing)
                    return
                why = (
                    "its window closed before its run could be made: the firing before it had not "
                    "ended, or no engine ran"
                )
                self._tick(known, firing, FiringWord.SKIPPED, why)
            self._known[schedule_id] = replace(self._known[schedule_id], over=True)

    def _make_run(self, known: Schedule, firing: Firing) -> None:
        made, command_id = known.made, f"{known.id}/{firing.date}"
        window = RunScheduled(
            via="request",
            start_us=firing.start_us,
            window_end_us=firing.end_us,
            time_zone=made.timing.zone,
            reason=firing.note,
        )
        for _ in range(_TRIES):
            with self.numbering:
                number = self._store.last_run_number() + 1
                request = build_request(
                    number=number,
                    bundle=self._catalog.get(made.bundle),
                    authors=self._catalog.authors(made.bundle),
                    environment=made.environment,
                    settings=self._settings,
                    policy_digest=self._policy_digest(made.environment),
                    policy_authors=self._policy_authors(made.environment),
                    speed=self._speed,
                    reason=made.reason,
                    ticket=made.ticket,
                    token_owner=made.owner,
                )
                wish = replace(
                    request,
                    initial=RunStatus.SCHEDULED.value,
                    schedule=known.id,
                    firing=firing.date,
                    preconditions=made.preconditions,
                )
                try:
                    recorded = self._store.append(
                        f"run-{number}",
                        (wish, window),
                        after=0,
                        actor=known.created_by,
                        command_id=command_id,
                    )
                except Conflict:
                    continue
            self._made(self._store.run(recorded[0].stream))
            return
        raise Conflict(f"no number could be had for the run of {command_id}")

    def _no_run(self, schedule_id: str, why: str) -> None:
        """The run of a firing cannot be made: told once, and tried again at every sweep."""
        _log.warning("%s cannot make its next run: %s", schedule_id, why)
        with self.lock:
            known = self._known[schedule_id]
        with suppress(Malformed):  # without its zone there is no window to name
            timing = known.made.timing
            behind = firings(timing, offset_at(timing.zone), after=known.firing)
            for firing in islice(behind, 1):
                self._tick(known, firing, FiringWord.FAILED_TO_START, why, occasion="/failed")

    def _tick(
        self, known: Schedule, firing: Firing, word: FiringWord, why: str, *, occasion: str = ""
    ) -> None:
        """Tell of a firing that has no run."""
        command_id = f"{known.id}/{firing.date}{occasion}"
        if self._store.by_command(command_id):
            return
        tick = FiringTicked(
            schedule=known.id,
            firing=firing.date,
            word=word,
            why=why,
            due_us=firing.start_us,
            environment=known.environment,
        )
        stream = known.id
        for one in append_to(self._store, stream, tick, actor="engine", command_id=command_id):
            self.take(one)

    def _cancel_run(self, known: Schedule) -> None:
        """What a cancelled schedule leaves behind: the run that waits for its window."""
        reason = f"{known.id} was cancelled: {known.cancelled_why}"
        command = Command(action=Action.CANCEL, reason=reason)
        # They had the right when they cancelled the schedule, and that is what counts.
        actor = Actor(user=known.cancelled_by, roles=MAY_CANCEL)

        def build(run: Run) -> Sequence[Event]:
            if run.status is not RunStatus.SCHEDULED:
                return ()
            return decide(run, command, actor, Now(now_us=self._clock.now_us()))

        command_id = f"{known.id}/{known.firing}/cancel"
        run = record(self._store, known.run, build, actor=known.cancelled_by, command_id=command_id)
        self._made(run)


def _overdue(run: Run, now_us: int) -> bool:
    return (
        run.status is RunStatus.SCHEDULED
        and run.window_start_us is not None
        and run.window_start_us <= now_us
        and run.due_us is None
    )
