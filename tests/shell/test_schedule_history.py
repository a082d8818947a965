"""What past days are told of beside a schedule, from a real log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.store import Store
from engine.core.digest import Digest
from engine.core.feed_events import FEEDS, FeedSynced
from engine.core.forecast import Forecast
from engine.core.health_events import HEALTH, DataHealthChanged
from engine.core.people_events import ReviewClosed, ReviewOpened
from engine.core.preconditions import KINDS, Mode, Precondition
from engine.core.rescan_events import RESCANS, RescanFailed, RescanFinished, RescanStarted
from engine.core.schedule_events import Timing
from engine.scheduling_history import ScheduleHistory
from tests.data.kit import TestClock, history, play

DAY_US = 86_400_000_000
# A midnight, UTC.
FIRST_US = 1_800_000_000_000_000 // DAY_US * DAY_US
HOUR_US = 3_600_000_000
TIMING = Timing(zone="UTC", first="2027-03-01", time="02:00", window_s=7_200)
DAYS = 10


class Past:
    """A home of which days can be written."""

    def __init__(self, home: Path) -> None:
        self.clock = TestClock(FIRST_US)
        self.store = Store.open(home, clock=self.clock)

    def at(self, day: int, hour: float, stream: str, event: Any) -> None:
        self.clock.at_us = max(self.clock.at_us, FIRST_US + day * DAY_US + int(hour * HOUR_US))
        self.store.append(stream, (event,), after=self.store.version(stream), actor="engine")

    def of(self, name: str) -> Forecast | None:
        known = ScheduleHistory(
            self.store,
            feeds=lambda _: frozenset({"NVD"}),
            integrations=lambda _: frozenset({"vault", "ci"}),
        )
        limit_s = 3_600 if KINDS[name].limited else 0
        wanted = Precondition(name=name, mode=Mode.ENFORCE, limit_s=limit_s)
        now_us = FIRST_US + DAYS * DAY_US + HOUR_US
        return known.forecasts((wanted,), "prod", TIMING, now_us=now_us).get(name)


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    found = Past(tmp_path)
    yield found
    found.store.close()


def synced(as_of_us: int, content: bytes) -> FeedSynced:
    return FeedSynced(
        name="NVD", source="nvd", digest=Digest.of(content), as_of_s=as_of_us // 1_000_000,
        newest_s=0, how="full", records=1, added=0, changed=0, removed=0, withdrawn=0,
        unreadable=0, problems=(), bytes_read=1, took_ms=1,
    )  # fmt: skip


def level(name: str, word: str, kind: str = "vault") -> DataHealthChanged:
    return DataHealthChanged(name=name, kind=kind, level=word, reason="said", last_good_us=0)


def test_a_rescan_counts_from_its_end_until_a_feed_has_other_bytes(past: Past) -> None:
    for day in range(DAYS):
        past.at(day, 1.0, FEEDS, synced(FIRST_US, b"%d" % day))
        number, late = day + 1, day % 2  # every other night it ends after the window has opened
        past.at(
            day,
            1.2,
            RESCANS,
            RescanStarted(number=number, cause="snapshot", snapshots=(), bundles=()),
        )
        past.at(day, 1.5 + late, RESCANS, RescanFinished(number=number, bundles=(), took_ms=1))
        past.at(day, 4.0, FEEDS, synced(FIRST_US, b"%d" % day))  # the same bytes: nothing is due
    found = past.of("scans_complete")
    assert found is not None
    assert (found.days, found.at_open, found.in_window, found.usual_s) == (10, 5, 10, 2_400)


def test_a_rescan_that_failed_is_none_and_none_at_all_is_no_past(past: Past) -> None:
    assert past.of("scans_complete") is None
    past.at(0, 1.0, FEEDS, synced(FIRST_US, b"a"))
    assert past.of("scans_complete") is None
    past.at(0, 1.1, RESCANS, RescanStarted(number=1, cause="snapshot", snapshots=(), bundles=()))
    past.at(0, 1.2, RESCANS, RescanFinished(number=1, bundles=(), took_ms=1))
    past.at(4, 1.1, RESCANS, RescanStarted(number=2, cause="asked", snapshots=(), bundles=()))
    past.at(
        4, 1.2, RESCANS,
        RescanFailed(number=2, code="worker", reason="died", bundles=(), failed=(), took_ms=1),
    )  # fmt: skip
    found = past.of("scans_complete")
    assert found is not None and (found.days, found.at_open, found.usual_s) == (10, 4, 0)


def test_somebody_on_one_of_two_schedules_is_enough(past: Past) -> None:
    assert past.of("on_call_present") is None
    past.at(0, 1.0, HEALTH, level("first", "OK", "on_call"))
    past.at(0, 1.0, HEALTH, level("second", "WARN", "on_call"))
    past.at(0, 1.0, HEALTH, level("vault", "FAIL"))  # another kind says nothing about people
    past.at(3, 1.0, HEALTH, level("first", "WARN", "on_call"))
    past.at(8, 1.0, HEALTH, level("second", "OK", "on_call"))
    found = past.of("on_call_present")
    assert found is not None and (found.days, found.at_open) == (10, 5)


def test_integrations_are_known_only_together(past: Past) -> None:
    past.at(0, 1.0, HEALTH, level("vault", "OK"))
    found = past.of("integrations_healthy")
    assert found is not None and found.days == 0  # nobody ever looked at the other one
    past.at(2, 1.0, HEALTH, level("ci", "OK"))
    past.at(5, 1.0, HEALTH, level("vault", "FAIL"))
    found = past.of("integrations_healthy")
    assert found is not None and (found.days, found.at_open) == (8, 3)


def test_debt_is_owed_from_an_override_until_its_review(past: Past) -> None:
    assert past.of("no_override_debt") is None
    play(past.store, history(1)[:1])
    run = past.store.run("run-1")
    assert run.environment == "prod" and past.of("no_override_debt") is None  # it never began
    steps = iter(history(1)[1:])
    while not past.store.runs_started("prod"):
        play(past.store, [next(steps)])

    def review(kind: str) -> ReviewOpened:
        return ReviewOpened(kind=kind, doers=("ana",), what="looked away", due_after_s=60)

    past.at(1, 1.0, "run-1", review("rollback"))  # a review, and no debt
    past.at(2, 1.0, "run-1", review("override"))
    past.at(4, 3.0, "run-1", ReviewClosed(number=1, verdict="agreed", note=""))
    past.at(6, 1.0, "run-1", ReviewClosed(number=2, verdict="agreed", note=""))
    past.at(8, 1.0, "run-1", review("break_glass"))
    found = past.of("no_override_debt")
    assert found is not None and (found.days, found.at_open) == (10, 4)


def test_of_a_rollback_s_readiness_and_of_soaking_nothing_is_kept(past: Past) -> None:
    assert past.of("rollback_ready") is None and past.of("previous_soaked") is None
