"""Clocks, real run histories and row values for the tests of the store."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from data.store import Store
from engine.core.events import Event, Recorded
from engine.core.rows import CommandRow, GateTick, Sample, StepLog, TlogEntry, TlogHead, VerdictRow
from engine.core.run_events import RunRequested
from tests.core.simulated import Walk


class TestClock:
    """Moves a millisecond at each look, so that every record has its own time."""

    __test__ = False

    def __init__(self, at_us: int = 1_800_000_000_000_000) -> None:
        self.at_us = at_us

    def now_us(self) -> int:
        self.at_us += 1_000
        return self.at_us

    def monotonic_s(self) -> float:
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Step:
    """Events that one actor appended at once."""

    stream: str
    actor: str
    events: tuple[Event, ...]


@functools.cache
def history(seed: int, number: int = 1) -> tuple[Step, ...]:
    """A whole run as random people and a random outside would make it, under `run-<number>`."""
    log = Walk(seed).play().log
    return tuple(_steps(log, number))


@functools.cache
def rollout(number: int = 1) -> tuple[Step, ...]:
    """The first history that asks for approvals and whose health gates decide more than once."""
    for seed in range(200):
        names = [type(event).__name__ for step in history(seed) for event in step.events]
        if "ApprovalRequested" in names and names.count("GateDecided") > 1:
            return history(seed, number)
    raise AssertionError("no walk gets that far")


def telling(count: int) -> tuple[int, ...]:
    """Those of the first `count` seeds whose history has a kind of event that none before had."""
    seeds, known = [], set[str]()
    for seed in range(count):
        kinds = {event.TYPE for step in history(seed) for event in step.events}
        if kinds - known:
            seeds.append(seed)
            known |= kinds
    return tuple(seeds)


def _steps(log: Iterable[Recorded], number: int) -> Iterator[Step]:
    for actor, group in groupby(log, key=lambda recorded: recorded.actor):
        events = [recorded.event for recorded in group]
        if isinstance(events[0], RunRequested):
            events[0] = replace(events[0], number=number)
        for start in range(0, len(events), 3):
            yield Step(f"run-{number}", actor, tuple(events[start : start + 3]))


def play(store: Store, steps: Iterable[Step]) -> None:
    for step in steps:
        store.append(step.stream, step.events, after=store.version(step.stream), actor=step.actor)


def gate_tick(n: int = 1, *, run_id: str = "run-1", attempt: int = 1) -> GateTick:
    return GateTick(
        run_id=run_id,
        step="canary",
        attempt=attempt,
        n=n,
        t_ms=n * 5_000,
        ts_us=n * 5_000_000,
        tick='{"any":"tick","status":"ok"}',
        action="hold",
        rule=9,
        reason="warming up",
    )


def leaf(idx: int) -> TlogEntry:
    return TlogEntry(idx=idx, leaf_hash=f"{idx:064x}", body='{"any":"entry"}', ts_us=idx)


def head(size: int) -> TlogHead:
    return TlogHead(size=size, root="r" * 44, note="note\nsigned", gseq=1, hash="0" * 64)


def verdict_row(number: int = 1) -> VerdictRow:
    return VerdictRow(
        verdict_id=f"verdict-{number}",
        run_id="run-1",
        step="gate-eval",
        attempt=1,
        ts_us=5,
        decision="PASS",
        warn=2,
        fail=0,
        error=False,
        verdict="v",
        policy="p",
        policy_input="i",
        capsule="c",
    )


def answer_row(command_id: str = "ana/1") -> CommandRow:
    return CommandRow(
        command_id=command_id, ts_us=1, actor="ana", request_hash="h", status=202, response="{}"
    )


def sample(ts_us: int, target: str, *, arm: str = "canary", requests: int = 100) -> Sample:
    return Sample(
        ts_us=ts_us,
        run_id="run-1",
        step="canary",
        attempt=1,
        target=target,
        arm=arm,
        requests=requests,
        errors=requests // 50,
        slow=1 if requests else 0,
        p95_ms=30 if requests else None,
        healthy=True if requests else None,
        digest="sha256:" + "a" * 64,
    )


def log_line(text: str, *, attempt: int = 1, target: str = "") -> StepLog:
    return StepLog(
        run_id="run-1",
        step="canary",
        attempt=attempt,
        ts_us=1_800_000_000_123_456,
        level="info",
        target=target,
        text=text,
    )


def everything(store: Store) -> None:
    """A run, house events, and a row of every kind."""
    play(store, history(6))
    store.record([gate_tick(1), gate_tick(2), leaf(0), leaf(1), head(2), verdict_row()])
    store.record([answer_row()])
    for ts_us in (1, 2):
        store.samples([sample(ts_us, "t-01"), sample(ts_us, "t-02", arm="baseline")])
    store.logs([log_line("one"), log_line("two", target="t-01")])
