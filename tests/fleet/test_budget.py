"""What users got, window by window: against a list of every request."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fleet.budget import CELL_S, REACH_S, Budget

requests = st.lists(
    st.tuples(st.floats(0, 40, allow_nan=False), st.booleans()), max_size=60
)  # seconds since the one before, bad


@settings(max_examples=60)
@given(requests, st.integers(1, 400), st.floats(0, 60, allow_nan=False))
def test_a_window_holds_what_came_in_it_and_less_than_a_cell_more(
    came: list[tuple[float, bool]], window_s: int, wait_s: float
) -> None:
    budget, now_s, log = Budget(1_000.0), 1_000.0, list[tuple[float, bool]]()
    for after_s, bad in came:
        now_s += after_s
        budget.count(bad=bad, now_s=now_s)
        log.append((now_s, bad))
    now_s += wait_s
    found = budget.over(window_s, now_s)
    # It began to count at 1,000; a whole window has to lie behind it.
    assert (found is None) == (now_s - window_s < 1_000.0)
    if found is None:
        return
    bad_of, total = found
    inside = [b for at_s, b in log if at_s > now_s - window_s]
    longer = [b for at_s, b in log if at_s >= now_s - window_s - CELL_S]
    assert len(inside) <= total <= len(longer)
    assert sum(inside) <= bad_of <= sum(longer)


def test_it_reaches_back_six_hours_and_no_further() -> None:
    budget = Budget(0.0)
    for second in range(0, REACH_S + 5_000, 5):
        budget.count(bad=second % 100 == 0, now_s=float(second))
    now_s = float(REACH_S + 5_000)
    assert budget.over(21_600, now_s) == (216, 4_320)
    assert budget.over(REACH_S + 1, now_s) is None
    assert budget.over(0, now_s) is None


def test_a_long_silence_is_known_to_be_one() -> None:
    budget = Budget(0.0)
    budget.count(bad=True, now_s=1.0)
    now_s = 10.0 * REACH_S
    assert budget.over(21_600, now_s) == (0, 0)
    budget.count(bad=True, now_s=now_s)
    assert budget.over(10, now_s) == (1, 1)
