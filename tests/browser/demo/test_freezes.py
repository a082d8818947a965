"""Freezes in a real browser: the line is stopped and opened again, and the environments say so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser
Visit = Callable[..., Watched]


def test_the_line_is_stopped_with_a_reason_and_opened_again(visit: Visit) -> None:
    freezes, environments = visit("/freezes"), visit("/environments")
    page, seen = freezes.page, environments.page
    # The other environment is being promoted to by the demo, and is left alone.
    rows = seen.locator("tbody tr")
    frozen = rows.filter(has_text="FROZEN")
    expect(rows).to_have_count(2)
    expect(frozen).to_have_count(0)
    page.get_by_role("button", name="Stop the line…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Environments (none: every one)").click()
    page.get_by_role("option", name="eu-stage").click()
    dialog.get_by_label("Reason (required, goes on record)").fill("incident 7")
    dialog.get_by_role("button", name="Stop the line", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("Frozen now: eu-stage")).to_be_visible()
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(1)
    # The other page has heard of it without being loaded again.
    expect(frozen).to_have_count(1)
    expect(frozen).to_contain_text("stop the line (ana.li)")

    page.get_by_label("End a freeze").click()
    page.get_by_role("option", name="stop the line").click()
    page.get_by_label("Reason (required, goes on record)").fill("solved")
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_text("No freeze is set")).to_be_visible()
    expect(frozen).to_have_count(0)
    freezes.clean()
    environments.clean()
