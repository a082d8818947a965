"""The evidence pages in a real browser: lists that lead on, a graph for eyes and for readers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
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


def test_a_flipped_byte_is_a_red_banner_on_its_run_within_one_sweep(
    visit: Visit, product: Product
) -> None:
    def api(method: str, path: str) -> Any:
        answer = httpx.request(
            method, f"{product.url}/api/v1{path}", headers=product.token(), timeout=120
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    first = api("GET", "/runs/run-1/evidence")["items"][0]
    file = next(one for one in first["files"] if one["name"].endswith(".sigstore.json"))
    digest = file["digest"].removeprefix("sha256:")
    path = product.home / "blobs" / digest[:2] / digest
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + b"?" + whole[-4:])
    watched = visit("/run?run=run-1")
    page = watched.page
    title = page.get_by_text("1 stored file is damaged", exact=True)
    try:
        assert not api("POST", "/fsck")["ok"]
        page.reload()
        expect(title).to_be_visible()
        told = page.get_by_role("alert").filter(has=title)
        expect(told).to_contain_text("blob.sha256")
        expect(told).to_contain_text(digest)
        page.goto(f"{product.url}/platform-health")
        expect(page.get_by_text("1 stored file is damaged.").first).to_be_visible()
    finally:
        path.write_bytes(whole)
    api("POST", "/fsck")
    page.goto(f"{product.url}/run?run=run-1")
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    expect(title).to_have_count(0)
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
