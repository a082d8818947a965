"""The bucket of a caller: never more than burst and rate allow, and never less."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.api.rate import Buckets


@given(
    per_second=st.integers(1, 50),
    burst=st.integers(1, 50),
    gaps_ms=st.lists(st.integers(0, 400), min_size=1, max_size=120),
)
def test_what_is_let_through(per_second: int, burst: int, gaps_ms: list[int]) -> None:
    buckets = Buckets(per_second=per_second, burst=burst)
    now_ms, taken_ms = 0, list[int]()
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        wait_s = buckets.take("ana", now_ms / 1000)
        if wait_s == 0:
            taken_ms.append(now_ms)
            continue
        assert 0 < wait_s <= 1 / per_second + 1e-9
        # It is refused only when the bucket is empty: over some span, all of it was used.
        assert any(
            len(taken_ms) - first + 1 > burst + per_second * (now_ms - at_ms) / 1000 - 1e-6
            for first, at_ms in enumerate([*taken_ms, now_ms])
        )
    for first, start_ms in enumerate(taken_ms):
        for last, end_ms in enumerate(taken_ms[first:], first):
            allowed = burst + per_second * (end_ms - start_ms) / 1000
            assert last - first + 1 <= allowed + 1e-6


def test_callers_do_not_share() -> None:
    buckets = Buckets(per_second=1, burst=1)
    assert buckets.take("ana", 0) == 0
    assert buckets.take("ana", 0) == 1
    assert buckets.take("bob", 0) == 0
    assert buckets.take("ana", 1) == 0


def test_a_clock_that_stands_still_gives_nothing() -> None:
    buckets = Buckets(per_second=5, burst=2)
    assert [buckets.take("ana", 7) > 0 for _ in range(4)] == [False, False, True, True]
    assert buckets.take("ana", 6) > 0
