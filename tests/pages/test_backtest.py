"""The back-test page: what is moved, and what it would have done; nothing before that."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from engine.backtest import backtest_runs
from engine.core.backtest import KNOBS
from pages.ui import backtest_chart, backtest_models
from tests.pages.reading import House, texts

pytestmark = pytest.mark.house

Visit = Callable[..., AppTest]
PAGE = "insights/backtest.py"


def test_nothing_is_judged_before_a_limit_is_moved(visit: Visit) -> None:
    at = visit(PAGE)
    assert not at.exception
    assert "Nothing is moved yet" in texts(at)
    assert [slider.value for slider in at.select_slider] == ["as recorded"] * 6


def test_a_moved_limit_tells_of_every_stage(visit: Visit, house: House) -> None:
    at = visit(PAGE)
    at.select_slider(key="backtest.healthy.for").set_value("1m").run()
    assert not at.exception
    said = texts(at)
    assert "judged again on their stored ticks" in said
    shown = at.dataframe[0].value
    assert house.done in set(shown["Run"])
    assert set(shown.columns) >= {"Recorded", "Would have", "Difference", "Why"}


def test_every_stop_is_one_that_a_workflow_would_take(house: House) -> None:
    for knob in backtest_models.KNOBS:
        assert knob.name in KNOBS
        assert knob.stops[0] == backtest_models.RECORDED
        for stop in knob.stops[1:]:
            try:
                backtest_runs(house.services.store, [house.done], {knob.name: stop})
            except Exception as error:  # a stop may contradict the stage, and says so
                assert "expected at least" in str(error), (knob.name, stop, error)


def test_the_picture_and_its_words_agree(house: House) -> None:
    outcomes = backtest_runs(house.services.store, [house.done], {"healthy.for": "1m"})
    figure = backtest_chart.when_decided(outcomes, dark=False)
    stages = {f"{one.past.run_id} {one.past.step}" for one in outcomes}
    assert set(figure.data[1].y) == stages
    differ = [one for one in outcomes if one.verdict != "same"]
    assert (f"{len(differ)} of " if differ else "as it did") in backtest_models.picture_text(
        outcomes
    )
