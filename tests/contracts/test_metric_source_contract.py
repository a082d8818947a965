"""The contract of metric sources: exact counts, and an honest word when there are none."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.adapters.clock_system import SystemClock
from engine.adapters.metrics_router import RouterMetrics
from engine.core.metrics import LATENCY_BOUNDS_MS, ReadingStatus
from engine.fleet.control import Fleet
from engine.ports import MetricSource
from tests.fleet.kit import Rig, eventually, finish_load

pytestmark = pytest.mark.fleet
SOURCES: dict[str, Callable[[Rig], MetricSource]] = {
    "router": lambda rig: RouterMetrics(rig.fleet, clock=SystemClock())
}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(params=list(SOURCES))
def source(request: pytest.FixtureRequest, rig: Rig) -> MetricSource:
    return SOURCES[request.param](rig)


def test_an_unreachable_source_is_an_error_and_never_raises(source: MetricSource) -> None:
    reading = source.read(deadline_s=1.0)
    assert reading.status is ReadingStatus.ERROR
    assert reading.note
    assert reading.targets == {}
    assert list(source.history(seconds=60, poll_s=5.0, deadline_s=1.0)) == []


def test_counts_are_exact_and_per_target(rig: Rig, source: MetricSource) -> None:
    rig.deploy(rig.bundle("1"))
    rig.fleet.inject(rig.targets[1], error_rate_bp=5_000, latency_ms=0)
    rig.fleet.ensure_load(200)
    eventually(lambda: rig.fleet.load_totals()["sent"] > 200)
    totals = finish_load(rig.fleet)
    reading = source.read(deadline_s=2.0)
    assert reading.status is ReadingStatus.OK
    assert set(reading.targets) == set(rig.targets)
    counted = reading.targets.values()
    assert sum(c.requests for c in counted) == totals["sent"]
    assert sum(c.errors for c in counted) == totals["failed"]["status_500"]  # type: ignore[index]
    sick = reading.targets[rig.targets[1]]
    assert sick.errors == sick.requests // 2
    for one in counted:
        assert sum(one.buckets) == one.requests
        assert len(one.buckets) == len(LATENCY_BOUNDS_MS) + 1
        assert one.healthy is True
    assert str(reading.at_us) in reading.query
    eventually(
        lambda: (
            [len(row) for row in source.history(seconds=60, poll_s=1.0, deadline_s=2.0)][:1] == [3]
        )
    )
    eventually(lambda: _requests(source) == totals["sent"])


def _requests(source: MetricSource) -> int:
    rows = source.history(seconds=60, poll_s=1.0, deadline_s=2.0)
    return sum(requests for row in rows for requests, _errors in row)


def test_a_target_without_an_answer_has_no_health(rig: Rig, source: MetricSource) -> None:
    rig.deploy(rig.bundle("1"))
    target = rig.targets[0]
    os.kill(rig.instances()[target][0], signal.SIGKILL)
    eventually(lambda: source.read(deadline_s=2.0).targets[target].healthy is None)
    assert source.read(deadline_s=2.0).status is ReadingStatus.OK


def test_a_source_that_knows_less_says_partial_or_no_data(rig: Rig) -> None:
    rig.fleet.ensure_router()
    wider = Fleet(rig.fleet.root, environment="eu-stage", targets=[*rig.targets, "t99"])
    reading = RouterMetrics(wider, clock=SystemClock()).read(deadline_s=2.0)
    assert reading.status is ReadingStatus.PARTIAL
    assert "t99" in reading.note
    assert "t99" not in reading.targets
    others = Fleet(rig.fleet.root, environment="eu-stage", targets=["other"])
    reading = RouterMetrics(others, clock=SystemClock()).read(deadline_s=2.0)
    assert reading.status is ReadingStatus.NODATA


def test_a_restarted_source_counts_from_0(rig: Rig, source: MetricSource) -> None:
    rig.deploy(rig.bundle("1"))
    rig.fleet.ensure_load(100)
    eventually(lambda: rig.fleet.load_totals()["ok"] > 50)
    finish_load(rig.fleet)
    router = next(p for p in rig.fleet.processes() if p.role == "router")
    os.kill(router.pid, signal.SIGKILL)
    eventually(lambda: source.read(deadline_s=1.0).status is ReadingStatus.ERROR)
    rig.fleet.ensure_router()
    reading = source.read(deadline_s=2.0)
    assert reading.status is ReadingStatus.OK
    assert sum(one.requests for one in reading.targets.values()) == 0
