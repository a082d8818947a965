"""A run as the fold of its events. Pure: the same log gives the same run on any machine.

`evolve` takes one recorded event and returns the run after it; `fold` does so from the beginning.
What may follow is said by `engine.core.statemachine` alone; an event that cannot follow is damage
and raises. Permission to cause events is `engine.core.decide`'s, what to do next `.effects`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from engine.core import (
    run_back,
    run_facts,
    run_imports,
    run_moves,
    run_people,
    run_queue,
    run_steps,
    starting,
    step_times,
)
from engine.core.errors import IllegalTransition
from engine.core.events import Recorded
from engine.core.fact_events import Commented, EvidenceAddendum, EvidenceExported
from engine.core.people_events import ReviewClosed
from engine.core.run_events import RunRequested
from engine.core.state import Run, StepState, TargetState
from engine.core.statemachine import RunStatus

__all__ = ["AFTER_END", "Run", "evolve", "fold"]

# What may still be said of a run that has ended and is sealed.
AFTER_END: Final = (Commented, EvidenceAddendum, EvidenceExported, ReviewClosed)

# Each takes the events of its family and answers None to any other.
_FAMILIES: Final = (
    run_moves.apply,
    run_steps.apply,
    run_facts.apply,
    run_back.apply,
    run_people.apply,
    run_queue.apply,
    run_imports.apply,
    starting.apply,
    step_times.apply,
)


def evolve(run: Run | None, recorded: Recorded) -> Run:
    """Return the run as it is after `recorded`.

    Raises:
        IllegalTransition: the event cannot follow. `decide` must never have produced it.
    """
    event = recorded.event
    if run is None:
        if not isinstance(event, RunRequested):
            raise IllegalTransition(f"log of {recorded.stream} begins with {event.TYPE}")
        return _begin(event, recorded)
    if recorded.seq != run.version + 1:
        raise IllegalTransition(
            f"{recorded.stream}: event {recorded.seq} follows version {run.version}"
        )
    if run.terminal and not isinstance(event, AFTER_END):
        raise IllegalTransition(f"{event.TYPE} cannot follow the end of {run.run_id}")
    run = replace(run, version=recorded.seq, updated_us=recorded.ts_us)
    for family in _FAMILIES:
        after = family(run, recorded)
        if after is not None:
            return after
    raise IllegalTransition(f"{event.TYPE} is no event of a run under way")


def fold(stream: str, events: Iterable[Recorded]) -> Run:
    """Fold a run's whole log. Raises `IllegalTransition` for an empty or a damaged one."""
    run: Run | None = None
    for recorded in events:
        run = evolve(run, recorded)
    if run is None:
        raise IllegalTransition(f"log of {stream} is empty")
    return run


def _begin(event: RunRequested, recorded: Recorded) -> Run:
    return Run(
        run_id=recorded.stream,
        request=event,
        requested_by=recorded.actor,
        requested_us=recorded.ts_us,
        status=RunStatus(event.initial),
        version=recorded.seq,
        updated_us=recorded.ts_us,
        steps=tuple(StepState(spec=spec) for spec in event.steps),
        targets=tuple(
            TargetState(
                target=target, baseline=None, current=None, healthy=None, reversible=True, note=""
            )
            for target in event.targets
        ),
    )
