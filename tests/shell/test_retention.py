"""Who puts away and when old samples go: soon after an attempt's end, once a day, and at start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from data.store import Store
from engine.archiving import Archivist
from engine.core.errors import StorageFull
from engine.core.house import SamplesRetired
from engine.core.retirement import DAY_US, Retirement
from engine.core.step_events import StepStarted, StepSucceeded
from engine.retention import STREAM, Retention
from engine.settings_shape import days
from tests.data.kit import TestClock

PATIENCE_S = 8.0


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def store(tmp_path: Any, clock: TestClock) -> Any:
    opened = Store.open(tmp_path / "home", clock=clock)
    yield opened
    opened.close()


class Asked:
    """As much of a store's retiring as its caller sees."""

    def __init__(self, *, stopped: bool = False) -> None:
        self.before_us: list[int] = []
        self._stopped = stopped

    def __call__(
        self, before_us: int, *, dry_run: bool = False, stop: Callable[[], bool] = bool
    ) -> Retirement:
        self.before_us.append(before_us)
        return Retirement(
            before_us=before_us, runs=1, attempts=2, samples=30, minutes=4,
            kept=("run-9 canary 1: why",), bytes_before=9, bytes_after=8, took_ms=7,
            dry_run=dry_run, stopped=self._stopped or stop(),
        )  # fmt: skip


def retention(store: Store, clock: TestClock, asked: Asked) -> Retention:
    return Retention(store=store, clock=clock, retire=asked, keep_us=90 * DAY_US)


def test_what_went_is_on_record(store: Store, clock: TestClock) -> None:
    asked = Asked()
    done = retention(store, clock, asked).run(actor="dora.admin")
    (recorded,) = store.load(STREAM)
    assert isinstance(recorded.event, SamplesRetired)
    assert recorded.actor == "dora.admin"
    assert (recorded.event.samples, recorded.event.kept) == (30, ("run-9 canary 1: why",))
    assert recorded.event.before_us == asked.before_us[0] < clock.at_us - 89 * DAY_US
    assert "30 raw samples of 2 attempts in 1 runs went; 4 minutes" in done.sentence()
    assert "run-9 canary 1: why" in done.sentence()


def test_looking_is_not_on_record(store: Store, clock: TestClock) -> None:
    said = retention(store, clock, Asked()).run(dry_run=True).sentence()
    assert "would go" in said
    assert store.load(STREAM) == ()


def test_once_a_day_and_at_start_when_overdue(store: Store, clock: TestClock) -> None:
    asked = Asked()
    keeper = retention(store, clock, asked)
    keeper.when_due()
    keeper.when_due()
    assert len(asked.before_us) == 1
    clock.at_us += DAY_US
    retention(store, clock, asked).when_due()  # as after a restart
    assert len(asked.before_us) == 2


def test_one_that_was_told_to_stop_is_due_again(store: Store, clock: TestClock) -> None:
    asked = Asked(stopped=True)
    keeper = retention(store, clock, asked)
    keeper.when_due()
    assert store.load(STREAM) == ()
    keeper.stop()
    keeper.when_due()
    assert len(asked.before_us) == 1  # the house is closing


@pytest.mark.parametrize("text", ["0d", "90", "90h", "-1d", "01d", "1.5d", "d", "٩d", "100000d"])
def test_days_are_whole_days_from_one(text: str) -> None:
    with pytest.raises(ValueError):
        days(text)
    assert (days("1d"), days("90d")) == (1, 90)


def recorded(stream: str, event: object) -> Any:
    return type("Recorded", (), {"stream": stream, "event": event})()


def test_an_ended_attempt_is_put_away_and_a_started_one_is_not() -> None:
    seen: list[str] = []
    done = threading.Event()

    def put_away(run_id: str) -> int:
        seen.append(run_id)
        if run_id == "run-3":
            done.set()
        return 1

    archivist = Archivist(put_away, settled_s=0.05)
    archivist.start(["run-1"])
    started = StepStarted(step="canary", attempt=1, op_id="o")
    ended = StepSucceeded(step="canary", attempt=1, result="MET", summary="", outputs=())
    archivist.recorded((recorded("run-2", started),))
    archivist.recorded((recorded("run-3", ended), recorded("run-3", ended)))
    assert done.wait(PATIENCE_S)
    archivist.stop()
    assert seen == ["run-1", "run-3"]


@pytest.mark.parametrize("trouble", [StorageFull("no space"), RuntimeError("a defect")])
def test_trouble_with_one_run_stops_no_other(
    trouble: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.archiving.RETRY_S", 0.05)
    seen: list[str] = []
    done = threading.Event()

    def put_away(run_id: str) -> int:
        seen.append(run_id)
        if run_id == "run-1" and seen.count("run-1") == 1:
            raise trouble
        if {"run-1", "run-2"} <= set(seen) and seen.count("run-1") == 2:
            done.set()
        return 1

    archivist = Archivist(put_away)
    archivist.start(["run-1", "run-2"])
    assert done.wait(PATIENCE_S)
    archivist.stop()
    assert sorted(seen) == ["run-1", "run-1", "run-2"]
