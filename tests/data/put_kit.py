"""Watched stages of real runs: their ticks, samples and log lines, and what a lost database is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from data.store import Store
from engine.core.rows import Sample
from engine.core.run import Run
from tests.data.kit import gate_tick, history, log_line, play, sample

MINUTE_US = 60_000_000


def watched(run: Run) -> tuple[str, int]:
    """The first ended attempt of the run, which the tests let be a watched one."""
    return next(
        (step.id, attempt.number)
        for step in run.steps
        for attempt in step.attempts
        if attempt.ended_us is not None
    )


def a_run(store: Store, *, seed: int = 6, number: int = 1, polls: int = 30) -> tuple[str, int]:
    """A whole run with `polls` polls of two targets and as many log lines in one attempt."""
    play(store, history(seed, number))
    run_id = f"run-{number}"
    step, attempt = watched(store.run(run_id))
    store.record(
        [
            replace(gate_tick(n, run_id=run_id, attempt=attempt), step=step)
            for n in range(1, polls + 1)
        ]
    )
    store.samples(of(run_id, step, attempt, samples_of(polls)))
    store.logs(
        [
            replace(log_line(f"line {n}", attempt=attempt), run_id=run_id, step=step)
            for n in range(polls)
        ]
    )
    return step, attempt


def samples_of(polls: int, *, every_us: int = 5_000_000) -> list[Sample]:
    """Two targets; one of them does not answer at every seventh poll."""
    made = []
    for n in range(polls):
        made.append(sample(n * every_us, "t-01", requests=100 + n))
        quiet = n % 7 == 0
        made.append(sample(n * every_us, "t-02", arm="baseline", requests=0 if quiet else 50))
    return made


def of(run_id: str, step: str, attempt: int, samples: Iterable[Sample]) -> list[Sample]:
    return [replace(one, run_id=run_id, step=step, attempt=attempt) for one in samples]


def table(store: Store, name: str, columns: str = "*") -> list[tuple[object, ...]]:
    query = f"SELECT {columns} FROM {name} ORDER BY ALL"
    return store.cursor().execute(query).fetchall()


def lose_database(home: Path) -> None:
    for path in home.glob("releaseline.duckdb*"):
        path.unlink()
