"""The judges that look a planned number of times: their lines, their looks, their mistakes."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import Malformed
from engine.core.health import DEFAULT_CRITERIA, criteria_from_document, parse_gate
from engine.core.health_evidence import limit_z, share_z
from engine.core.health_looks import look_line
from engine.core.health_ranks import POLLS_MIN, Ranks
from engine.core.jcs import canonical
from tests.core.gate_kit import UP, feed, gate, play, poisson, silent, tick
from tests.core.test_health_criteria import changed

GROUP = replace(DEFAULT_CRITERIA, method="group_sequential")
RANK = replace(DEFAULT_CRITERIA, method="mann_whitney")
BOTH = pytest.mark.parametrize("criteria", [GROUP, RANK], ids=["group", "rank"])
NORMAL_5_PERCENT = 1.6448536269514722


def at(t: float, errors: int, baseline: int = 7) -> dict[str, Any]:
    """1,800 requests on the baseline's nine targets, its errors one by one."""
    parts = [(200, baseline // 9 + (n < baseline % 9)) for n in range(9)]
    return {**tick(t, errors=errors, baseline=(1_800, baseline)), "baseline_targets": parts}


# --- the plan -----------------------------------------------------------------------------------


def test_a_single_look_spends_all_of_alpha_at_once() -> None:
    assert look_line(0.05, done=0, now=1) == pytest.approx(NORMAL_5_PERCENT)


@given(st.integers(1, 20), st.sampled_from([0.05, 0.005, 0.0001]))
def test_all_looks_together_spend_alpha_and_the_first_ones_least(looks: int, alpha: float) -> None:
    lines = [look_line(alpha, done=(n - 1) / looks, now=n / looks) for n in range(1, looks + 1)]
    spent = [math.erfc(line / math.sqrt(2)) / 2 for line in lines]
    assert math.fsum(spent) == pytest.approx(alpha)
    assert spent == sorted(spent)


@BOTH
def test_only_a_look_speaks(criteria: Any) -> None:
    judge = gate(criteria)
    for n in range(1, 12):
        judge.observe(at(5.0 * n, errors=1 + n % 2))  # about twice the baseline's rate, and noisy
    assert judge.evidence["judge"]["looks"] == []  # type: ignore[index,call-overload]
    assert judge.action != "rollback"
    judge.observe(at(60, errors=2))
    looks: Any = judge.evidence["judge"]
    assert [(look["t_ms"], look["look"]) for look in looks["looks"]] == [(60_000, 1)]


@BOTH
def test_ten_times_the_errors_go_back_at_the_first_look_that_can_tell(criteria: Any) -> None:
    judge = gate(replace(criteria, rollback_limit=False))
    when = 60 if criteria is GROUP else 120  # 12 polls are too few for ranks
    assert feed(judge, when - 5, lambda t: at(t, errors=8 + int(t) // 5 % 2)) != "rollback"
    assert judge.observe(at(when, errors=8)) == "rollback"
    assert judge.rule == 4
    assert f"look {when // 60} of 5" in judge.reason


@BOTH
def test_the_last_look_comes_before_the_promotion(criteria: Any) -> None:
    judge = gate(criteria)
    assert feed(judge, 295, lambda t: at(t, errors=int(t) // 5 % 2)) == "continue"
    assert judge.observe(at(300, errors=1)) == "promote"
    looks: Any = judge.evidence["judge"]
    assert [look["look"] for look in looks["looks"]] == [1, 2, 3, 4, 5]
    canonical(judge.evidence)  # no floats


def test_a_stage_that_outlives_its_plan_begins_another_with_half_the_alpha() -> None:
    judge = gate(GROUP)
    feed(judge, 100, lambda t: at(t, 1))
    feed(judge, 120, lambda t: {**at(t, 1), "targets": dict.fromkeys(UP, False)}, after_s=100)
    feed(judge, 360, lambda t: at(t, 1), after_s=120)  # the clock began again, the plan did not
    judged: Any = judge.evidence["judge"]
    assert (judge.action, judged["plan"], len(judged["looks"])) == ("continue", 2, 6)
    for look, alpha in ((judged["looks"][0], 0.0025), (judged["looks"][5], 0.00125)):
        line = look_line(alpha, done=0, now=0.2)
        assert float(look["line"]) == pytest.approx(line, abs=1e-6)


def test_a_gap_merges_the_looks_that_it_swallowed() -> None:
    judge = gate(GROUP)
    feed(judge, 50, lambda t: at(t, 1))
    judge.observe(at(185, 1))
    (look,) = judge.evidence["judge"]["looks"]  # type: ignore[index,call-overload]
    assert look["look"] == 3
    assert float(look["line"]) == pytest.approx(look_line(0.0025, done=0, now=0.6), abs=1e-6)


@BOTH
def test_a_pause_takes_no_time_from_the_plan(criteria: Any) -> None:
    judge = gate(criteria)
    feed(judge, 70, lambda t: at(t, 1))
    feed(judge, 190, silent, after_s=70)
    assert judge.action == "pause"
    judge.resume(1_000)
    judge.observe(at(1_005, 1))
    looks: Any = judge.evidence["judge"]
    assert len(looks["looks"]) <= 3


@BOTH
def test_both_arms_over_the_limit_pause_and_a_resume_asks_for_new_proof(criteria: Any) -> None:
    judge = gate(criteria)
    bad = lambda t: at(t, errors=9 + int(t) // 5 % 3, baseline=90)  # noqa: E731
    assert feed(judge, 60, bad) == "pause"
    assert judge.rule == 5
    judge.resume(65)
    assert judge.observe(at(70, errors=1)) == "hold"
    assert judge.rule != 5


def test_too_few_comparable_polls_are_insufficient_and_never_promote() -> None:
    judge = gate(RANK)
    rare = lambda t: at(t, 0) if int(t) % 25 == 0 else tick(t, errors=0, baseline=None)  # noqa: E731
    assert feed(judge, 895, rare) == "hold"
    assert (judge.rule, judge.reason) == (9, "insufficient 12/20 comparable polls")
    assert feed(judge, 900, rare, after_s=895) == "pause"
    assert judge.rule == 11


# --- the statistics -----------------------------------------------------------------------------


def test_the_rank_test_agrees_with_a_hand_count() -> None:
    ranks = Ranks(1.0)
    for n in range(POLLS_MIN):
        ranks.add((100, 3 + n % 2), (100, n % 4), [])
    # Canary 3 and 4 by tens, baseline 0..3 by fives: 3 is shared by 15.
    mine = 10 * (15 + 1 + 30) / 2 + 10 * (30 + 1 + 40) / 2
    above = mine - 20 * 21 / 2 - 200 - 0.5
    tied = 3 * (5**3 - 5) + (15**3 - 15) + (10**3 - 10)
    variance = 20 * 20 / 12 * (41 - tied / (40 * 39))
    assert ranks.z(1.0) == pytest.approx(above / math.sqrt(variance))
    assert ranks.z(4.0) == pytest.approx(ranks.z(1.0) / 2)


def test_equal_rates_everywhere_prove_nothing() -> None:
    ranks = Ranks(1.0)
    for _ in range(40):
        ranks.add((100, 1), (900, 9), [(100, 1)] * 9)
    assert ranks.z(1.0) == 0.0


def test_a_much_larger_canary_is_not_ranked_against_a_small_baseline() -> None:
    ranks = Ranks(1.0)
    ranks.add((1_000, 4), (499, 0), [])
    assert len(ranks) == 0
    ranks.add((1_000, 4), (500, 0), [])
    assert len(ranks) == 1


@given(
    st.integers(1, 5_000), st.integers(0, 200), st.integers(0, 200), st.floats(1.0, 40.0)
)  # fmt: skip
def test_more_canary_errors_are_never_less_suspicious(
    requests: int, bad: int, more: int, phi: float
) -> None:
    bad, more = min(bad, requests), min(bad + more, requests)
    assert limit_z(requests, more, limit=0.01, phi=phi) >= limit_z(
        requests, bad, limit=0.01, phi=phi
    )
    both = bad + 100
    assert share_z(more, both + more - bad, expected=0.2 * (both + more - bad), phi=phi) >= share_z(
        bad, both, expected=0.2 * both, phi=phi
    )


# --- being wrong and right ----------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("noise", ["", "burst", "neighbour"])
def test_healthy_releases_are_promoted(criteria: Any, noise: str) -> None:
    ends = Counter(play(seed, criteria, rps=200, noise=noise)[0] for seed in range(8))
    assert ends["rollback"] == 0
    assert ends["promote"] >= 7


@BOTH
def test_five_times_the_errors_are_found_within_the_plan(criteria: Any) -> None:
    ends = [play(seed, criteria, rps=500, worse=5.0) for seed in range(10)]
    assert {(action, rule in {4, 6}) for action, _, rule in ends} == {("rollback", True)}
    assert max(seconds for _, seconds, _ in ends) <= 240


def test_looking_five_times_at_equal_arms_stays_within_alpha() -> None:
    """At alpha 5 %, on the boundary itself (margin used up): the plan's looks together."""
    chance, wrong, runs = random.Random(7), 0, 300
    for _ in range(runs):
        mine = theirs = 0
        found = False
        for look in range(1, 6):
            mine, theirs = mine + poisson(chance, 30), theirs + poisson(chance, 120)
            z = share_z(mine, mine + theirs, expected=(mine + theirs) / 5, phi=1.0)
            found = found or z >= look_line(0.05, done=(look - 1) / 5, now=look / 5)
        wrong += found
    assert wrong <= 25  # 5 % of 300 is 15; 25 is two and a half deviations above


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([GROUP, RANK]))
def test_an_equal_canary_is_never_worse_than_its_baseline(seed: int, criteria: Any) -> None:
    chance, judge = random.Random(seed), gate(criteria)
    for n in range(1, 61):
        errors = chance.randint(0, 3)
        # Every baseline target did just what the canary did.
        one = tick(5.0 * n, requests=500, errors=errors, baseline=(4_500, 9 * errors))
        judge.observe({**one, "baseline_targets": [(500, errors)] * 9})
    assert judge.action == "promote"


# --- settings -----------------------------------------------------------------------------------


def test_looks_are_part_of_the_criteria_only_where_they_are_used() -> None:
    assert "looks" not in DEFAULT_CRITERIA.document()
    for criteria in (GROUP, replace(RANK, looks=3)):
        assert criteria_from_document(criteria.document()) == criteria
    with pytest.raises(Malformed, match="looks: expected no such field"):
        criteria_from_document({**DEFAULT_CRITERIA.document(), "looks": 5})
    with pytest.raises(Malformed, match="looks: expected a whole number, 1 to 20, found 21"):
        criteria_from_document({**GROUP.document(), "looks": 21})


def test_a_workflow_names_its_judge() -> None:
    judge = {"method": "group_sequential", "looks": 3}
    assert parse_gate(changed("judge", judge)).looks == 3
    assert parse_gate(changed("judge", "mann_whitney")) == RANK
    with pytest.raises(Malformed, match=r"judge\.looks: expected no such key"):
        parse_gate(changed("judge", {"method": "anytime", "looks": 3}))
    with pytest.raises(Malformed, match=r"judge\.looks: expected a whole number from 1 to 20"):
        parse_gate(changed("judge", {**judge, "looks": 40}))
