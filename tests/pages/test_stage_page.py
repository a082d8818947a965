"""The Deploy Stage page on runs in every state, opened as a browser would open it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.fact_events import GateDecided
from engine.core.people_events import OverrideUsed
from engine.core.run import Run
from engine.core.state import StepState
from engine.live_feed import StoreFeed
from engine.live_stage import stage_now
from engine.live_stage_reader import Seen, StageReader
from pages.ui import charts_stage, stage_models
from tests.pages.reading import House, components, texts

pytestmark = pytest.mark.house

Visit = Callable[..., AppTest]
STAGE = "releases/stage.py"


def stage_of(house: House, run_id: str, step: str = "canary-10") -> tuple[Run, Seen]:
    run = house.services.service.run(run_id)
    seen = house.services.live.stage(run, run.step(step))
    assert seen is not None
    return run, seen


@pytest.mark.parametrize("which", ["done", "canary", "paused"])
def test_both_charts_are_there_and_told_in_words(visit: Visit, house: House, which: str) -> None:
    at = visit(STAGE, run=getattr(house, which), step="canary-10")
    assert not at.exception
    charts = at.get("plotly_chart")
    alts = [chart.proto.alt for chart in charts]
    assert len(alts) == 2
    assert "Error rate of the canary 0.25 % of" in alts[0]
    assert "rollback from 2.30" in alts[0] and "held" in alts[0]
    assert "every one healthy at every poll" in alts[1]
    said = texts(at)
    assert "stored ticks and 1 decision replay to the same answers" in said
    assert "Clock restarts" in said


def test_the_answer_the_ratios_and_the_trigger_stand_on_top(visit: Visit, house: House) -> None:
    stage = components(visit(STAGE, run=house.canary))["stage"]["live"]["stage"]  # type: ignore[index]
    assert stage["cohort"] == "1 of 1 target healthy" and "95 % needed" in stage["cohort_sub"]
    assert stage["ratio"] == "1/10" and "fleet" in stage["ratio_sub"]
    assert stage["n"] == "1,600 of 300"
    assert stage["trigger"] == "NOT_TRIGGERED"
    assert stage["why"].startswith("rule ") and "of 2.30 (log10) needed" in stage["why"]
    assert 0 <= stage["near"] < 1


def test_the_policy_sentence_says_what_speed_made_of_it(visit: Visit, house: House) -> None:
    said = texts(visit(STAGE, run=house.canary, step="canary-10"))
    assert "proceed if 95 % healthy for 20s, error rate < 1 %" in said
    assert "at speed 15, 5m held as 20s" in said


def test_continue_is_off_and_says_what_is_missing(visit: Visit, house: House) -> None:
    at = visit(STAGE, run=house.paused, step="canary-10")
    offered = {str(button.key): button for button in at.button}
    continued = offered["actions.continue"]
    assert "50%" in continued.label
    assert continued.disabled and continued.help
    assert not offered["actions.rollback"].disabled


def test_a_stage_that_never_began_says_so_and_draws_nothing(visit: Visit, house: House) -> None:
    at = visit(STAGE, run=house.canary, step="full-100")
    assert not at.exception
    assert "has not begun" in at.info[0].value
    assert not at.get("plotly_chart")


def test_a_breach_that_would_only_pause_is_suppressed_and_says_why(house: House) -> None:
    run, seen = stage_of(house, house.canary)
    careful = replace(run, request=replace(run.request, on_breach="pause"))
    now = stage_now(careful, careful.step("canary-10"), seen.course, seen.p95)
    assert now.trigger == "SUPPRESSED"
    assert "on_breach: pause" in now.trigger_text()


def test_an_ended_watch_is_read_once_and_a_live_one_followed(house: House) -> None:
    run, _ = stage_of(house, house.done)
    looks = []

    class Feed:
        def log(self, run: Run) -> list[object]:
            return []

        def ticks(self, run: Run, step: object) -> object:
            looks.append(run.run_id)
            return house.services.store.gate_ticks(run.run_id, "canary-10", 1)

        def p95(self, run: Run, step: object) -> dict[int, tuple[int | None, int | None]]:
            return {}

        p95_minutes = p95

    reader = StageReader(Feed())  # type: ignore[arg-type]
    first = reader.look(run, run.step("canary-10"))
    assert reader.look(run, run.step("canary-10")) is first
    assert looks == [run.run_id]
    live, _ = stage_of(house, house.canary)
    followed = reader.look(live, live.step("canary-10"))
    assert followed is not None
    again = reader.look(live, live.step("canary-10"))
    assert again is not None and again.course is followed.course
    assert looks.count(live.run_id) == 2


def test_a_targets_note_says_what_it_waits_for(house: House) -> None:
    run, seen = stage_of(house, house.canary)
    found = stage_models.target_rows(run, run.step("canary-10"), seen)
    rows = {row["target"]: row for row in found}
    assert rows["eu-prod-01"]["note"] == "ok, serving"
    assert rows["eu-prod-02"]["note"] == "pending, waits for Deploy Canary 50%"
    assert json.loads(json.dumps(found)) == found


def test_without_raw_samples_latency_comes_by_the_minute_and_says_so(house: House) -> None:
    run, raw = stage_of(house, house.done)
    step = run.step("canary-10")
    minutes = {
        ts_us - ts_us % 60_000_000: (120, 80) for ts_us in (p.ts_us for p in raw.course.points)
    }

    class Retired(StoreFeed):
        def p95(self, run: Run, step: StepState) -> Mapping[int, tuple[int | None, int | None]]:
            return {}

        def p95_minutes(
            self, run: Run, step: StepState
        ) -> Mapping[int, tuple[int | None, int | None]]:
            return minutes

    seen = StageReader(Retired(house.services.store)).look(run, step)
    assert seen is not None and seen.by_minute and not raw.by_minute
    assert seen.course == raw.course
    assert seen.p95 == {point.ts_us: (120, 80) for point in seen.course.points}
    head = stage_models.header(run, step, seen)
    assert head.frozen is not None and "highest of its minute" in head.frozen["p95_sub"]
    shown = stage_models.charts(run, step, seen, (), house.services.store.load(run.run_id))
    assert "roll-ups by the minute" in shown.note
    assert "highest of its minute" in shown.chart_alt
    assert any(value is not None for value in shown.series.latency[0].values)
    assert "single polls are not kept" in str(charts_stage.stage(shown.series, dark=False))
    kept = stage_models.charts(run, step, raw, (), house.services.store.load(run.run_id))
    assert "minute" not in kept.note + kept.chart_alt


def test_the_targets_say_which_switch_a_pause_waits_for(house: House) -> None:
    run, seen = stage_of(house, house.paused)
    found = stage_models.target_rows(run, run.step("canary-10"), seen, ("eu-prod-02",))
    rows = {row["target"]: row for row in found}
    assert rows["eu-prod-02"]["note"] == "the run is pausing after this one: its switch finishes"
    assert rows["eu-prod-02"]["letter"] == "U"
    assert "pausing" not in rows["eu-prod-03"]["note"]


def test_what_two_people_overruled_names_both(house: House) -> None:
    run, seen = stage_of(house, house.done)
    step = run.step("canary-10")
    log = house.services.store.load(run.run_id)
    decided = [e.event for e in log if isinstance(e.event, GateDecided)]
    used = OverrideUsed(
        action="continue", step="canary-10", attempt=1, asked_by="sam", confirmed_by="ana",
        asked_reason="noise", reason="seen", rule=9, against="-", missing=("-",), ticket="",
        evidence=decided[0].evidence,
    )  # fmt: skip
    (attempt,) = step.attempts
    overruled = replace(step, attempts=(replace(attempt, result="OVERRIDDEN"),))
    steps = tuple(overruled if one.id == step.id else one for one in run.steps)
    forced = replace(run, steps=steps, overrides=(used,))
    head = stage_models.header(forced, overruled, seen)
    assert head.frozen is not None
    assert head.frozen["answer"]["head"] == (
        "Canary 10% was continued by an override of sam and ana."
    )
    assert head.frozen["trigger"] == "SUPPRESSED"
    assert head.frozen["why"] == "by an override of sam and ana"
    shown = stage_models.charts(forced, overruled, seen, (), log)
    assert shown.decided[-1][1].endswith("SUPPRESSED by an override of sam and ana")
    calm = stage_models.charts(run, step, seen, (), log)
    assert "SUPPRESSED" not in str(calm.decided)
