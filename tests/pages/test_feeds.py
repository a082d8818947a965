"""The page of the feeds, and what its rows say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.child import Progress
from engine.core.feeds import AgeLimits, Freshness
from engine.feeds_read import FAILED, FeedRow, Feeds, Try, who
from engine.feeds_sync import Wish
from engine.service import LOCAL_ADMIN, Asker
from pages.ui import feeds_models, words
from tests.feeds.mirror import kev
from tests.pages.reading import House, components, texts

Visit = Callable[..., AppTest]
PAGE = "operations/feeds.py"
NOW_US = 1_772_000_000_000_000

TRY = Try(
    name="OSV",
    at_us=NOW_US - 60_000_000,
    by="ana.li",
    source="https://a/osv",
    word="NEW DATA",
    text="2 records: 2 added; fetched whole.",
    code="",
    digest="sha256:" + "ab" * 32,
    as_of_s=1_771_990_000,
    took_ms=1_200,
    bytes_read=2_000_000,
    problems=(),
    checked_by="",
)
ROW = FeedRow(
    name="OSV",
    word=Freshness.STALE,
    level="WARN",
    as_of_s=1_771_990_000,
    age_s=10_000,
    limits=AgeLimits(warn_s=3_600, fail_s=86_400, required=True),
    digest=TRY.digest,
    kept="synced",
    source="https://a/osv",
    configured=True,
    records=2,
    withdrawn=1,
    unreadable=0,
    problems=(),
    checked_by="",
    tried=TRY,
    progress=None,
    next_sync="not scheduled",
)


def cells(row: FeedRow) -> list[dict[str, object]]:
    (made,) = feeds_models.rows(Feeds(rows=(row,)), NOW_US)
    found: list[dict[str, object]] = made["cells"]
    return found


def test_a_row_says_how_old_it_is_and_how_old_it_may_be() -> None:
    feed, state, age, snapshot, last, following = cells(ROW)
    assert feed["text"] == "OSV" and feed["href"] == "/feeds?feed=OSV"
    assert state["look"]["word"] == "STALE"  # type: ignore[index]
    assert age["text"] == "2 h 46 m old"
    assert age["sub"] == "warns after 1 h, fails after 1 d"
    assert age["bar"] == {
        "share": 12,
        "mark": 4,
        "tone": "warn",
        "label": "2 h 46 m old; warns after 1 h, fails after 1 d",
    }
    assert snapshot["sub"] == "as of 2026-02-25 03:26 UTC · 2 records, 1 withdrawn"
    assert last["sub"] == "1 m 00 s ago"
    assert following == {"text": "not scheduled", "sub": "by hand: Sync now"}


def test_what_is_not_known_is_said_and_never_looks_fresh() -> None:
    nothing = replace(
        ROW, word=Freshness.MISSING, as_of_s=None, age_s=None, digest="", tried=None, kept=""
    )
    _, state, age, snapshot, last, _ = cells(nothing)
    assert state["look"]["tone"] == "warn"  # type: ignore[index]
    assert (age["text"], age["bar"], snapshot["text"]) == ("No snapshot", None, "–")
    assert last["text"] == "never synced"
    unlimited = replace(ROW, word=Freshness.NO_LIMIT, limits=None)
    assert cells(unlimited)[2]["sub"] == "no limit, so nobody can call it fresh"
    assert words.FEED[Freshness.NO_LIMIT].tone == "idle"
    by_hand = replace(ROW, records=None, withdrawn=None)
    assert "put there by hand, not counted" in str(cells(by_hand)[3]["sub"])
    assert set(words.FEED) == set(Freshness)


def test_a_failure_and_a_sync_under_way_are_in_the_row() -> None:
    failed = replace(ROW, tried=replace(TRY, word=FAILED, text="status 500", code="unreachable"))
    assert cells(failed)[4]["sub"] == "1 m 00 s ago. status 500"
    archive = Progress(what="all.zip", done=1_500_000, of=3_000_000, unit="bytes")
    going = replace(ROW, progress=archive)
    assert cells(going)[4]["sub"] == "all.zip: 1.5 of 3.0 MB"
    assert feeds_models.progress_text(Progress()) == "waits for its turn"
    assert feeds_models.progress_text(Progress(what="reading")) == "reading"
    some = Progress(what="PyPI", done=3, of=0, unit="advisories")
    assert feeds_models.progress_text(some) == "PyPI: 3 advisories"


def test_limits_and_sizes_as_people_write_them() -> None:
    assert [feeds_models.whole_span(s) for s in (3_600, 172_800, 5_400, 5_401, 59)] == [
        "1 h", "2 d", "90 m", "1 h 30 m", "59 s"
    ]  # fmt: skip
    assert [feeds_models.size(n) for n in (12, 11_400, 2_480_000)] == ["12 B", "11 kB", "2.5 MB"]


def test_what_vouches_for_a_snapshot_is_said_of_that_snapshot() -> None:
    def checked(**change: str) -> str:
        row = replace(ROW, **change)  # type: ignore[arg-type]  # fields by name
        return dict(feeds_models.facts(row))["Checked by"]

    assert checked() == "nothing but the connection"
    assert checked(checked_by="SHA256SUMS") == "SHA256SUMS"
    assert checked(kept="folder") == checked(source="/srv/osv") == "nothing: files in a folder"


def test_one_sentence_on_all_of_them() -> None:
    fresh = replace(ROW, name="KEV", word=Freshness.FRESH)
    assert feeds_models.summary(Feeds(rows=(fresh, ROW))) == "1 of 2 feeds fresh; OSV stale."
    assert feeds_models.summary(Feeds(rows=(fresh,))) == "1 of 1 feed fresh."


@pytest.mark.house
def test_the_page_tells_every_feed(visit: Visit, house: House) -> None:
    at = visit(PAGE)
    assert not at.exception
    said = texts(at)
    assert "2 of 4 feeds fresh; EPSS missing, NVD stale." in said
    assert "Nothing was synced yet." in said
    rows = components(at)["ledger"]["rows"]
    names = [row["cells"][0]["text"] for row in rows]  # type: ignore[index,union-attr]
    assert names == ["EPSS", "KEV", "NVD", "OSV"]
    button = at.button(key="feeds.sync")
    assert button.disabled and "No feed has a source" in str(button.help)


@pytest.mark.house
def test_what_was_tried_is_on_the_page_of_the_feed(
    visit: Visit, house: House, tmp_path: Path
) -> None:
    feeds = house.services.feeds
    (tmp_path / "ghsa").mkdir()
    (tmp_path / "ghsa" / "X.json").write_bytes(kev("CVE-1"))
    person = who(house.services.settings, Asker(user=LOCAL_ADMIN))
    feeds.sync(Wish(names=("GHSA",), origin=str(tmp_path)), person)
    feeds.wait()
    at = visit(PAGE, feed="GHSA")
    assert not at.exception
    said = texts(at)
    assert "1 sync, newest first" in said and "expected a non-empty text" in said
    assert "Nothing was synced yet." in texts(visit(PAGE, feed="KEV"))
    # An address that names no feed shows them all.
    assert "of 5 feeds fresh" in texts(visit(PAGE, feed="NONE"))
