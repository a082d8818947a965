"""`gate-backtest`: find the watched stages of past runs and judge them under other limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.backtest import Outcome, Past, backtest, read_change, summary
from engine.core.errors import NotFound
from engine.core.gate_replay import watches
from engine.core.run import Run
from engine.core.statemachine import RunStatus
from engine.ports import EventStore

RUNS_MAX = 200
# A run that ended like this says of its bundle whether a rollback was called for.
_GOOD = {RunStatus.SUCCEEDED: True, RunStatus.ROLLED_BACK: False}


def backtest_runs(
    store: EventStore, run_ids: Sequence[str], changes: Mapping[str, str]
) -> tuple[Outcome, ...]:
    """Judge the watched stages of these runs again, the newest watch of each stage.

    Raises:
        NotFound: none of the runs has a stored tick.
        Malformed: `changes` cannot be read.
    """
    change = read_change(changes)
    found = [past for run_id in run_ids for past in _stages(store, store.run(run_id))]
    if not found:
        raise NotFound("None of these runs has a stored tick: there is nothing to judge again.")
    return backtest(found, change)


def document(outcomes: Sequence[Outcome], changes: Mapping[str, str]) -> dict[str, Any]:
    return {
        "changes": dict(changes),
        "summary": summary(outcomes),
        "items": [one.document() for one in outcomes],
    }


def _stages(store: EventStore, run: Run) -> list[Past]:
    found = []
    for step in run.steps:
        cut = watches(store.gate_ticks(run.run_id, step.id, 1)) if step.spec.gate else ()
        # An attempt that was run again says less than the one that counted.
        if cut and len(cut[-1]) > 1:
            found.append(
                Past(
                    run_id=run.run_id,
                    step=step.id,
                    attempt=cut[-1][-1].attempt,
                    speed=run.request.speed,
                    rows=cut[-1],
                    good=_GOOD.get(run.status),
                )
            )
    return found
