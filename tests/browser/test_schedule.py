"""Somebody schedules a promotion in a browser, sees it start by itself, and finds it told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from engine import wiring
from engine.home import read_server_file
from engine.homes import create_home
from engine.settings import read_settings
from tests.browser.conftest import Watched, watch
from tests.journeys.product import ROOT, environment, free_port, marked, wait_for
from tests.pages import kit

pytestmark = pytest.mark.browser

PASS = "correct horse"
SIZES = ((1280, 900), (1920, 1080))


@dataclass(frozen=True)
class Ready:
    """A server on a home with one promotion that succeeded; `link` signs ana.li in once."""

    url: str
    link: str


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    folder = tmp_path_factory.mktemp("ready")
    home, port = folder / "home", free_port()
    create_home(home, passphrase=PASS)
    services = wiring.build(read_settings(home), passphrase=PASS)
    kit.succeeded(services, kit.bundle(services, folder, "1.3.0"))
    link = services.identity.create_link(kit.OPERATOR, actor="test")
    services.stop()
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "serve", "--home", str(home), "--port", str(port)],
        cwd=ROOT,
        env=environment(RELEASELINE_KEY_PASSPHRASE=PASS),
        stdout=(folder / "out.log").open("w"),
        stderr=subprocess.STDOUT,
    )
    try:
        wait_for("the server", lambda: read_server_file(home) and True, timeout_s=240)
        yield Ready(url=f"http://127.0.0.1:{port}", link=link)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        for pid in marked(folder):  # a stopped server leaves its routers serving
            os.kill(pid, signal.SIGKILL)


def signed_in(browser: Browser, ready: Ready) -> Watched:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, timezone_id="Europe/Sofia"
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{ready.url}/first-run#{ready.link}")
    page.wait_for_url(f"{ready.url}/")
    return watch(page, ready.url)


def test_a_promotion_is_scheduled_looked_at_and_cancelled(
    browser: Browser, ready: Ready, tmp_path: Path
) -> None:
    shots = Path(os.environ.get("RELEASELINE_SHOTS", str(tmp_path)))
    watched = signed_in(browser, ready)
    page = watched.page
    page.goto(f"{ready.url}/run?run=run-1")
    page.get_by_role("link", name="Schedule this bundle").click()
    expect(page.get_by_role("heading", name="Schedule promotion")).to_be_visible()
    # The zone of whoever looks, and what the form begins with.
    expect(page.get_by_text("once on").first).to_be_visible()
    expect(page.get_by_text("at 02:00 Europe/Sofia, for 2 h").first).to_be_visible()
    expect(page.get_by_text("Next window opens in").first).to_be_visible()
    for width, height in SIZES:
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(600)
            page.screenshot(path=shots / f"form-{width}-{theme}.png", full_page=True)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"the form is {wide} px wide at {width}"
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Create schedule").click()
    expect(page.get_by_role("heading", name="schedule-1")).to_be_visible()
    expect(page.get_by_text("Preconditions of run-2 now")).to_be_visible()
    expect(page.get_by_text("Feeds fresh").first).to_be_visible()
    page.emulate_media(color_scheme="light")
    page.wait_for_timeout(600)
    page.screenshot(path=shots / "schedule.png", full_page=True)

    page.get_by_role("link", name="Open run-2").click()
    expect(page.get_by_text("Waits for its window").first).to_be_visible()
    page.get_by_role("link", name="Open schedule-1").click()
    reason = page.get_by_role("textbox", name="Reason (required, goes on record)")
    reason.fill("not this night")
    reason.blur()
    page.get_by_role("button", name="Cancel schedule").click()
    expect(page.get_by_text("It fires no more.")).to_be_visible()
    page.get_by_role("link", name="Open scheduler runs").click()
    expect(page.get_by_role("heading", name="Scheduler runs")).to_be_visible()
    expect(page.get_by_text("not this night").first).to_be_visible()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_timeout(600)
        page.screenshot(path=shots / f"ticks-{theme}.png", full_page=True)
    watched.clean()
    page.context.close()
