"""What the Determinism page says of any counts: numbers that add up and never round to a lie."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engine.core.determinism import Coverage, CrossEngine, Determinism, Share, determinism_of
from engine.core.replays import Cause
from pages.ui import determinism_charts, determinism_models, replay_filters
from pages.ui.determinism_models import Asked
from tests.pages import replay_kit as kit

NOBODY = Coverage(verdicts=0, replayed=0)


def counted(**changed: object) -> dict[str, object]:
    """A row of the query `replay_counts`."""
    return {
        "mode": "VERIFY",
        "result": "MATCH",
        "policy": kit.DIGEST,
        "engine": "cel-cpp/0.1.3",
        "environment": "eu-prod",
        "form": "combined",
        "cause": "",
        "kind": "VERDICT",
        "decided_day": 20_000,
        "replayed_day": 20_001,
        "crosscheck": "",
        "count": 1,
        **changed,
    }


def found(*rows: dict[str, object], running: int = 0, coverage: Coverage = NOBODY) -> Determinism:
    return determinism_of(rows, running=running, coverage=coverage)


def values(one: Determinism) -> dict[str, str]:
    return {figure.label: figure.value for figure in determinism_models.figures(one, Asked())}


def test_nothing_replayed_is_not_a_hundred_percent() -> None:
    nothing = found()
    assert determinism_models.is_empty(nothing)
    assert values(nothing)["Match rate"] == "-"
    assert determinism_models.worst(nothing) == determinism_models.EMPTY
    assert determinism_models.coverage_lines(nothing.coverage)[0] == "-"
    assert determinism_models.cross_lines(nothing.cross)[0] == "-"


def test_what_is_running_or_failed_stands_apart_from_the_rate() -> None:
    only_running = found(running=3)
    assert not determinism_models.is_empty(only_running)
    assert values(only_running)["Match rate"] == "-"
    assert "nothing is known" in determinism_models.worst(only_running)
    mixed = found(counted(), counted(result="", count=4), running=1)
    assert values(mixed) == {
        "Match rate": "100 %",
        "Matching": "1",
        "Mismatching": "0",
        "Running": "1",
        "Failed": "4",
        "Total": "6",
    }


def test_one_mismatch_in_a_million_is_not_rounded_away() -> None:
    one = found(
        counted(count=999_999),
        counted(result="MISMATCH", cause=Cause.INPUT_TAMPERED.value),
    )
    assert values(one)["Match rate"] == "99.99 %"
    assert determinism_models.worst(one) == (
        "1 of 1,000,000 verifications did not match: a frozen input has other bytes."
    )


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_a_rate_is_100_only_where_nothing_differs(matching: int, mismatching: int) -> None:
    both = found(counted(count=matching), counted(result="MISMATCH", count=mismatching))
    assert values(both)["Match rate"] != "100 %"
    assert values(both)["Match rate"] in both.sentence()


def test_each_number_leads_to_what_it_counts() -> None:
    asked = Asked(environment="eu-prod", since="7d")
    one = found(counted(), counted(result="MISMATCH", cause="UNEXPLAINED", count=2))
    figures = {figure.label: figure.leads for figure in determinism_models.figures(one, asked)}
    assert figures["Mismatching"] == {
        "mode": "VERIFY",
        "environment": "eu-prod",
        "since": "7d",
        "result": "MISMATCH",
    }
    for leads in figures.values():
        if leads is not None:  # every word is one that the list understands
            assert replay_filters.filters({}, **leads).asked == leads
    row = determinism_models.shares("Policy version", one.by_policy, asked)[0]
    page, parameters = json.loads(row["cells"][2]["open"])
    assert page == "replay"
    assert parameters["policy"] == kit.DIGEST and parameters["result"] == "MISMATCH"
    assert row["tone"] == "err" and row["cells"][0]["digest"] == kit.DIGEST
    assert "open" not in row["cells"][3]  # nothing failed: 0 leads nowhere
    days = determinism_models.shares("Day of decision", one.by_decided_day, asked)
    assert json.loads(days[0]["cells"][1]["open"])[1]["decided"] == "2024-10-04"


def test_causes_are_explained_where_they_are_counted() -> None:
    one = found(
        counted(result="MISMATCH", cause="INPUT_MISSING", count=3),
        counted(result="MISMATCH", cause="NONDETERMINISTIC", count=1),
    )
    rows = determinism_models.causes(one.by_cause, Asked())
    assert [row["cells"][0]["text"] for row in rows] == ["INPUT_MISSING", "NONDETERMINISTIC"]
    assert all(row["cells"][2]["sub"] for row in rows)
    assert determinism_models.worst(one) == (
        "4 of 4 verifications did not match; most of them: a frozen input is gone."
    )
    even = found(*(counted(result="MISMATCH", cause=name) for name in ("A", "B")))
    assert "for several causes" in determinism_models.worst(even)


def test_coverage_and_agreement_say_what_they_are_out_of() -> None:
    share, said = determinism_models.coverage_lines(Coverage(verdicts=8, replayed=6))
    assert share == "75 %" and "6 of 8 verdicts" in said and "2 verdicts were not" in said
    assert "not" not in determinism_models.coverage_lines(Coverage(verdicts=1, replayed=1))[1]
    share, said = determinism_models.cross_lines(CrossEngine(agree=1, disagree=1, failed=2))
    assert share == "50 %" and "2 times it could not answer" in said


def test_a_day_is_a_column_and_the_picture_is_told_in_words() -> None:
    days = (
        Share(name="2026-02-17", matching=4, mismatching=0, failed=0),
        Share(name="2026-02-18", matching=1, mismatching=2, failed=1),
    )
    figure = determinism_charts.by_day(days, dark=False)
    bars = {bar["name"]: list(bar["y"]) for bar in figure.to_dict()["data"]}
    assert bars == {"matching": [4, 1], "mismatching": [0, 2], "failed": [0, 1]}
    said = determinism_charts.picture_text(days, "day of replay")
    assert "2026-02-18: 1 matching, 2 mismatching, 1 failed" in said
    assert determinism_charts.picture_text((), "day of replay") == "No day of replay yet."


def test_the_line_of_the_run_is_the_one_of_the_mock_with_running_apart() -> None:
    one = replace(found(counted()), running=1)
    assert one.sentence() == ("total 2 | matching 1 | mismatches 0 | running 1 | match rate 100 %")
