"""Whatever a mirror publishes, an incremental sync ends where a full one ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.inputs.feeds_osv import Listed, micros, modified_us, plan, read_modified
from tests.feeds.mirror import advisory

IDS = st.sampled_from([f"X-{n}" for n in range(6)])
# Few instants, so that ties and late arrivals with old dates are common.
TIMES = st.integers(0, 5).map(lambda n: f"2026-02-01T00:00:0{n}.5Z")
STATE = st.dictionaries(IDS, st.tuples(TIMES, st.booleans()), min_size=1)


def published(state: Mapping[str, tuple[str, bool]]) -> dict[str, bytes]:
    def one(name: str, modified: str, withdrawn: bool) -> dict[str, Any]:
        more = {"withdrawn": modified} if withdrawn else {}
        return advisory(name, modified, **more)

    return {name: json.dumps(one(name, *about)).encode() for name, about in state.items()}


def rows(files: Mapping[str, bytes]) -> list[Listed]:
    """The list as the mirror writes it: newest first."""
    stamps = {name: json.loads(content)["modified"] for name, content in files.items()}
    lines = [f"{at},{name}\n" for name, at in sorted(stamps.items(), key=lambda x: x[1])[::-1]]
    return read_modified("".join(lines).encode(), where="modified_id.csv")


@given(before=STATE, after=STATE, shuffled=st.randoms())
def test_what_is_fetched_and_dropped_makes_the_held_the_published(
    before: dict[str, tuple[str, bool]], after: dict[str, tuple[str, bool]], shuffled: Any
) -> None:
    # An advisory changes only with its date, and that goes forward: OSV's own rule.
    for name, (at, _) in before.items():
        if name in after and after[name][0] <= at:
            after[name] = before[name]
    held, there = published(before), published(after)
    listed = rows(there)
    shuffled.shuffle(listed)  # the order is a promise that need not be relied on
    due = plan(listed, {name: modified_us(one, where="") for name, one in held.items()})
    got = {name: one for name, one in held.items() if name not in due.drop}
    got |= {one.id: there[one.id] for one in due.fetch}
    assert got == there
    # And no more than that: what is the same is not fetched again.
    assert all(held.get(one.id) != there[one.id] for one in due.fetch)
    assert [one.modified_us for one in due.fetch] == sorted(
        (one.modified_us for one in due.fetch), reverse=True
    )


def test_what_cannot_be_read_is_fetched_again() -> None:
    listed = [Listed("", "X-1", 5)]
    assert plan(listed, {"X-1": None}).fetch == tuple(listed)
    assert plan(listed, {"X-1": 5}).fetch == ()


@given(at=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))])))
def test_times_are_compared_as_instants_and_not_as_texts(at: Any) -> None:
    assert abs(micros(at.isoformat(), "t") - int(at.timestamp() * 1_000_000)) <= 1_000


def test_lines_of_both_lists() -> None:
    both = b"2026-02-02T00:00:00Z,PyPI/X-1\n2026-02-01T00:00:00.000001Z,Alpine:v3.18/Y-1\n"
    assert read_modified(both, where="t") == [
        Listed("PyPI", "X-1", 1769990400000000),
        Listed("Alpine:v3.18", "Y-1", 1769904000000001),
    ]
