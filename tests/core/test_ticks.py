"""From counters to ticks and samples, their stored form, and the replay of stored rows."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import ticks
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.health import DEFAULT_CRITERIA, Criteria, Gate
from engine.core.health_criteria import METHODS
from engine.core.jcs import canonical
from engine.core.metrics import LATENCY_BOUNDS_MS, Reading, ReadingStatus, TargetCounters
from engine.core.rows import GateTick
from tests.core.gate_kit import CALM, silent, tick

OPEN_END = len(LATENCY_BOUNDS_MS)
TARGETS = ("t-01", "t-02", "t-03")


def counters(
    requests: int, errors: int = 0, slow: int = 0, *, healthy: bool | None = True
) -> TargetCounters:
    buckets = [0] * (OPEN_END + 1)
    buckets[5] = requests  # all within 10 ms
    return TargetCounters(
        requests=requests, errors=errors, slow=slow, buckets=tuple(buckets), healthy=healthy
    )


def reading(
    targets: dict[str, TargetCounters], *, status: ReadingStatus = ReadingStatus.OK, note: str = ""
) -> Reading:
    return Reading(at_us=5_000_000, status=status, targets=targets, note=note)


def between(
    before: Reading | None, now: Reading, *, cohort: tuple[str, ...] = ("t-01",), age_ms: int = 0
) -> dict[str, Any]:
    return ticks.tick_between(
        before, now, cohort=cohort, targets=TARGETS, t_ms=5_000, age_ms=age_ms, age_ms_max=10_000
    )


BEFORE = reading({"t-01": counters(100, 5, 2), "t-02": counters(200, 1), "t-03": counters(300)})
AFTER = reading({"t-01": counters(150, 6, 3), "t-02": counters(260, 2), "t-03": counters(340, 1)})


def test_a_tick_is_differences_per_arm() -> None:
    assert between(BEFORE, AFTER) == {
        "t": 5.0,
        "status": "ok",
        "note": "",
        "canary": {"requests": 50, "errors": 1, "slow": 1},
        "baseline": {"requests": 100, "errors": 2, "slow": 0},
        "baseline_targets": [(60, 1), (40, 1)],
        "targets": {"t-01": True},
    }


def test_a_counter_that_began_again_counts_whole() -> None:
    again = reading({**AFTER.targets, "t-01": counters(30, 2)})
    assert between(BEFORE, again)["canary"] == {"requests": 30, "errors": 2, "slow": 0}


def test_a_missing_target_is_none_and_not_healthy() -> None:
    now = reading({name: AFTER.targets[name] for name in ("t-02", "t-03")})
    tick_ = between(BEFORE, now, cohort=("t-01", "t-02"))
    assert tick_["targets"] == {"t-01": None, "t-02": True}
    assert tick_["canary"]["requests"] == 60


def test_no_target_of_the_cohort_is_no_canary() -> None:
    now = reading({"t-03": AFTER.targets["t-03"]})
    assert between(BEFORE, now)["canary"] is None
    assert between(BEFORE, AFTER, cohort=TARGETS)["baseline"] is None


def test_a_target_that_was_not_known_counts_from_the_next_reading_on() -> None:
    before = reading({"t-02": BEFORE.targets["t-02"]})
    tick_ = between(before, AFTER)
    assert tick_["canary"] == {"requests": 0, "errors": 0, "slow": 0}
    assert tick_["targets"] == {"t-01": True}


@pytest.mark.parametrize(
    "status", [ReadingStatus.NODATA, ReadingStatus.ERROR, ReadingStatus.PARTIAL]
)
def test_a_reading_that_is_not_ok_gives_no_counts(status: ReadingStatus) -> None:
    now = reading(dict(AFTER.targets), status=status, note="connection refused")
    tick_ = between(BEFORE, now)
    assert (tick_["status"], tick_["note"]) == (status.value, "connection refused")
    assert tick_["canary"] is tick_["baseline"] is tick_["targets"] is None


@pytest.mark.parametrize(("age_ms", "status"), [(10_000, "ok"), (10_001, "nodata")])
def test_an_old_reading_is_no_data(age_ms: int, status: str) -> None:
    tick_ = between(BEFORE, AFTER, age_ms=age_ms)
    assert tick_["status"] == status
    assert (tick_["canary"] is None) == (status == "nodata")


def test_a_first_reading_is_no_data() -> None:
    assert between(None, AFTER)["status"] == "nodata"


def test_errors_counted_before_their_requests_never_exceed_them() -> None:
    now = reading({**AFTER.targets, "t-01": counters(101, 9, 2)})
    assert between(BEFORE, now)["canary"] == {"requests": 1, "errors": 1, "slow": 0}


def samples(before: Reading | None, now: Reading) -> tuple[Any, ...]:
    return ticks.samples_between(
        before, now, run_id="run-1", step="canary", attempt=1, cohort=("t-01",), targets=TARGETS,
        digests={"t-01": Digest.of(b"new")},
    )  # fmt: skip


def test_samples_are_one_row_per_target() -> None:
    one, two, three = samples(BEFORE, replace(AFTER, targets=dict(list(AFTER.targets.items())[:2])))
    assert (one.target, one.arm, one.requests, one.errors, one.slow) == ("t-01", "canary", 50, 1, 1)
    assert (one.p95_ms, one.healthy, one.digest) == (10, True, str(Digest.of(b"new")))
    assert (two.arm, two.digest) == ("baseline", None)
    assert (three.requests, three.healthy, three.p95_ms) == (0, None, None)  # missing


def test_a_gap_in_the_data_stays_a_gap() -> None:
    assert samples(None, AFTER) == ()
    assert samples(BEFORE, replace(AFTER, status=ReadingStatus.PARTIAL)) == ()


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        ({}, None),
        ({0: 1}, 1),
        ({0: 95, 5: 5}, 1),
        ({0: 94, 5: 6}, 10),
        ({5: 19, OPEN_END: 1}, 10),
        ({5: 18, OPEN_END: 2}, LATENCY_BOUNDS_MS[-1]),
    ],
)
def test_p95_is_the_bound_of_its_bucket(buckets: dict[int, int], expected: int | None) -> None:
    counts = [buckets.get(n, 0) for n in range(OPEN_END + 1)]
    assert ticks.p95_ms(counts) == expected


# --- stored form --------------------------------------------------------------------------------


def test_a_stored_tick_reads_back_equal_and_is_canonical() -> None:
    for one in (between(BEFORE, AFTER), between(None, AFTER), silent(7.25)):
        text = ticks.encode(one)
        assert ticks.decode(text) == one
        assert ticks.encode(ticks.decode(text)) == text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"t_ms":1.5}', '{"t_ms":'])
def test_a_damaged_stored_tick_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="stored tick"):
        ticks.decode(text)


def mark(criteria: Criteria = DEFAULT_CRITERIA, **changed: Any) -> str:
    values = {"poll_ms": 5_000, "history": CALM, "history_note": "", "carry": None, **changed}
    return ticks.start_mark(criteria, **values)


def test_a_start_mark_rebuilds_its_gate() -> None:
    first = ticks.gate_of(mark())
    first.observe(tick(5, errors=1))
    then = ticks.gate_of(mark(carry=first.carry()))
    assert then.criteria == DEFAULT_CRITERIA
    assert then.carry() == first.carry()
    assert [list(row) for row in ticks.history_of(mark())] == CALM


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ('"poll_ms":5000', '"poll_ms":0', "poll_ms"),
        ('"hold_ms":300000', '"hold_ms":1', "criteria_digest"),
        ('"history":[[[500,2]', '"history":[[[2,500]', "errors within requests"),
        ('"history":[[[500,2]', '"history":[[[500]', "pairs"),
        ('"mark":"start"', '"mark":"resume"', "expected a start mark"),
    ],
)
def test_a_damaged_start_mark_is_refused(good: str, bad: str, says: str) -> None:
    text = mark()
    assert good in text
    with pytest.raises(Malformed, match=says):
        ticks.gate_of(text.replace(good, bad, 1))


# --- replay ---------------------------------------------------------------------------------------


def row(n: int, text: str, *, action: str, rule: int = 0, reason: str = "") -> GateTick:
    return GateTick(
        run_id="run-1", step="canary", attempt=1, n=n, t_ms=ticks.decode(text)["t"] * 1000,
        ts_us=n, tick=text, action=action, rule=rule, reason=reason,
    )  # fmt: skip


def recorded(seed: int, method: str = "anytime") -> tuple[Gate, list[GateTick]]:
    """A watch as it would be stored, with pauses that people end."""
    begun = mark(replace(DEFAULT_CRITERIA, method=method))
    chance, rows = random.Random(seed), [row(1, begun, action=ticks.START)]
    judge, t = ticks.gate_of(rows[0].tick), 0.0
    for n in range(2, 50):
        t += chance.choice([5.0, 5.0, 5.0, 5.0, 15.0])
        if judge.action == "pause" or chance.random() < 0.03:
            judge.resume(t)
            text = ticks.resume_mark(round(t * 1000), "the run goes on")
            rows.append(row(n, text, action=ticks.RESUME))
            continue
        quiet = chance.random() < 0.9
        one = tick(t, errors=chance.choice([0, 1, 2]) if quiet else 5, slow=chance.randint(0, 9))
        one["baseline_targets"] = [(200, chance.choice([0, 1, 1])) for _ in range(9)]
        text = ticks.encode(one if chance.random() < 0.9 else silent(t))
        judge.observe(ticks.decode(text))
        rows.append(row(n, text, action=judge.action, rule=judge.rule, reason=judge.reason))
    return judge, rows


@given(st.integers(0, 10_000), st.sampled_from(METHODS))
@settings(max_examples=12, deadline=None)
def test_stored_rows_replay_to_the_same_answers_and_the_same_gate(seed: int, method: str) -> None:
    judge, rows = recorded(seed, method)
    answers = ticks.replay(rows)
    assert len(answers) == sum(not ticks.is_mark(one) for one in rows)
    for answer in answers:
        assert answer.same
        assert answer.reason == answer.row.reason
    again = ticks.rebuild(rows)
    assert canonical(again.evidence) == canonical(judge.evidence)
    assert again.carry() == judge.carry()
    cut = len(rows) // 2
    restarted = ticks.rebuild(rows[:cut])
    for one in rows[cut:]:
        ticks.feed(restarted, one)
    assert canonical(restarted.evidence) == canonical(judge.evidence)


def test_a_changed_stored_tick_does_not_replay() -> None:
    _, rows = recorded(1)
    n = next(n for n, one in enumerate(rows) if '"errors":0' in one.tick)
    rows[n] = replace(rows[n], tick=rows[n].tick.replace('"errors":0', '"errors":199', 1))
    assert not all(answer.same for answer in ticks.replay(rows))
    assert ticks.series_digest(rows) != ticks.series_digest(recorded(1)[1])


def test_rows_without_a_start_mark_are_refused() -> None:
    _, rows = recorded(1)
    assert ticks.replay([]) == ()
    for broken in ([], rows[1:], [rows[0], rows[0]]):
        with pytest.raises(Malformed):
            ticks.rebuild(broken)
