"""No number is rounded into something untrue."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.live_text import clock, percent, span

pytestmark = pytest.mark.house

counts = st.integers(min_value=1, max_value=10**9).flatmap(
    lambda whole: st.tuples(st.integers(min_value=0, max_value=whole), st.just(whole))
)


def shown(text: str) -> Fraction:
    if "/" in text:
        part, whole = text.split("/")
        return Fraction(int(part) * 100, int(whole))
    return Fraction(text.removesuffix(" %"))


@given(counts, st.integers(min_value=1, max_value=1_000_000))
def test_a_percentage_never_lies_about_zero_everything_or_the_limit(
    pair: tuple[int, int], limit_ppm: int
) -> None:
    part, whole = pair
    text = percent(part, whole, limit_ppm=limit_ppm)
    exact, limit = Fraction(part * 100, whole), Fraction(limit_ppm, 10_000)
    assert (shown(text) == 0) == (part == 0)
    assert (shown(text) == 100) == (part == whole)
    assert (shown(text) < limit) == (exact < limit)
    assert (shown(text) == limit) == (exact == limit)
    assert abs(shown(text) - exact) <= exact / 20


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 1204, "0 %"),
        (5, 1204, "0.42 %"),
        (401, 100_000, "0.40 %"),
        (996, 100_000, "0.996 %"),
        (1, 100, "1 %"),
        (99_999, 100_000, "99.999 %"),
        (1204, 1204, "100 %"),
        (0, 0, "–"),
    ],
)
def test_percentages_as_people_read_them(part: int, whole: int, text: str) -> None:
    assert percent(part, whole, limit_ppm=10_000) == text


@given(st.integers(min_value=0, max_value=10**7))
def test_a_clock_never_shows_more_than_has_passed(ms: int) -> None:
    minutes, seconds = clock(ms).split(":")
    assert 0 <= ms - (int(minutes) * 60 + int(seconds)) * 1000 < 1000


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (850_000, "850 ms"),
        (12_999_000, "12 s"),
        (239_000_000, "3 m 59 s"),
        (7_500_000_000, "2 h 05 m"),
        (273_600_000_000, "3 d 4 h"),
    ],
)
def test_spans(us: int, text: str) -> None:
    assert span(us) == text
