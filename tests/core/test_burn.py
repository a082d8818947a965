"""Burn rates: the arithmetic against fractions, and words that never make more of it than it is."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.burn import (
    BurnState,
    history_state,
    judge,
    over,
    overall,
    rate_text,
    sentence,
    silent,
    span_text,
    windows_of,
)
from engine.core.health_criteria import DEFAULT_CRITERIA, BurnRule

FAST, SLOW = DEFAULT_CRITERIA.guard_burns
RULES = (FAST, SLOW)

totals = st.integers(1, 10**12)
limits = st.integers(1, 1_000_000)
slos = st.integers(1, 9_999)


@st.composite
def counted(draw: st.DrawFn) -> tuple[int, int]:
    total = draw(totals)
    return draw(st.integers(0, total)), total


@given(counted(), limits, slos)
def test_over_is_the_definition(count: tuple[int, int], burn_centi: int, slo_bp: int) -> None:
    bad, total = count
    burn = Fraction(bad, total) / (1 - Fraction(slo_bp, 10_000))
    assert over(bad, total, burn_centi=burn_centi, slo_bp=slo_bp) == (
        burn > Fraction(burn_centi, 100)
    )


@given(counted(), limits, slos)
def test_the_shown_rate_says_of_the_limit_what_the_exact_one_says(
    count: tuple[int, int], burn_centi: int, slo_bp: int
) -> None:
    bad, total = count
    text = rate_text(bad, total, burn_centi=burn_centi, slo_bp=slo_bp)
    if match := re.fullmatch(r"([0-9]+\.[0-9]+)x", text):
        shown = Fraction(match[1])
        exceeds = over(bad, total, burn_centi=burn_centi, slo_bp=slo_bp)
        assert (shown > Fraction(burn_centi, 100)) == exceeds
        assert (shown == 0) == (bad == 0)
    else:
        assert text.startswith(f"{bad}/{total} of ")


def test_exactly_at_the_limit_is_not_over_it() -> None:
    assert not over(144, 1_000, burn_centi=1_440, slo_bp=9_900)
    assert over(145, 1_000, burn_centi=1_440, slo_bp=9_900)
    assert rate_text(144, 1_000, burn_centi=1_440, slo_bp=9_900) == "14.4x"
    assert rate_text(1_440_001, 10_000_000, burn_centi=1_440, slo_bp=9_900) == "14.40001x"


def test_an_slo_of_everything_burns_with_the_first_bad_request() -> None:
    rules = (BurnRule(burn_centi=100, windows_ms=(60_000,)),)
    assert overall(judge(rules, {60: (0, 10)}, slo_bp=10_000)) is BurnState.CLEAR
    found = judge(rules, {60: (1, 10**9)}, slo_bp=10_000)
    assert overall(found) is BurnState.BURNING
    assert sentence(found, slo_bp=10_000) == "burning infinitely over 1m (limit 1.0x of SLO 100 %)"


counts = st.one_of(st.none(), st.just((0, 0)), counted())


@given(st.dictionaries(st.sampled_from(windows_of(RULES)), counts))
def test_only_what_every_window_knows_is_clear_or_burning(
    found: dict[int, tuple[int, int] | None],
) -> None:
    for rule, one in zip(RULES, judge(RULES, found, slo_bp=9_900), strict=True):
        seen = [found.get(ms // 1000) for ms in rule.windows_ms]
        if any(count is None for count in seen):
            assert one.state is BurnState.NOT_ENOUGH_HISTORY
        elif any(count is not None and not count[1] for count in seen):
            assert one.state is BurnState.NO_DATA
        else:
            burns = [over(*c, burn_centi=rule.burn_centi, slo_bp=9_900) for c in seen if c]
            assert one.state is (BurnState.BURNING if all(burns) else BurnState.CLEAR)


@given(st.dictionaries(st.sampled_from(windows_of(RULES)), counts))
def test_all_together_are_as_bad_as_the_worst_and_clear_only_when_all_are(
    found: dict[int, tuple[int, int] | None],
) -> None:
    rules = judge(RULES, found, slo_bp=9_900)
    states = {rule.state for rule in rules}
    together = overall(rules)
    assert (together is BurnState.CLEAR) == (states == {BurnState.CLEAR})
    assert (together is BurnState.BURNING) == (BurnState.BURNING in states)
    told = sentence(rules, slo_bp=9_900)
    assert told.startswith("burning") == (together is BurnState.BURNING)
    assert ("spent" in told) == (together is BurnState.CLEAR)


@given(counted(), counted(), limits, slos, st.integers(1, 1_000))
def test_more_bad_requests_never_calm_a_rule(
    long: tuple[int, int], short: tuple[int, int], burn_centi: int, slo_bp: int, more: int
) -> None:
    rules = (BurnRule(burn_centi=burn_centi, windows_ms=(3_600_000, 300_000)),)

    def state(extra: int) -> BurnState:
        found = {3_600: (long[0] + extra, long[1]), 300: (short[0] + extra, short[1])}
        return overall(judge(rules, found, slo_bp=slo_bp))

    if state(0) is BurnState.BURNING:
        assert state(more) is BurnState.BURNING


def test_the_sentences() -> None:
    burning = {3_600: (221, 1_000), 300: (18, 100), 21_600: (1, 10_000), 1_800: (0, 10)}
    found = judge(RULES, burning, slo_bp=9_900)
    assert [rule.state for rule in found] == ["burning", "clear"]
    assert sentence(found, slo_bp=9_900) == (
        "burning 22.1x over 1h and 18.0x over 5m (limit 14.4x of SLO 99 %)"
    )
    clear = burning | {300: (0, 100)}
    assert sentence(judge(RULES, clear, slo_bp=9_900), slo_bp=9_900) == (
        "the budget is spent at 22.1x over 1h and 0.0x over 5m (limit 14.4x of SLO 99 %); "
        "0.01x over 6h and 0.0x over 30m (limit 6.0x of SLO 99 %)"
    )
    short = judge((FAST,), {300: (0, 0)}, slo_bp=9_900)
    assert sentence(short, slo_bp=9_900) == (
        "not enough history: unknown over 1h and no request in 5m (limit 14.4x of SLO 99 %)"
    )
    assert overall(silent(RULES)) is BurnState.NO_DATA
    assert sentence((), slo_bp=9_900) == "no rule asks for the budget"


@pytest.mark.parametrize("counts", [{60: (-1, 5)}, {60: (1, -5)}, {60: (3, 0)}])
def test_counts_that_cannot_be_are_no_data(counts: dict[int, tuple[int, int] | None]) -> None:
    rules = (BurnRule(burn_centi=100, windows_ms=(60_000,)),)
    assert overall(judge(rules, counts, slo_bp=9_900)) is BurnState.NO_DATA


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45s"), (300, "5m"), (3_600, "1h"), (5_400, "1h30m"), (0, "0s")]
)
def test_spans(seconds: int, text: str) -> None:
    assert span_text(seconds) == text


def test_windows_are_asked_for_once_and_in_whole_seconds() -> None:
    assert windows_of(RULES) == (300, 1_800, 3_600, 21_600)
    assert windows_of((BurnRule(burn_centi=1, windows_ms=(1_500, 900)),)) == (1, 2)


def test_a_gates_evidence_says_what_it_always_said() -> None:
    history = [[(100, 50), (100, 50)]] * 60
    rule = BurnRule(burn_centi=1_440, windows_ms=(300_000, 60_000))
    assert history_state(rule, history, poll_ms=5_000, slo_bp=9_900) == "burning"
    assert history_state(rule, history[1:], poll_ms=5_000, slo_bp=9_900) == "not_enough_history"
    calm = [[(0, 0)]] * 60
    assert history_state(rule, calm, poll_ms=5_000, slo_bp=9_900) == "calm"
