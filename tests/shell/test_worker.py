"""The worker: what wakes a run, who advances it, and what stops only one of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from engine import worker as module
from engine.core.errors import Conflict, StorageFull
from engine.core.events import Recorded
from engine.worker import Chore, Worker

PATIENCE_S = 8.0

# No thread of ours, and none of APScheduler's, may die of an exception.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


class Log:
    """As much of a store as a worker sees: open runs, and who is told of events."""

    def __init__(self, *runs: str) -> None:
        self._runs = runs
        self.callbacks: list[Callable[[tuple[Recorded, ...]], None]] = []

    def runs_open(self) -> tuple[Any, ...]:
        return tuple(type("Open", (), {"run_id": run_id})() for run_id in self._runs)

    def subscribe(self, callback: Callable[[tuple[Recorded, ...]], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def happened(self, stream: str) -> None:
        recorded: Any = type("Event", (), {"stream": stream})()
        for callback in list(self.callbacks):
            callback((recorded,))


@contextmanager
def working(
    log: Log,
    advance: Callable[[str], float | None],
    on_watchdog: Callable[[int, str], None] = lambda _ms, _what: None,
    threads: int = 4,
) -> Iterator[Worker]:
    worker = Worker(
        store=log,  # type: ignore[arg-type]
        advance=advance,
        on_watchdog=on_watchdog,
        threads=threads,
    )
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
        assert not any(thread.is_alive() for thread in (*worker._threads, worker._watchdog))


def until(true: Callable[[], bool], *, why: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"never: {why}"
        time.sleep(0.005)


def test_a_start_wakes_every_open_run() -> None:
    seen: set[str] = set()
    with working(Log("run-1", "run-2", "run-3"), lambda run_id: seen.add(run_id)):
        until(lambda: seen == {"run-1", "run-2", "run-3"}, why="all woken")


def test_an_event_wakes_its_run_and_no_other_stream() -> None:
    seen: list[str] = []
    log = Log()
    with working(log, lambda run_id: seen.append(run_id)):
        for stream in ("admin", "bundles", "engine:1", "run-7"):
            log.happened(stream)
        until(lambda: bool(seen), why="run-7 woken")
        time.sleep(0.05)
    assert set(seen) == {"run-7"}
    assert log.callbacks == []  # a stopped worker listens no more


def test_a_run_that_waits_is_called_when_its_time_has_come() -> None:
    at: list[float] = []

    def advance(_: str) -> float | None:
        at.append(time.monotonic())
        return 0.3 if len(at) < 3 else None

    with working(Log("run-1"), advance):
        until(lambda: len(at) >= 3, why="called three times")
    assert all(0.29 <= b - a < 1.5 for a, b in pairwise(at))


def test_one_run_is_advanced_by_one_thread_at_a_time_and_no_wake_is_lost() -> None:
    inside, most, calls = 0, 0, 0
    lock = threading.Lock()

    def advance(_: str) -> None:
        nonlocal inside, most, calls
        with lock:
            inside += 1
            calls += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1

    log = Log()
    with working(log, advance) as worker:
        for _ in range(100):
            log.happened("run-1")
            time.sleep(0.001)
        with lock:
            so_far = calls
        log.happened("run-1")  # whatever runs right now: after this there is one more
        until(lambda: worker.health().busy == 0, why="rest")
    assert most == 1
    assert calls > so_far


def test_runs_do_not_wait_for_each_other() -> None:
    gate, reached = threading.Event(), threading.Event()

    def advance(run_id: str) -> None:
        if run_id == "run-1":
            gate.wait(PATIENCE_S)
        else:
            reached.set()

    with working(Log("run-1", "run-2"), advance):
        assert reached.wait(PATIENCE_S)
        gate.set()


def test_a_lost_alarm_costs_a_tick_and_not_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []

    def advance(_: str) -> float | None:
        calls.append(time.monotonic())
        return 0.2 if len(calls) == 1 else None

    with working(Log(), advance) as worker:
        # The scheduler takes the alarm and loses it.
        monkeypatch.setattr(worker._scheduler, "add_job", lambda *_a, **_k: None)
        worker.wake("run-1")
        until(lambda: len(calls) >= 2, why="found by the tick")
    assert calls[1] - calls[0] < 0.2 + 2 * module.TICK_S


def test_an_alarm_that_cannot_be_set_does_not_end_the_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []

    def advance(run_id: str) -> float | None:
        calls.append(run_id)
        return 0.1 if len(calls) == 1 else None

    def broken(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    with working(Log(), advance, threads=1) as worker:
        monkeypatch.setattr(worker._scheduler, "add_job", broken)
        worker.wake("run-1")
        until(lambda: len(calls) >= 2, why="found by the tick, on the same thread")


def test_a_dead_scheduler_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_MAX_S", 1.5)
    told: list[tuple[int, str]] = []
    calls: list[str] = []
    with working(
        Log(), lambda run_id: calls.append(run_id), lambda ms, what: told.append((ms, what))
    ) as worker:
        first = worker._scheduler
        until(lambda: worker.health().tick_age_s < 1.0, why="it ticks")
        first.pause()  # it says that it runs, and does nothing any more
        until(lambda: bool(told), why="the watchdog noticed")
        assert worker._scheduler is not first
        until(lambda: worker.health().tick_age_s < 1.0, why="it ticks again")
        with worker._lock:
            worker._due["run-1"] = time.monotonic()
        until(lambda: calls == ["run-1"], why="due runs are found again")
    assert told[0][0] >= 1_500
    assert told[0][1] == "scheduler recreated"


def test_a_watchdog_that_cannot_tell_goes_on_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_MAX_S", 1.0)
    told: list[int] = []

    def full(ms: int, _what: str) -> None:
        told.append(ms)
        raise StorageFull("no space left")

    with working(Log(), lambda _run_id: None, full) as worker:
        for n in (1, 2):
            worker._scheduler.pause()
            until(lambda n=n: len(told) >= n, why=f"noticed {n} times")


def test_a_full_disk_stops_stepping_until_there_is_space() -> None:
    full = threading.Event()
    full.set()
    done: list[str] = []

    def advance(run_id: str) -> None:
        if full.is_set():
            raise StorageFull("no space left on the device")
        done.append(run_id)

    with working(Log("run-1", "run-2"), advance) as worker:
        until(lambda: worker.health().storage_full, why="said so")
        assert done == []
        assert worker.health().stopped_because == {}  # it is nobody's defect
        full.clear()
        until(lambda: {"run-1", "run-2"} <= set(done), why="went on by themselves")
        until(lambda: not worker.health().storage_full, why="said so no more")


def test_a_defect_stops_its_run_alone_and_is_shown() -> None:
    calls: dict[str, int] = {"run-1": 0, "run-2": 0}
    broken = threading.Event()
    broken.set()

    def advance(run_id: str) -> None:
        calls[run_id] += 1
        if run_id == "run-1" and broken.is_set():
            raise KeyError("eu-prod")

    log = Log("run-1", "run-2")
    with working(log, advance) as worker:
        until(lambda: bool(worker.health().stopped_because), why="shown")
        assert worker.health().stopped_because == {"run-1": "KeyError: 'eu-prod'"}
        log.happened("run-2")
        until(lambda: calls["run-2"] >= 2, why="the other goes on")
        before = calls["run-1"]
        time.sleep(1.5)
        assert calls["run-1"] == before  # it is not tried again every second
        broken.clear()
        log.happened("run-1")
        until(lambda: not worker.health().stopped_because, why="mended")


def test_a_lost_race_is_no_defect() -> None:
    calls: list[str] = []

    def advance(run_id: str) -> None:
        calls.append(run_id)
        if len(calls) == 1:
            raise Conflict("run-1 changed 8 times")

    with working(Log("run-1"), advance) as worker:
        until(lambda: len(calls) >= 2, why="asked again soon")
        assert worker.health().stopped_because == {}


def test_a_stop_lets_the_effect_under_way_end() -> None:
    entered, ended = threading.Event(), threading.Event()

    def advance(_: str) -> None:
        entered.set()
        time.sleep(0.3)
        ended.set()

    with working(Log("run-1"), advance) as worker:
        assert entered.wait(PATIENCE_S)
        assert worker.health().running
    assert ended.is_set()
    assert not worker.health().running


def test_it_tells_what_each_run_and_each_chore_is_about() -> None:
    inside, leave = threading.Event(), threading.Event()

    def advance(run_id: str) -> float | None:
        if run_id == "run-1":
            inside.set()
            assert leave.wait(PATIENCE_S)
        return 60.0 if run_id == "run-2" else None

    with working(Log("run-1", "run-2"), advance, threads=2) as worker:
        assert inside.wait(PATIENCE_S)
        until(lambda: worker.pulse("run-2").due_s is not None, why="run-2 was advanced")
        at_work, sleeps, strange = (worker.pulse(f"run-{n}") for n in (1, 2, 3))
        assert at_work.working_s is not None and at_work.rested_s is None
        assert sleeps.working_s is None and 50 < (sleeps.due_s or 0) <= 60
        assert (strange.working_s, strange.rested_s, strange.waiting) == (None, None, False)
        health = worker.health()
        assert (health.threads, [one.run_id for one in health.working]) == (2, ["run-1"])
        leave.set()
        until(lambda: worker.pulse("run-1").rested_s is not None, why="run-1 came back")


def test_a_chore_that_fails_is_remembered_with_its_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CHORE_AFTER_S", 0.0)

    def broken() -> None:
        raise OSError("no room")

    chores = (
        Chore(name="good", every_s=60, do=lambda: None),
        Chore(name="bad", every_s=60, do=broken),
    )
    log: Any = Log()
    worker = Worker(
        store=log, advance=lambda _: None, on_watchdog=lambda _ms, _what: None, chores=chores
    )
    assert [one.next_s for one in worker.chores()] == [None, None]
    worker.start()
    try:
        until(lambda: all(one.ended_s is not None for one in worker.chores()), why="both ran")
        good, bad = worker.chores()
    finally:
        worker.stop()
    assert (good.error, bad.error) == ("", "OSError: no room")
    assert all(one.next_s is not None and 50 < one.next_s <= 60 for one in (good, bad))
