"""What a stage's charts draw: gaps are gaps, numbers exact, no state is mixed up with another."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from engine.core.digest import Digest
from engine.core.event_parts import StageCohort
from engine.core.events import Event, Recorded
from engine.core.fact_events import ApprovalApproved, GateDecided, StageApplied
from engine.core.health import DEFAULT_CRITERIA
from engine.core.run import Run
from engine.core.run_events import RunPaused, RunResumed
from engine.live_stage_burn import burns
from engine.live_stage_course import Course, course_of
from engine.live_stage_reader import P95, Seen
from pages.ui import charts, charts_stage, heatmap
from pages.ui.charts_strips import MARKS
from pages.ui.stage_models_heat import HEALTHY, MISSING, NOT_YET, UNHEALTHY, heat, heat_text
from pages.ui.stage_models_series import Series, e_text, series
from tests.pages.reading import House
from tests.pages.stage_kit import BEGAN_US, POLL_MS, resume, rows, tick

pytestmark = pytest.mark.house

D = Digest.of(b"any")


def at_us(n: int) -> int:
    return BEGAN_US + n * POLL_MS * 1000


def recorded(event: Event, n: int, actor: str = "ana.li") -> Recorded:
    return Recorded(
        stream="run-1",
        seq=1,
        gseq=1,
        ts_us=at_us(n),
        actor=actor,
        command_id="",
        event=event,
        prev=D,
        hash=D,
    )


def course(*seen: dict[str, Any], **more: Any) -> Course:
    found = course_of(rows(seen, **more))
    assert found is not None
    return found


def drawn(found: Course, *log: Recorded, p95: P95 | None = None) -> Series:
    return series(Seen(course=found, p95=p95 or {}), log, burns(found, (), changed_us=BEGAN_US))


def test_no_data_is_a_gap_and_never_a_zero() -> None:
    found = course(tick(1), tick(2, status="nodata"), tick(3, status="error"), tick(4))
    shown = drawn(found, p95={at_us(2): (40, 30)})
    for line in (*shown.errors, shown.requests, *shown.evidence):
        assert line.values[1] is None and line.values[2] is None
        assert line.values[3] is not None
    assert shown.latency[0].values[1] is None
    (gap,) = shown.gaps
    assert (gap.kind, gap.from_us, gap.to_us) == ("no data", at_us(1), at_us(3))
    assert gap.text == "the source is silent"


def test_a_poll_without_requests_is_a_gap_too() -> None:
    shown = drawn(course(tick(1), tick(2, requests=0, errors=0)))
    assert shown.errors[0].values[1] is None
    assert shown.errors[0].texts[1] == "no requests"


def test_missing_polls_break_the_line_and_a_pause_is_called_one() -> None:
    seen = [tick(1), tick(2), resume(40), tick(41), tick(60)]
    paused = RunPaused(via="pause", pause_reason="manual", reason="incident")
    shown = drawn(course(*seen), recorded(paused, 3))
    assert [gap.kind for gap in shown.gaps] == ["paused", "no tick"]
    assert shown.errors[0].values.count(None) == 2
    assert len(shown.times_us) == 6
    assert list(shown.times_us) == sorted(shown.times_us)


def test_the_hover_says_the_exact_rate_and_its_n() -> None:
    shown = drawn(course(tick(1, requests=1_204, errors=5), tick(2, requests=100_000, errors=996)))
    assert shown.errors[0].texts[0] == "0.42 % (5 of n = 1,204)"
    assert shown.errors[0].texts[1] == "0.996 % (996 of n = 100,000)"
    assert shown.errors[0].values[0] == pytest.approx(100 * 5 / 1_204)


def test_the_limits_are_those_of_the_criteria() -> None:
    strict = replace(DEFAULT_CRITERIA, alpha_ppm=1_000, alpha_hold_ppm=100_000)
    assert drawn(course(tick(1), criteria=strict)).lines_log10 == pytest.approx((1, 3))
    plain = drawn(course(tick(1), criteria=replace(DEFAULT_CRITERIA, method="threshold")))
    assert plain.evidence == () and "plain threshold" in plain.evidence_missing
    assert charts_stage.stage(plain, dark=True)["data"]


def test_marks_say_who_and_why_and_stand_where_they_belong() -> None:
    approved = ApprovalApproved(
        via="approve",
        step="approval",
        attempt=1,
        binding=D,
        view=D,
        nonce="n",
        expires_us=1,
        comment="<b>fine</b>",
        groups=(),
    )
    decided = GateDecided(
        step="canary-10", attempt=1, action="hold", rule=7, reason="too many errors", t_ms=5_000,
        ticks=1, evidence=D,
    )  # fmt: skip
    log = (
        recorded(approved, -900, "bob.smith"),
        recorded(StageApplied(step="canary-10", attempt=1, plan=D, changed=2, noop=0), 0),
        recorded(replace(decided, step="canary-50"), 2, "engine"),
        recorded(decided, 2, "engine"),
        recorded(RunPaused(via="pause", pause_reason="manual", reason="incident 7"), 3),
        recorded(RunResumed(via="resume", reason="over"), 4),
    )
    shown = drawn(course(*[tick(n) for n in range(1, 6)]), *log)
    assert [mark.kind for mark in shown.marks] == [
        "approval", "applied", "decision", "pause", "resume",
    ]  # fmt: skip
    first = shown.marks[0]
    assert first.early and first.ts_us == at_us(-900) and shown.span_us[0] <= first.at_us
    assert "bob.smith" in first.head
    assert shown.marks[3].text == "incident 7"
    figure = charts_stage.stage(shown, dark=False)
    lane = next(trace for trace in figure["data"] if trace["yaxis"] == "y")
    assert "&lt;b&gt;fine" in lane["customdata"][0] and "<b>fine" not in lane["customdata"][0]


def test_no_two_kinds_of_mark_share_a_sign_and_every_colour_is_there() -> None:
    signs = [sign for sign, _, _ in MARKS.values()]
    assert len(set(signs)) == len(signs)
    for theme in (charts.LIGHT, charts.DARK):
        assert {colour for _, colour, _ in MARKS.values()} <= set(theme)
    assert set(charts.LIGHT) == set(charts.DARK)


@pytest.mark.parametrize("dark", [False, True])
def test_all_strips_and_the_map_share_one_time_axis(house: House, dark: bool) -> None:
    run = house.services.service.run(house.canary)
    step = run.step("canary-10")
    seen = house.services.live.stage(run, step)
    assert seen is not None
    shown = series(seen, (), burns(seen.course, (), changed_us=0))
    above = charts_stage.stage(shown, dark=dark)["layout"]
    below = heatmap.targets(heat(run, seen.course), shown.span_us, dark=dark)["layout"]
    assert above["xaxis"]["range"] == below["xaxis"]["range"]
    assert above["margin"]["l"] == below["margin"]["l"]
    domains = sorted(above[f"yaxis{n}" if n > 1 else "yaxis"]["domain"] for n in range(1, 8))
    for (_, top), (bottom, _) in pairwise(domains):
        assert top < bottom


def test_the_height_does_not_depend_on_what_is_known() -> None:
    little, much = course(tick(1, status="nodata")), course(*[tick(n) for n in range(1, 90)])
    heights = {charts_stage.stage(drawn(c), dark=False)["layout"]["height"] for c in (little, much)}
    assert len(heights) == 1


# --- the map ------------------------------------------------------------------------------------


def with_targets(run: Run, count: int, cohort: int) -> Run:
    names = tuple(f"t-{n:03d}" for n in range(1, count + 1))
    first = run.targets[0]
    return replace(
        run,
        targets=tuple(replace(first, target=name) for name in names),
        cohorts=(StageCohort(step="canary-10", targets=names[:cohort]),),
    )


def test_missing_is_not_unhealthy_and_silence_is_missing_everywhere(house: House) -> None:
    run = with_targets(house.services.service.run(house.canary), 4, 2)
    found = course(
        tick(1, targets={"t-001": True, "t-002": None}),
        tick(2, targets={"t-001": False}),
        tick(3, status="nodata"),
        resume(30),
        tick(31, targets={"t-001": True, "t-002": True}),
    )
    shown = heat(run, found)
    assert shown.targets == ("t-001", "t-002", "t-003", "t-004")
    assert shown.states[0] == (HEALTHY, UNHEALTHY, MISSING, None, HEALTHY)
    assert shown.states[1] == (MISSING, MISSING, MISSING, None, HEALTHY)
    assert shown.states[2] == (NOT_YET, NOT_YET, NOT_YET, None, NOT_YET)
    assert len(shown.edges_us) == len(shown.middles_us) + 1 == 6
    told = heat_text(shown, 2)
    assert "unhealthy at times: t-001;" in told and "t-001, t-002" in told


def test_the_four_states_differ_in_lightness_and_the_sick_ones_in_sign() -> None:
    for dark in (False, True):
        shades = [_lightness(shade) for shade in heatmap.SHADES[dark].values()]
        assert all(abs(a - b) > 0.06 for i, a in enumerate(shades) for b in shades[i + 1 :]), shades
    assert len({sign for sign, _ in heatmap.SIGNS.values()}) == 2
    assert set(heatmap.SIGNS) == {MISSING, UNHEALTHY}


def _lightness(colour: str) -> float:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2


def test_two_hundred_targets_are_all_there_the_odd_ones_first(house: House) -> None:
    run = with_targets(house.services.service.run(house.canary), 240, 200)
    names = [t.target for t in run.targets[:200]]
    found = course(
        *[tick(n, targets=dict.fromkeys(names, True) | {"t-150": n % 9 != 0}) for n in range(1, 61)]
    )
    shown = heat(run, found)
    assert shown.targets[0] == "t-150" and shown.targets[-1] == "40 targets more"
    assert len(shown.targets) == 201
    figure = heatmap.targets(shown, shown.edges_us[:2], dark=False)
    signs = [trace for trace in figure["data"] if trace["type"] == "scatter"]
    assert [len(trace["x"]) for trace in signs] == [6]
    assert figure["layout"]["height"] < 1_200


@pytest.mark.parametrize(("log10", "text"), [(0.83, "6.8"), (2.5, "316"), (31.2, "10^31")])
def test_evidence_as_people_read_it(log10: float, text: str) -> None:
    assert e_text(log10) == text


def test_a_judge_of_planned_looks_is_told_in_a_sentence() -> None:
    criteria = replace(DEFAULT_CRITERIA, method="group_sequential")
    shown = drawn(course(*[tick(n) for n in range(1, 40)], criteria=criteria))
    assert shown.evidence == ()
    assert "group sequential at planned looks" in shown.evidence_missing
    assert "z " in shown.evidence_missing and "needed at look" in shown.evidence_missing


@pytest.mark.parametrize("method", ["anytime", "group_sequential", "mann_whitney", "threshold"])
@pytest.mark.parametrize("slow_over_ms", [0, 250])
def test_words_fit_a_phone_and_have_room_above_their_strips(method: str, slow_over_ms: int) -> None:
    criteria = replace(DEFAULT_CRITERIA, method=method, slow_over_ms=slow_over_ms)
    shown = drawn(course(*[tick(n) for n in range(1, 40)], criteria=criteria))
    for one in (shown, replace(shown, by_minute=True)):
        layout = charts_stage.stage(one, dark=False)["layout"]
        titles = [a for a in layout["annotations"] if a["text"].startswith("<b>")]
        assert len(titles) == 6
        for note in layout["annotations"]:
            lines = [re.sub("<[^>]*>", "", line) for line in note["text"].split("<br>")]
            assert max(map(len, lines)) <= (58 if note in titles else 48), lines
        inside_px = layout["height"] - layout["margin"]["t"] - layout["margin"]["b"]
        strips = [layout[f"yaxis{n}"]["domain"] for n in range(2, 8)]
        above = [layout["yaxis"]["domain"][0], *(bottom for bottom, _ in strips)]
        for note, (_, top), ceiling in zip(titles, strips, above, strict=False):
            assert note["y"] == top
            lines_px = 16 * (note["text"].count("<br>") + 1)
            assert (ceiling - top) * inside_px >= lines_px, "a title over another strip"


def test_nothing_moves_while_the_stage_is_followed() -> None:
    heights = {
        charts_stage.stage(drawn(course(*[tick(n) for n in range(1, last)])), dark=False)["layout"][
            "height"
        ]
        for last in (2, 3, 10, 61)
    }
    assert len(heights) == 1


@pytest.mark.parametrize("method", ["group_sequential", "mann_whitney"])
def test_planned_looks_are_drawn_against_their_boundary(method: str) -> None:
    criteria = replace(DEFAULT_CRITERIA, method=method)
    polls = [tick(n, errors=2 if n < 30 else 40) for n in range(1, 70)]
    found = course(*polls, criteria=criteria)
    sealed = found.evidence["judge"]["looks"]
    assert found.last.action == "rollback"
    curve = drawn(found).curve
    assert curve is not None and curve.suspect is not None and curve.stepped
    first = [at_us(look["t_ms"] // POLL_MS) for look in sealed]
    assert curve.times_us == (*first, found.last.ts_us)
    assert curve.lines[0].name == "worse than baseline"
    for values, name in ((curve.lines[0].values, "z"), (curve.rollback.values, "line")):
        told = [look[name] if name == "line" else look["z"]["errors_relative"] for look in sealed]
        assert values == (*(float(one) for one in told), float(told[-1]))
    over = max(line.values[-1] or 0.0 for line in curve.lines)
    assert over >= (curve.rollback.values[-1] or 0.0) > 0
    assert f"look {sealed[-1]['look']} of 5" in curve.lines[0].texts[-1]
    figure = charts_stage.stage(drawn(found), dark=True).to_plotly_json()
    stepped = [t for t in figure["data"] if t.get("line", {}).get("shape") == "hv"]
    assert len(stepped) == len(curve.lines) + 2


def test_a_plain_threshold_draws_the_rate_of_its_window() -> None:
    criteria = replace(DEFAULT_CRITERIA, method="threshold")
    polls = [tick(n, errors=2 if n < 5 else 40, status="error" if n == 3 else "ok")
             for n in range(1, 12)]  # fmt: skip
    found = course(*polls, criteria=criteria)
    curve = drawn(found).curve
    assert curve is not None and curve.suspect is None
    canary, baseline = curve.lines
    last = found.last
    assert canary.values[-1] == 100 * last.window.errors / last.window.requests
    assert baseline.values[-1] == 100 * 18 / 4_500
    assert canary.values[2] is None and baseline.values[2] is None
    assert set(curve.rollback.values) == {1.0}


def test_the_sequential_judge_keeps_its_evidence() -> None:
    shown = drawn(course(*[tick(n) for n in range(1, 10)]))
    assert shown.curve is None and shown.evidence
