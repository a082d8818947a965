"""Three journeys through the console, in a real browser, on the demo while it plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Product, Watched, watch

pytestmark = pytest.mark.browser
Visit = Callable[..., Watched]
PAGES = {
    "list": "/",
    "run": "/run?run=run-1",
    "stage": "/stage?run=run-1&step=canary-10",
    "step": "/step?run=run-1&step=gate-eval",
    "rollback": "/rollback?run=run-1",
    "reviews": "/reviews",
    "back-test": "/backtest",
    "timeline": "/evidence?run=run-1",
    "packets": "/evidence-packets",
    "proof-chains": "/proof-chains",
    "exports": "/exports",
    "dead-letter": "/dead-letter",
}
READY = ".rl, .stMain h1, .stMain h2"  # drawn by us, or a page's own title


def status(page: Page) -> str:
    return page.locator(".hd .pill").inner_text()


def test_sign_in_look_around_and_come_back(
    visit: Visit, browser: Browser, product: Product, signed_in: Path
) -> None:
    again = browser.new_context().new_page()
    again.goto(product.link)
    expect(again.get_by_role("heading")).to_have_text("This link does not work", timeout=30_000)
    again.goto(f"{product.url}/run?run=run-1")
    expect(again.get_by_role("heading")).to_have_text("You are not signed in")
    again.context.close()

    watched = visit("/")
    page = watched.page
    page.get_by_role("button", name="Open run-1").click()
    expect(page.locator(".rail li")).to_have_count(8)
    page.get_by_role("button", name="View Gate Eval").click()
    expect(page.get_by_role("heading", name="Gate Eval (Policy)")).to_be_visible()
    page.get_by_role("tab", name="Logs").click()
    expect(page.get_by_role("link", name="Download").first).to_be_visible()
    page.get_by_role("tab", name="Evidence").click()
    expect(page.get_by_text("policy-decision.dsse")).to_be_visible()
    page.get_by_role("tab", name="Artifacts").click()
    expect(page.get_by_text("Policy input", exact=True)).to_be_visible()
    page.go_back()
    expect(page.locator(".rail li")).to_have_count(8)
    watched.clean()

    deep = visit("/step?run=run-1&step=gate-eval")
    expect(deep.page.get_by_text("Signed in as")).to_be_visible()
    expect(deep.page.get_by_role("heading", name="Gate Eval (Policy)")).to_be_visible()
    deep.clean()


def test_the_run_moves_without_a_reload_and_the_keyboard_leads_through_it(visit: Visit) -> None:
    watched = visit("/run?run=run-1")
    page = watched.page
    rows = page.locator("ol .row")
    expect(rows).to_have_count(8)
    page.evaluate("window.sameDocument = true")
    running = page.locator('[aria-current="step"]')
    expect(running).to_have_count(1)
    first = running.inner_text()
    page.wait_for_function(
        "(before) => [...document.querySelectorAll('*')].some((host) => host.shadowRoot &&"
        " [...host.shadowRoot.querySelectorAll('[aria-current=step]')]"
        ".some((row) => row.innerText !== before))",
        arg=first,
        timeout=60_000,
    )
    assert page.evaluate("window.sameDocument") is True

    views = page.locator("ol .view")
    views.nth(0).focus()
    page.keyboard.press("ArrowDown")
    expect(views.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(views.nth(7)).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Inputs Materialized")).to_be_visible()
    watched.clean()


def test_pause_with_a_reason_resume_and_look_at_the_way_back(visit: Visit) -> None:
    watched = visit("/run?run=run-1")
    page = watched.page
    # The stage's card is there when its targets are set and their health is being watched.
    expect(page.locator(".card .bar")).to_be_visible(timeout=120_000)
    page.get_by_role("button", name="Pause…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Pause", exact=True).click()
    expect(dialog.get_by_text("A reason is required")).to_be_visible()
    dialog.get_by_role("textbox").fill("incident 1234: elevated latency")
    dialog.get_by_role("textbox").blur()
    dialog.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator(".hd .pill")).to_contain_text("PAUSED")
    expect(page.get_by_text("On record")).to_be_visible()
    expect(page.get_by_text("incident 1234: elevated latency").first).to_be_visible()

    # While the page is being drawn anew the old row stands beside the new one for a moment.
    expect(page.get_by_role("button", name="Roll back…")).to_have_count(1)
    expect(page.get_by_role("button", name="Roll back…")).to_be_enabled()
    page.get_by_role("button", name="Roll back…").click()
    expect(page.get_by_role("heading", name="Rollback / Re-run")).to_be_visible()
    expect(page.get_by_text("now on the new bundle")).to_be_visible()
    expect(page.get_by_text("still on the old bundle → unchanged")).to_be_visible()
    expect(page.get_by_text("The way back is open")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()

    page.get_by_role("button", name="Resume…").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator(".hd .pill")).to_contain_text("RUNNING")
    watched.clean()


@pytest.mark.long
def test_pages_fit_every_screen_in_both_themes(
    visit: Visit, product: Product, tmp_path: Path
) -> None:
    """One browser for all of it, as a person has one: what it keeps is not fetched again."""
    watched = visit("/")
    page = watched.page
    for width, dark in ((390, True), (1280, False), (1920, True)):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if dark else "light")
        for name, path in PAGES.items():
            page.goto(product.url + path)
            page.locator(READY).first.wait_for()
            page.wait_for_timeout(400)
            too_wide = page.evaluate(
                "() => document.documentElement.scrollWidth - window.innerWidth"
            )
            assert too_wide <= 0, (name, width)
            page.screenshot(path=str(tmp_path / f"{name}-{width}.png"))
            watched.clean()


def test_a_page_of_another_browser_is_watched_too(browser: Browser, product: Product) -> None:
    """The watch itself: a console error on a page is seen."""
    watched = watch(browser.new_page(), product.url)
    watched.page.goto(f"{product.url}/signed-out")
    watched.page.evaluate("console.error('seen')")
    watched.page.wait_for_timeout(100)
    assert watched.wrong
    watched.page.close()
