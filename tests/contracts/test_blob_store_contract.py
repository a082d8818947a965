"""The contract of `ports.BlobStore` over the files of a home."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.blobs import Blobs
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, StorageFull
from engine.ports import BlobStore


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return Blobs(tmp_path / "blobs")


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256)) * 1000])
def test_what_was_put_is_got_under_its_digest(blobs: BlobStore, content: bytes) -> None:
    digest = blobs.put(content)
    assert digest == Digest.of(content)
    assert blobs.put(content) == digest
    assert blobs.get(digest) == content == blobs.path(digest).read_bytes()
    assert blobs.has(digest)


@given(content=st.binary(max_size=200))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    blobs = Blobs(tmp_path_factory.getbasetemp() / "shared-blobs")
    assert blobs.get(blobs.put(content)) == content


def test_it_is_there_for_whoever_opens_the_folder_next(tmp_path: Path) -> None:
    digest = Blobs(tmp_path / "blobs").put(b"kept")
    assert Blobs(tmp_path / "blobs").get(digest) == b"kept"


def test_an_unknown_digest_is_not_found(blobs: BlobStore) -> None:
    unknown = Digest.of(b"never stored")
    assert not blobs.has(unknown)
    for ask in (blobs.get, blobs.path):
        with pytest.raises(NotFound, match=unknown.hex):
            ask(unknown)


@pytest.mark.parametrize("damage", [b"othex", b"othe", b"others", b""])
def test_altered_bytes_are_malformed_and_put_mends_them(blobs: BlobStore, damage: bytes) -> None:
    digest = blobs.put(b"other")
    blobs.path(digest).write_bytes(damage)
    with pytest.raises(Malformed, match=f"expected {digest}, found {Digest.of(damage)}"):
        blobs.get(digest)
    blobs.put(b"other")
    assert blobs.get(digest) == b"other"


def test_no_half_blob_and_no_rest_when_the_disk_is_full(
    blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.put(b"before")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageFull, match="No space left"):
            blobs.put(b"too much")
    assert not blobs.has(Digest.of(b"too much"))
    assert len([p for p in (tmp_path / "blobs").rglob("*") if p.is_file()]) == 1
    assert blobs.get(blobs.put(b"too much")) == b"too much"


def test_many_threads_putting_the_same_bytes(blobs: BlobStore) -> None:
    digests: list[Digest] = []

    def put() -> None:
        digests.extend(blobs.put(bytes([n]) * 50) for n in range(20))

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 80
    assert all(blobs.has(digest) for digest in digests)
