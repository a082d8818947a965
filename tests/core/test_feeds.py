"""How old is too old, and what may replace what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.digest import Digest
from engine.core.events import Event, Recorded
from engine.core.feed_events import FEEDS, FeedSynced, FeedSyncFailed, FeedSyncStarted
from engine.core.feeds import (
    HISTORY_MAX,
    LEVELS,
    AgeLimits,
    FeedLog,
    Freshness,
    dated,
    evolve,
    freshness,
    limits_of,
    loss,
    refusal,
    tightest,
)
from engine.core.statemachine import Role

NOW = 1_772_000_000
LIMITS = AgeLimits(warn_s=3_600, fail_s=86_400)
HERE = FeedSynced(
    name="OSV",
    source="https://a/osv",
    digest=Digest.of(b"x"),
    as_of_s=NOW - 100,
    newest_s=NOW - 500,
    how="full",
    records=1_000,
    added=1_000,
    changed=0,
    removed=0,
    withdrawn=0,
    unreadable=0,
    problems=(),
    bytes_read=1,
    took_ms=1,
)


@pytest.mark.parametrize(
    ("age_s", "word"),
    [
        (0, "FRESH"),
        (3_600, "FRESH"),
        (3_601, "STALE"),
        (86_400, "STALE"),
        (86_401, "CRITICAL"),
        (-1, "FUTURE"),
    ],
)
def test_an_age_against_its_limits(age_s: int, word: str) -> None:
    assert freshness(NOW - age_s, LIMITS, now_s=NOW) == word
    assert set(LEVELS) == set(Freshness)


def test_what_nobody_can_call_fresh() -> None:
    assert freshness(None, LIMITS, now_s=NOW) is Freshness.MISSING
    assert freshness(NOW, None, now_s=NOW) is Freshness.NO_LIMIT
    assert freshness(NOW + 1, None, now_s=NOW) is Freshness.FUTURE
    assert {LEVELS[Freshness.MISSING], LEVELS[Freshness.NO_LIMIT]} == {"UNKNOWN"}


def test_limits_are_the_policys() -> None:
    config = {"feeds": {"KEV": {"warn_s": 5, "fail_s": 9}}, "required_feeds": ["KEV"]}
    known = limits_of(config, "KEV")
    assert known == AgeLimits(warn_s=5, fail_s=9, required=True)
    assert limits_of(config, "OSV") is None and limits_of({}, "OSV") is None
    assert tightest([None, known, AgeLimits(warn_s=7, fail_s=8)]) == AgeLimits(
        warn_s=5, fail_s=8, required=True
    )
    assert tightest([None]) is None


def ask(before: FeedSynced | None, **how: object) -> int:
    given_: dict[str, object] = {
        "source": "https://a/osv",
        "said_s": NOW - 500,
        "unchanged": False,
        "vouched": True,
        "asked_s": NOW,
    }
    return dated(before, **(given_ | how))  # type: ignore[arg-type]  # named above


def test_a_feed_is_as_old_as_its_newest_data() -> None:
    assert ask(None) == NOW - 500
    assert ask(HERE, said_s=NOW - 50) == NOW - 50


def test_the_source_itself_saying_nothing_new_makes_it_fresh() -> None:
    assert ask(HERE, unchanged=True) == NOW
    assert ask(replace(HERE, as_of_s=NOW + 9), unchanged=True) == NOW  # a clock was wrong


def test_a_copy_in_a_folder_never_makes_it_fresher_than_it_says() -> None:
    assert ask(HERE, unchanged=True, vouched=False, said_s=NOW - 100) == NOW - 100
    assert ask(None, vouched=False, said_s=NOW - 9_999) == NOW - 9_999


def test_a_late_change_with_an_old_date_does_not_make_it_older() -> None:
    assert ask(HERE, said_s=NOW - 400) == NOW - 100
    assert ask(HERE, said_s=NOW - 400, source="https://b/osv") == NOW - 400


@given(
    said=st.integers(NOW - 9_000, NOW + 9_000),
    before=st.none() | st.integers(NOW - 9_000, NOW + 9_000),
    unchanged=st.booleans(),
    vouched=st.booleans(),
)
def test_only_a_vouched_look_is_newer_than_what_was_said(
    said: int, before: int | None, unchanged: bool, vouched: bool
) -> None:
    log = None if before is None else replace(HERE, as_of_s=before)
    got = ask(log, said_s=said, unchanged=unchanged and log is not None, vouched=vouched)
    assert got in {said, before, NOW}
    if got == NOW and NOW not in {said, before}:
        assert unchanged and vouched


def test_a_feed_that_lost_much_or_went_back_is_not_taken_unasked() -> None:
    assert loss(None, removed=0, newest_s=1) is None
    assert loss(HERE, removed=100, newest_s=HERE.newest_s) is None
    assert loss(HERE, removed=101, newest_s=HERE.newest_s) == (
        "It lacks 101 of the 1000 records of the snapshot that is here."
    )
    assert loss(HERE, removed=0, newest_s=HERE.newest_s - 1) == (
        "Its newest date is 1 s older than that of the snapshot that is here."
    )


def test_who_may_sync() -> None:
    def may(*roles: Role, local: bool = False, chosen: bool = False) -> bool:
        return refusal(frozenset(roles), local=local, chosen=chosen) is None

    assert [role for role in Role if may(role)] == [Role.RELEASE_MANAGER, Role.SRE, Role.ADMIN]
    assert [role for role in Role if may(role, chosen=True)] == [Role.ADMIN]
    assert may(local=True, chosen=True) and not may()
    why = refusal(frozenset({Role.SRE}), local=False, chosen=True)
    assert why is not None and why.code == "role"
    assert why.sentence.endswith("needs the role admin.")


def told(*events: Event) -> FeedLog:
    log = FeedLog()
    for seq, event in enumerate(events, 1):
        log = evolve(
            log,
            Recorded(
                gseq=seq,
                stream=FEEDS,
                seq=seq,
                ts_us=seq,
                actor="ana.li",
                command_id="",
                event=event,
                prev=Digest.of(b""),
                hash=Digest.of(b""),
            ),
        )
    return log


STARTED = FeedSyncStarted(name="OSV", source="https://a/osv", accept_loss=False)
FAILED = FeedSyncFailed(
    name="OSV", source="https://a/osv", code="unreachable", reason="status 500", took_ms=3
)


def test_the_history_tells_every_try() -> None:
    log = told(STARTED, HERE, STARTED, FAILED, STARTED)
    assert log.newest == HERE and log.newest_us == 2
    assert [(one.synced, one.failed) for one in log.tries] == [
        (None, None),
        (None, FAILED),
        (HERE, None),
    ]
    assert log.tries[1].ended_us == 4 and log.tries[1].actor == "ana.li"
    assert len(told(*[STARTED, FAILED] * (HISTORY_MAX + 5)).tries) == HISTORY_MAX
