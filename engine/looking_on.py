"""While a stage is paused by its gate, a copy of the gate looks on: would it still be paused?

What it says is a fact for people (may the run be resumed by one person, and why not), and no
decision: when the run goes on, the gate itself starts again from its own stored ticks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.core import ticks
from engine.core.events import Event
from engine.core.health import Gate
from engine.core.people_events import PauseCauseSeen
from engine.core.rows import GateTick
from engine.core.run import Run
from engine.core.statemachine import RunStatus
from engine.outside import Outside
from engine.recording import record

_CLEAR: Final = frozenset({"continue", "promote"})
# The stage's age is no cause of its own: the row that held until then is.
_AGE_ROW: Final = 11


@dataclass(slots=True, kw_only=True)
class LookingOn:
    """Attributes:
    said: (cleared, row) as last told by an event.
    """

    gate: Gate
    said: tuple[bool, int] | None = None


def begin(rows: Sequence[GateTick], t_ms: int) -> LookingOn:
    """A copy of the gate that goes on from `t_ms` as if the run had been resumed then."""
    gate = ticks.rebuild(rows)
    gate.resume(t_ms / 1000)
    return LookingOn(gate=gate)


def look(out: Outside, run: Run, looking: LookingOn, tick: str, *, step: str, attempt: int) -> None:
    """Show the copy one tick, and record what it says when that has changed."""
    seen, gate = ticks.decode(tick), looking.gate
    gate.observe(seen)
    cleared, rule = gate.action in _CLEAR, gate.rule
    if rule == _AGE_ROW and looking.said is not None:
        rule = looking.said[1]
    fact = PauseCauseSeen(step=step, attempt=attempt, cleared=cleared, reason=gate.reason)
    if gate.action == "pause":
        gate.resume(seen["t"])  # it would only repeat itself
    if looking.said == (cleared, rule):
        return
    looking.said = (cleared, rule)
    record(out.store, run.run_id, lambda now: _told(now, fact))


def _told(run: Run, fact: PauseCauseSeen) -> Sequence[Event]:
    step = run.step(fact.step)
    if run.status is not RunStatus.PAUSED or not step.open or len(step.attempts) != fact.attempt:
        return ()
    known = run.pause_cause
    same = known is not None and (known.cleared, known.reason) == (fact.cleared, fact.reason)
    return () if same else (fact,)
