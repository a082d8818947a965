"""What lies at a target: whole or not at all, never outside its folder, never too little."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from data.blobs import Blobs
from engine import catalog
from engine.core.bundle import Bundle, Component
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed, NotFound
from engine.fleet import shipped
from engine.fleet.shelf import KEPT, Shelf
from tests.fleet.kit import make_bundle


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "t00").mkdir()
    return Shelf(tmp_path / "t00")


def test_the_service_and_the_catalog_mean_the_same_media_type() -> None:
    assert shipped.APP_MEDIA_TYPE == catalog.APP_MEDIA_TYPE


def test_a_bundle_is_there_whole_or_not_at_all(shelf: Shelf, blobs: Blobs) -> None:
    absent = Component(name="b.bin", digest=Digest.of(b"b"), size=1, media_type="x/y")
    present = Component(name="a.bin", digest=blobs.put(b"a"), size=1, media_type="x/y")
    half = Bundle(name="shop", version="1", components=(present, absent))
    digest = blobs.put(half.manifest())
    with pytest.raises(NotFound):
        shelf.store(digest, blobs)
    assert shelf.present() == ()
    assert list((shelf.home / "bundles").iterdir()) == []
    blobs.put(b"b")
    shelf.store(digest, blobs)
    assert shelf.present() == (digest,)
    assert shelf.intact(digest)


def test_a_killed_fetch_leaves_nothing_that_counts(shelf: Shelf, blobs: Blobs) -> None:
    digest = make_bundle(blobs, "1")
    left = shelf.home / "bundles" / f".new-{digest.hex}"
    left.mkdir(parents=True)
    unmarked = shelf.home / "bundles" / digest.hex
    unmarked.mkdir()
    assert shelf.present() == ()
    shelf.store(digest, blobs)
    assert shelf.present() == (digest,)
    assert not left.exists()


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "..", ".", "a/b", "x" * 256])
def test_a_component_cannot_leave_its_folder(shelf: Shelf, blobs: Blobs, name: str) -> None:
    bad = Component(name=name, digest=blobs.put(b"a"), size=1, media_type="x/y")
    digest = blobs.put(Bundle(name="shop", version="1", components=(bad,)).manifest())
    with pytest.raises(Malformed, match=r"manifest\.components"):
        shelf.store(digest, blobs)
    assert shelf.present() == ()


def test_a_manifest_of_another_name_is_refused(shelf: Shelf, blobs: Blobs) -> None:
    digest = blobs.put(b"not a manifest")
    with pytest.raises(Malformed, match="not JSON"):
        shelf.store(digest, blobs)


def test_prune_keeps_the_current_and_the_last_used(shelf: Shelf, blobs: Blobs) -> None:
    digests = [make_bundle(blobs, str(n)) for n in range(KEPT + 3)]
    for digest in digests:
        shelf.store(digest, blobs)
        shelf.switch(digest)
    shelf.switch(digests[0])  # back to the oldest: it is in use now
    shelf.prune()
    assert KEPT >= 3
    assert set(shelf.present()) == {digests[0], *digests[-(KEPT - 1) :]}
    assert shelf.current() == digests[0]


def test_an_epoch_never_goes_back_and_damage_is_not_0(shelf: Shelf) -> None:
    assert shelf.epoch() == 0
    assert shelf.accept(3)
    assert shelf.accept(3)
    assert not shelf.accept(2)
    assert shelf.epoch() == 3
    (shelf.home / "epoch").write_text("")
    with pytest.raises(AdapterFailed, match="epoch"):
        shelf.accept(9)


def test_only_one_holds_a_target(shelf: Shelf) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with Shelf(shelf.home).held(deadline_s=1.0):
            entered.set()
            leave.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(5)
    with pytest.raises(AdapterFailed, match="another engine"), shelf.held(deadline_s=0.1):
        pass
    leave.set()
    thread.join()
    with shelf.held(deadline_s=1.0):
        pass
