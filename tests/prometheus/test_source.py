"""A real Prometheus beside the router's own counters: they agree to the last request."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.adapters.clock_system import SystemClock
from engine.adapters.metrics_router import RouterMetrics
from engine.cli import doctor
from engine.core.errors import AdapterFailed
from engine.core.metrics import LATENCY_BOUNDS_MS, Reading, ReadingStatus
from engine.fleet.control import Fleet
from engine.settings import read_settings
from tests.fleet.kit import Rig, eventually, finish_load
from tests.prometheus.gate_kit import Fleet4
from tests.prometheus.kit import Prometheus, needs_prometheus, source_of
from tests.shell.watch_kit import TARGETS

pytestmark = [pytest.mark.fleet, needs_prometheus]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def _by_router(rig: Rig) -> Reading:
    return RouterMetrics(rig.fleet, clock=SystemClock()).read(deadline_s=2.0)


def _load(rig: Rig, requests: int) -> None:
    """Send about so many, with errors on one target and slow answers on another."""
    before = int(rig.fleet.load_totals()["sent"]) if rig.fleet.processes() else 0
    rig.fleet.inject(TARGETS[1], error_rate_bp=2_500, latency_ms=0)
    rig.fleet.inject(TARGETS[2], error_rate_bp=0, latency_ms=300)
    rig.fleet.ensure_load(200)
    eventually(lambda: rig.fleet.load_totals()["sent"] >= before + requests)
    finish_load(rig.fleet)
    for target in TARGETS:
        rig.fleet.inject(target, error_rate_bp=0, latency_ms=0)


def test_every_counter_is_that_of_the_router(rig: Fleet4, server: Prometheus) -> None:
    rig.fleet.ensure_load(0)
    _load(rig, 300)
    exact = _by_router(rig).targets
    source = source_of(rig, server)
    eventually(lambda: source.read(deadline_s=2.0).targets == exact)
    assert exact[TARGETS[1]].errors > 10 < exact[TARGETS[2]].slow
    assert source.read(deadline_s=2.0).status is ReadingStatus.OK


def test_any_limit_for_slow_is_a_bound_of_the_histogram(rig: Fleet4, server: Prometheus) -> None:
    limit_ms = 123
    assert limit_ms not in LATENCY_BOUNDS_MS
    odd = Fleet(rig.fleet.root, environment="eu-stage", targets=TARGETS, slow_over_ms=limit_ms)
    odd.ensure_router()
    try:
        _load(rig, 100)
        source = source_of(rig, server, slow_over_ms=limit_ms)
        eventually(lambda: source.read(deadline_s=2.0).targets == _by_router(rig).targets)
        assert source.read(deadline_s=2.0).note == ""
    finally:
        rig.fleet.ensure_router()


def test_the_same_question_gets_the_same_answer(rig: Fleet4, server: Prometheus) -> None:
    source = source_of(rig, server)
    rig.fleet.ensure_load(100)
    readings = [source.read(deadline_s=2.0) for _ in range(5)]
    first = [source.repeat(one.query, deadline_s=2.0) for one in readings]
    eventually(lambda: source.read(deadline_s=2.0).at_us > readings[-1].at_us + 1_500_000)
    assert [source.repeat(one.query, deadline_s=2.0) for one in readings] == first
    assert all(first)


def test_the_time_before_is_told_poll_by_poll(rig: Fleet4, server: Prometheus) -> None:
    source, clock = source_of(rig, server), SystemClock()
    finish_load(rig.fleet)
    quiet_us = clock.now_us()
    before = _by_router(rig).targets
    rig.fleet.inject(TARGETS[0], error_rate_bp=5_000, latency_ms=0)
    eventually(lambda: source.read(deadline_s=2.0).at_us > quiet_us + 1_000_000)
    rig.fleet.ensure_load(200)
    sent = rig.fleet.load_totals()["sent"]
    eventually(lambda: rig.fleet.load_totals()["sent"] > sent + 200)
    finish_load(rig.fleet)
    rig.fleet.inject(TARGETS[0], error_rate_bp=0, latency_ms=0)
    now = _by_router(rig).targets

    def told() -> list[tuple[int, int]]:
        """Since some moment within the quiet second."""
        seconds = (clock.now_us() - quiet_us) // 1_000_000 - 1
        rows = source.history(seconds=seconds, poll_s=0.5, deadline_s=2.0)
        return [_sum([row[n] for row in rows]) for n in range(len(TARGETS))]

    grown = [
        (now[t].requests - before[t].requests, now[t].errors - before[t].errors) for t in TARGETS
    ]
    assert sum(errors for _, errors in grown) > 10
    eventually(lambda: told() == grown)


def _sum(cells: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(n for n, _ in cells), sum(e for _, e in cells)


def test_the_error_budget_is_read_and_windows_without_data_are_not_known(
    rig: Fleet4, server: Prometheus
) -> None:
    source = source_of(rig, server)
    rig.fleet.inject(TARGETS[0], error_rate_bp=4_000, latency_ms=0)
    rig.fleet.ensure_load(200)

    def share() -> float:
        found = source.bad_and_total(windows_s=[3, 21_600], deadline_s=2.0)
        assert found[21_600] is None
        bad, total = found[3] or (0, 0)
        return bad / total if total > 300 else 0.0

    eventually(lambda: 0.08 < share() < 0.12, within_s=15)  # a quarter of the targets at 40 %
    rig.fleet.inject(TARGETS[0], error_rate_bp=0, latency_ms=0)
    server.send(signal.SIGSTOP)
    try:
        with pytest.raises(AdapterFailed, match="no answer"):
            source.bad_and_total(windows_s=[3], deadline_s=0.3)
    finally:
        server.send(signal.SIGCONT)
    # A question about what it has no series of is no answer either, and not "nothing is bad".
    other = Fleet(rig.fleet.root, environment="nowhere", targets=TARGETS)
    with pytest.raises(AdapterFailed, match=r"no series http_requests_total.*nowhere"):
        source_of(rig, server, environment=other.environment).bad_and_total(
            windows_s=[3], deadline_s=2.0
        )


def test_doctor_asks_it_and_says_what_it_found(
    rig: Fleet4, server: Prometheus, tmp_path: Path
) -> None:
    for folder in ("policies", "feeds"):
        (tmp_path / folder).mkdir()
    for name in ("release-gate.yaml", "release-gate.config.json"):
        shutil.copyfile(EXAMPLES / name, tmp_path / "policies" / name)
    text = (EXAMPLES / "releaseline.yaml").read_text()
    text = text.replace("      type: router ", f"      type: prometheus\n      url: {server.url} ")
    text = text.replace("[eu-stage-01, eu-stage-02]", f"[{', '.join(TARGETS)}]")
    (tmp_path / "releaseline.yaml").write_text(text)
    stage, prod = doctor.metrics(read_settings(tmp_path))
    assert (stage.name, stage.level) == ("metrics eu-stage", "ok")
    assert stage.told.startswith(f"{server.url}: counts 4 of 4 targets, ")
    assert (prod.name, prod.level) == ("metrics eu-prod", "warn")
    assert prod.told == (
        f'{server.url}: there is no http_requests_total{{environment="eu-prod"}} of any target'
    )
