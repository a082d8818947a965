"""Samples to exact counts: whatever exporters do, no request is lost and none is made up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.prometheus_series import Counts, Series
from engine.core.errors import AdapterFailed
from engine.core.metrics import LATENCY_BOUNDS_MS, SeriesNames, TargetCounters
from tests.prometheus.answers import AT_S, series

NAMES = SeriesNames()
REQUESTS, DURATIONS = NAMES.requests, NAMES.durations


def counts(slow_over_ms: int = 250) -> Counts:
    return Counts(NAMES, slow_over_ms=slow_over_ms)


def of(made: Counts) -> TargetCounters:
    return made.of("a", healthy=True)


def asked(values: list[float], **more: str) -> Series:
    return series(REQUESTS, values, target="a", **{"code": "200", **more})


def test_the_first_look_stands_where_the_exporter_stands() -> None:
    made = counts()
    made.take([asked([90, 100]), asked([3, 5], code="503")])
    assert (of(made).requests, of(made).errors) == (105, 5)


def test_a_sample_is_taken_once() -> None:
    made = counts()
    for _ in range(3):
        made.take([asked([90, 100])])
    made.take([asked([90, 100, 104])])
    assert of(made).requests == 104


def test_restarts_between_two_looks_are_all_seen() -> None:
    made = counts()
    made.take([asked([100])])
    # Two processes in between: 30 and 8 requests, then 50. By its ends it would be -50.
    made.take([asked([100, 10, 30, 2, 8, 1, 50])])
    assert of(made).requests == 100 + 30 + 8 + 50


def test_a_restart_is_one_for_all_series_of_the_process() -> None:
    made = counts()
    made.take([asked([100]), asked([2], code="500")])
    # 500s were 2; the new process had 7 of them. Alone, that would look like 5 more.
    made.take([asked([100, 40]), asked([2, 7], code="500")])
    assert of(made).errors == 2 + 7
    assert of(made).requests == 102 + 40 + 7


def test_the_first_answer_of_a_code_counts_from_0() -> None:
    made = counts()
    made.take([asked([100, 110])])
    made.take([asked([100, 110, 120]), series(REQUESTS, [4], first_s=AT_S + 2, target="a",
                                              code="500")])  # fmt: skip
    assert (of(made).requests, of(made).errors) == (124, 4)


def test_a_series_under_a_new_label_makes_no_requests() -> None:
    made = counts()
    made.take([asked([100, 110])])
    moved = series(REQUESTS, [500_000, 500_003], first_s=AT_S + 2, target="a", code="200", pod="x")
    made.take([asked([100, 110]), moved])
    assert of(made).requests == 113


def test_what_ended_long_ago_stays_counted_and_is_let_go() -> None:
    made = counts()
    made.take([asked([100]), asked([7], pod="old")])
    later = series(REQUESTS, [150], first_s=AT_S + 7_200, target="a", code="200")
    made.take([later])
    assert of(made).requests == 157
    assert len(made._last) == len(made._restarts) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1.5, 2.0**60])
def test_what_is_no_count_is_refused_and_nothing_is_taken(value: float) -> None:
    made = counts()
    made.take([asked([100])])
    with pytest.raises(AdapterFailed, match=r"http_requests_total.*whole number"):
        made.take([asked([100, 200]), asked([value], code="500")])
    made.take([asked([100, 150])])
    assert of(made).requests == 150


def test_without_codes_nothing_could_ever_be_an_error() -> None:
    with pytest.raises(AdapterFailed, match="a label 'code'"):
        counts().take([series(REQUESTS, [1], target="a")])


@pytest.mark.parametrize("bound", ["", "fast", "nan"])
def test_a_bucket_needs_its_bound(bound: str) -> None:
    labels = {"le": bound} if bound else {}
    with pytest.raises(AdapterFailed, match="upper bound"):
        counts().take([asked([1]), series(DURATIONS, [1], target="a", **labels)])


def histogram(before: dict[str, int], now: dict[str, int]) -> list[Series]:
    return [asked([1])] + [
        series(DURATIONS, [before[le], now[le]], target="a", le=le) for le in now
    ]


def test_buckets_of_others_fall_into_ours_and_slow_is_exact_at_a_bound() -> None:
    made = counts(slow_over_ms=250)
    zero = {"0.004": 0, "0.25": 0, "1": 0, "+Inf": 0}
    made.take(histogram(zero, {"0.004": 10, "0.25": 30, "1": 35, "+Inf": 36}))
    one = of(made)
    filled = {LATENCY_BOUNDS_MS[n]: c for n, c in enumerate(one.buckets[:-1]) if c}
    assert filled == {5: 10, 250: 20, 1000: 5}
    assert one.buckets[-1] == 1
    assert one.slow == 6
    assert not made.slow_bound_missing


def test_a_limit_between_two_bounds_takes_the_doubtful_ones_for_slow() -> None:
    made = counts(slow_over_ms=300)
    zero = {"0.25": 0, "0.5": 0, "+Inf": 0}
    made.take(histogram(zero, {"0.25": 5, "0.5": 7, "+Inf": 8}))
    assert of(made).slow == 3
    assert made.slow_bound_missing


Life = list[tuple[int, int]]  # (requests, errors) of each second of one process


@given(
    lives=st.lists(
        st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=8),
        min_size=1,
        max_size=5,
    ),
    looks=st.lists(st.integers(1, 6), min_size=1, max_size=12),
)
def test_any_course_of_restarts_and_looks_adds_up(lives: list[Life], looks: list[int]) -> None:
    """As long as a restarted counter is seen below its former value at least in one series."""
    ok, bad, true = [0], [0], [(0, 0)]  # samples by second, and what really happened until then
    for life in lives:
        good, wrong = 0, 0
        for requests, errors in life:
            good, wrong = good + requests, wrong + errors
            ok.append(good)
            bad.append(wrong)
            true.append((true[-1][0] + requests + errors, true[-1][1] + errors))
    for n, (before, now) in enumerate(pairwise(zip(ok, bad, strict=True)), 1):
        grown = (true[n][0] - true[n - 1][0], true[n][1] - true[n - 1][1])
        seen = now[0] < before[0] or now[1] < before[1]
        if not seen and (now[0] - before[0] + now[1] - before[1], now[1] - before[1]) != grown:
            return  # a restart that nobody can see
    made, at, last = counts(), 0, (0, 0)
    for step in looks:
        at = min(at + step, len(ok) - 1)
        made.take([asked(list(ok[: at + 1])), asked(list(bad[: at + 1]), code="500")])
        now_is = (of(made).requests, of(made).errors)
        assert now_is == true[at]
        assert now_is >= last
        last = now_is
