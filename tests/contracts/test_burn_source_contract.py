"""The contract of burn sources: what clients were really answered, and None where nobody knows."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.adapters.clock_system import SystemClock
from engine.adapters.metrics_router import RouterMetrics
from engine.core.errors import AdapterFailed
from engine.fleet.budget import CELL_S
from engine.ports_observed import BurnSource
from tests.fleet.kit import Rig, eventually, finish_load

pytestmark = pytest.mark.fleet
SOURCES: dict[str, Callable[[Rig], BurnSource]] = {
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
def source(request: pytest.FixtureRequest, rig: Rig) -> BurnSource:
    return SOURCES[request.param](rig)


def test_a_source_that_gives_no_answer_says_so_and_never_that_nothing_is_bad(
    rig: Rig, source: BurnSource
) -> None:
    with pytest.raises(AdapterFailed):
        source.bad_and_total(windows_s=(10,), deadline_s=1.0)
    rig.deploy(rig.bundle("1"))
    pid = rig.fleet.router("/healthz")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        with pytest.raises(AdapterFailed):
            source.bad_and_total(windows_s=(10,), deadline_s=1.0)
        assert time.monotonic() - began_s < 3
    finally:
        os.kill(pid, signal.SIGCONT)


def test_counts_are_what_the_clients_were_answered(rig: Rig, source: BurnSource) -> None:
    rig.deploy(rig.bundle("1"))
    rig.fleet.inject(rig.targets[1], error_rate_bp=5_000, latency_ms=0)
    rig.fleet.ensure_load(200)

    def known() -> bool:
        return source.bad_and_total(windows_s=(CELL_S,), deadline_s=2.0)[CELL_S] is not None

    eventually(known, within_s=3 * CELL_S)
    began_s = time.monotonic()
    bad_before, total_before = source.bad_and_total(windows_s=(3,), deadline_s=2.0)[3] or (0, 0)
    assert 0 < bad_before < total_before
    totals: Any = finish_load(rig.fleet)
    # The whole life of the router lies in the window that begins at its first mark.
    window_s = CELL_S + int(time.monotonic() - began_s)
    found = source.bad_and_total(windows_s=(window_s, 3_600, 21_600), deadline_s=2.0)
    assert found[3_600] is None and found[21_600] is None  # it does not reach back so far
    counted = found[window_s]
    assert counted is not None
    bad, total = counted
    assert 0 < bad <= sum(totals["failed"].values())
    assert bad_before <= bad < total <= totals["sent"]
    text = source.burn_query(windows_s=(window_s, 3_600))
    assert str(window_s) in text and "3600" in text
