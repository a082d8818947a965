"""Row 12: too few healthy targets in the whole fleet pause a stage, when a workflow asks for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from engine.core import ticks
from engine.core.errors import Malformed
from engine.core.health import DEFAULT_CRITERIA, Gate, criteria_from_document, new_gate, parse_gate
from engine.core.metrics import LATENCY_BOUNDS_MS, Reading, ReadingStatus, TargetCounters
from engine.core.rows import GateTick

CRITERIA = replace(DEFAULT_CRITERIA, fleet_share_bp_min=8_000)
POLL_S = 5.0


def tick(n: int, healthy: int, *, up: bool = True, errors: int = 0, of: int = 10) -> dict[str, Any]:
    return {
        "t": n * POLL_S,
        "status": "ok",
        "canary": {"requests": 500, "errors": errors},
        "baseline": {"requests": 4_500, "errors": 0},
        "baseline_targets": [],
        "targets": {"t-01": up},
        "fleet": {"healthy": healthy, "targets": of},
    }


def answers(gate: Gate, seen: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(gate.observe(one), gate.rule) for one in seen]


def test_off_it_leaves_no_trace() -> None:
    """Old criteria have their old digest, and old evidence its old bytes."""
    assert "fleet_share_bp_min" not in DEFAULT_CRITERIA.document()
    assert criteria_from_document(DEFAULT_CRITERIA.document()) == DEFAULT_CRITERIA
    gate = new_gate(DEFAULT_CRITERIA, None, POLL_S)
    told = answers(gate, [tick(n, 0) for n in range(1, 30)])
    assert {action for action, _ in told} == {"continue"}
    assert "fleet" not in cast("dict[str, Any]", gate.evidence["health"])


def test_on_it_is_part_of_the_document() -> None:
    assert criteria_from_document(CRITERIA.document()) == CRITERIA
    assert CRITERIA.digest != DEFAULT_CRITERIA.digest
    assert CRITERIA.sentence().endswith(", 80 % of the fleet healthy")
    with pytest.raises(Malformed, match="fleet_share_bp_min: expected a whole number, 1 to 10000"):
        criteria_from_document(CRITERIA.document() | {"fleet_share_bp_min": 0})


def test_a_workflow_asks_for_it() -> None:
    gate = {
        "proceed_if": {"healthy": {"share": 0.95, "for": "5m"}, "error_rate": {"max": 0.01}},
        "fleet_min": "80%",
    }
    assert parse_gate(gate).fleet_share_bp_min == 8_000
    with pytest.raises(Malformed, match="fleet_min"):
        parse_gate(gate | {"fleet_min": 2})


def test_it_pauses_after_thirty_seconds_below() -> None:
    gate = new_gate(CRITERIA, None, POLL_S)
    told = answers(gate, [tick(n, 10 if n < 3 else 7) for n in range(1, 10)])
    assert told[:8] == [("continue", 10)] * 8
    assert told[8] == ("pause", 12)
    assert gate.reason == "7 of 10 targets of the fleet healthy, below 80 % for 30s"
    assert gate.evidence["health"]["fleet"] == {"healthy": 7, "targets": 10}  # type: ignore


def test_exactly_the_share_is_enough_and_a_good_poll_starts_anew() -> None:
    gate = new_gate(CRITERIA, None, POLL_S)
    seen = [tick(n, 8 if n % 6 == 0 else 7) for n in range(1, 60)]
    assert {action for action, _ in answers(gate, seen)} == {"continue"}


def test_silence_starts_anew_too() -> None:
    gate = new_gate(CRITERIA, None, POLL_S)
    seen: list[dict[str, Any]] = [tick(n, 5) for n in range(1, 6)]
    seen.append({"t": 30.0, "status": "nodata"})
    seen += [tick(n, 5) for n in range(7, 13)]
    assert all(action != "pause" for action, _ in answers(gate, seen))


def test_without_an_answer_about_the_fleet_nothing_is_held_against_it() -> None:
    gate = new_gate(CRITERIA, None, POLL_S)
    seen = [{k: v for k, v in tick(n, 0).items() if k != "fleet"} for n in range(1, 30)]
    assert {action for action, _ in answers(gate, seen)} == {"continue"}
    assert gate.evidence["health"]["fleet"] is None  # type: ignore[index,call-overload]


def test_a_release_that_is_to_blame_is_rolled_back_and_not_only_paused() -> None:
    gate = new_gate(CRITERIA, None, POLL_S)
    told = answers(gate, [tick(n, 0, up=False) for n in range(1, 12)])
    assert told[-1] == ("rollback", 3)
    gate = new_gate(CRITERIA, None, POLL_S)
    told = answers(gate, [tick(n, 5, errors=100) for n in range(1, 12)])
    assert told[-1] == ("rollback", 4)


@pytest.mark.parametrize(
    "fleet", [[], 3, {"healthy": 3}, {"healthy": 4, "targets": 3}, {"healthy": True, "targets": 3}]
)
def test_a_fleet_that_cannot_be_is_refused(fleet: object) -> None:
    with pytest.raises(Malformed, match=r"tick\.fleet"):
        new_gate(CRITERIA, None, POLL_S).observe(tick(1, 1) | {"fleet": fleet})


def reading(n: int, up: dict[str, bool | None]) -> Reading:
    targets = {
        name: TargetCounters(
            requests=n * 100, errors=0, slow=0, buckets=(0,) * (len(LATENCY_BOUNDS_MS) + 1),
            healthy=healthy,
        )
        for name, healthy in up.items()
    }  # fmt: skip
    return Reading(at_us=n, status=ReadingStatus.OK, targets=targets)


@pytest.mark.parametrize("asked", [True, False])
def test_a_tick_counts_the_fleet_when_asked(asked: bool) -> None:
    up: dict[str, bool | None] = {"t-01": True, "t-02": False, "t-03": None}
    made = ticks.tick_between(
        reading(1, up), reading(2, up), cohort=["t-01"], targets=[*up, "t-04"], t_ms=5_000,
        age_ms=0, age_ms_max=10_000, fleet=asked,
    )  # fmt: skip
    assert made.get("fleet") == ({"healthy": 1, "targets": 4} if asked else None)
    assert ticks.decode(ticks.encode(made)) == made


def test_stored_ticks_replay_to_the_same() -> None:
    gate = new_gate(CRITERIA, None, POLL_S)
    mark = ticks.start_mark(CRITERIA, poll_ms=5_000, history=(), history_note="", carry=None)
    rows = [row(0, mark, ticks.START, 0)]
    for n in range(1, 10):
        stored = ticks.encode(tick(n, 7))
        gate.observe(ticks.decode(stored))
        rows.append(row(n, stored, gate.action, gate.rule, gate.reason))
        if gate.action == "pause":
            break
    assert rows[-1].rule == 12
    assert all(answer.same for answer in ticks.replay(rows))


def row(n: int, stored: str, action: str, rule: int, reason: str = "the watch begins") -> GateTick:
    return GateTick(
        run_id="run-1", step="canary", attempt=1, n=n + 1, t_ms=n * 5_000, ts_us=n, tick=stored,
        action=action, rule=rule, reason=reason,
    )  # fmt: skip
