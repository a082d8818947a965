"""Feeds by the clock: never too early, never forgotten, and never hammering a source."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.digest import Digest
from engine.core.events import Event, Recorded
from engine.core.feed_events import FEEDS, FeedSynced, FeedSyncFailed, FeedSyncStarted
from engine.core.feeds import FeedLog, evolve
from engine.core.feeds_timing import (
    GRACE_S_MAX,
    RETRY_FIRST_S,
    RETRY_MAX_S,
    FeedTiming,
    next_us,
    overdue_us,
)

US, HOUR, DAY = 1_000_000, 3_600, 86_400
T0 = 20_000 * DAY * US  # midnight
ANSWERS = ("synced", "unreachable", "stopped", "loss", "malformed", "unverified", "killed")


def told(log: FeedLog, event: Event, ts_us: int) -> FeedLog:
    zero = Digest.of(b"")
    return evolve(
        log,
        Recorded(
            gseq=1, stream=FEEDS, seq=1, ts_us=ts_us, actor="engine", command_id="", event=event,
            prev=zero, hash=zero,
        ),
    )  # fmt: skip


def tried(log: FeedLog, answer: str, began_us: int, took_s: int = 1) -> FeedLog:
    log = told(log, FeedSyncStarted(name="KEV", source="s", accept_loss=False), began_us)
    ended_us = began_us + took_s * US
    if answer == "synced":
        return told(log, synced(), ended_us)
    if answer == "killed":
        return log
    failed = FeedSyncFailed(name="KEV", source="s", code=answer, reason="r", took_ms=1)
    return told(log, failed, ended_us)


def synced() -> FeedSynced:
    return FeedSynced(
        name="KEV", source="s", digest=Digest.of(b"k"), as_of_s=1, newest_s=1, how="full",
        records=1, added=1, changed=0, removed=0, withdrawn=0, unreadable=0, problems=(),
        bytes_read=1, took_ms=1,
    )  # fmt: skip


timings = st.one_of(
    st.builds(FeedTiming, every_s=st.integers(60, 7 * DAY)),
    st.builds(FeedTiming, every_s=st.just(DAY), at_s=st.integers(0, DAY - 1)),
)


@given(timings, st.lists(st.tuples(st.sampled_from(ANSWERS), st.integers(0, 3 * DAY)), max_size=30))
def test_it_is_always_coming_and_never_hammers(
    timing: FeedTiming, course: list[tuple[str, int]]
) -> None:
    log, now_us, unanswered = FeedLog(), T0, 0
    assert next_us(timing, log, now_us=now_us) == now_us, "a feed that was never synced is due"
    for answer, late_s in course:
        log = tried(log, answer, now_us)
        ended_us = now_us + US
        again = answer in {"unreachable", "stopped", "killed"}
        unanswered = unanswered + 1 if again else 0
        due_us = next_us(timing, log, now_us=ended_us)
        assert now_us < due_us <= now_us + timing.every_s * US
        if again:
            pause_s = min(RETRY_FIRST_S * 2 ** (unanswered - 1), RETRY_MAX_S)
            assert due_us <= ended_us + pause_s * US
        elif timing.at_s is None:
            assert due_us == now_us + timing.every_s * US
        else:
            assert due_us % (DAY * US) == timing.at_s * US
        # A clock that is set back does not put it off for longer than it would take anyway.
        back_us = now_us - 30 * DAY * US
        assert next_us(timing, log, now_us=back_us) <= back_us + timing.every_s * US
        now_us = max(due_us, ended_us) + late_s * US


@given(timings, st.integers(0, 10 * DAY))
def test_overdue_is_said_after_its_time_and_some_grace(timing: FeedTiming, passed_s: int) -> None:
    log = tried(FeedLog(), "synced", T0)
    now_us = T0 + (1 + passed_s) * US
    since_us = overdue_us(timing, log, now_us=now_us)
    # `newest_us` is the end of the sync, one second after its beginning.
    ended_us = T0 + US
    first_us = ended_us + timing.every_s * US
    if timing.at_s is not None:
        first_us = ended_us // (DAY * US) * DAY * US + timing.at_s * US
        first_us += DAY * US if first_us <= ended_us else 0
    late = now_us >= first_us + min(timing.every_s, GRACE_S_MAX) * US
    assert since_us == (first_us if late else None)
    # Failures in between make nothing fresher.
    failed = tried(log, "unreachable", now_us - US)
    assert overdue_us(timing, failed, now_us=now_us) == since_us


def test_pauses_grow_to_half_an_hour_and_then_stay() -> None:
    log, pauses, now_us = FeedLog(), [], T0
    for _ in range(8):
        log = tried(log, "unreachable", now_us)
        due_us = next_us(FeedTiming(every_s=DAY), log, now_us=now_us + US)
        pauses.append((due_us - now_us - US) // US)
        now_us = due_us
    assert pauses == [60, 120, 240, 480, 960, 1_800, 1_800, 1_800]


def test_a_feed_that_never_came_is_overdue_from_its_first_try() -> None:
    timing = FeedTiming(every_s=HOUR)
    assert overdue_us(timing, FeedLog(), now_us=T0) is None
    log = tried(FeedLog(), "unreachable", T0)
    assert overdue_us(timing, log, now_us=T0 + HOUR * US - 1) is None
    assert overdue_us(timing, log, now_us=T0 + HOUR * US) == T0


def test_in_words() -> None:
    assert str(FeedTiming(every_s=3_600)) == "every 1 h"
    assert str(FeedTiming(every_s=DAY, at_s=2 * HOUR + 30 * 60)) == "daily at 02:30 UTC"
