"""A stage that waits for the next step's time: held back, and judged all the while."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import ticks
from engine.core.errors import Malformed
from engine.core.health import DEFAULT_CRITERIA, new_gate
from engine.core.health_stage import SHUT_ROW
from engine.core.health_tick import Opening
from tests.core.gate_kit import POLL_S, feed, gate, silent, tick, traffic
from tests.core.test_health_properties import _stream

HOUR_S = 3_600


def opens(one: dict[str, Any], opens_s: float, closes_s: float | None = None) -> dict[str, Any]:
    """The tick beside a step that opens and closes at these seconds of the stage."""
    closes = opens_s + HOUR_S if closes_s is None else closes_s
    opening = Opening(
        name="Full",
        at="2026-12-01 06:00 Europe/Sofia",
        opens_in_ms=round((opens_s - one["t"]) * 1000),
        closes_in_ms=round((closes - one["t"]) * 1000),
    )
    return {**one, "opening": opening.document()}


def test_it_is_promoted_at_its_time_and_says_what_it_waits_for() -> None:
    judge = gate()
    assert feed(judge, 1_200, lambda t: opens(tick(t), 1_203)) == "continue"
    assert (judge.rule, judge.word.value) == (SHUT_ROW, "OK")
    assert judge.reason == "criteria met; Full opens 2026-12-01 06:00 Europe/Sofia"
    assert judge.evidence["opening"]["opens_in_ms"] == 3_000
    assert judge.observe(opens(tick(1_205.0), 1_203)) == "promote"
    assert judge.rule == 10


def test_a_window_that_has_closed_is_no_time_to_be_promoted() -> None:
    judge = gate()
    assert feed(judge, 900, lambda t: opens(tick(t), 400, 290)) == "continue"
    assert judge.rule == SHUT_ROW and "did not begin in its window" in judge.reason


@pytest.mark.parametrize("quiet", [True, False])
def test_waiting_alone_never_pauses(quiet: bool) -> None:
    """Neither hours of good traffic, nor hours of too little of it."""
    judge = gate()
    few = (lambda t: tick(t, requests=1, baseline=(9, 0))) if quiet else tick
    action = feed(judge, HOUR_S, lambda t: opens(few(t), 5 * HOUR_S))
    assert (action, judge.rule) == (("hold", 9) if quiet else ("continue", SHUT_ROW))
    # From its time on it has as long as any stage to be decided.
    assert feed(judge, HOUR_S + 895, few, after_s=HOUR_S) in {"hold", "promote"}
    if quiet:
        assert feed(judge, HOUR_S + 900, few, after_s=HOUR_S + 895) == "pause"


def test_what_speaks_against_the_stage_pauses_it_as_ever() -> None:
    """One of two targets is down: row 7 holds, and a person is asked after max_hold."""
    judge = gate()
    sick = {"t-01": True, "t-02": False}
    feed(judge, 1_200, lambda t: opens(tick(t), 5 * HOUR_S))
    action = feed(judge, 2_090, lambda t: opens(tick(t, targets=sick), 9_999), after_s=1_200)
    assert (action, judge.rule) == ("hold", 7)
    action = feed(judge, 2_200, lambda t: opens(tick(t, targets=sick), 9_999), after_s=2_090)
    assert (action, judge.rule) == ("pause", 11)


def test_silence_pauses_it_as_ever() -> None:
    judge = gate()
    feed(judge, 1_200, lambda t: opens(tick(t), 5 * HOUR_S))
    action = feed(judge, 1_320, lambda t: opens(silent(t), 5 * HOUR_S), after_s=1_200)
    assert (action, judge.rule) == ("pause", 1)


@pytest.mark.parametrize("method", ["anytime", "group_sequential", "mann_whitney"])
def test_what_breaks_after_hours_is_rolled_back_within_minutes(method: str) -> None:
    """A good hour, four times the longest hold, must not outweigh a fault behind it."""
    stream = traffic(7, rps=300, worse=5.0, onset_s=HOUR_S, canaries=5)
    criteria = replace(DEFAULT_CRITERIA, method=method)
    judge, action = new_gate(criteria, next(stream)[1], POLL_S), "hold"
    late_s = 0.0
    for _, one in stream:
        action = judge.observe(opens(one, 9 * HOUR_S))
        late_s = one["t"] - HOUR_S
        if action in {"rollback", "pause", "promote"} or late_s > 600:
            break
    assert action == "rollback" and 0 < late_s <= (60 if method == "anytime" else 300)


@pytest.mark.parametrize("seed", range(3))
def test_a_good_stage_is_not_rolled_back_for_waiting(seed: int) -> None:
    stream = traffic(seed, rps=100, canaries=5, noise="burst")
    judge = new_gate(DEFAULT_CRITERIA, next(stream)[1], POLL_S)
    for _, one in stream:
        judge.observe(opens(one, 9 * HOUR_S))
        if one["t"] >= HOUR_S / 2:
            break
    assert judge.action in {"continue", "hold"}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_000_000), st.integers(0, 600), st.integers(10, 300))
def test_whatever_comes_it_is_never_promoted_outside_of_the_window(
    seed: int, opens_s: int, window_s: int
) -> None:
    """And the stored ticks give the same answers, and no rollback comes later for the wait."""
    plain, judge = gate(), gate()
    for one in _stream(seed):
        seen = opens(one, opens_s, opens_s + window_s)
        before, after = plain.action, judge.action
        again = ticks.decode(ticks.encode(seen))
        assert again == seen | {"note": again.get("note", "")} or again["opening"]
        action = judge.observe(again)
        if action == "promote" and after != "promote":
            assert opens_s <= one["t"] < opens_s + window_s
        plain.observe(one)
        if before not in {"promote", "pause"} and plain.action == "rollback":
            assert action in {"rollback", "pause", "promote"}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000_000))
def test_an_open_step_changes_no_answer(seed: int) -> None:
    """The time of a step is a criterion, and nothing else, once it has come."""
    plain, judge = gate(), gate()
    for one in _stream(seed):
        assert plain.observe(one) == judge.observe(opens(one, 0, 10**6))
        assert (plain.rule, plain.reason) == (judge.rule, judge.reason)


@pytest.mark.parametrize(
    "opening", [3, {"name": "F", "at": "t", "opens_in_ms": "1", "closes_in_ms": 1}, {"name": "F"}]
)
def test_a_time_that_is_none_is_named(opening: Any) -> None:
    with pytest.raises(Malformed, match=r"tick\.opening"):
        gate().observe({**tick(5.0), "opening": opening})
