"""Two people approve through their browsers, and each sees the other's approval as it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Page, expect

from engine import wiring
from engine.home import read_server_file
from engine.homes import create_home
from engine.settings import read_settings
from tests.browser.conftest import Watched, watch
from tests.journeys.product import ROOT, environment, free_port, marked, wait_for
from tests.pages import approval_kit as kit

pytestmark = pytest.mark.browser

PASS = "correct horse"
PEOPLE = ("bob.smith", "carol.wu")


@dataclass(frozen=True)
class Waiting:
    """A server on a home in which run-2 waits for approval; `links`: one for each person."""

    url: str
    links: dict[str, str]


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    folder = tmp_path_factory.mktemp("waiting")
    home, port = folder / "home", free_port()
    create_home(home, passphrase=PASS)
    services = wiring.build(read_settings(home), passphrase=PASS)
    kit.feeds(services, NVD=3 * 3600, OSV=20 * 60, KEV=5 * 3600)
    kit.live(services, kit.bundle(services, folder / "1", "1.2.9", "idna@3.6", "click@8.1.7"))
    kit.waiting(services, kit.bundle(services, folder / "2", "1.3.0", "urllib3@1.26.5"))
    links = {user: services.identity.create_link(user, actor="test") for user in PEOPLE}
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
        yield Waiting(url=f"http://127.0.0.1:{port}", links=links)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        for pid in marked(folder):  # a stopped server leaves its routers serving
            os.kill(pid, signal.SIGKILL)


def signed_in(browser: Browser, waiting: Waiting, user: str) -> Watched:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{waiting.url}/first-run#{waiting.links[user]}")
    page.wait_for_url(f"{waiting.url}/")
    return watch(page, waiting.url)


def comment(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Comment").fill(text)
    page.get_by_role("textbox", name="Comment").blur()


def test_two_people_approve_and_each_sees_the_other(
    browser: Browser, waiting: Waiting, tmp_path: Path
) -> None:
    bob, carol = (signed_in(browser, waiting, user) for user in PEOPLE)
    inbox = watch(carol.page.context.new_page(), waiting.url)
    inbox.page.goto(f"{waiting.url}/approvals")
    expect(inbox.page.get_by_text("2 more of 2")).to_be_visible()
    inbox.page.evaluate("window.sameDocument = true")
    carol.page.goto(f"{waiting.url}/approval?run=run-2")
    expect(carol.page.get_by_text("new against run-1")).to_be_visible()
    comment(carol.page, "the new findings are not reachable")

    bob.page.goto(f"{waiting.url}/approvals")
    bob.page.get_by_role("link", name="Platform Release 1.3.0").click()
    expect(bob.page.get_by_role("heading", name="Approval")).to_be_visible()
    expect(bob.page.get_by_text("NVD is stale")).to_be_visible()
    comment(bob.page, "NVD is three hours old and nothing newer touches us")
    bob.page.get_by_role("button", name="Approve", exact=True).click()
    expect(bob.page.get_by_text("On record")).to_be_visible()
    expect(bob.page.get_by_role("button", name="Withdraw approval")).to_be_visible()

    # The inbox follows by itself, and the open view says what is another now.
    expect(inbox.page.get_by_text("1 more of 2")).to_be_visible()
    assert inbox.page.evaluate("window.sameDocument") is True
    expect(carol.page.get_by_text("Changed since you opened it")).to_be_visible()
    approve = carol.page.get_by_role("button", name="Approve", exact=True)
    expect(approve).to_be_disabled()
    carol.page.get_by_role("button", name="Show it as it is now").click()
    expect(carol.page.get_by_text("bob.smith approved")).to_be_visible()
    # While a page is being drawn anew the old button stands beside the new one for a moment.
    expect(approve).to_have_count(1)
    expect(approve).to_be_enabled()
    approve.click()
    expect(carol.page.get_by_text("Nobody is asked about this run now")).to_be_visible()

    expect(bob.page.get_by_text("Nobody is asked about this run now")).to_be_visible()
    expect(bob.page.get_by_text("carol.wu").first).to_be_visible()
    seen = bob.page.get_by_role("link", name="As they saw it")
    expect(seen).to_have_count(2)  # her name stands on the page before her decision does
    # By its address: a click into a page that is just being drawn anew can be lost.
    bob.page.goto(urljoin(bob.page.url, seen.last.get_attribute("href")))
    expect(bob.page.get_by_role("heading", name="What carol.wu saw")).to_be_visible()
    expect(bob.page.get_by_text("bob.smith approved")).to_be_visible()
    for one in (bob, carol, inbox):
        one.clean()
    for one in (bob, carol):
        one.page.context.close()
