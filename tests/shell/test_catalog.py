"""Bundles from real files, found again by digest, damage named."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.store import Store
from engine.catalog import APP_MEDIA_TYPE, BundleFiles, Catalog
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.house import BUNDLES, BundleCreated
from engine.recording import append_to
from tests.faults.small_house import SimClock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "home", clock=SimClock())
    yield store
    store.close()


@pytest.fixture
def catalog(store: Store) -> Catalog:
    return Catalog(store)


def files(folder: Path, **contents: str) -> tuple[Path, ...]:
    folder.mkdir(exist_ok=True)
    paths = []
    for name, content in contents.items():
        path = folder / name.replace("__", ".")
        path.write_text(content)
        paths.append(path)
    return tuple(paths)


def test_a_bundle_is_its_bytes(catalog: Catalog, store: Store, tmp_path: Path) -> None:
    components = files(tmp_path / "a", app__zip="app", notes__txt="notes")
    sboms = files(tmp_path / "b", app__cdx__json="{}")
    wish = BundleFiles(name="shop", version="1.0", components=components, sboms=sboms)
    bundle = catalog.create(wish, actor="ana")
    assert [(c.name, c.media_type) for c in bundle.components] == [
        ("app.zip", APP_MEDIA_TYPE),
        ("notes.txt", "application/octet-stream"),
    ]
    assert [a.kind for a in bundle.attachments] == ["sbom"]
    assert bundle.created_by == "ana"
    assert catalog.authors(bundle.digest) == ("ana",)
    for item in (*bundle.components, *bundle.attachments):
        assert Digest.of(store.blobs.get(item.digest)) == item.digest
    assert store.blobs.get(bundle.digest) == bundle.manifest()


def test_the_same_files_are_the_same_bundle_and_keep_their_author(
    catalog: Catalog, store: Store, tmp_path: Path
) -> None:
    wish = BundleFiles(name="shop", version="1.0", components=files(tmp_path / "a", app="x"))
    first = catalog.create(wish, actor="ana")
    assert catalog.create(wish, actor="bob") == first
    assert store.version(BUNDLES) == 1
    # Two who made it at once are both on record; the first one stays its author.
    twin = BundleCreated(digest=first.digest, name="shop", version="1.0", authors=("bob",))
    append_to(store, BUNDLES, twin, actor="bob")
    assert catalog.authors(first.digest) == ("ana",)
    assert Catalog(store).authors(first.digest) == ("ana",)


def test_two_at_once_make_one_bundle(catalog: Catalog, tmp_path: Path) -> None:
    wish = BundleFiles(name="shop", version="1.0", components=files(tmp_path / "a", app="x"))
    made: list[Digest] = []
    threads = [
        threading.Thread(target=lambda: made.append(catalog.create(wish, actor="ana").digest))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4 and len(set(made)) == 1


def test_a_changed_file_is_another_bundle(catalog: Catalog, tmp_path: Path) -> None:
    paths = files(tmp_path / "a", app="x")
    wish = BundleFiles(name="shop", version="1.0", components=paths)
    first = catalog.create(wish, actor="ana")
    paths[0].write_text("y")
    second = catalog.create(wish, actor="ana")
    assert first.digest != second.digest
    assert catalog.get(first.digest).components[0].digest == Digest.of(b"x")


def test_a_folder_is_the_files_in_it(catalog: Catalog, tmp_path: Path) -> None:
    files(tmp_path / "a", b="2", a="1")
    files(tmp_path / "a" / "deeper", c="3")
    wish = BundleFiles(name="shop", version="1.0", components=(tmp_path / "a",))
    assert [c.name for c in catalog.create(wish, actor="ana").components] == ["a", "b"]


def test_found_by_digest_or_a_unique_beginning(catalog: Catalog, tmp_path: Path) -> None:
    wish = BundleFiles(name="shop", version="1.0", components=files(tmp_path / "a", app="x"))
    bundle = catalog.create(wish, actor="ana")
    for text in (str(bundle.digest), bundle.digest.hex, bundle.digest.hex[:8]):
        assert catalog.find(text) == bundle
    assert catalog.find(f"sha256:{bundle.digest.short}") == bundle
    for text in ("", bundle.digest.hex[:7], "f" * 64, "sha256:" + "0" * 64, "shop"):
        with pytest.raises(NotFound, match="There is no bundle"):
            catalog.find(text)
    with pytest.raises(Malformed, match="64 lower-case hex digits"):
        catalog.find("Z" * 64)


def test_a_beginning_that_fits_two_is_refused(catalog: Catalog, store: Store) -> None:
    for last in "01":
        twin = BundleCreated(
            digest=Digest("abcdef01" + last * 56), name="x", version="1", authors=("ana",)
        )
        append_to(store, BUNDLES, twin, actor="ana")
    with pytest.raises(Malformed, match="'abcdef01' names 2 bundles"):
        catalog.find("abcdef01")


@pytest.mark.parametrize("kind", ["components", "sboms", "vex", "provenance"])
def test_what_is_not_there_is_named(catalog: Catalog, tmp_path: Path, kind: str) -> None:
    given = {"components": files(tmp_path / "a", app="x")} | {kind: (tmp_path / "missing",)}
    with pytest.raises(Malformed, match=r"missing: expected a \w+ file, found nothing"):
        catalog.create(BundleFiles(name="shop", version="1.0", **given), actor="ana")


def test_an_empty_bundle_and_twin_names_are_refused(
    catalog: Catalog, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    one, two = files(tmp_path / "a", app="x"), files(tmp_path / "b", app="y")
    for components, why in (
        ((tmp_path / "empty",), "expected at least one component"),
        ((*one, *two), "component names repeat"),
    ):
        with pytest.raises(Malformed, match=why):
            catalog.create(
                BundleFiles(name="shop", version="1.0", components=components), actor="ana"
            )
    for name, version in (("", "1.0"), ("shop", "")):
        with pytest.raises(Malformed, match="expected a non-empty text"):
            catalog.create(BundleFiles(name=name, version=version, components=one), actor="ana")
    assert store.version(BUNDLES) == 0


def test_a_file_that_cannot_be_read_is_named(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = files(tmp_path / "a", app="x")

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(Malformed, match="app: cannot be read: Permission denied"):
        catalog.create(BundleFiles(name="shop", version="1.0", components=(path,)), actor="ana")


def test_damage_to_a_stored_manifest_is_loud(
    catalog: Catalog, store: Store, tmp_path: Path
) -> None:
    wish = BundleFiles(name="shop", version="1.0", components=files(tmp_path / "a", app="x"))
    bundle = catalog.create(wish, actor="ana")
    path = store.blobs.path(bundle.digest)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"shop", b"shed"))
    with pytest.raises(Malformed, match="expected"):
        catalog.get(bundle.digest)
