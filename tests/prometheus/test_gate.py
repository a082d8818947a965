"""The gate over a real Prometheus that is broken in every way: it waits, pauses, and goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data.store import Store
from engine.adapters.clock_system import SystemClock
from engine.core import ticks
from engine.core.metrics import ReadingStatus
from engine.core.statemachine import StepStatus
from tests.fleet.kit import eventually, finish_load
from tests.prometheus.gate_kit import CRITERIA, POLL_MS, Fleet4, Watched
from tests.prometheus.kit import Prometheus, needs_prometheus, source_of
from tests.shell.watch_kit import CANARY, TARGETS

pytestmark = [pytest.mark.fleet, needs_prometheus]


@pytest.fixture
def watched(tmp_path: Path, rig: Fleet4, server: Prometheus) -> Iterator[Watched]:
    rig.fleet.ensure_load(100)
    store = Store.open(tmp_path / "home", clock=SystemClock())
    yield Watched(store, source_of(rig, server))
    store.close()


def test_a_broken_prometheus_pauses_and_then_it_goes_on(
    watched: Watched, server: Prometheus
) -> None:
    """Frozen, killed and started again, emptied. Then the stage is promoted."""
    troubles: list[tuple[Callable[[], None], Callable[[], None]]] = [
        (lambda: server.send(signal.SIGSTOP), lambda: server.send(signal.SIGCONT)),
        (lambda: server.end(signal.SIGKILL), server.start),
        (server.empty, lambda: None),
    ]
    watched.start()
    for break_it, mend_it in troubles:
        watched.good(2)
        break_it()
        _pauses_for_no_data(watched)
        mend_it()
        eventually(_answers(watched), within_s=20)
        watched.go_on()
    watched.until(lambda one: not one.run.step("canary").open)
    assert watched.run.step("canary").status is StepStatus.SUCCEEDED
    assert "rollback" not in {d.action for d in watched.decided()}
    assert all(answer.same for answer in ticks.replay(watched.rows()))
    asked = watched.evidence(watched.decided()[-1])["query"]
    assert asked["source"] == "prometheus"
    assert "http_requests_total" in asked["text"]


def _pauses_for_no_data(watched: Watched) -> None:
    last_good_ms = watched.rows()[-1].t_ms
    paused = watched.paused()
    assert (paused.action, paused.rule) == ("pause", 1)
    # At real speed: 120 s and one poll, so 125 s.
    assert paused.t_ms - last_good_ms <= CRITERIA.no_data_ms + POLL_MS + 2 * POLL_MS


def _answers(watched: Watched) -> Callable[[], bool]:
    """Whether new samples come in: one that is just started answers with those of before first."""
    source, seen = watched.out.places["prod"].metrics, set[int]()

    def fresh() -> bool:
        reading = source.read(deadline_s=0.5)
        if reading.status is ReadingStatus.OK:
            seen.add(reading.at_us)
        return len(seen) >= 3

    return fresh


def test_silent_exporters_pause_and_never_roll_back(watched: Watched, rig: Fleet4) -> None:
    """The router's scrape hangs; then every target is killed. Both are no word against a bundle."""
    finish_load(rig.fleet)  # what piles up before a frozen router would be slow afterwards
    watched.start(replace(CRITERIA, requests_min=1, slow_requests_min=1))
    watched.good(2)
    router = next(p for p in rig.fleet.processes() if p.role == "router")
    os.kill(router.pid, signal.SIGSTOP)
    try:
        _pauses_for_no_data(watched)
    finally:
        os.kill(router.pid, signal.SIGCONT)
    assert "can't scrape fleet-router" in watched.decided()[-1].reason
    eventually(_answers(watched))
    watched.go_on()
    watched.good(2)
    for pids in rig.instances().values():
        os.kill(pids[0], signal.SIGKILL)
    _pauses_for_no_data(watched)
    assert "can't scrape any of the 4 targets" in watched.decided()[-1].reason
    for target in TARGETS:
        rig.fleet.start_service(target)
    eventually(_answers(watched), within_s=20)
    rig.fleet.ensure_load(100)
    watched.go_on()
    watched.good(2)


def test_a_canary_that_nobody_uses_is_never_promoted(watched: Watched, rig: Fleet4) -> None:
    rig.fleet.router("/weights", {CANARY[0]: 0})
    try:
        watched.start(replace(CRITERIA, max_hold_ms=6_000))
        paused = watched.paused()
    finally:
        rig.fleet.router("/weights", {CANARY[0]: 100})
    assert paused.action == "pause"
    assert "0/30" in paused.reason
    assert ticks.decode(paused.tick)["canary"]["requests"] == 0
