"""The contract of `ports.FeedSource`, over every adapter that implements it."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.adapters.feeds_dir import FeedsDir, write_index
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.inputs.feeds import unpack_feed
from engine.ports import FeedSource

KEV = {"dateReleased": "2026-01-02T03:04:05.6789Z", "count": 0, "vulnerabilities": []}
OSV = {"id": "X-1", "modified": "2026-01-01T00:00:00Z"}
NVD = {"format": "NVD_CVE", "version": "2.0", "timestamp": "2026-01-03T00:00:00.000"}


class Shelf:
    """Feeds as somebody else keeps them, and the adapter that looks at them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source: FeedSource = FeedsDir(folder)

    def put(self, place: str, document: object) -> None:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document))

    def say(self, **as_of_s: int) -> None:
        write_index(self.folder, as_of_s)


MAKERS: list[Callable[[Path], Shelf]] = [Shelf]


@pytest.fixture(params=MAKERS, ids=["feeds_dir"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    made: Shelf = request.param(tmp_path)
    return made


def fill(shelf: Shelf) -> None:
    shelf.put("osv/PyPI/X-1.json", OSV)
    shelf.put("kev/kev.json", KEV)
    shelf.put("nvd/nvd.json", NVD)


def test_each_feed_once_sorted_by_name_and_named_by_its_bytes(shelf: Shelf) -> None:
    fill(shelf)
    found = shelf.source.snapshots()
    assert [one.name for one in found] == ["KEV", "NVD", "OSV"]
    assert all(one.digest == Digest.of(one.content) for one in found)


def test_a_feed_without_a_snapshot_is_absent(shelf: Shelf) -> None:
    assert list(shelf.source.snapshots()) == []
    shelf.put("kev/kev.json", KEV)
    shelf.say(KEV=1, NVD=2)  # the index alone makes no feed
    assert [one.name for one in shelf.source.snapshots()] == ["KEV"]


def test_the_age_is_that_of_the_source_and_never_of_a_file(shelf: Shelf) -> None:
    fill(shelf)
    own = {one.name: one.as_of_s for one in shelf.source.snapshots()}
    assert own == {"KEV": 1767323045, "NVD": 1767398400, "OSV": 1767225600}
    for path in shelf.folder.rglob("*.json"):
        os.utime(path, (2_000_000_000, 2_000_000_000))
    assert {one.name: one.as_of_s for one in shelf.source.snapshots()} == own
    shelf.say(OSV=1767300000)
    assert {one.name: one.as_of_s for one in shelf.source.snapshots()} == own | {"OSV": 1767300000}


def test_the_same_facts_have_the_same_digest_wherever_they_lie(
    shelf: Shelf, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fill(shelf)
    elsewhere = Shelf(tmp_path_factory.mktemp("elsewhere"))
    fill(elsewhere)
    elsewhere.say(OSV=1)
    assert [one.digest for one in elsewhere.source.snapshots()] == [
        one.digest for one in shelf.source.snapshots()
    ]


def test_a_change_is_seen(shelf: Shelf) -> None:
    fill(shelf)
    before = {one.name: one.digest for one in shelf.source.snapshots()}
    shelf.put("osv/PyPI/X-2.json", OSV | {"id": "X-2"})
    after = {one.name: one.digest for one in shelf.source.snapshots()}
    assert {name for name in before if before[name] != after[name]} == {"OSV"}


def test_a_bulk_archive_is_read_like_its_files(shelf: Shelf) -> None:
    (shelf.folder / "osv").mkdir()
    with zipfile.ZipFile(shelf.folder / "osv" / "all.zip", "w") as archive:
        archive.writestr("X-2.json", json.dumps(OSV | {"id": "X-2"}))
        archive.writestr("X-1.json", json.dumps(OSV))
    (found,) = shelf.source.snapshots()
    files = unpack_feed(found.content, where="t")
    assert sorted(files) == ["osv/all.zip/X-1.json", "osv/all.zip/X-2.json"]
    assert json.loads(files["osv/all.zip/X-1.json"]) == OSV
    assert found.as_of_s == 1767225600


@pytest.mark.parametrize(
    ("place", "text", "says"),
    [
        ("feeds.json", "{", "feeds.json: expected JSON"),
        ("feeds.json", '{"schema": "other"}', "feeds.json.schema: expected"),
        (
            "feeds.json",
            '{"schema": "releaseline.feeds/1", "as_of_s": {"KEV": "now"}}',
            "feeds.json.as_of_s.KEV: expected UTC seconds, found the text 'now'",
        ),
        (
            "feeds.json",
            '{"schema": "releaseline.feeds/1", "as_of_s": {"CVE": 1}}',
            "feeds.json.as_of_s.CVE: expected one of EPSS, GHSA, KEV, NVD, OSV",
        ),
        ("osv/all.zip", "no archive", "osv/all.zip: expected a zip archive"),
        ("kev/kev.json", '{"dateReleased": "soon"}', "kev/kev.json.dateReleased: expected a time"),
        ("kev/kev.json", "{}", "feeds.json: expected as_of_s of KEV"),
        ("epss/scores.csv", "cve,epss", "feeds.json: expected as_of_s of EPSS"),
    ],
)
def test_what_cannot_be_read_is_named(place: str, text: str, says: str, shelf: Shelf) -> None:
    shelf.put(place, text)
    with pytest.raises(Malformed) as refused:
        shelf.source.snapshots()
    assert says in str(refused.value)


def test_bytes_that_are_no_text_are_named(shelf: Shelf) -> None:
    (shelf.folder / "kev").mkdir()
    (shelf.folder / "kev" / "kev.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(Malformed, match=r"kev/kev.json: expected UTF-8 text, found byte 7"):
        shelf.source.snapshots()


def test_an_index_of_unknown_feeds_is_not_written(shelf: Shelf) -> None:
    with pytest.raises(Malformed, match="found CVE"):
        shelf.say(CVE=1)
    assert not (shelf.folder / "feeds.json").exists()
