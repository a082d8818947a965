"""The end of a change that a pause has stopped: look where every target stands, and say so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.core.errors import AdapterFailed
from engine.core.events import Event
from engine.core.fact_events import TargetsObserved
from engine.core.plan import Observation
from engine.core.run import Run
from engine.core.statemachine import RunStatus
from engine.outside import Outside
from engine.recording import record
from engine.steps import OBSERVE_DEADLINE_S, facts_of, logger

_RETRY_S: Final = 5.0


def settle(out: Outside, run: Run, step: str, attempt: int) -> float | None:
    """Observe the targets of a paused run. The stage's change is at rest: it has returned.

    Returns:
        Seconds until it is tried again when nothing could be seen; None when it is done.
    """
    log = logger(out, run, step, attempt)
    try:
        observation = out.places[run.environment].driver.observe(deadline_s=OBSERVE_DEADLINE_S)
    except AdapterFailed as failed:
        log.error(f"cannot look where the targets stand: {failed}")
        return _RETRY_S
    after = record(out.store, run.run_id, lambda now: _settled(now, observation))
    cohort = run.cohort(step)
    done = sum(t.current == run.bundle for t in after.targets if t.target in cohort)
    log.info(f"paused between targets: {done} of {len(cohort)} are on {run.bundle.short}")
    return None


def _settled(run: Run, observation: Observation) -> Sequence[Event]:
    if run.status is not RunStatus.PAUSED or not run.unsettled:
        return ()
    facts = facts_of(observation, run.request.targets)
    # A target without an answer stays as it was last seen; resuming looks again.
    return (TargetsObserved(purpose="pause", targets=tuple(f for f in facts if f.digest)),)
