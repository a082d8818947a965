"""The contract of metric sources: exact counts, and an honest word when there are none."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.adapters.clock_system import SystemClock
from engine.adapters.metrics_prometheus import PrometheusMetrics
from engine.adapters.metrics_router import RouterMetrics
from engine.core.metrics import LATENCY_BOUNDS_MS, Reading, ReadingStatus
from engine.core.ticks import delta
from engine.fleet.control import Fleet
from engine.ports import MetricSource
from tests.fleet.kit import Rig, eventually, finish_load
from tests.prometheus.kit import Prometheus, addresses_of, needs_prometheus, source_of

pytestmark = pytest.mark.fleet


@dataclass
class Stand:
    """A source before anything is there for it to read; `begin` starts what it reads from.

    Attributes:
        of: the same kind of source for another fleet at the same place.
    """

    source: MetricSource
    begin: Callable[[], None]
    of: Callable[[Fleet], MetricSource]


def _router(rig: Rig) -> Iterator[Stand]:
    def of(fleet: Fleet) -> MetricSource:
        return RouterMetrics(fleet, clock=SystemClock())

    yield Stand(of(rig.fleet), lambda: None, of)


def _prometheus(rig: Rig) -> Iterator[Stand]:
    server = Prometheus(rig.folder / "prometheus", [addresses_of(rig)])

    def of(fleet: Fleet) -> MetricSource:
        return PrometheusMetrics(
            server.url, environment="eu-stage", targets=fleet.targets, clock=SystemClock()
        )

    def begin() -> None:
        eventually(lambda: addresses_of(rig).read_text().count("fleet-target") == len(rig.targets))
        server.start()

    try:
        yield Stand(source_of(rig, server), begin, of)
    finally:
        server.end()


SOURCES = {"router": _router, "prometheus": _prometheus}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(
    params=["router", pytest.param("prometheus", marks=needs_prometheus)],
)
def stand(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Stand]:
    yield from SOURCES[request.param](rig)


@pytest.fixture
def source(stand: Stand) -> MetricSource:
    return stand.source


def test_an_unreachable_source_is_an_error_and_never_raises(source: MetricSource) -> None:
    reading = source.read(deadline_s=1.0)
    assert reading.status is ReadingStatus.ERROR
    assert reading.note
    assert reading.targets == {}
    assert list(source.history(seconds=60, poll_s=5.0, deadline_s=1.0)) == []


def test_counts_are_exact_and_per_target(rig: Rig, stand: Stand) -> None:
    source = stand.source
    rig.deploy(rig.bundle("1"))
    stand.begin()
    rig.fleet.inject(rig.targets[1], error_rate_bp=5_000, latency_ms=0)
    eventually(lambda: source.read(deadline_s=2.0).status is ReadingStatus.OK)
    rig.fleet.ensure_load(200)
    eventually(lambda: rig.fleet.load_totals()["sent"] > 200)
    totals = finish_load(rig.fleet)
    eventually(lambda: _sent(source.read(deadline_s=2.0)) == totals["sent"])
    reading = source.read(deadline_s=2.0)
    assert reading.status is ReadingStatus.OK
    assert set(reading.targets) == set(rig.targets)
    counted = reading.targets.values()
    assert sum(c.errors for c in counted) == totals["failed"]["status_500"]  # type: ignore[index]
    sick = reading.targets[rig.targets[1]]
    assert sick.errors == sick.requests // 2
    for one in counted:
        assert sum(one.buckets) == one.requests
        assert len(one.buckets) == len(LATENCY_BOUNDS_MS) + 1
        assert one.healthy is True
    assert re.search(r"\b(at |time=)\d{10}", reading.query), "when it was asked is said"
    eventually(
        lambda: (
            [len(row) for row in source.history(seconds=60, poll_s=1.0, deadline_s=2.0)][:1] == [3]
        )
    )
    eventually(lambda: _requests(source) == totals["sent"])


def _sent(reading: Reading) -> int:
    return sum(one.requests for one in reading.targets.values())


def _requests(source: MetricSource) -> int:
    rows = source.history(seconds=60, poll_s=1.0, deadline_s=2.0)
    return sum(requests for row in rows for requests, _errors in row)


def test_a_target_without_an_answer_has_no_health(rig: Rig, stand: Stand) -> None:
    source = stand.source
    rig.deploy(rig.bundle("1"))
    stand.begin()
    eventually(lambda: source.read(deadline_s=2.0).status is ReadingStatus.OK)
    target = rig.targets[0]
    os.kill(rig.instances()[target][0], signal.SIGKILL)
    eventually(lambda: source.read(deadline_s=2.0).targets[target].healthy is None)
    assert source.read(deadline_s=2.0).status is ReadingStatus.OK


def test_a_source_that_knows_less_says_partial_or_no_data(rig: Rig, stand: Stand) -> None:
    rig.deploy(rig.bundle("1"))
    stand.begin()
    eventually(lambda: stand.source.read(deadline_s=2.0).status is ReadingStatus.OK)
    wider = Fleet(rig.fleet.root, environment="eu-stage", targets=[*rig.targets, "t99"])
    reading = stand.of(wider).read(deadline_s=2.0)
    assert reading.status is ReadingStatus.PARTIAL
    assert "t99" in reading.note
    assert "t99" not in reading.targets
    others = Fleet(rig.fleet.root, environment="eu-stage", targets=["other"])
    assert stand.of(others).read(deadline_s=2.0).status is ReadingStatus.NODATA


def test_a_restart_of_what_counts_makes_no_requests(rig: Rig, stand: Stand) -> None:
    source = stand.source
    rig.deploy(rig.bundle("1"))
    stand.begin()
    rig.fleet.ensure_load(100)
    eventually(lambda: rig.fleet.load_totals()["ok"] > 50)
    totals = finish_load(rig.fleet)
    eventually(lambda: _sent(source.read(deadline_s=2.0)) == totals["sent"])
    before = source.read(deadline_s=2.0)
    router = next(p for p in rig.fleet.processes() if p.role == "router")
    os.kill(router.pid, signal.SIGKILL)
    eventually(lambda: source.read(deadline_s=1.0).status is not ReadingStatus.OK)
    rig.fleet.ensure_router()
    eventually(lambda: source.read(deadline_s=2.0).status is ReadingStatus.OK)
    after = source.read(deadline_s=2.0)
    for target in rig.targets:
        grown = delta(before.targets[target], after.targets[target])
        assert grown is not None
        assert (grown.requests, grown.errors, sum(grown.buckets)) == (0, 0, 0)
