"""Puts the rooms of scheduling together. Part of `engine.wiring`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from data import queries
from data.store import Store
from engine.core.data_health import Integration
from engine.core.reviews import DEBTS
from engine.identity import Identity
from engine.integrations.depends import dependents
from engine.integrations.prober import Prober
from engine.outside import Outside
from engine.policy_book import PolicyBook
from engine.rescans import Rescans
from engine.scheduling import Scheduling
from engine.scheduling_history import ScheduleHistory
from engine.scheduling_runs import ScheduleRuns
from engine.starting import Starter, feeds_named

# Reviews are read from the whole log of events, and many runs may ask in the same minute.
_DEBT_FOR_S: Final = 5.0


def scheduling_of(
    outside: Outside,
    store: Store,
    book: PolicyBook,
    identity: Identity,
    prober: Prober,
    rescans: Rescans,
    speed: int,
) -> tuple[Scheduling, Starter]:
    """Schedules, and what lets their runs start."""
    runs = ScheduleRuns(
        store=outside.store,
        settings=outside.settings,
        catalog=outside.catalog,
        clock=outside.clock,
        policy_digest=outside.desk.policy_digest,
        policy_authors=book.authors,
        speed=speed,
        numbering=threading.Lock(),
    )
    depends = dependents(outside.settings)
    scheduling = Scheduling(
        store=outside.store,
        settings=outside.settings,
        catalog=outside.catalog,
        clock=outside.clock,
        runs=runs,
        history=ScheduleHistory(
            store,
            feeds=lambda environment: _feeds_of(outside, environment),
            integrations=lambda environment: frozenset(
                name
                for name, resting in depends.items()
                if any(by.environment == environment for by in resting)
            ),
        ),
        tokens=lambda: frozenset(one.token_id for one in identity.tokens()),
    )

    def integrations(environment: str) -> Sequence[Integration]:
        return [
            one
            for one in prober.integrations()
            if any(by.environment == environment for by in depends.get(one.name, ()))
        ]

    starter = Starter(
        outside,
        integrations=integrations,
        debt=_debt(store),
        scans=rescans.standing,
        on_call=lambda: [one for one in prober.integrations() if one.kind == "on_call"],
        creator=scheduling.why_not_start,
    )
    return scheduling, starter


def _feeds_of(outside: Outside, environment: str) -> frozenset[str]:
    desk = outside.desk
    config = desk.compiled(desk.policy_digest(environment)).policy.config
    return feeds_named(config)


def _debt(store: Store) -> Callable[[str], Sequence[tuple[str, str]]]:
    """Overrides that nobody has reviewed yet, by environment; a few seconds old at most."""
    lock = threading.Lock()
    kept: tuple[float, list[tuple[str, str, str]]] = (float("-inf"), [])

    def debt(environment: str) -> Sequence[tuple[str, str]]:
        nonlocal kept
        with lock:
            read_s, owed = kept
            if time.monotonic() - read_s >= _DEBT_FOR_S:
                frame = queries.reviews(store.cursor(), open_only=True)
                owed = [
                    (row["environment"], row["run_id"], row["what"])
                    for row in frame.iter_rows(named=True)
                    if row["kind"] in DEBTS
                ]
                kept = (time.monotonic(), owed)
        return [(run, what) for place, run, what in owed if place == environment]

    return debt
