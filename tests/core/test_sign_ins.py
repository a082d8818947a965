"""A flood of failed sign-ins: told truly, in few records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.audit_events import SignInFailed
from engine.core.sign_ins import SINGLE_MAX, WINDOW_US, Tally, over, tried


def one(at_us: int) -> SignInFailed:
    return SignInFailed(
        method="token",
        credential="0123abcd",
        code="not_signed_in",
        reason="unknown",
        count=1,
        first_us=at_us,
        last_us=at_us,
        address="192.0.2.1",
    )


def play(moments: list[int]) -> tuple[list[SignInFailed], Tally | None]:
    tally, recorded = None, []
    for at_us in moments:
        tally, due = tried(tally, one(at_us))
        recorded += due
    return recorded, tally


MOMENTS = st.lists(st.integers(0, 4 * WINDOW_US), max_size=120).map(sorted)


@given(MOMENTS)
def test_every_try_is_counted_once(moments: list[int]) -> None:
    recorded, tally = play(moments)
    waiting = 0 if tally is None or tally.waiting is None else tally.waiting.count
    assert sum(record.count for record in recorded) + waiting == len(moments)
    for record in recorded:
        within = [at for at in moments if record.first_us <= at <= record.last_us]
        assert 1 <= record.count <= len(within)


@given(MOMENTS)
def test_a_window_holds_few_records(moments: list[int]) -> None:
    recorded, _ = play(moments)
    windows = 1 + (moments[-1] - moments[0]) // WINDOW_US if moments else 0
    assert len(recorded) <= (windows + 1) * (SINGLE_MAX + 1)


def test_the_first_are_told_one_by_one_and_the_flood_when_it_is_over() -> None:
    recorded, tally = play(list(range(10_000)))
    assert [record.count for record in recorded] == [1] * SINGLE_MAX
    assert tally is not None and tally.waiting is not None
    assert not over(tally, WINDOW_US - 1) and over(tally, WINDOW_US)
    _, due = tried(tally, one(WINDOW_US))
    assert [(d.count, d.first_us, d.last_us) for d in due] == [
        (10_000 - SINGLE_MAX, SINGLE_MAX, 9_999),
        (1, WINDOW_US, WINDOW_US),
    ]
    assert due[0].credential == ""  # they may have been several


def test_a_clock_that_goes_back_ends_the_window() -> None:
    tally, _ = tried(None, one(WINDOW_US))
    assert over(tally, 0)
