"""Taking an environment: one run at a time, first come first served, and none into a fire.

What keeps a run in the queue goes on record once, with who or what holds it up and until when.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from engine import env_guard
from engine.core import queueing
from engine.core.events import RunEvent
from engine.core.fact_events import StartFreed, StartHeld
from engine.core.freezes import Bar
from engine.core.holds import sentence
from engine.core.queue_events import StartBarred, StartUnbarred
from engine.core.run import Run
from engine.core.statemachine import RunStatus
from engine.outside import Outside
from engine.recording import record
from engine.starting import Starter

_RETRY_S: Final = 1.0
_RETRY_S_MAX: Final = 30.0
_NEAR: Final = 10  # places in line
# A freeze lasts for hours: whoever ends one can wait for seconds.
_FROZEN_RETRY_S: Final = 5.0


class Acquiring:
    """Thread-safe."""

    def __init__(self, out: Outside, starter: Starter) -> None:
        self._out, self._starter = out, starter
        self._locking = threading.Lock()

    def acquire(self, run: Run) -> float | None:
        """Start a queued run, end it, or let it wait. Returns a wait in seconds when it stays."""
        others = self._others(run)
        if run.request.queue == queueing.LATEST and self._superseded(run, others):
            return None
        self._say_held(run)
        bar = self.bar(run)
        waits = self._waits(run, bar, others)
        self._say_barred(run, queueing.barred(run, bar, others), waits=waits)
        if waits:
            now_us = self._out.clock.now_us()
            return _turn_s(run, others) if bar is None else _until(bar, now_us)
        # Asked before the lock is held: a slow source must not keep other environments waiting.
        held_s = self._starter.hold_in_queue(run)
        if held_s is not None:
            return held_s
        read = env_guard.look(self._out, run)
        with self._locking:
            if self._waits(run, self.bar(run), self._others(run)):
                return _RETRY_S
            epoch = self._out.store.next_epoch(run.environment)
            return env_guard.start(self._out, run, read, epoch)

    def open_window(self, run: Run) -> float | None:
        """Let a run whose window is open take its environment, or have it wait so many seconds."""
        found, read = self._starter.look(run), env_guard.look(self._out, run)
        with self._locking:  # or another run could slip in before it
            return self._starter.open_window(run, found, read, taken=self._taken(run))

    def bar(self, run: Run) -> Bar | None:
        """The freezes that bar the run's environment for it now."""
        return self._starter.bar(run)

    def _others(self, run: Run) -> list[Run]:
        """The other open runs of the environment, in order of request."""
        others = self._out.store.runs_open(run.environment, scheduled=False)
        return [one for one in others if one.run_id != run.run_id]

    def _free(self, run: Run) -> bool:
        """Neither a hold on its bundle nor a freeze keeps the run from starting."""
        held = self._out.store.hold(run.environment, run.bundle)
        return held is None and self.bar(run) is None

    def _taken(self, run: Run) -> str:
        """Who keeps the environment from being taken at once; empty when nobody does."""
        others = self._others(run)
        held = queueing.barred(run, None, others)
        if held is not None:
            return held.reason
        line = [one for one in queueing.in_line(others) if self._free(one)]
        return f"{line[0].run_id} is before it in the queue" if line else ""

    def _waits(self, run: Run, bar: Bar | None, others: Sequence[Run]) -> bool:
        """Whether the run has to stay queued: held, frozen, or not its turn."""
        # Held from its acquisition to the end. A run that was paused or cancelled while it still
        # queued never had it, and must not bar the way; nor does one that may not start itself.
        return (
            bar is not None
            or self._out.store.hold(run.environment, run.bundle) is not None
            or queueing.holder(others) is not None
            or any(
                queueing.goes_first(one, run) and self._free(one)
                for one in others
                if one.status is RunStatus.QUEUED
            )
        )

    def _superseded(self, run: Run, others: Sequence[Run]) -> bool:
        """End the run where a newer one takes its place. One whose bundle is held takes none."""
        store = self._out.store
        free = [r for r in others if store.hold(r.environment, r.bundle) is None]
        by = queueing.newer(run, free)
        if by is None:
            return False
        record(
            store,
            run.run_id,
            lambda now: queueing.superseded(now, by) if now.status is RunStatus.QUEUED else (),
        )
        return True

    def _say_barred(self, run: Run, said: StartBarred | None, *, waits: bool) -> None:
        """Put on record which freeze or run keeps this one queued, once for each."""
        known = run.barred
        if said is None and known is not None and known.by == queueing.LOCK and waits:
            return  # the next in line takes over in a moment, and that is what is said then
        if _same(said, known):
            return

        def build(now: Run) -> Sequence[RunEvent]:
            if now.status is not RunStatus.QUEUED or now.barred != known:
                return ()
            return (StartUnbarred() if said is None else said,)

        record(self._out.store, run.run_id, build)

    def _say_held(self, run: Run) -> None:
        """Put on record, once for each hold, why the run stays queued, and when that is over."""
        hold = self._out.store.hold(run.environment, run.bundle)
        holder = "" if hold is None else hold.run
        if holder == run.held_by:
            return
        said: RunEvent = (
            StartFreed(hold_run=run.held_by)
            if hold is None
            else StartHeld(hold_run=hold.run, reason=sentence(hold))
        )

        def build(now: Run) -> tuple[RunEvent, ...]:
            due = now.status is RunStatus.QUEUED and now.held_by == run.held_by
            return (said,) if due else ()

        record(self._out.store, run.run_id, build)


def _until(bar: Bar, now_us: int) -> float:
    """When to look at a frozen run again, in seconds: at the latest when its windows end."""
    if bar.until_us is None:
        return _FROZEN_RETRY_S
    return min(_FROZEN_RETRY_S, max(0.0, (bar.until_us - now_us) / 1_000_000))


def _turn_s(run: Run, others: Sequence[Run]) -> float:
    """Whoever is next looks every second; far back in a long line nobody has to."""
    before = sum(queueing.goes_first(one, run) for one in queueing.in_line(others))
    return min(_RETRY_S * max(1, before // _NEAR), _RETRY_S_MAX)


def _same(said: StartBarred | None, known: StartBarred | None) -> bool:
    if said is None or known is None:
        return said is known
    return (said.by, said.keys) == (known.by, known.keys)
