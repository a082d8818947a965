"""What a live snapshot is made of beside the run itself: ticks, latencies and the log's tail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from data import queries
from engine.core.rows import GateTick, StepLog
from engine.core.run import Run
from engine.core.state import StepState
from engine.live_view import LOG_LINES
from engine.ports import EventStore


class LiveStore(EventStore, Protocol):
    """The store, with a cursor for reading."""

    def cursor(self) -> Any: ...


class Feed(Protocol):
    """Reads, and never writes. Called from one thread at a time."""

    def log(self, run: Run) -> Sequence[StepLog]:
        """The newest lines of the run's log, newest first."""
        ...

    def ticks(self, run: Run, step: StepState) -> Sequence[GateTick]:
        """Every tick of the step's watch, oldest first."""
        ...

    def p95(self, run: Run, step: StepState) -> Mapping[int, tuple[int | None, int | None]]:
        """By poll: p95 in ms of the worst canary and the worst baseline target."""
        ...

    def p95_minutes(self, run: Run, step: StepState) -> Mapping[int, tuple[int | None, int | None]]:
        """By the minute's beginning: the worst of any poll in it. Of attempts that have ended."""
        ...


class StoreFeed:
    def __init__(self, store: LiveStore) -> None:
        self._store = store

    def log(self, run: Run) -> Sequence[StepLog]:
        lines: list[StepLog] = []
        for step in reversed(run.steps):
            if not step.attempts or len(lines) >= LOG_LINES:
                continue
            number = len(step.attempts)
            frame = queries.step_logs(
                self._store.cursor(),
                run_id=run.run_id,
                step=step.id,
                attempt=number,
                limit=LOG_LINES,
            )
            lines += [
                StepLog(
                    run_id=run.run_id,
                    step=step.id,
                    attempt=number,
                    ts_us=row["ts_us"],
                    level=row["level"],
                    target=row["target"],
                    text=row["text"],
                )
                for row in frame.to_dicts()
            ]
        return sorted(lines, key=lambda line: line.ts_us, reverse=True)[:LOG_LINES]

    def ticks(self, run: Run, step: StepState) -> Sequence[GateTick]:
        return self._store.gate_ticks(run.run_id, step.id, step.watch_from)

    def p95(self, run: Run, step: StepState) -> Mapping[int, tuple[int | None, int | None]]:
        frame = queries.stage_p95(self._store.cursor(), run_id=run.run_id, step=step.id)
        return _both_arms(frame.iter_rows())

    def p95_minutes(self, run: Run, step: StepState) -> Mapping[int, tuple[int | None, int | None]]:
        frame = queries.stage_minutes(self._store.cursor(), run_id=run.run_id, step=step.id)
        arms = frame.filter(frame["target"] == "").select("ts_us", "arm", "p95_ms")
        return _both_arms(arms.iter_rows())


def _both_arms(rows: Iterable[Any]) -> Mapping[int, tuple[int | None, int | None]]:
    """From (time, arm, p95) to both arms of each time."""
    found: dict[int, dict[str, int | None]] = {}
    for ts_us, arm, p95_ms in rows:
        found.setdefault(ts_us, {})[arm] = p95_ms
    return {at: (arms.get("canary"), arms.get("baseline")) for at, arms in found.items()}
