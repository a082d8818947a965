"""Content-addressed files: the bytes that events name by digest.

A blob is written to a temporary file, synced, renamed to its name and made durable by a sync of
the folder, so that a power cut leaves the whole blob or none. Nothing is ever deleted here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.core.digest import Digest
from engine.core.errors import NotFound, StorageFull, StoredDamaged

# What the system says when nothing can be written for now: no space or quota, a file-size limit,
# a read-only file system, a failing device.
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})


_NAME: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Blobs:
    """Implements `ports.BlobStore` in the folder `root`, which is created when absent."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        place = self._place(digest)
        with storage_full():
            # Read again, not trusted by size: bytes that were damaged meanwhile are put right.
            if place.is_file() and place.read_bytes() == content:
                sync_directory(place.parent)  # whoever wrote it may have died before this
                return digest
            if not place.parent.is_dir():
                place.parent.mkdir(exist_ok=True)
                sync_directory(self._root)
            temporary = place.parent / f".{digest.hex}.{secrets.token_hex(8)}"
            try:
                write_synced(temporary, content)
                temporary.rename(place)
            finally:
                temporary.unlink(missing_ok=True)
            sync_directory(place.parent)
        return digest

    def get(self, digest: Digest) -> bytes:
        content = self.path(digest).read_bytes()
        found = Digest.of(content)
        if found != digest:
            raise StoredDamaged(f"blob {digest}", expected=str(digest), found=str(found))
        return content

    def path(self, digest: Digest) -> Path:
        place = self._place(digest)
        if not place.is_file():
            raise NotFound(f"There is no blob {digest}.")
        return place

    def has(self, digest: Digest) -> bool:
        return self._place(digest).is_file()

    def every(self) -> Iterator[Digest]:
        """Everything that is here, the newest first. What is put meanwhile may be missing."""
        found = [
            (entry.stat().st_mtime_ns, entry.name)
            for folder in os.scandir(self._root)
            if folder.is_dir()
            for entry in os.scandir(folder.path)
            if _NAME.fullmatch(entry.name)
        ]
        return (Digest(name) for _, name in sorted(found, reverse=True))

    def _place(self, digest: Digest) -> Path:
        # A folder per first byte: 256 small folders instead of one with everything in it.
        return self._root / digest.hex[:2] / digest.hex


@contextlib.contextmanager
def storage_full() -> Iterator[None]:
    """Turn the system's "cannot write now" into `StorageFull`; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StorageFull(
            f"Nothing can be recorded: {os.strerror(error.errno or 0)}.",
            hint="Free space in the home's file system; work goes on by itself.",
        ) from error


def write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes) -> None:
    """`os.write` until everything is written: a nearly full disk takes a part and says so."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Make the names in this folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
