"""A backup: everything that a home is made of, in one tar file.

The journal is copied up to one line, and every blob that these lines name was written before them,
so the copy is whole although the engine goes on. What can be made again is left out: the database,
the static files of the log, and packs. So are the fleet, which is no part of the record, and the
token of whoever has a shell. The last member is the manifest with the digest of every other one.

The keys lie in it as they lie in the home: wrapped by the passphrase.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from data.journal import Position
from data.shelf import DATABASE
from engine.core.errors import Malformed
from engine.core.jcs import canonical

SCHEMA: Final = "releaseline.backup/1"
MANIFEST: Final = "backup.json"
_LEFT_OUT: Final = frozenset(
    {"exports", "fleet", "incoming", "log", "lock", "server.json", "keys/local-token", MANIFEST}
)
_CHUNK: Final = 1 << 20


def backup(home: Path, end: Position) -> Iterator[bytes]:
    """The tar file, chunk by chunk.

    Args:
        end: behind the journal's last line that belongs to it.

    Raises:
        Malformed: a file became shorter while it was read.
    """
    listed: list[dict[str, Any]] = []
    for name, path, size in _files(home, end):
        digest = hashlib.sha256()
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue  # it was exchanged for another one, or taken away
        with file:
            size = os.fstat(file.fileno()).st_size if size is None else size
            yield _head(name, size)
            for chunk in exactly(file, size, name):
                digest.update(chunk)
                yield chunk
        yield _padding(size)
        listed.append({"name": name, "size": size, "sha256": digest.hexdigest()})
    manifest = canonical(
        {"schema": SCHEMA, "line": end.line, "digest": end.digest, "files": listed}
    )
    yield _head(MANIFEST, len(manifest)) + manifest + _padding(len(manifest))
    yield bytes(2 * tarfile.BLOCKSIZE)


def _files(home: Path, end: Position) -> Iterator[tuple[str, Path, int | None]]:
    """(name, path, size) of what belongs to it; None = as long as it is when it is opened.

    The journal comes first and the blobs behind it.
    """
    journal = home / "journal"
    for path in sorted(journal.glob("*.jsonl")):
        segment = int(path.stem)
        if segment <= end.segment:
            size = end.offset if segment == end.segment else None
            yield f"journal/{path.name}", path, size
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        first = name.partition("/")[0]
        if first in _LEFT_OUT or name in _LEFT_OUT or first == "journal":
            continue
        # Names that begin with a dot are files that are being written.
        if first.startswith(DATABASE) or first.endswith(".quarantine") or path.name[0] == ".":
            continue
        if path.is_file() and not path.is_symlink():
            yield name, path, None


def _head(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def exactly(file: IO[bytes], size: int, name: str) -> Iterator[bytes]:
    """The next `size` bytes. Raises `Malformed` when there are fewer."""
    left = size
    while left:
        chunk = file.read(min(_CHUNK, left))
        if not chunk:
            raise Malformed(f"expected {size} bytes, found {size - left}", where=name)
        left -= len(chunk)
        yield chunk
