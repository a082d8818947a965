"""A decision asked again in a real browser: it matches; a frozen input is damaged; it is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product, Watched

pytestmark = pytest.mark.browser
Visit = Callable[..., Watched]
# A page is there in a second; on a machine that does other things as well it takes longer.
_PAGE_MS, _WORK_MS = 60_000, 120_000
_OVERFLOW = "() => { const m = document.querySelector('[data-testid=stMain]'); \
return m.scrollWidth - m.clientWidth; }"


def home_of(product: Product) -> Path:
    words = product.process.args
    assert isinstance(words, list)
    return Path(str(words[words.index("--home") + 1]))


@contextmanager
def damaged(home: Path, digest: str) -> Iterator[None]:
    """The blob's bytes are others inside the block, and the right ones again behind it."""
    [place] = list((home / "blobs").rglob(digest.removeprefix("sha256:")))
    good = place.read_bytes()
    place.chmod(0o600)
    place.write_bytes(good + b" ")
    try:
        yield
    finally:
        place.write_bytes(good)


def ask(page: Page) -> None:
    """Choose a reason and request the replay that the page is filled in with."""
    page.get_by_role("combobox", name=re.compile("Reason")).click()
    page.get_by_role("option", name="Audit verification").click()
    page.get_by_role("button", name="Request replay").click()


def test_a_verdict_replays_and_a_damaged_input_is_named(visit: Visit, product: Product) -> None:
    watched = visit("/run?run=run-1")
    page = watched.page
    page.get_by_role("button", name="View Gate Eval").click()
    expect(page.get_by_role("heading", name="Gate Eval (Policy)")).to_be_visible()
    page.get_by_role("link", name="Replay/Verify", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Replay/Verify — for this promotion", timeout=_PAGE_MS
    )
    expect(page.get_by_text("Legacy name/location")).to_be_visible()
    page.evaluate("window.sameDocument = true")
    ask(page)
    table = page.get_by_role("table", name=re.compile("Replay requests of run-1"))
    expect(table.get_by_role("link", name="rr-001")).to_be_visible(timeout=_PAGE_MS)
    # It ends while the page is looked at: no reload, and the line below counts it.
    expect(table.get_by_text("MATCH", exact=True)).to_be_visible(timeout=_WORK_MS)
    expect(table.get_by_text("COMPLETED", exact=True)).to_be_visible()
    line = "total 1 | matching 1 | mismatches 0 | running 0 | match rate 100 %"
    expect(page.get_by_text(line)).to_be_visible()
    assert page.evaluate("window.sameDocument") is True

    told = page.request.get(f"{product.url}/api/v1/verdicts/verdict-1").json()
    with damaged(home_of(product), told["rests_on"]["refs"]["components"]):
        ask(page)
        expect(table.get_by_text("MISMATCH", exact=True)).to_be_visible(timeout=_WORK_MS)
    expect(table.get_by_text("a frozen input has other bytes (components)")).to_be_visible()
    # The last draw of the live list may take the link away from under the pointer.
    for _ in range(3):
        if page.get_by_role("heading", level=1, name="rr-002").count():
            break
        table.get_by_role("link", name="rr-002").click()
        page.wait_for_timeout(3_000)
    expect(page.get_by_role("heading", level=1)).to_have_text("rr-002", timeout=_PAGE_MS)
    expect(page.get_by_text("INPUT_TAMPERED").first).to_be_visible()
    expect(page.get_by_text("components (tampered)")).to_be_visible()
    expect(page.get_by_text("What to do")).to_be_visible()

    page.goto(f"{product.url}/determinism")
    said = page.get_by_text("1 of 2 verifications did not match: a frozen input")
    expect(said).to_be_visible(timeout=_PAGE_MS)
    page.get_by_role("table", name="Causes of mismatches").get_by_role("link", name="1").click()
    expect(page).to_have_url(re.compile(r"/replay\?.*cause=INPUT_TAMPERED"), timeout=_PAGE_MS)
    expect(page.get_by_role("link", name="rr-002")).to_be_visible(timeout=_PAGE_MS)
    expect(page.get_by_role("link", name="rr-001")).to_have_count(0)
    watched.clean()


def test_the_replay_pages_fit_a_telephone(visit: Visit, product: Product) -> None:
    watched = visit("/", width=390, height=844)
    page = watched.page
    for path, title in (
        ("/replay", "Replay/Verify"),
        ("/replay-run?run=run-1", "Replay/Verify — for this promotion"),
        ("/replay-request?name=rr-002", "rr-002"),
        ("/determinism", "Determinism"),
    ):
        page.goto(product.url + path)
        expect(page.get_by_role("heading", level=1, name=title)).to_be_visible(timeout=_PAGE_MS)
        expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
        assert page.evaluate(_OVERFLOW) <= 0, path
    watched.clean()
