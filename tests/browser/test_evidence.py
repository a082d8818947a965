"""The evidence pages in a real browser: lists that lead on, a graph for eyes and for readers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Product, Watched

pytestmark = pytest.mark.browser
Visit = Callable[..., Watched]
_OVERFLOW = "() => { const m = document.querySelector('[data-testid=stMain]'); \
return m.scrollWidth - m.clientWidth; }"


def test_a_proof_chain_is_read_by_eye_by_key_and_by_a_reader(visit: Visit) -> None:
    watched = visit("/proof-chains")
    page = watched.page
    page.get_by_role("link", name="run-1", exact=True).click()
    chain = page.get_by_role("list", name="Proof chain of run-1")
    expect(chain).to_be_visible()
    links = chain.get_by_role("link")
    first = links.first
    expect(first).to_have_text("Inputs")
    expect(first).to_have_attribute("href", "/evidence-item?run=run-1&item=1")
    first.focus()
    page.keyboard.press("ArrowDown")
    expect(links.nth(1)).to_be_focused()
    expect(chain.get_by_text("gate-eval · rests on 1", exact=True)).to_be_visible()
    # The wire between the two lights up beside the words that say the same.
    expect(page.locator("path.edge.on").first).to_be_attached()
    watched.clean()


def test_a_file_is_compared_without_leaving_the_browser(visit: Visit, tmp_path: Path) -> None:
    watched = visit("/exports?run=run-1")
    page = watched.page
    foreign = tmp_path / "audit-pack.tar.gz"
    foreign.write_bytes(b"not one of ours")
    page.locator("input[type=file]").set_input_files(foreign)
    expect(page.get_by_text("nothing in this house has that digest")).to_be_visible()
    box = page.get_by_role("textbox", name="Or its SHA-256")
    expect(box).to_have_value(f"sha256:{hashlib.sha256(foreign.read_bytes()).hexdigest()}")
    watched.clean()


def test_every_page_fits_a_telephone(visit: Visit, product: Product) -> None:
    watched = visit("/", width=390, height=844)
    page = watched.page
    for path, title in (
        ("/evidence-packets", "Packets"),
        ("/proof-chains?run=run-1", "Proof chain of run-1"),
        ("/exports", "Export centre"),
        ("/auditor-bundle", "Auditor bundle"),
        ("/drill", "Break-it drill"),
    ):
        page.goto(product.url + path)
        expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
        expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
        assert page.evaluate(_OVERFLOW) <= 0, path
    watched.clean()
