"""What is known at the moment of a decision and stands in no event: the time, and what a stage's
gate lacks by its newest tick.

One gate per watch is kept and fed with the rows that came since, so that asking costs a poll's
work and not a stage's.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from engine.core import freezes, ticks
from engine.core.approval_facts import SourceHealth, unhealthy
from engine.core.commands import Now
from engine.core.errors import Malformed
from engine.core.health import Gate
from engine.core.health_unmet import unmet
from engine.core.run import Run
from engine.core.standing import Frozen
from engine.core.state import StepState
from engine.core.statemachine import RunStatus
from engine.ports import Clock, EventStore
from engine.time_zones import offset_at

_KEPT: Final = 16
# Of a tick: its attempt and its number.
Place = tuple[int, int]


class GateNow:
    """Thread-safe.

    Args:
        rests: how what a decision about a run rests on stands; None = nobody knows it here.
        start: what keeps a scheduled run from starting (`engine.starting`); None likewise.
    """

    def __init__(
        self,
        store: EventStore,
        clock: Clock,
        rests: Callable[[Run], Sequence[SourceHealth]] | None = None,
        start: Callable[[Run], tuple[str, ...]] | None = None,
    ) -> None:
        self._store, self._clock, self._rests, self._lacks = store, clock, rests, start
        self._lock = threading.Lock()
        self._gates: OrderedDict[tuple[str, str, int], tuple[Gate, Place]] = OrderedDict()

    def __call__(self, run: Run) -> Now:
        return Now(
            now_us=self._clock.now_us(),
            unmet=self._unmet(run),
            unhealthy=self._unhealthy(run),
            start=self._start(run),
            frozen=self._frozen(run),
        )

    def _frozen(self, run: Run) -> Frozen | None:
        """What of the freezes still bars a run that one of them has paused; None for any other."""
        if run.status is not RunStatus.PAUSED or run.pause_reason != "freeze":
            return None
        bar = freezes.bar_of(self._store.freezes(), run, self._clock.now_us(), offset_at)
        return freezes.frozen(bar, run.environment)

    def _unhealthy(self, run: Run) -> tuple[str, ...] | None:
        """None where nobody approves now, and where it is not known."""
        if self._rests is None or run.status is not RunStatus.AWAITING_APPROVAL:
            return None
        return unhealthy(self._rests(run))

    def _start(self, run: Run) -> tuple[str, ...] | None:
        """What keeps a scheduled run from starting now; None for any other run."""
        if run.status is not RunStatus.SCHEDULED or self._lacks is None:
            return None
        return self._lacks(run)

    def _unmet(self, run: Run) -> tuple[str, ...] | None:
        """None where no gate judges now, or where its ticks cannot be read."""
        step = run.current_step
        if run.status is not RunStatus.RUNNING or step is None or step.gate is None:
            return None
        if not step.open or not step.spec.gate:
            return None
        try:
            with self._lock:
                gate = self._gate(run, step)
                return None if gate is None else unmet(gate.evidence)
        except Malformed:
            return None

    def _gate(self, run: Run, step: StepState) -> Gate | None:
        """The gate with every tick that is stored; None before its first one."""
        key = (run.run_id, step.id, step.watch_from)
        gate, fed = self._gates.pop(key, (None, (0, 0)))
        newest = (
            len(step.attempts),
            self._store.last_tick(run.run_id, step.id, len(step.attempts)),
        )
        rows = self._store.gate_ticks(*key, behind=fed) if newest > fed else ()
        if gate is None:
            if len(rows) < 2:
                return None
            gate, rows = ticks.gate_of(rows[0].tick), rows[1:]
        for row in rows:
            ticks.feed(gate, row)
        self._gates[key] = (gate, (rows[-1].attempt, rows[-1].n) if rows else fed)
        while len(self._gates) > _KEPT:
            self._gates.popitem(last=False)
        return gate
