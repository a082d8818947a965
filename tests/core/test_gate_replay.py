"""Stored ticks judged again: the same answers, and every kind of change is found and named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import ticks
from engine.core.backtest import KNOBS, Past, backtest, read_change, sentence, summary
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.fact_events import GateDecided
from engine.core.gate_replay import replay_watch, watches
from engine.core.health import DEFAULT_CRITERIA, new_gate
from engine.core.health_parse import parse_gate
from engine.core.rows import GateTick
from tests.core.gate_kit import POLL_S, traffic

POLL_MS = round(POLL_S * 1000)


def stage(
    seed: int, *, step: str = "canary-10", run_id: str = "run-1", polls: int = 90, **kwargs: Any
) -> list[GateTick]:
    """A watched stage as it would be stored: until its gate has spoken, or for so many polls."""
    stream = traffic(seed, **kwargs)
    mark = ticks.start_mark(
        DEFAULT_CRITERIA, poll_ms=POLL_MS, history=next(stream)[1], history_note="", carry=None
    )
    judge, rows = ticks.gate_of(mark), [row(1, mark, ticks.START, step=step, run_id=run_id)]
    for n, (_, one) in zip(range(2, polls + 2), stream, strict=False):
        text = ticks.encode(one)
        judge.observe(ticks.decode(text))
        rows.append(row(n, text, judge.action, judge.rule, step=step, run_id=run_id))
        if judge.action in {"promote", "rollback"}:
            break
    return rows


def row(
    n: int, text: str, action: str, rule: int = 0, *, step: str = "canary-10", run_id: str = "run-1"
) -> GateTick:
    return GateTick(
        run_id=run_id, step=step, attempt=1, n=n, t_ms=round(ticks.decode(text)["t"] * 1000),
        ts_us=n, tick=text, action=action, rule=rule, reason="",
    )  # fmt: skip


def decision(rows: list[GateTick], at: int) -> tuple[GateDecided, dict[Digest, Any]]:
    """The event and the evidence that would have been recorded behind row `at`."""
    gate = ticks.rebuild(rows[: at + 1])
    document = json.loads(
        json.dumps(
            {
                "decision": gate.evidence,
                "series": {"rows": at + 1, "digest": str(ticks.series_digest(rows[: at + 1]))},
            }
        )
    )
    digest = Digest.of(json.dumps(document).encode())
    event = GateDecided(
        step="canary-10", attempt=1, action=gate.action, rule=gate.rule, reason=gate.reason,
        t_ms=rows[at].t_ms, ticks=at, evidence=digest,
    )  # fmt: skip
    return event, {digest: document}


@given(st.integers(0, 10_000), st.sampled_from([1.0, 3.0]))
def test_a_stage_replays_to_the_same_answers_decisions_and_evidence(
    seed: int, worse: float
) -> None:
    rows = stage(seed, rps=300, worse=worse, polls=30)
    event, evidence = decision(rows, len(rows) - 1)
    replay = replay_watch(rows, [event], evidence)
    assert replay.same
    assert (replay.ticks, replay.decisions) == (len(rows) - 1, 1)
    assert (replay.action, replay.rule) == (rows[-1].action, rows[-1].rule)
    assert "replay to the same answers" in replay.sentence()


@pytest.fixture(scope="module")
def bad() -> list[GateTick]:
    return stage(7, rps=1_000, worse=5.0, onset_s=60.0)


def test_the_bad_stage_of_these_tests_was_rolled_back(bad: list[GateTick]) -> None:
    assert bad[-1].action == "rollback"
    assert 60_000 < bad[-1].t_ms < 120_000


def test_a_changed_tick_is_named(bad: list[GateTick]) -> None:
    changed = list(bad)
    body = json.loads(changed[5].tick)
    body["canary"]["errors"] = body["canary"]["requests"]
    changed[5] = replace(changed[5], tick=json.dumps(body))
    found = replay_watch(changed).differences
    assert found
    assert found[0].n == changed[5].n
    assert "rollback" in found[0].found


def test_a_changed_answer_is_named(bad: list[GateTick]) -> None:
    changed = [*bad[:-1], replace(bad[-1], action="promote", rule=10)]
    replay = replay_watch(changed)
    assert not replay.same
    assert replay.differences[0].expected == "promote by rule 10"
    assert "NOT the same" in replay.sentence()


def test_a_decision_that_no_tick_gave_is_named(bad: list[GateTick]) -> None:
    event, evidence = decision(bad, len(bad) - 1)
    for broken in (
        replace(event, action="promote", rule=10),
        replace(event, t_ms=event.t_ms + 1),
        replace(event, rule=3),
    ):
        replay = replay_watch(bad, [broken], evidence)
        assert [one.what for one in replay.differences] == ["decision"]


def test_lost_or_changed_evidence_is_named(bad: list[GateTick]) -> None:
    event, evidence = decision(bad, len(bad) - 1)
    assert replay_watch(bad, [event], {}).differences[0].found == "its bytes are gone"
    document = evidence[event.evidence]
    document["decision"]["phi"] = "1.000001"
    document["decision"]["canary"]["errors"] += 1
    document["series"]["digest"] = str(Digest.of(b"other ticks"))
    found = {one.what for one in replay_watch(bad, [event], evidence).differences}
    assert found == {"/decision/phi", "/decision/canary/errors", "/series/digest"}


def test_wording_and_later_additions_are_no_difference(bad: list[GateTick]) -> None:
    event, evidence = decision(bad, len(bad) - 1)
    decided = evidence[event.evidence]["decision"]
    decided["reason"], decided["word"] = "said otherwise", "ELSE"
    del decided["phi"]  # as if a version before ours had not told it
    assert replay_watch(bad, [event], evidence).same


def test_the_rows_of_a_step_are_cut_at_each_start(bad: list[GateTick]) -> None:
    again = [replace(one, attempt=2) for one in bad]
    assert [len(one) for one in watches([*bad, *again])] == [len(bad), len(again)]
    assert watches([]) == ()
    with pytest.raises(Malformed, match="mark of a watch"):
        watches(bad[1:])


# --- back-test ------------------------------------------------------------------------------------


def past(rows: list[GateTick], *, good: bool | None) -> Past:
    return Past(run_id=rows[0].run_id, step=rows[0].step, attempt=1, speed=1, rows=rows, good=good)


@pytest.fixture(scope="module")
def calm() -> list[GateTick]:
    return stage(3, rps=300, run_id="run-2")


def test_the_recorded_limits_change_nothing(bad: list[GateTick], calm: list[GateTick]) -> None:
    same = {"error_rate.max": "1%", "judge.margin": "1.25", "healthy.for": "5m"}
    outcomes = backtest([past(bad, good=False), past(calm, good=True)], read_change(same))
    assert [one.verdict for one in outcomes] == ["same", "same"]
    assert summary(outcomes)["false_alarms"] == 0
    assert (summary(outcomes)["caught_now"], summary(outcomes)["caught_then"]) == (1, 1)


def test_a_shorter_hold_promotes_earlier_and_a_longer_one_is_not_guessed(
    calm: list[GateTick],
) -> None:
    (short,) = backtest([past(calm, good=True)], read_change({"healthy.for": "2m"}))
    assert short.now is not None
    assert (short.verdict, short.now.action, short.now.t_ms) == ("earlier", "promote", 120_000)
    (long,) = backtest([past(calm, good=True)], read_change({"healthy.for": "8m"}))
    assert long.now is not None
    assert (long.verdict, long.now.decided) == ("undecided", False)


def test_a_wide_margin_misses_and_says_so(bad: list[GateTick]) -> None:
    change = read_change({"judge.margin": "10", "error_rate.max": "90%", "healthy.for": "10s"})
    (outcome,) = backtest([past(bad, good=False)], change)
    assert outcome.verdict == "missed"
    assert "0 of 1 that were rolled back" in sentence([outcome])


def test_a_limit_below_the_whole_fleets_rate_asks_a_person(calm: list[GateTick]) -> None:
    later = [replace(one, step="canary-50") for one in calm]
    change = read_change({"error_rate.max": "0.05%"})
    outcomes = backtest([past(calm, good=True), past(later, good=True)], change)
    first, second = outcomes
    assert first.now is not None
    # The whole fleet is over so tight a limit: the gate asks a person instead of rolling back.
    assert first.now.action == "pause"
    assert first.verdict == "pauses"
    assert second.now is not None


def test_a_false_alarm_ends_the_run_there(bad: list[GateTick]) -> None:
    """What was rolled back, told as a run that somebody found to be good."""
    promoted = [*bad[:-1], replace(bad[-1], action="promote", rule=10)]
    later = [replace(one, step="canary-50") for one in promoted]
    same = read_change({"judge.margin": "1.25"})
    first, second = backtest([past(promoted, good=True), past(later, good=True)], same)
    assert first.verdict == "false_alarm"
    assert (second.verdict, second.now) == ("not_reached", None)
    assert second.spared_requests > 0
    assert summary([first, second])["false_alarms"] == 1
    (unknown,) = backtest([past(promoted, good=None)], same)
    assert unknown.verdict == "rolls_back"


def test_an_earlier_rollback_counts_what_users_were_spared(bad: list[GateTick]) -> None:
    slow = [*bad, *[replace(bad[-1], n=bad[-1].n + i, t_ms=bad[-1].t_ms + i) for i in (1, 2)]]
    (outcome,) = backtest([past(slow, good=False)], read_change({"judge.min_bad": "1"}))
    body = json.loads(bad[-1].tick)["canary"]
    assert outcome.now is not None
    assert outcome.now.action == "rollback"
    assert outcome.spared_requests == 2 * body["requests"]
    assert outcome.spared_errors == 2 * body["errors"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "found nothing"),
        ({"latency_p95.slow_over": "300ms"}, "expected one of"),
        ({"error_rate.max": "2"}, "error_rate.max: expected a share"),
        ({"healthy.for": "soon"}, "healthy.for: expected a duration"),
        ({"judge.margin": "0.5"}, "judge.margin"),
        ({"judge.method": "guess"}, "judge.method"),
        ({"error_rate.min_requests": "0"}, "min_requests"),
    ],
)
def test_what_cannot_be_moved_is_refused(changes: dict[str, str], said: str) -> None:
    with pytest.raises(Malformed, match=said):
        read_change(changes)


def test_a_change_that_contradicts_the_stage_is_refused() -> None:
    with pytest.raises(Malformed, match="max_hold"):
        read_change({"max_hold": "1m"}).apply(DEFAULT_CRITERIA, 1)
    with pytest.raises(Malformed, match="alpha_hold"):
        read_change({"judge.alpha": "0.5"}).apply(DEFAULT_CRITERIA, 1)


@given(st.sampled_from(sorted(KNOBS)), st.integers(1, 20))
def test_a_knob_sets_its_field_as_a_workflow_would_and_no_other(name: str, speed: int) -> None:
    text = {
        "healthy.share": "0.9", "healthy.for": "4m", "error_rate.max": "0.02",
        "error_rate.window": "2m", "error_rate.min_requests": "50",
        "latency_p95.max_slow_share": "0.2", "judge.method": "threshold", "judge.margin": "2",
        "judge.alpha": "0.001", "judge.alpha_hold": "0.1", "judge.min_bad": "9", "max_hold": "20m",
    }[name]  # fmt: skip
    gate: dict[str, Any] = {
        "proceed_if": {
            "healthy": {"share": 0.95, "for": "5m"},
            "error_rate": {"max": 0.01},
            "latency_p95": {"slow_over": "250ms", "max_slow_share": 0.1},
        },
        "env_guard": {"slo": 0.99, "block_start_if": []},
    }
    before = parse_gate(gate).for_speed(speed)
    section, _, key = name.rpartition(".")
    value = int(text) if text.isdecimal() else text
    if section == "judge":
        gate["judge"] = {key: value}
    elif section:
        gate["proceed_if"][section][key] = value
    else:
        gate[key] = value
    assert read_change({name: text}).apply(before, speed) == parse_gate(gate).for_speed(speed)


def test_the_changed_gate_carries_its_own_evidence_on(bad: list[GateTick]) -> None:
    """The carried part of the next stage's mark is replaced by what the changed gate has."""
    half = bad[: len(bad) - 3]
    carry = ticks.rebuild(half).carry()
    body = json.loads(bad[0].tick) | {"carry": carry}
    following = [
        replace(bad[0], step="canary-50", tick=json.dumps(body)),
        *[replace(one, step="canary-50") for one in bad[-3:]],
    ]
    stages = [past(half, good=False), past(following, good=False)]
    (_, second) = backtest(stages, read_change({"judge.min_bad": "5"}))
    gate = new_gate(DEFAULT_CRITERIA, ticks.history_of(bad[0].tick), POLL_S, carry=carry)
    for one in following[1:]:
        ticks.feed(gate, one)
    assert second.now is not None
    assert (second.now.action, second.now.rule) == (gate.action, gate.rule)
