"""Ticks, histories and carried evidence that no good source sends: refused, and nothing changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import Malformed
from engine.core.health import DEFAULT_CRITERIA, criteria_from_document, new_gate
from engine.core.health_criteria import METHODS
from engine.core.jcs import canonical
from tests.core.gate_kit import CALM, POLL_S, feed, gate, tick

NAN, HUGE = float("nan"), 10**400


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        ({"t": NAN}, "tick.t"),
        ({"t": float("inf")}, "tick.t"),
        ({"t": "15"}, "tick.t"),
        ({"t": True}, "tick.t"),
        ({"t": HUGE}, "tick.t"),
        ({"status": None}, "tick.status"),
        ({"status": ["ok"]}, "tick.status"),
        ({"canary": "many"}, "tick.canary"),
        ({"canary": {}}, "tick.canary.requests"),
        ({"canary": {"requests": 5}}, "tick.canary.errors"),
        ({"canary": {"requests": True, "errors": 0}}, "tick.canary.requests"),
        ({"canary": {"requests": "5", "errors": 0}}, "tick.canary.requests"),
        ({"canary": {"requests": HUGE, "errors": 0}}, "tick.canary.requests"),
        ({"canary": {"requests": 5, "errors": NAN}}, "tick.canary.errors"),
        ({"canary": {"requests": 5, "errors": 0, "slow": 6}}, "tick.canary"),
        ({"baseline": {"requests": 5, "errors": 6}}, "tick.baseline"),
        ({"targets": {"t-01": "up"}}, "tick.targets"),
        ({"targets": {"t-01": 1}}, "tick.targets"),
        ({"targets": {7: True, "t-01": True}}, "tick.targets"),
    ],
)
def test_a_hostile_tick_is_refused_and_changes_nothing(broken: dict[str, Any], where: str) -> None:
    judge = gate()
    feed(judge, 10)
    before = canonical(judge.evidence)
    with pytest.raises(Malformed, match=where):
        judge.observe({**tick(15), **broken})
    assert canonical(judge.evidence) == before
    assert judge.observe(tick(15)) == "continue"


@pytest.mark.parametrize("whole", [None, [], "tick", 7])
def test_a_tick_is_a_mapping(whole: Any) -> None:
    with pytest.raises(Malformed, match="tick: expected a mapping"):
        gate().observe(whole)


def test_a_tick_that_says_nothing_is_no_data() -> None:
    judge = gate()
    for n in range(1, 25):
        action = judge.observe({"t": n * POLL_S, "status": "ok"})
    assert (action, judge.rule) == ("pause", 1)


@pytest.mark.parametrize("parts", [7, "x", [5], [(5,)], [(5, 6)], [(5, True)], [(5, -1)]])
def test_single_baseline_targets_are_checked_where_they_are_used(parts: Any) -> None:
    judge = gate(replace(DEFAULT_CRITERIA, method="mann_whitney"))
    with pytest.raises(Malformed, match=r"tick\.baseline_targets"):
        judge.observe({**tick(5), "baseline_targets": parts})
    assert gate().observe({**tick(5), "baseline_targets": parts}) == "hold"


@pytest.mark.parametrize("cell", [(1, 2), (-1, 0), (1.0, 0), (True, False), (1,), None, (HUGE, 0)])
def test_a_hostile_history_is_refused(cell: Any) -> None:
    with pytest.raises(Malformed, match="history: expected"):
        new_gate(DEFAULT_CRITERIA, [[(5, 1), cell]] * 10, POLL_S)


@pytest.mark.parametrize("history", [[5], [None], ["xy"], [{1: 2}]])
def test_a_history_is_a_list_of_lists(history: Any) -> None:
    with pytest.raises(Malformed, match="history: expected"):
        new_gate(DEFAULT_CRITERIA, history, POLL_S)


@pytest.mark.parametrize("carry", [[], "x", 7])
def test_carried_evidence_is_a_mapping(carry: Any) -> None:
    with pytest.raises(Malformed, match="carried evidence: expected a mapping"):
        gate(carry=carry)


def test_whole_numbers_of_another_library_count_as_such() -> None:
    class Whole:
        def __index__(self) -> int:
            return 400

    judge = new_gate(DEFAULT_CRITERIA, [[(Whole(), 0)] * 10] * 10, POLL_S)
    judge.observe({**tick(5), "canary": {"requests": Whole(), "errors": 0}})
    canary: Any = judge.evidence["canary"]
    assert (canary["requests"], type(canary["requests"])) == (400, int)


@pytest.mark.parametrize("poll_s", [0, -5, 0.0001, NAN, float("inf"), "5", None, True])
def test_a_poll_takes_time(poll_s: Any) -> None:
    with pytest.raises(Malformed, match="poll_s: expected"):
        new_gate(DEFAULT_CRITERIA, None, poll_s)


@pytest.mark.parametrize("bad", [True, -1, "3", 1.5, None])
def test_a_hostile_count_of_carried_errors_is_refused(bad: Any) -> None:
    carried = gate().carry()
    with pytest.raises(Malformed, match="carried evidence: errors_bad"):
        gate(carry={**carried, "errors_bad": bad})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("staggered_start_ms", 0), ("alpha_ppm", 0), ("alpha_hold_ppm", 1_000_001),
        ("error_rate_ppm_max", 0), ("error_rate_ppm_max", 1_000_001), ("hold_ms", 0),
        ("slow_share_ppm_max", 0), ("margin_bp", 9_999), ("window_ms", HUGE * -1),
    ],
)  # fmt: skip
def test_stored_criteria_that_cannot_be_computed_with_are_refused(field: str, value: int) -> None:
    with pytest.raises(Malformed, match=field):
        criteria_from_document({**DEFAULT_CRITERIA.document(), field: value})


@pytest.mark.parametrize("method", METHODS)
def test_years_of_silence_and_huge_counts_are_just_numbers(method: str) -> None:
    judge = gate(replace(DEFAULT_CRITERIA, method=method))
    assert judge.observe(tick(1e9, requests=10**12, errors=0, baseline=(10**12, 0))) != "promote"
    canonical(judge.evidence)
    judge = gate(replace(DEFAULT_CRITERIA, method=method))
    for n in range(1, 61):
        judge.observe(tick(n * POLL_S, requests=10**12, errors=10**12, slow=10**12))
        canonical(judge.evidence)
    assert judge.action == "rollback"


_ANY = {"continue", "hold", "promote", "pause"}  # not a rollback: what is readable is healthy
_JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=8), st.none()),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(METHODS), st.dictionaries(st.sampled_from(sorted(tick(5))), _JUNK))
def test_whatever_comes_is_refused_or_judged_and_never_promotes(
    method: str, junk: dict[str, Any]
) -> None:
    judge = gate(replace(DEFAULT_CRITERIA, method=method, hold_ms=5_000), history=CALM[:30])
    try:
        action = judge.observe({**tick(5, requests=400), **junk})
    except Malformed:
        assert judge.action == "hold"
    else:
        asked = _ANY - ({"promote"} if {"status", "canary", "targets"} & set(junk) else set())
        assert action in asked
