"""The log as files that anyone may copy: `log/<origin>/` of the home, C2SP tlog-tiles.

Written behind the commit and never before it, so a file may be late and is never ahead of the
record. Full tiles are synced and never touched again; of a partial one only the widest lies there,
for it holds every narrower one. What a power cut left wrong is put right from the record at the
next start.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from engine.core.errors import NotFound
from engine.evidence.checkpoint import parse_checkpoint, split_note
from engine.evidence.merkle import Tree
from engine.evidence.tiles import (
    CHECKPOINT,
    WIDTH,
    Tile,
    bundle,
    hash_tile,
    narrower,
    parse_path,
    tiles_of,
)

_log = logging.getLogger(__name__)

FOLDER: Final = "log"
# Entries by index, from the first to the second (excluded).
Entries = Callable[[int, int], Sequence[bytes]]


class TileFolder:
    """Files of one log. Thread-safe.

    Args:
        entries: reads recorded leaves' bytes by their index in this log.
    """

    def __init__(self, home: Path, origin: str, entries: Entries) -> None:
        self._folder = folder_of(home, origin)
        self._entries = entries
        self._lock = threading.Lock()
        self._size: int | None = None
        self._tail: dict[int, bytes] = {}
        self.trouble = ""

    def publish(self, tree: Tree, note: str) -> None:
        """Bring the files up to the head that `note` signs. A disk that takes nothing is said in
        `trouble` and tried again with the next head: the record does not wait for its copy."""
        size = parse_checkpoint(split_note(note, where=CHECKPOINT)[0]).size
        with self._lock:
            try:
                if self._size is None:
                    self._mend(tree, size)
                else:
                    for tile in tiles_of(size, since=self._size):
                        self._write(tree, tile)
                self._put(CHECKPOINT, note.encode())
                self._size, self.trouble = size, ""
            except OSError as error:
                self._size = None
                self.trouble = f"{error.filename or self._folder}: {error.strerror}"
                _log.warning("the log's files are behind: %s", self.trouble)

    def read(self, path: str) -> bytes:
        """Content under a path of the tile format. Raises `Malformed`, `NotFound`."""
        return read_file(self._folder, path)

    def _mend(self, tree: Tree, size: int) -> None:
        """Write what is missing or other than the record says. Full bundles are taken as they are:
        they were synced before they got their name, and `log fsck` reads them all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for tile in tiles_of(size):
            path = self._folder / tile.path
            if not path.is_file() or (
                not tile.full if tile.level < 0 else path.read_bytes() != hash_tile(tree, tile)
            ):
                self._write(tree, tile)

    def _write(self, tree: Tree, tile: Tile) -> None:
        if tile.level < 0:
            start = tile.index * WIDTH
            content = bundle(self._bodies(start, start + tile.width))
        else:
            content = hash_tile(tree, tile)
        self._put(tile.path, content, durable=tile.full)
        partial = self._folder / f"{tile.stem}.p"
        if partial.is_dir():
            for other in partial.iterdir():
                if tile.full or other.name != str(tile.width):
                    other.unlink(missing_ok=True)
            if tile.full:
                partial.rmdir()

    def _bodies(self, start: int, end: int) -> list[bytes]:
        """Entries of one bundle; those that were written before are not read again."""
        known = next((n for n in range(start, end) if n not in self._tail), end)
        for index, body in enumerate(self._entries(known, end) if known < end else (), start=known):
            self._tail[index] = body
        bodies = [self._tail[index] for index in range(start, end)]
        self._tail = {n: b for n, b in self._tail.items() if n >= end - end % WIDTH}
        return bodies

    def _put(self, name: str, content: bytes, *, durable: bool = False) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with draft.open("xb") as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()


def folder_of(home: Path, origin: str) -> Path:
    """Origins may hold slashes and dots; a folder's name holds neither that could lead away."""
    name = quote(origin, safe="")
    return home / FOLDER / (name if name.strip(".") else name.replace(".", "%2E"))


def read_file(folder: Path, path: str) -> bytes:
    """A checkpoint, a tile or a bundle; a narrower one is cut from the widest that is there.

    Raises:
        Malformed: this is no path of the format.
        NotFound: the log does not reach so far.
    """
    tile = None if path == CHECKPOINT else parse_path(path)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return (folder / path).read_bytes()
    if tile is not None and not tile.full:
        for name in (tile.stem, *_partials(folder, tile)):
            with contextlib.suppress(FileNotFoundError):
                return narrower((folder / name).read_bytes(), tile, where=path)
    raise NotFound(f"The log has no {path}.")


def _partials(folder: Path, tile: Tile) -> list[str]:
    """Paths of partial tiles that are at least as wide, the widest first."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for one in (folder / f"{tile.stem}.p").iterdir():
            if one.name.isdecimal() and int(one.name) >= tile.width:
                found.append(int(one.name))
    return [f"{tile.stem}.p/{width}" for width in sorted(found, reverse=True)]
