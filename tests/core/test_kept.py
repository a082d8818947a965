"""What is kept stays within its weight, and the newest is always there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.kept import Kept


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=30), st.integers(0, 12))
def test_the_weight_is_kept_and_the_oldest_goes_first(
    puts: list[tuple[int, int]], most: int
) -> None:
    kept = Kept[int, int](most)
    order: list[tuple[int, int]] = []
    for key, weight in puts:
        kept.put(key, weight, weight)
        order = [*(one for one in order if one[0] != key), (key, weight)]
        while sum(heavy for _, heavy in order) > most and len(order) > 1:
            order.pop(0)
        assert kept.get(key) == weight
        assert [kept.get(known) for known in range(6)] == [dict(order).get(n) for n in range(6)]
        order.sort(key=lambda one: one[0])  # each was asked for, in this order


def test_what_was_asked_for_stays_longer() -> None:
    kept = Kept[str, int](2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)
