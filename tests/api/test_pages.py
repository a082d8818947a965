"""Cursors: every item once and in order, whatever is added meanwhile; nothing foreign is taken."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.api.pages import Page, cursor_to, filtered, page_of, place_of
from engine.core.errors import Malformed

Item = tuple[int, str]
items = st.lists(st.tuples(st.integers(0, 50), st.text(max_size=3)), unique=True, max_size=40)


def _all(found: list[Item], limit: int, *, newest_first: bool, add: list[Item]) -> list[Item]:
    """Every page; between two pages one of `add` comes in."""
    seen: list[Item] = []
    after: str | None = ""
    here, more = list(found), list(add)
    while after is not None:
        page, after = page_of(
            here, Page(limit, after), "list", lambda one: one, newest_first=newest_first
        )
        assert len(page) <= limit
        seen += page
        if more:
            here.append(more.pop())
    return seen


@given(found=items, add=items, limit=st.integers(1, 9), newest_first=st.booleans())
def test_every_item_once_and_in_order(
    found: list[Item], add: list[Item], limit: int, newest_first: bool
) -> None:
    add = [one for one in add if one not in found]
    seen = _all(found, limit, newest_first=newest_first, add=add)
    assert seen == sorted(set(seen), reverse=newest_first)
    assert set(found) <= set(seen) <= {*found, *add}


@given(place=st.tuples(st.integers(), st.text(max_size=20)), of=st.text(max_size=30))
def test_a_cursor_names_its_place(place: Item, of: str) -> None:
    cursor = cursor_to(of, place)
    assert cursor.isascii() and "=" not in cursor
    assert place_of(of, cursor, (int, str)) == place


@given(of=st.text(max_size=9), other=st.text(max_size=9))
def test_a_foreign_cursor_is_refused(of: str, other: str) -> None:
    assume(of != other)
    with pytest.raises(Malformed, match="after: expected the `next`"):
        place_of(other, cursor_to(of, (1,)), (int,))


@given(at=st.integers(0, 200), sign=st.sampled_from("Ab0-_=.é "))
def test_a_damaged_cursor_is_refused(at: int, sign: str) -> None:
    good = cursor_to("runs", (42, "run-42"))
    at %= len(good)
    bad = good[:at] + sign + good[at + 1 :]
    assume(bad != good)
    with pytest.raises(Malformed):
        place_of("runs", bad, (int, str))


@given(text=st.text(min_size=1, max_size=80))
def test_any_text_is_a_problem_and_no_crash(text: str) -> None:
    with pytest.raises(Malformed):
        place_of("runs", text, (int,))


@pytest.mark.parametrize("place", [("1",), (True,), (1, 2), (), (1.0,), (None,)])
def test_a_forged_cursor_of_other_kinds_is_refused(place: tuple[int | str, ...]) -> None:
    with pytest.raises(Malformed):
        place_of("runs", cursor_to("runs", place), (int,))
    deep = base64.urlsafe_b64encode(b"\0" * 6 + b"[" * 5_000).decode()
    with pytest.raises(Malformed):
        place_of("runs", deep, (int,))


def test_other_filters_are_another_list() -> None:
    assert filtered("runs", environment="", status=None) == "runs"
    assert filtered("runs", environment="a") != filtered("runs", status="a")
    assert json.loads(filtered("x", b="2", a="1").partition("?")[2]) == {"a": "1", "b": "2"}
