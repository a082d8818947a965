"""Beyond the table: latency, the plain threshold, staying and going on, carrying, evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.core.errors import Malformed
from engine.core.health import DEFAULT_CRITERIA, Trigger, new_gate
from engine.core.jcs import canonical
from tests.core.gate_kit import POLL_S, feed, gate, silent, tick

# --- latency ------------------------------------------------------------------------------------


def test_ten_percent_of_slow_requests_restart_the_clock() -> None:
    judge = gate()
    assert judge.observe(tick(5, requests=1_000, slow=99)) == "continue"
    judge = gate()
    assert judge.observe(tick(5, requests=1_000, slow=100)) == "hold"
    assert judge.reason == "10.00 % of requests over 250 ms, limit 10 %"


def test_one_stall_does_not_roll_back_but_half_a_minute_of_slowness_does() -> None:
    slow = lambda t: tick(t, requests=400, slow=200, baseline=None)  # noqa: E731
    judge = gate()
    assert feed(judge, 30, slow) == "hold"
    assert (judge.rule, judge.trigger) == (7, Trigger.ARMED)
    assert judge.observe(slow(35)) == "rollback"
    assert judge.rule == 6
    judge = gate()
    feed(judge, 10, slow)
    assert feed(judge, 350, lambda t: tick(t, requests=400, slow=0), after_s=10) == "promote"


def test_without_a_latency_limit_slow_requests_do_not_matter() -> None:
    judge = gate(replace(DEFAULT_CRITERIA, slow_over_ms=0))
    assert feed(judge, 300, lambda t: tick(t, slow=200)) == "promote"


# --- the plain threshold ------------------------------------------------------------------------


def test_the_threshold_judge_knows_only_the_limit() -> None:
    criteria = replace(DEFAULT_CRITERIA, method="threshold")
    judge = gate(criteria)
    assert judge.observe(tick(5, requests=299, errors=299, baseline=None)) == "hold"
    judge = gate(criteria)
    assert judge.observe(tick(5, requests=1_000, errors=9)) == "continue"
    assert judge.observe(tick(10, requests=0, errors=0)) == "continue"
    assert judge.observe(tick(15, requests=100, errors=2)) == "rollback"
    assert (judge.rule, judge.reason) == (6, "error rate 1.00 % of 1100 requests, over 1 %")
    judge = gate(criteria)
    assert judge.observe(tick(5, requests=1_000, errors=20, baseline=(9_000, 180))) == "pause"
    assert judge.rule == 5


# --- staying with an answer, going on, carrying over --------------------------------------------


def test_a_rollback_stays_whatever_comes_after_it() -> None:
    judge = gate()
    feed(judge, 30, lambda t: tick(t, errors=40))
    assert judge.action == "rollback"
    rule, reason = judge.rule, judge.reason
    assert feed(judge, 900, after_s=30) == "rollback"
    judge.resume(905)
    assert judge.observe(tick(910)) == "rollback"
    assert (judge.rule, judge.reason) == (rule, reason)


def test_after_a_pause_the_clock_starts_again_and_the_evidence_stays() -> None:
    judge = gate()
    feed(judge, 100, lambda t: tick(t, errors=1))
    feed(judge, 220, silent, after_s=100)
    assert judge.action == "pause"
    assert judge.observe(tick(225)) == "pause"
    e_values = judge.evidence["e_values"]
    judge.resume(1_000)
    assert judge.action == "hold"
    assert judge.evidence["e_values"] == e_values
    assert judge.observe(tick(1_000)) == "hold"  # not after the moment it went on
    assert feed(judge, 1_295, after_s=1_000) == "continue"
    assert judge.observe(tick(1_300)) == "promote"


def _outage(t: float) -> dict[str, Any]:
    return tick(t, errors=20, baseline=(1_800, 180))


def test_after_a_fleet_wide_pause_it_takes_new_proof_to_pause_again() -> None:
    judge = gate()
    assert feed(judge, 60, _outage) == "pause"
    assert judge.rule == 5
    relative = judge.evidence["e_values"]["errors_relative"]  # type: ignore[index,call-overload]
    judge.resume(100)
    assert judge.evidence["e_values"]["errors_relative"] == relative  # type: ignore[index,call-overload]
    assert judge.observe(tick(105)) == "hold"
    assert judge.rule == 7  # the window still holds the outage, and that is all
    assert feed(judge, 900, after_s=105) == "promote"


def test_an_outage_that_goes_on_after_a_resume_pauses_again_and_never_rolls_back() -> None:
    judge = gate()
    stopped = feed(judge, 60, _outage)
    judge.resume(600)
    again = feed(judge, 660, _outage, after_s=600)
    assert (stopped, again, judge.rule) == ("pause", "pause", 5)


def test_a_pause_for_another_reason_keeps_the_proof_of_the_limit() -> None:
    judge = gate(replace(DEFAULT_CRITERIA, rollback_worse=False))
    feed(judge, 10, lambda t: tick(t, errors=5))
    feed(judge, 130, silent, after_s=10)
    before = judge.evidence["e_values"]
    judge.resume(600)
    assert (judge.action, judge.evidence["e_values"]) == ("hold", before)


# --- one arm's proof before the other's -----------------------------------------------------------


def test_a_baseline_that_is_over_the_limit_but_not_yet_proven_is_not_fine() -> None:
    judge = gate(replace(DEFAULT_CRITERIA, rollback_worse=False))
    bad = lambda t: tick(t, requests=900, errors=45, baseline=(100, 5))  # noqa: E731
    assert feed(judge, 5, bad) == "hold"  # the canary's proof is there first
    assert feed(judge, 120, bad, after_s=5) == "pause"
    assert judge.rule == 5


def test_a_baseline_that_never_fails_does_not_keep_a_bad_canary_up() -> None:
    judge = gate(replace(DEFAULT_CRITERIA, rollback_worse=False))
    bad = lambda t: tick(t, requests=900, errors=45, baseline=(100, 0))  # noqa: E731
    assert feed(judge, 10, bad) == "rollback"
    assert judge.rule == 6


def test_a_bad_minute_of_the_whole_fleet_does_not_stop_a_good_stage() -> None:
    def minute(t: float) -> dict[str, Any]:
        return tick(t, requests=5_000, errors=80, baseline=(45_000, 720))

    good = lambda t: tick(t, requests=5_000, errors=20, baseline=(45_000, 180))  # noqa: E731
    judge = gate()
    feed(judge, 150, good)
    assert feed(judge, 180, minute, after_s=150) == "hold"
    assert judge.rule == 8
    assert feed(judge, 300, good, after_s=180) == "promote"


def test_history_with_bad_minutes_of_the_whole_fleet_asks_for_more_proof_of_the_limit() -> None:
    rough = [[(500, 12 if 40 <= t < 52 else 2)] * 10 for t in range(180)]
    judge = gate(history=rough)
    evidence: Any = judge.evidence
    assert evidence["phi"] == "1.000000"
    assert float(evidence["phi_limit"]) > 3
    bad = lambda t: tick(t, errors=5, baseline=(1_800, 45))  # noqa: E731
    assert feed(judge, 60, bad) == "hold"
    assert feed(gate(), 60, bad) == "pause"


def test_without_a_baseline_a_late_fault_is_found_by_the_limit_alone() -> None:
    judge = gate()
    feed(judge, 200, lambda t: tick(t, requests=400, errors=1, baseline=None))
    late = lambda t: tick(t, requests=400, errors=20, baseline=None)  # noqa: E731
    assert feed(judge, 215, late, after_s=200) == "rollback"
    assert judge.rule == 6


def test_the_age_of_a_stage_counts_from_where_it_went_on() -> None:
    judge = gate()
    rare = lambda t: tick(t, requests=1, baseline=None)  # noqa: E731
    feed(judge, 900, rare)
    judge.resume(900)
    assert feed(judge, 1_795, rare, after_s=900) == "hold"
    assert judge.observe(rare(1_800)) == "pause"


def test_evidence_is_carried_to_the_next_stage_exactly() -> None:
    first = gate()
    feed(first, 105, lambda t: tick(t, errors=2))
    carried = first.carry()
    canonical(carried)  # no floats
    then = gate(carry=carried)
    assert then.carry() == carried
    assert then.evidence["evidence_carried"] is True
    fresh = gate()
    bad = lambda t: tick(t, errors=4)  # noqa: E731
    for judge in (then, fresh):
        feed(judge, 10, bad)
    assert then.action == "rollback"  # what the stage before saw counts
    assert fresh.action != "rollback"
    assert gate(replace(DEFAULT_CRITERIA, carry_evidence=False), carry=carried).carry() != carried


def test_damaged_carried_evidence_is_refused() -> None:
    carried = gate().carry()
    for bad in (None, ["0.0"], ["nan"] * 6, "x"):
        with pytest.raises(Malformed, match="carried evidence: errors_limit"):
            gate(carry={**carried, "errors_limit": bad})


def test_a_fault_that_begins_late_is_found_soon() -> None:
    judge = gate()
    feed(judge, 280)
    assert feed(judge, 300, lambda t: tick(t, errors=6), after_s=280) == "rollback"


# --- what it shows ------------------------------------------------------------------------------


def test_evidence_is_json_without_floats_and_names_what_it_rests_on() -> None:
    judge = gate()
    feed(judge, 30, lambda t: tick(t, errors=1, slow=3))
    evidence: Any = judge.evidence
    canonical(evidence)  # refuses floats
    assert evidence["criteria"] == str(DEFAULT_CRITERIA.digest)
    assert evidence["e_lines"] == {"rollback": "200.000000", "suspect": "20.000000"}
    assert evidence["window"]["canary"] == {
        "requests": 1_200, "errors": 6, "slow": 18, "slow_of": 1_200,
    }  # fmt: skip
    assert evidence["window"]["from_ms"] == 5_000
    assert evidence["history"] == {"asked_ms": 900_000, "used_ms": 900_000, "targets": 10}
    assert evidence["phi"] == "1.000000"
    states = [rule["state"] for rule in evidence["env_guard"]]
    assert states == ["not_enough_history", "not_enough_history"]


@pytest.mark.parametrize(("ticks", "used_ms"), [(5, 0), (6, 30_000), (400, 900_000)])
def test_less_than_thirty_seconds_of_history_is_none(ticks: int, used_ms: int) -> None:
    judge = gate(history=[[(500, 2)] * 10] * ticks)
    assert judge.evidence["history"]["used_ms"] == used_ms  # type: ignore[index,call-overload]


def test_a_gate_takes_a_workflows_mapping_too() -> None:
    mapping = {
        "proceed_if": {
            "healthy": {"share": "95%", "for": 10},
            "error_rate": {"max": 0.01},
        }
    }
    judge = new_gate(mapping, None, POLL_S)
    assert judge.observe(tick(5, requests=300)) == "continue"
    assert judge.observe(tick(10)) == "promote"


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        ({"t": None}, "tick.t"),
        ({"status": "fine"}, "tick.status"),
        ({"canary": {"requests": -1, "errors": 0}}, "tick.canary.requests"),
        ({"canary": {"requests": 1, "errors": 2}}, "tick.canary"),
        ({"baseline": {"requests": 1.0, "errors": 0}}, "tick.baseline.requests"),
        ({"targets": ["t-01"]}, "tick.targets"),
    ],
)
def test_a_broken_tick_is_refused_and_changes_nothing(broken: dict[str, Any], where: str) -> None:
    judge = gate()
    feed(judge, 10)
    before = judge.evidence
    with pytest.raises(Malformed, match=where):
        judge.observe({**tick(15), **broken})
    assert judge.evidence == before
