"""Advisory files in a folder that somebody filled: a copy of a mirror, or files by hand.

A copy proves nothing about what its source has by now, so a folder never makes a feed fresher than
the dates inside it, or its own index, say.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from engine.core.errors import AdapterFailed, Malformed
from engine.inputs.feeds_unpack import FeedLimits, gunzip, unzip

_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "EPSS": (".csv", ".csv.gz"),
    "GHSA": (".json", ".zip"),
    "KEV": (".json", ".json.gz"),
    "NVD": (".json", ".json.gz"),
    "OSV": (".json", ".zip"),
}
_NOT_DATA: Final = ("_schema.json", "feeds.json")


class FolderMirror:
    """The files of one feed below `root`, read once.

    Attributes:
        bytes_read: as they lie there.
    """

    def __init__(self, root: Path, *, limits: FeedLimits) -> None:
        self._root, self._limits = root, limits
        self.bytes_read = 0

    def raw(self, place: str) -> bytes | None:
        """One file as it is; None when there is none. Raises `AdapterFailed`, `Malformed`."""
        path = self._root / place
        return self._read(path, place) if path.is_file() else None

    def files(self, name: str) -> Iterator[tuple[str, bytes]]:
        """Every file of the feed `name` by its place, in order, as it is.

        Raises:
            AdapterFailed: the folder cannot be read, or has nothing of this feed.
            Malformed: there is more than the limits allow.
        """
        found = 0
        for path in self._paths(name):
            found += 1
            if found > self._limits.files:
                raise Malformed(
                    f"expected at most {self._limits.files} files, found more",
                    where=str(self._root),
                )
            place = path.relative_to(self._root).as_posix()
            yield place, self._read(path, place)
        if not found:
            raise AdapterFailed(
                f"{self._root}: expected files of {name} ({' or '.join(_SUFFIXES[name])}), "
                "found none",
                transient=False,
            )

    def _paths(self, name: str) -> Iterator[Path]:
        if not self._root.is_dir():
            raise AdapterFailed(f"{self._root}: expected a folder, found none", transient=False)
        # Links are not followed: what a folder holds is what lies in it.
        for folder, folders, names in os.walk(self._root, followlinks=False):
            folders.sort()
            for one in sorted(names):
                path = Path(folder) / one
                wanted = one.endswith(_SUFFIXES[name]) and not one.endswith(_NOT_DATA)
                if wanted and path.is_file() and not path.is_symlink():
                    yield path

    def _read(self, path: Path, place: str) -> bytes:
        try:
            size = path.stat().st_size
            if size > self._limits.file_bytes or self.bytes_read + size > self._most:
                raise Malformed("expected less than the limits allow, found more", where=place)
            content = path.read_bytes()
        except OSError as error:
            raise AdapterFailed(
                f"{path}: it cannot be read: {error.strerror}", transient=True
            ) from error
        self.bytes_read += len(content)
        return content

    @property
    def _most(self) -> int:
        return self._limits.unpacked_bytes


def unpacked(
    files: Iterator[tuple[str, bytes]], *, limits: FeedLimits
) -> Iterator[tuple[str, bytes]]:
    """The same files with `.gz` taken off, and the members of an archive in its place.

    Raises:
        Malformed: one of them is damaged, or all together are too big.
    """
    left = limits.unpacked_bytes
    for place, content in files:
        folder = place.rpartition("/")[0]
        if place.endswith(".zip"):
            members = unzip(content, limits=limits, where=place)
            inside = [
                (f"{folder}/{name}" if folder else name, one) for name, one in members.items()
            ]
        elif place.endswith(".gz"):
            inside = [(place[:-3], gunzip(content, limit=left, where=place))]
        else:
            inside = [(place, content)]
        for name, one in inside:
            left -= len(one)
            if left < 0:
                raise Malformed(
                    f"expected at most {limits.unpacked_bytes} bytes unpacked, found more",
                    where=place,
                )
            yield name, one
