"""Finds what waits for a person although no event says so, and records it once per occasion.

Time alone makes a review overdue, and people alone make an approval impossible. Both are looked at
again and again; that something is told once is seen to by the command id of its record.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from engine.core import eligibility
from engine.core.approvals import approval_step
from engine.core.events import Recorded
from engine.core.hook_events import HOOKS, NoticeRaised
from engine.core.hook_waits import NOBODY_ELIGIBLE, OVERDUE, Holders, reviewers
from engine.core.people_events import ReviewClosed, ReviewOpened
from engine.core.people_state import Review
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from engine.core.troubles import Trouble
from engine.hooks.noticing_freezes import FreezeNoticer
from engine.hooks.noticing_waivers import WaiverNoticer
from engine.ports import Clock, EventStore
from engine.recording import append_to


class Noticer:
    """Follows the log. `look` is called by one thread at a time.

    Args:
        holders: environment to the roles of everybody there.
        freezes: looks at what is frozen; `waivers`: at what is waived.
        troubles: what is wrong with the house now; `carers`: users who care for it.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        clock: Clock,
        holders: Callable[[str], Holders],
        freezes: FreezeNoticer,
        waivers: WaiverNoticer,
        troubles: Callable[[], Sequence[Trouble]] = tuple,
        carers: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._store, self._clock, self._holders = store, clock, holders
        self._freezes, self._waivers = freezes, waivers
        self._troubles, self._carers = troubles, carers
        self._lock = threading.Lock()
        # Runs with a review that nobody has closed, as far as the log was read.
        self._reviewed: dict[str, int] = {}
        self._follow(store.of_kinds([ReviewOpened.TYPE, ReviewClosed.TYPE]))
        self.stop = store.subscribe(self._follow)

    def look(self) -> None:
        """Record what is not on record yet. Raises `StorageFull`, `Conflict`."""
        self._freezes.look()
        self._waivers.look()
        for run in self._store.runs_open():
            if run.status is not RunStatus.AWAITING_APPROVAL:
                continue
            short = eligibility.shortage(run)
            if short:
                attempt = len(run.step(approval_step(run)).attempts)
                self._raise(NOBODY_ELIGIBLE, run, str(attempt), f"{run.run_id}: {short}", ())
        for trouble in self._troubles():
            self._tell(trouble)
        now_us = self._clock.now_us()
        with self._lock:
            runs = [run_id for run_id, waiting in self._reviewed.items() if waiting > 0]
        for run_id in runs:
            run = self._store.run(run_id)
            for review in run.reviews:
                if review.overdue(now_us):
                    self._overdue(run, review)

    def _overdue(self, run: Run, review: Review) -> None:
        people = reviewers(review.doers, self._holders(run.environment))
        doers = " and ".join(review.doers)
        text = f"Nobody has looked yet at what {doers} did: {review.what}."
        self._raise(OVERDUE, run, str(review.number), text, people)

    def _raise(
        self, name: str, run: Run, occasion: str, text: str, people: tuple[str, ...]
    ) -> None:
        event = NoticeRaised(
            name=name,
            run=run.run_id,
            environment=run.environment,
            occasion=occasion,
            text=text,
            people=people,
        )
        self._record(event)

    def _tell(self, trouble: Trouble) -> None:
        run = self._store.run(trouble.run) if trouble.run else None
        event = NoticeRaised(
            name=trouble.name,
            run=trouble.run,
            environment="" if run is None else run.environment,
            occasion=trouble.occasion,
            text=trouble.text,
            people=self._carers(),
        )
        self._record(event)

    def _record(self, event: NoticeRaised) -> None:
        command_id = f"notice/{event.name}/{event.run}/{event.occasion}"
        if not self._store.by_command(command_id):
            append_to(self._store, HOOKS, event, actor="engine", command_id=command_id)

    def _follow(self, recorded: tuple[Recorded, ...]) -> None:
        with self._lock:
            for one in recorded:
                match one.event:
                    case ReviewOpened():
                        self._reviewed[one.stream] = self._reviewed.get(one.stream, 0) + 1
                    case ReviewClosed():
                        self._reviewed[one.stream] = self._reviewed.get(one.stream, 0) - 1
                    case _:
                        pass
