"""The platform's numbers: quantiles over a window, and what somebody should look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.data_health import Level, disk_source, stored_source
from engine.core.integrity import Damage, IntegrityLog
from engine.core.integrity_events import DamageFound, IntegritySwept
from engine.core.pace import WINDOW_S, Pace, Recent, quantile
from engine.core.troubles import stored_trouble
from engine.core.vitals import Disk, LogHead, Sizes, Slow, Vitals, judged

SWEPT = IntegritySwept(cause="due", runs=1, blobs=1, size_bytes=1, leaves=1, damaged=0, took_ms=1)
DAMAGED = Damage(since_us=5, found=DamageFound(place="blob sha256:ab", item="statement.dsse",
                 check="blob.sha256", expected="sha256:ab", found="sha256:cd",
                 runs=("run-2", "run-1")))  # fmt: skip
FINE = Vitals(
    at_us=2, since_us=1, running=True, tick_age_s=0.4,
    tick_lag=Pace(n=1, p50_s=0.01, p95_s=0.02, max_s=0.03), watchdogs=0, threads=4, working=1,
    queued=0, stopped_runs=0, storage_full=False, commits=Pace(), rss_bytes=1,
    disk=Disk(free_bytes=50 << 30, total_bytes=100 << 30), waiting_messages=0, runs={},
    versions={"releaseline": "1"},
    slow=Slow(
        at_us=1, log=LogHead(origin="log", size=3, at_us=1), log_trouble="", dead_letters=0,
        replays=0, sizes=Sizes(journal_bytes=1, journal_files=1, database_bytes=1, blobs=1,
                               blob_bytes=1),
    ),
    stored=IntegrityLog(swept=SWEPT, swept_us=1), sweep_every_us=3_600_000_000, sweeping=False,
)  # fmt: skip


@given(st.lists(st.floats(0, 100), min_size=1), st.sampled_from([1, 50, 95, 100]))
def test_a_quantile_is_a_value_that_so_many_do_not_exceed(
    values: list[float], percent: int
) -> None:
    found = quantile(sorted(values), percent)
    assert found in values
    below = sum(one <= found for one in values)
    assert below * 100 >= percent * len(values)
    smaller = sum(one < found for one in values)
    assert smaller * 100 < percent * len(values)


def test_what_is_older_than_the_window_is_forgotten_and_still_counted() -> None:
    recent = Recent()
    assert recent.pace(0.0) == Pace()
    for n in range(10):
        recent.add(float(n), at_s=float(n))
    told = recent.pace(WINDOW_S + 4.5)
    assert (told.n, told.p50_s, told.max_s, told.count) == (5, 7.0, 9.0, 10)
    assert told.total_s == sum(range(10))


def test_a_platform_in_order_says_nothing() -> None:
    assert {one.level for one in judged(FINE).values()} == {Level.OK}
    assert not any(one.why for one in judged(FINE).values())


@pytest.mark.parametrize(
    ("part", "change", "level"),
    [
        ("engine", {"storage_full": True}, Level.FAIL),
        ("engine", {"running": False}, Level.FAIL),
        ("tick", {"running": False}, Level.UNKNOWN),
        ("tick", {"tick_age_s": 9.0}, Level.FAIL),
        ("tick", {"tick_lag": Pace()}, Level.UNKNOWN),
        ("tick", {"tick_lag": Pace(n=1, max_s=1.2)}, Level.WARN),
        ("watchdog", {"watchdogs": 2}, Level.WARN),
        ("commits", {"commits": Pace(n=9, p95_s=0.2)}, Level.WARN),
        ("disk", {"disk": Disk(free_bytes=9 << 30, total_bytes=100 << 30)}, Level.WARN),
        ("disk", {"disk": Disk(free_bytes=64 << 20, total_bytes=100 << 30)}, Level.FAIL),
        ("log", {"slow": replace(FINE.slow, log=None, log_trouble="forked")}, Level.FAIL),
        ("queues", {"stopped_runs": 1}, Level.FAIL),
        ("queues", {"queued": 51}, Level.WARN),
        ("integrity", {"stored": IntegrityLog()}, Level.UNKNOWN),
        ("integrity", {"stored": IntegrityLog(damaged={"a": DAMAGED})}, Level.FAIL),
        ("integrity", {"at_us": 3 * 3_600_000_000 + 2}, Level.WARN),
        ("messages", {"slow": replace(FINE.slow, dead_letters=3)}, Level.WARN),
    ],
)
def test_what_is_not_in_order_has_its_level_and_a_sentence(
    part: str, change: dict[str, Any], level: Level
) -> None:
    found = judged(replace(FINE, **change))
    assert found[part].level is level and found[part].why
    others = {name for name, one in found.items() if one.level is not Level.OK} - {part}
    assert others <= {"tick", "engine"}


def test_a_sweep_under_way_is_not_late() -> None:
    late = replace(FINE, at_us=9 * 3_600_000_000, sweeping=True)
    assert judged(late)["integrity"].level is Level.OK


def test_damage_is_told_once_until_all_of_it_is_whole_again() -> None:
    assert stored_trouble(IntegrityLog(swept=SWEPT)) is None
    older = replace(DAMAGED, since_us=3)
    found = stored_trouble(IntegrityLog(damaged={"a": DAMAGED, "b": older}))
    assert found is not None
    assert (found.name, found.occasion, found.run) == ("store.damaged", "since-3", "run-2")
    assert "statement.dsse failed the check blob.sha256" in found.text and "1 more" in found.text
    source = stored_source(2, ("run-2", "run-1"), since_us=3)
    assert source.level is Level.FAIL and source.blocks == ("packs and replays of run-2, run-1",)
    assert stored_source(0, (), since_us=None).level is Level.OK


def test_the_banner_tells_of_a_disk_before_it_is_full() -> None:
    low = disk_source(int(0.9e9), int(50e9))
    assert (low.level, low.text) == (Level.WARN, "disk low: 0.9 GB free of 50.0 GB")
    full = disk_source(1_000_000, int(50e9))
    assert full.level is Level.FAIL and full.blocks == ("every run, soon",)
    assert disk_source(int(20e9), int(50e9)).level is Level.OK
