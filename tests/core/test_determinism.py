"""Counting replays: every one counts once, what has no answer is in no rate."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.determinism import Coverage, Determinism, determinism_of, percent


def row(result: str, count: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "kind": "VERDICT",
        "mode": "VERIFY",
        "status": "COMPLETED" if result else "FAILED",
        "result": result,
        "cause": "",
        "environment": "prod",
        "policy": "p",
        "engine": "e",
        "form": "combined",
        "crosscheck": "",
        "decided_day": 20_000,
        "replayed_day": 20_001,
        "count": count,
        **more,
    }


def read(*rows: dict[str, Any], running: int = 0) -> Determinism:
    return determinism_of(rows, running=running, coverage=Coverage(verdicts=0, replayed=0))


def test_the_case_of_the_mock_with_its_running_request_apart() -> None:
    found = read(row("MATCH"), running=1)
    assert found.sentence() == (
        "total 2 | matching 1 | mismatches 0 | running 1 | match rate 100 %"
    )
    assert read(running=1).sentence().endswith("match rate -")


def test_what_could_not_be_carried_out_is_no_mismatch() -> None:
    found = read(row("MATCH", 3), row("MISMATCH", 1, cause="INPUT_MISSING"), row("", 2))
    assert (found.total, found.match_bp, found.failed) == (6, 7_500, 2)
    assert [(one.name, one.mismatching) for one in found.by_cause] == [("INPUT_MISSING", 1)]
    assert "failed 2" in found.sentence()


def test_only_verify_counts() -> None:
    assert read(row("SAME", mode="WHAT_IF"), row("FLIPPED", mode="TODAY")).total == 0


def test_days_are_dates_in_order_and_groups_go_by_size() -> None:
    found = read(
        row("MATCH", 1, environment="stage", decided_day=20_002),
        row("MATCH", 5),
    )
    assert [one.name for one in found.by_environment] == ["prod", "stage"]
    assert [one.name for one in found.by_decided_day] == ["2024-10-04", "2024-10-06"]


def test_a_gate_has_no_policy_and_no_form() -> None:
    found = read(row("MATCH", kind="GATE", policy="", form="", engine="gate/1"))
    assert found.by_policy == found.by_form == ()
    assert [one.name for one in found.by_kind] == ["GATE"]


@pytest.mark.parametrize(
    ("bp", "text"),
    [(None, "-"), (10_000, "100 %"), (9_998, "99.98 %"), (5_000, "50 %"), (5, "0.05 %")],
)
def test_a_rate_hides_nothing(bp: int | None, text: str) -> None:
    assert percent(bp) == text


_ROW = st.builds(
    row,
    result=st.sampled_from(["MATCH", "MISMATCH", ""]),
    count=st.integers(1, 9),
    environment=st.sampled_from(["prod", "stage"]),
    engine=st.sampled_from(["a", "b"]),
    crosscheck=st.sampled_from(["", "AGREE", "DISAGREE", "FAILED"]),
    decided_day=st.integers(0, 3),
)


@given(st.lists(_ROW, max_size=12), st.integers(0, 5))
def test_every_grouping_adds_up_to_the_whole(rows: list[dict[str, Any]], running: int) -> None:
    found = read(*rows, running=running)
    counted = sum(one["count"] for one in rows)
    assert found.total == counted + running
    for groups in (found.by_environment, found.by_engine, found.by_decided_day, found.by_kind):
        assert sum(one.matching + one.mismatching + one.failed for one in groups) == counted
    assert found.match_bp is None or (found.match_bp == 10_000) == (found.mismatching == 0)
