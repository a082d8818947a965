"""The gate's table, row by row: the last value that passes and the first that does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.core.health import DEFAULT_CRITERIA, GateWord, Trigger
from engine.core.jcs import canonical
from tests.core.gate_kit import POLL_S, UP, feed, gate, silent, tick

DOWN = {"t-01": False, "t-02": False}


# --- row 10: exactly five minutes ---------------------------------------------------------------


def test_a_good_stage_promotes_at_five_minutes_and_not_a_poll_before() -> None:
    judge = gate()
    assert feed(judge, 295) == "continue"
    assert judge.clock.held_ms == 295_000
    assert judge.observe(tick(300)) == "promote"
    assert (judge.rule, judge.word, judge.trigger) == (10, GateWord.OK, Trigger.NOT_TRIGGERED)
    assert judge.reason == ("2 of 2 targets healthy for 5m, error rate 0 % of 12000 requests")


def test_the_first_tick_warms_up() -> None:
    judge = gate()
    assert (judge.word, judge.rule, judge.action) == (GateWord.WARMING_UP, 0, "hold")
    judge.observe(tick(5, requests=400))
    assert (judge.action, judge.word) == ("continue", GateWord.WARMING_UP)
    judge.observe(tick(10, requests=400))
    assert (judge.action, judge.word) == ("continue", GateWord.OK)


def test_a_late_beginning_ends_late() -> None:
    judge = gate()
    assert feed(judge, 20, lambda t: tick(t, targets=DOWN)) == "hold"
    assert feed(judge, 25, after_s=20) == "hold"  # two good probes make a target healthy again
    assert feed(judge, 320, after_s=25) == "continue"
    assert feed(judge, 325, after_s=320) == "promote"


# --- row 0 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.0, 99.9, 100.0])
def test_a_late_or_repeated_tick_changes_nothing(t: float) -> None:
    judge = gate()
    feed(judge, 100)
    before = canonical(judge.evidence)
    assert judge.observe(tick(t, requests=200, errors=200)) == "hold"
    assert (judge.rule, judge.reason) == (0, "late or repeated tick, ignored")
    assert canonical(judge.evidence) == before
    assert judge.observe(tick(105)) == "continue"


# --- row 1: no data -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["nodata", "error", "partial"])
def test_no_data_holds_restarts_the_clock_and_pauses_after_two_minutes(status: str) -> None:
    judge = gate()
    feed(judge, 100)
    assert feed(judge, 215, lambda t: silent(t, status), after_s=100) == "hold"
    assert (judge.rule, judge.word) == (1, GateWord.NO_DATA)
    assert judge.clock.held_ms == 0
    assert judge.clock.restarts == ((105_000, f"no data: {status}"),)
    assert judge.observe(silent(220, status)) == "pause"
    assert (judge.rule, judge.reason) == (1, f"no data for 2m: {status}")


def test_a_stage_that_never_had_data_pauses_after_two_minutes() -> None:
    judge = gate()
    assert feed(judge, 115, silent) == "hold"
    assert judge.observe(silent(120)) == "pause"


def test_a_missing_canary_is_no_data_even_when_the_source_says_ok() -> None:
    judge = gate()
    feed(judge, 100)
    assert judge.observe({**tick(105), "canary": None}) == "hold"
    assert (judge.rule, judge.reason) == (1, "no data: the stage's targets are missing")


def test_no_data_freezes_the_evidence() -> None:
    judge = gate()
    feed(judge, 100)
    before = judge.evidence
    judge.observe({**tick(105, requests=200, errors=200), "status": "partial"})
    for frozen in ("e_values", "canary", "window", "health"):
        assert judge.evidence[frozen] == before[frozen]


# --- row 2: gaps --------------------------------------------------------------------------------


@pytest.mark.parametrize(("gap_s", "restarts"), [(10.0, 0), (10.001, 1), (15.0, 1)])
def test_one_missed_poll_is_tolerated(gap_s: float, restarts: int) -> None:
    judge = gate()
    feed(judge, 100)
    assert judge.observe(tick(100 + gap_s)) == "continue"  # row 2 goes on to row 3
    assert len(judge.clock.restarts) == restarts
    assert judge.clock.held_ms == (5_000 if restarts else 110_000)


# --- row 3: most targets down -------------------------------------------------------------------


def test_a_cohort_mostly_down_for_thirty_seconds_goes_back() -> None:
    judge = gate()
    feed(judge, 100)
    down = lambda t: tick(t, targets=DOWN)  # noqa: E731
    # 105, 110: tolerated; 115: the third failed probe, unhealthy; 30 s later it is enough.
    assert feed(judge, 140, down, after_s=100) == "hold"
    assert (judge.rule, judge.trigger) == (7, Trigger.ARMED)
    assert judge.observe(down(145)) == "rollback"
    assert (judge.rule, judge.word) == (3, GateWord.BREACHED)
    assert judge.trigger is Trigger.TRIGGERED
    assert judge.reason == "0 of 2 targets of the stage healthy, below 50 % for 30s"


def test_exactly_half_of_the_cohort_is_not_below_half() -> None:
    judge = gate()
    half = {"t-01": False, "t-02": True}
    assert feed(judge, 300, lambda t: tick(t, targets=half)) == "hold"
    assert (judge.rule, judge.trigger) == (7, Trigger.NOT_TRIGGERED)


def test_silence_does_not_count_towards_the_thirty_seconds() -> None:
    judge = gate()
    down = lambda t: tick(t, targets=DOWN)  # noqa: E731
    feed(judge, 25, down)
    judge.observe(silent(30))
    assert feed(judge, 60, down, after_s=30) == "hold"
    assert feed(judge, 65, down, after_s=60) == "rollback"


# --- rows 4, 5, 6: evidence ---------------------------------------------------------------------


def test_a_canary_worse_than_its_baseline_goes_back() -> None:
    judge = gate()
    feed(judge, 100)
    assert feed(judge, 115, lambda t: tick(t, errors=10), after_s=100) == "rollback"
    assert (judge.rule, judge.word) == (4, GateWord.BREACHED)
    assert judge.reason.startswith("worse than baseline: error rate ")


def test_four_errors_never_roll_back_and_the_fifth_may() -> None:
    judge = gate()
    for n, errors in enumerate((1, 1, 1, 1), start=1):
        action = judge.observe(tick(5.0 * n, requests=4, errors=errors, baseline=(100_000, 0)))
        assert action != "rollback"
    assert judge.observe(tick(25, requests=4, errors=1, baseline=(100_000, 0))) == "rollback"
    assert judge.rule == 4


def test_both_arms_over_the_limit_is_not_the_release() -> None:
    judge = gate()
    bad = lambda t: tick(t, requests=200, errors=10, baseline=(1_800, 90))  # noqa: E731
    assert feed(judge, 60, bad) == "pause"
    assert judge.rule == 5
    assert judge.reason.startswith("fleet-wide, not the release: error rate 5.00 % of")


@pytest.mark.parametrize("baseline", [None, (1_800, 7)])
def test_the_limit_proven_with_the_baseline_fine_or_absent_goes_back(baseline: Any) -> None:
    # Without row 4, so that the limit alone has to prove it.
    judge = gate(replace(DEFAULT_CRITERIA, rollback_worse=False))
    bad = lambda t: tick(t, requests=200, errors=10, baseline=baseline)  # noqa: E731
    assert feed(judge, 30, bad) == "rollback"
    assert (judge.rule, judge.word) == (6, GateWord.BREACHED)


def test_a_rule_that_is_off_holds_instead_and_says_so() -> None:
    off = replace(DEFAULT_CRITERIA, rollback_worse=False, rollback_limit=False)
    judge = gate(off)
    assert feed(judge, 895, lambda t: tick(t, errors=6)) == "hold"
    assert judge.trigger is Trigger.SUPPRESSED
    assert feed(judge, 900, lambda t: tick(t, errors=6), after_s=895) == "pause"


def test_without_a_baseline_the_history_of_the_old_version_is_held_against_it() -> None:
    criteria = replace(DEFAULT_CRITERIA, baseline="history", rollback_limit=False)
    worse = lambda t: tick(t, requests=5_000, errors=100, baseline=None)  # noqa: E731
    judge = gate(criteria)
    assert feed(judge, 15, worse) == "rollback"
    assert (judge.rule, judge.evidence["baseline"]["kind"]) == (4, "history")  # type: ignore[index,call-overload]
    blind = gate(criteria, history=None)
    assert feed(blind, 60, worse) == "hold"
    assert blind.rule == 7


# --- row 7: the proceed condition ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "strict", "action"),
    [(9, True, "continue"), (10, True, "hold"), (10, False, "continue"), (11, False, "hold")],
)
def test_one_percent_is_not_below_one_percent(errors: int, strict: bool, action: str) -> None:
    judge = gate(replace(DEFAULT_CRITERIA, error_rate_strict=strict))
    assert judge.observe(tick(5, requests=1_000, errors=errors, baseline=None)) == action
    if action == "hold":
        assert (judge.rule, judge.word) == (7, GateWord.AT_RISK)


def test_an_error_rate_at_the_limit_restarts_the_clock() -> None:
    judge = gate()
    feed(judge, 100, lambda t: tick(t, requests=20))
    judge.observe(tick(105, requests=20, errors=5))
    assert judge.clock.restarts == ((105_000, "error rate 1.19 % of 420 requests, limit 1 %"),)
    assert judge.clock.held_ms == 0


def test_errors_leave_the_window_after_five_minutes() -> None:
    judge = gate()
    judge.observe(tick(5, requests=200, errors=0))
    judge.observe(tick(10, requests=200, errors=4))
    for n in range(3, 61):
        judge.observe(tick(n * POLL_S, requests=0))
    assert judge.rule == 7  # 4 of 400 at 300 s
    judge.observe(tick(305, requests=0))
    assert judge.evidence["window"]["canary"]["requests"] == 200  # type: ignore[index,call-overload]
    judge.observe(tick(310, requests=300))
    assert judge.evidence["window"]["canary"]["errors"] == 0  # type: ignore[index,call-overload]
    assert judge.action == "continue"


@pytest.mark.parametrize(
    ("probes", "healthy"),
    [
        ([True, False, False, True], True),  # two failed probes are noise
        ([True, False, False, False], False),
        ([True, False, False, None], False),  # missing = failed
        ([True, False, False, False, True], False),  # one good probe does not heal
        ([True, False, False, False, True, True], True),
        ([False], False),  # the first probe decides
        ([None], False),
        ([True], True),
    ],
)
def test_hysteresis(probes: list[bool | None], healthy: bool) -> None:
    judge = gate()
    for n, probe in enumerate(probes, start=1):
        judge.observe(tick(n * POLL_S, requests=400, targets={"t-01": probe}))
    assert judge.action == ("continue" if healthy else "hold")


def test_a_target_that_vanishes_from_the_metrics_is_not_healthy() -> None:
    judge = gate()
    feed(judge, 100)
    only = {"t-01": True}
    assert feed(judge, 115, lambda t: tick(t, targets=only), after_s=100) == "hold"
    assert judge.reason == "1 of 2 targets healthy (t-02 3 failed probes)"


@pytest.mark.parametrize(("failed", "action"), [(6, "promote"), (7, "hold")])
def test_more_than_a_tenth_of_failed_probes_is_not_healthy(failed: int, action: str) -> None:
    judge = gate()
    # Every eighth probe fails, never two in a row; 60 probes fill the window.
    bad = {n * 8 for n in range(1, failed + 1)}
    last = ""
    for n in range(1, 61):
        probe = {"t-01": True, "t-02": n not in bad}
        last = judge.observe(tick(n * POLL_S, targets=probe))
    assert last == action


def test_no_probe_at_all_is_not_healthy() -> None:
    judge = gate()
    assert judge.observe(tick(5, targets=None)) == "hold"
    assert (judge.rule, judge.reason) == (7, "no health probe of the stage's targets")


def test_ninety_five_percent_of_the_cohort_is_enough() -> None:
    names = [f"t-{n:02d}" for n in range(20)]
    judge = gate()
    one_down = {name: name != "t-00" for name in names}
    assert feed(judge, 300, lambda t: tick(t, targets=one_down)) == "promote"
    two_down = {name: name not in {"t-00", "t-01"} for name in names}
    judge = gate()
    assert feed(judge, 300, lambda t: tick(t, targets=two_down)) == "hold"


# --- row 8: suspect -----------------------------------------------------------------------------


def test_the_last_thirty_seconds_alone_block_and_the_clock_keeps() -> None:
    judge = gate()
    feed(judge, 280)
    bad = lambda t: tick(t, errors=6 if t < 295 else 5, baseline=(1_800, 16))  # noqa: E731
    feed(judge, 300, bad, after_s=280)
    assert (judge.action, judge.rule, judge.word) == ("hold", 8, GateWord.AT_RISK)
    assert judge.reason == ("suspect: 1.83 % errors of 1200 requests in the last 30 s, over 1 %")
    assert judge.clock.held_ms == 300_000
    assert feed(judge, 325, after_s=300) == "promote"


def test_suspicion_by_evidence_arms_the_trigger() -> None:
    judge = gate()
    feed(judge, 100)
    feed(judge, 115, lambda t: tick(t, errors=6), after_s=100)
    assert (judge.action, judge.rule, judge.trigger) == ("hold", 8, Trigger.ARMED)
    assert judge.reason.startswith("suspect: evidence against the release E ")


# --- rows 9 and 11: too little traffic, too long ------------------------------------------------


@pytest.mark.parametrize(("requests", "action"), [(299, "hold"), (300, "continue")])
def test_three_hundred_requests_are_needed(requests: int, action: str) -> None:
    judge = gate()
    judge.observe(tick(5, requests=requests))
    assert judge.action == action
    if action == "hold":
        assert (judge.rule, judge.word) == (9, GateWord.WARMING_UP)
        assert judge.reason == "insufficient 299/300 requests in 5m"


def test_too_little_traffic_pauses_at_fifteen_minutes_and_not_before() -> None:
    judge = gate()
    slow = lambda t: tick(t, requests=1, baseline=None)  # noqa: E731
    assert feed(judge, 895, slow) == "hold"
    assert judge.observe(slow(900)) == "pause"
    assert (judge.rule, judge.word) == (11, GateWord.WARMING_UP)
    assert judge.reason == "not decided within 15m: insufficient 60/300 requests in 5m"


@pytest.mark.parametrize(
    ("errors", "probe", "action"), [(0, True, "promote"), (1, True, "pause"), (0, False, "pause")]
)
def test_on_insufficient_promote_needs_nothing_against(
    errors: int, probe: bool, action: str
) -> None:
    judge = gate(replace(DEFAULT_CRITERIA, on_insufficient="promote"))

    def rare(t: float) -> dict[str, Any]:
        bad = t == 500
        targets = UP if probe or not bad else {**UP, "t-01": False}
        return tick(t, requests=1, errors=errors if bad else 0, targets=targets, baseline=None)

    assert feed(judge, 895, rare) == "hold"
    assert judge.observe(rare(900)) == action


def test_a_stage_that_is_unfit_at_max_hold_pauses_with_that_sentence() -> None:
    judge = gate()
    half = {"t-01": False, "t-02": True}
    assert feed(judge, 900, lambda t: tick(t, targets=half)) == "pause"
    assert (judge.rule, judge.word) == (11, GateWord.AT_RISK)
    assert judge.reason.startswith("not decided within 15m: 1 of 2 targets healthy (t-01 ")


def test_max_hold_does_not_end_a_stage_that_is_good_again() -> None:
    judge = gate()
    half = {"t-01": False, "t-02": True}
    feed(judge, 600, lambda t: tick(t, targets=half))
    # Failed probes leave the window 300 s after the last of them.
    assert feed(judge, 895, after_s=600) == "continue"
    assert feed(judge, 1_100, after_s=895) == "continue"
    assert feed(judge, 1_200, after_s=1_100) == "promote"
