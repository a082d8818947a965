"""The section of SBOM rescans, and what its rows say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from streamlit.testing.v1 import AppTest

from engine.child import Progress
from engine.core.data_health import Level
from engine.core.digest import Digest
from engine.core.rescan_events import BundleRescan
from engine.rescans_read import RescansNow, TryRow, look
from pages.ui import rescans_models, words
from tests.pages.reading import House, asker, texts

PAGE = "operations/feeds.py"
NOW_US = 1_772_000_000_000_000
BUNDLE = BundleRescan(
    bundle=Digest.of(b"a"), label="shop 1.0.0", packages=12, findings=Digest.of(b"k"), known=7,
    kev=1, compared=True, new=6, gone=0, named=("CVE-1 pkg:pypi/a@1", "CVE-2 pkg:pypi/a@1"),
    unread=2,
)  # fmt: skip
DONE = TryRow(
    number=3, at_us=NOW_US - 60_000_000, by="engine", cause="snapshot", word="FINISHED", code="",
    text="1 bundle: 6 findings new, 0 gone.", took_ms=1_200, snapshots=(), bundles=(BUNDLE,),
    failed=(),
)  # fmt: skip
FAILED = replace(DONE, number=4, word="FAILED", code="worker", text="1 of 1 bundles", bundles=())
NOW = RescansNow(
    level=Level.WARN, text="SBOM rescan failed (worker): 1 of 1 bundle",
    reason="its process ended with -9: silent", since_us=NOW_US - 3_600_000_000,
    blocks=("news of flaws in eu-prod",), bundles=1, missing=1, retry_us=NOW_US + 30_000_000,
    progress=None, tries=(FAILED, DONE),
)  # fmt: skip


def test_the_sentence_says_what_is_wrong_since_when_and_what_comes_next() -> None:
    assert rescans_models.sentence(NOW, NOW_US) == (
        "SBOM rescan failed (worker): 1 of 1 bundle since Feb 25, 05:13:20 UTC: its process ended "
        "with -9: silent. Tried again in 30 s."
    )
    doing = Progress(what="matching", done=3, of=12, unit="bundles")
    under_way = replace(NOW, progress=doing, retry_us=None)
    assert rescans_models.sentence(under_way, NOW_US).endswith("Now: matching: 3 of 12 bundles.")
    nothing = replace(NOW, level=Level.OK, bundles=0, reason="", since_us=None, retry_us=None)
    assert "has an SBOM" in rescans_models.sentence(nothing, NOW_US)


def test_rows_name_what_is_new_and_never_call_a_first_match_new() -> None:
    (row,) = rescans_models.bundles(NOW.tries)
    assert row["tone"] == "warn"
    new = row["cells"][3]
    assert new == {"text": "6", "sub": "CVE-1 pkg:pypi/a@1, CVE-2 pkg:pypi/a@1 and 4 more"}
    first = replace(DONE, bundles=(replace(BUNDLE, compared=False, new=0, named=()),))
    (row,) = rescans_models.bundles((first,))
    assert row["cells"][3] == {"text": "–", "sub": "nothing to compare with"}
    failed, done = rescans_models.rows(NOW.tries)
    assert failed["tone"] == "err" and done["tone"] == ""
    assert failed["cells"][2]["look"]["word"] == "FAILED"


def test_the_page_has_the_section_and_the_banner_leads_to_it(
    visit: Callable[..., AppTest], house: House
) -> None:
    at = visit(PAGE)
    assert not at.exception
    heads = [one.value for one in at.subheader]
    assert heads == ["History", "SBOM rescans", "Without a network"]
    rescans = house.services.rescans
    told = rescans_models.sentence(look(rescans), house.services.clock.now_us())
    assert words.plain(told) in texts(at)
    button = next(one for one in at.button if one.key == "rescans.now")
    assert button.disabled == (rescans.why_not(asker()) is not None)
    assert at.get("link_button")[0].proto.url == "/api/v1/feeds/export"
    assert house.services.feed_files.key.rstrip() in [one.value for one in at.code]
    heads = [one.value for one in visit(PAGE, job="rescans").subheader]
    assert heads[0] == "SBOM rescans"
