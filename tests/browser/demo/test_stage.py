"""The Deploy Stage page while a stage is being watched: it moves, and nothing jumps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser
Visit = Callable[..., Watched]
# Marks of the page's layout: where each part begins and how high it is.
_LAYOUT = """() => ['stPlotlyChart', 'stBidiComponent', 'stHeading'].flatMap((name) =>
    [...document.querySelectorAll(`[data-testid=${name}]`)].map((node) => {
        const box = node.getBoundingClientRect();
        return `${name} ${Math.round(box.top + window.scrollY)} ${Math.round(box.height)}`;
    }))"""
_POLLS = """() => Math.max(0, ...[...document.querySelectorAll('.js-plotly-plot')]
    .flatMap((plot) => plot.data.map((trace) => trace.x ? trace.x.length : 0)))"""


def test_charts_grow_with_every_poll_and_nothing_below_them_moves(visit: Visit) -> None:
    watched = visit("/stage?run=run-1&step=canary-10", height=2600)
    page = watched.page
    # Drawn from the first tick on.
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(2, timeout=120_000)
    expect(page.get_by_text("replay to the same answers")).to_be_visible()
    page.evaluate("window.sameDocument = true")
    page.wait_for_function(f"() => ({_POLLS})() > 0")
    polls, layout = page.evaluate(_POLLS), page.evaluate(_LAYOUT)
    page.wait_for_function(f"(before) => ({_POLLS})() >= before + 3", arg=polls, timeout=60_000)
    assert page.evaluate("window.sameDocument") is True
    assert page.evaluate(_LAYOUT) == layout
    watched.clean()


def test_every_picture_is_told_in_words_and_the_table_can_be_sorted(visit: Visit) -> None:
    watched = visit("/stage?run=run-1&step=canary-10", width=1280)
    page = watched.page
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(2, timeout=120_000)
    told = page.evaluate(
        "() => [...document.querySelectorAll('[data-testid=stPlotlyChart][aria-label]')]"
        ".map((node) => node.getAttribute('aria-label')).join(' ')"
    )
    assert "rollback from" in told and "poll" in told
    expect(page.get_by_role("progressbar", name="Criteria held")).to_be_visible()
    expect(page.get_by_role("link", name="Open Platform Health")).to_be_visible()
    first = page.locator("tbody tr").first
    expect(first).to_contain_text("eu-prod-01")
    by_target = page.get_by_role("columnheader", name="Target")
    by_target.get_by_role("button").click()
    expect(by_target).to_have_attribute("aria-sort", "descending")
    expect(first).to_contain_text("eu-prod-10")
    watched.clean()
