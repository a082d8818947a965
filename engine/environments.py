"""What each environment runs and since when, who holds it, who is next, and what keeps it closed.

Read from the log as it stands: nothing here looks at a target, decides or records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.core import queueing
from engine.core.freezes import Bar
from engine.core.run import Run
from engine.core.standing import Hold
from engine.core.statemachine import RunStatus
from engine.freezing import Freezing
from engine.ports import EventStore
from engine.settings import Environment, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentNow:
    """Attributes:
    live: the run that brought what is live; None when nothing was brought here yet.
    left_by: a later run that ended and left some of its targets changed; None when none did.
    holder: the run that holds the environment; None when it is free.
    queue: runs that wait, in the order in which they are to start.
    last: the run that took the environment last and has ended.
    bar: what of the freezes keeps promotions from starting now.
    closes_us: of an environment that is open: when it closes next; None when nobody has said so.
    """

    settings: Environment
    live: Run | None
    left_by: Run | None
    holder: Run | None
    queue: tuple[Run, ...]
    last: Run | None
    bar: Bar | None
    closes_us: int | None
    holds: tuple[Hold, ...]


def look(store: EventStore, settings: Settings, freezing: Freezing) -> tuple[EnvironmentNow, ...]:
    """Every environment of the settings, by name."""
    open_runs = store.runs_open()
    holds = store.holds()
    return tuple(
        _look(
            store,
            freezing,
            environment,
            [run for run in open_runs if run.environment == environment.name],
            [hold for hold in holds if hold.environment == environment.name],
        )
        for environment in sorted(settings.environments.values(), key=lambda one: one.name)
    )


def _look(
    store: EventStore,
    freezing: Freezing,
    environment: Environment,
    runs: list[Run],
    holds: Iterable[Hold],
) -> EnvironmentNow:
    place = freezing.place(environment.name)
    bar = freezing.bar(place)
    live, left_by, last = _history(store, environment.name)
    return EnvironmentNow(
        settings=environment,
        live=live,
        left_by=left_by,
        holder=queueing.holder(runs),
        queue=queueing.in_line(runs),
        last=last,
        bar=bar,
        closes_us=None if bar is not None else freezing.closes_us(place),
        holds=tuple(holds),
    )


def live_run(store: EventStore, environment: str) -> Run | None:
    """The run that brought what is live there; None when nothing was brought there yet."""
    return _history(store, environment)[0]


def _history(store: EventStore, environment: str) -> tuple[Run | None, Run | None, Run | None]:
    """The run that is live, a later one that left targets changed, and the last one that ended.

    In the order in which they took the environment: who asked first may have come later.
    """
    left_by: Run | None = None
    last: Run | None = None
    for run_id in reversed(store.runs_started(environment)):
        run = store.run(run_id)
        if not run.terminal:
            continue
        last = last or run
        if run.status is RunStatus.SUCCEEDED:
            return run, left_by, last
        if left_by is None and run.changed_targets:
            left_by = run
    return None, left_by, last
