"""Who is on call: only who is so at this moment, and nonsense is never taken for an answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Malformed
from engine.inputs.on_call import people

NOW_US = int(datetime(2026, 2, 18, 12, tzinfo=UTC).timestamp()) * 1_000_000
# As PagerDuty's reference shows it, shortened.
RECORDED = {
    "oncalls": [
        {
            "escalation_level": 2,
            "start": "2026-02-18T06:00:00Z",
            "end": "2026-02-18T18:00:00Z",
            "user": {"id": "PT23IWX", "type": "user_reference", "summary": "Tim Wright"},
        },
        {
            "escalation_level": 1,
            "start": None,
            "end": None,
            "user": {"id": "PX", "type": "user_reference", "summary": "Ana Li"},
        },
    ],
    "more": False,
}


def test_a_recorded_answer() -> None:
    assert people(RECORDED, now_us=NOW_US) == ("Ana Li", "Tim Wright")


@pytest.mark.parametrize(
    ("entry", "there"),
    [
        ({"user": "ana"}, True),
        ({"name": "ana"}, True),
        ({"email": "ana"}, True),
        ({"user": {"email": "ana"}, "end": "2026-02-18T12:00:00Z"}, False),
        ({"user": "ana", "start": "2026-02-18T12:00:00Z"}, True),
        ({"user": "ana", "start": "2026-02-18T12:00:01Z"}, False),
        ({"user": "ana", "start": "2026-02-18T14:30:00+02:00"}, False),
        ({"user": "ana", "start": "2026-02-18T13:30:00+02:00"}, True),
    ],
)
def test_an_entry_counts_while_its_time_runs(entry: dict[str, Any], there: bool) -> None:
    assert people([entry], now_us=NOW_US) == (("ana",) if there else ())


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (None, "expected a list"),
        ({"error": "x"}, "expected a list"),
        ([1], r"oncalls\[0\]: expected an object, found int"),
        ([{"user": " "}], r"oncalls\[0\].user: expected the name"),
        ([{"user": {"id": "P1"}}], "expected the name"),
        ([{"user": "a", "end": "soon"}], "expected a time with its offset"),
        ([{"user": "a", "end": "2026-02-18T12:00:00"}], "expected a time with its offset"),
        ([{"user": "a", "start": 5}], "expected a time with its offset"),
    ],
)
def test_nonsense_is_no_answer(document: object, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        people(document, now_us=NOW_US)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["oncalls", "user", "start", "end", "name", "summary"]), inner
        )
    ),
    max_leaves=12,
)


@given(values)
def test_whatever_comes_is_names_or_one_sentence(document: object) -> None:
    try:
        found = people(json.loads(json.dumps(document)), now_us=NOW_US)
    except Malformed as error:
        assert len(str(error)) < 300
    else:
        assert all(name.strip() == name != "" for name in found)
