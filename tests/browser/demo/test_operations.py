"""Operations in a real browser: a rescan by hand, what the engine works on, and feeds as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser


def test_a_rescan_by_hand_is_seen_where_jobs_are_and_feeds_go_round_as_a_file(
    visit: Callable[..., Watched], tmp_path: Path
) -> None:
    watched = visit("/feeds?job=rescans", width=1280)
    page = watched.page
    page.get_by_role("button", name="Rescan now").click()
    # Its process reads the feeds first, beside a demo that plays.
    expect(page.get_by_text("FINISHED").first).to_be_visible(timeout=90_000)
    expect(page.get_by_text("asked for").first).to_be_visible()

    with page.expect_download() as coming:
        page.get_by_role("link", name="Export").last.click()
    file = tmp_path / "feeds.tar.gz"
    coming.value.save_as(str(file))
    page.get_by_role("button", name="Import").click()
    page.locator("input[type=file]").set_input_files(str(file))
    take = page.get_by_role("button", name="Check and take in")
    expect(take).to_be_enabled()
    take.click()
    expect(page.get_by_text("Everything in the file is in force already.")).to_be_visible()
    watched.clean()

    page.goto(page.url.split("/feeds")[0] + "/orchestrator")
    row = page.locator("tr", has_text="SBOM rescan")
    expect(row).to_contain_text("findings new")
    expect(page.get_by_role("cell", name="run-1").first).to_be_visible()
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Feeds & jobs")).to_be_visible()

    page.goto(page.url.split("/feeds")[0] + "/platform-health")
    expect(page.locator("tr", has_text="Commits")).to_contain_text("p95")
    for width in (390, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        wide = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, width
    watched.clean()
