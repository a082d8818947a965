"""The course of a stage: read as it grows or at once, it is what the gate says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import ticks
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.fact_events import GateDecided
from engine.core.health import DEFAULT_CRITERIA
from engine.live_stage_burn import burns
from engine.live_stage_course import Course, CourseReader, course_of
from engine.live_stage_trigger import line_log10, low_for_ms, nearest
from tests.pages.stage_kit import BEGAN_US, COHORT, POLL_MS, resume, rows, tick

pytestmark = pytest.mark.house

D = Digest.of(b"evidence")
polls = st.builds(
    dict,
    requests=st.integers(0, 2_000),
    errors=st.integers(0, 40),
    status=st.sampled_from(["ok"] * 8 + ["nodata", "error"]),
    targets=st.fixed_dictionaries({t: st.sampled_from([True, True, False, None]) for t in COHORT}),
    resumed=st.booleans(),
)


def made(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    seen = []
    for at, one in enumerate(found, 1):
        given_ = {**one, "errors": min(one["errors"], one["requests"])}
        resumed = given_.pop("resumed") and at % 7 == 0
        seen.append(resume(at) if resumed else tick(at, **given_))
    return seen


def course(*seen: dict[str, Any], **more: Any) -> Course:
    found = course_of(rows(seen, **more))
    assert found is not None
    return found


@given(st.lists(polls, min_size=1, max_size=40), st.data())
@settings(max_examples=60)
def test_read_in_any_pieces_it_is_the_same_course(
    found: list[dict[str, Any]], data: st.DataObject
) -> None:
    stored = rows(made(found))
    whole = course_of(stored)
    reader, at, last = CourseReader(), 1, None
    while at < len(stored):
        at = data.draw(st.integers(at + 1, len(stored)))
        last = reader.follow(stored[:at])
    assert last == whole
    if whole is None:
        return
    answers = ticks.replay(stored)
    assert [(p.action, p.rule) for p in whole.points] == [(a.action, a.rule) for a in answers]
    assert whole.series == ticks.series_digest(stored)
    assert whole.evidence == answers[-1].evidence
    assert not whole.differences


@given(st.lists(polls, min_size=1, max_size=80))
@settings(max_examples=30)
def test_the_window_is_the_gates_own(found: list[dict[str, Any]]) -> None:
    stored = rows([tick(n, **one) for n, one in enumerate(_plain(found), 1)])
    whole = course_of(stored)
    assert whole is not None
    if whole.last.action not in {"rollback", "promote", "pause"} and whole.last.ok:
        window = whole.evidence["window"]["canary"]
        shown = whole.last.window
        assert (shown.requests, shown.errors) == (window["requests"], window["errors"])


def _plain(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in one.items() if k != "resumed"}
        | {"errors": min(one["errors"], one["requests"])}
        for one in found
    ]


def test_rows_of_another_watch_are_read_anew() -> None:
    reader = CourseReader()
    reader.follow(rows([tick(1), tick(2), tick(3)]))
    other = rows([tick(1, errors=9), tick(2)])
    assert reader.follow(other) == course_of(other)


def test_unreadable_rows_are_an_error_and_leave_nothing_behind() -> None:
    reader, good = CourseReader(), rows([tick(1), tick(2)])
    with pytest.raises(Malformed):
        reader.follow((*good, replace(good[-1], n=4, tick="{}")))
    assert reader.follow(good) == course_of(good)
    with pytest.raises(Malformed):
        course_of(good[1:])


def test_a_changed_answer_and_a_decision_without_its_tick_are_found() -> None:
    stored = rows([tick(n) for n in range(1, 8)])
    decided = GateDecided(
        step="canary-10",
        attempt=1,
        action=stored[3].action,
        rule=stored[3].rule,
        reason="",
        t_ms=stored[3].t_ms,
        ticks=3,
        evidence=D,
    )
    fine = course_of(stored)
    assert fine is not None
    assert fine.replayed([decided]).same
    assert fine.replayed([decided]).sentence() == (
        "7 stored ticks and 1 decision replay to the same answers"
    )
    moved = fine.replayed([replace(decided, t_ms=stored[3].t_ms + 1)])
    assert not moved.same and "no stored tick" in moved.sentence()
    turned = course_of((*stored[:5], replace(stored[5], action="promote", rule=10), *stored[6:]))
    assert turned is not None
    assert not turned.replayed([]).same
    assert turned.replayed([]).differences[0].t_ms == stored[5].t_ms


def test_a_restart_tells_what_had_been_held() -> None:
    sick = {"t-01": False, "t-02": True}
    found = course(*[tick(n) for n in range(1, 21)], *[tick(n, targets=sick) for n in (21, 22, 23)])
    (restart,) = found.restarts
    assert restart.lost_ms == 22 * POLL_MS
    assert "t-01" in restart.reason
    assert restart.ts_us == BEGAN_US + 23 * POLL_MS * 1000
    assert found.last.held_ms == 0


# --- the trigger --------------------------------------------------------------------------------


def test_the_nearest_rule_says_how_near() -> None:
    found = course(*[tick(n, errors=5) for n in range(1, 7)])
    near = nearest(found)[0]
    assert near.rule == 4
    assert 0 < near.share < 1
    now, line = found.last.evidence["errors_relative"], line_log10(DEFAULT_CRITERIA.alpha_ppm)
    assert near.text == f"evidence {now:.2f} of {line:.2f} (log10) needed"
    assert near.share == pytest.approx(now / line)


@given(st.lists(polls, min_size=1, max_size=30))
@settings(max_examples=40)
def test_no_rule_is_nearer_than_firing(found: list[dict[str, Any]]) -> None:
    whole = course_of(rows([tick(n, **one) for n, one in enumerate(_plain(found), 1)]))
    assert whole is not None
    for near in nearest(whole):
        assert 0 <= near.share <= 1
        assert near.sentence().startswith(f"rule {near.rule}, ")


def test_targets_that_are_down_count_their_seconds() -> None:
    down = dict.fromkeys(COHORT, False)
    found = course(tick(1), *[tick(n, targets=down) for n in range(2, 8)])
    assert low_for_ms(found) == 3 * POLL_MS  # three failed probes make a target unhealthy
    share = next(near for near in nearest(found) if near.rule == 3)
    assert "0 of 2 answer, for 15s of 30s" in share.text


def test_a_plain_threshold_is_told_by_its_rate() -> None:
    criteria = replace(DEFAULT_CRITERIA, method="threshold")
    found = course(*[tick(n, errors=4) for n in range(1, 4)], criteria=criteria)
    assert nearest(found)[0].text == "error rate 0.8 %, and 12 of 5 errors"
    assert nearest(found)[0].share == pytest.approx(0.8)


# --- the budget ---------------------------------------------------------------------------------


def test_a_window_that_is_not_known_has_no_rate() -> None:
    found = course(*[tick(n) for n in range(1, 11)])
    five, hour = burns(found, (), changed_us=BEGAN_US)
    assert not five.known and five.known_ms == 10 * POLL_MS
    assert set(five.total) == {None} and set(hour.bad) == {None}


def test_history_and_ticks_make_one_window() -> None:
    history = [[(450, 0), (550, 5)]] * 60
    found = course(*[tick(n, errors=0, baseline=0) for n in range(1, 31)], history=history)
    five, hour = burns(found, (), changed_us=BEGAN_US)
    assert five.known and not hour.known
    # The last five minutes: 30 polls of the stage without an error, 30 of the history with five.
    assert (five.bad[-1], five.total[-1]) == (30 * 5, 30 * 5_000 + 30 * 1_000)


def test_silence_is_not_counted_as_a_quiet_minute() -> None:
    found = course(*[tick(n, status="ok" if n % 2 else "nodata") for n in range(1, 61)])
    five, _ = burns(found, (), changed_us=BEGAN_US)
    assert not five.known
