"""Advisory feeds from a folder on disk, as `init` lays it out and a sync would keep it.

    <folder>/feeds.json                              the index, optional
    <folder>/osv/**/*.json or *.zip                  OSV: advisories, one a file, or bulk archives
    <folder>/ghsa/**/*.json or *.zip                 GHSA: the same, as GitHub publishes them
    <folder>/kev/*.json                              KEV: the CISA catalogue
    <folder>/nvd/*.json                              NVD: answers of its API 2.0
    <folder>/epss/*.csv                              EPSS: the daily scores

The index says how fresh each feed is, as whoever filled the folder knows it:

    {"schema": "releaseline.feeds/1", "as_of_s": {"KEV": 1771400000, "NVD": 1771392660}}

`as_of_s` is UTC seconds of a successful sync, also of one that found no change. A feed that the
index does not name is as old as the newest date inside its own files. Modification times of files
are never looked at: copying a file does not make what it says any newer.
"""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.inputs.feeds import pack_feed
from engine.inputs.reading import kind, object_of, read_json, seconds_of
from engine.ports import FeedSnapshot

INDEX: Final = "feeds.json"
SCHEMA: Final = "releaseline.feeds/1"

FOLDERS: Final = {"EPSS": "epss", "GHSA": "ghsa", "KEV": "kev", "NVD": "nvd", "OSV": "osv"}
_SUFFIXES: Final = {
    "EPSS": (".csv",),
    "GHSA": (".json", ".zip"),
    "KEV": (".json",),
    "NVD": (".json",),
    "OSV": (".json", ".zip"),
}

# The field that dates a file of the feed.
_DATES: Final = {
    "GHSA": "modified",
    "KEV": "dateReleased",
    "NVD": "timestamp",
    "OSV": "modified",
}

# What a feed's state on disk is told by: if none of it changed, the last snapshot is handed out.
_Signature = tuple[tuple[str, int, int, int], ...]


def write_index(folder: Path, as_of_s: Mapping[str, int]) -> None:
    """Say how fresh the feeds in `folder` are (UTC seconds by feed name). Replaces the index."""
    unknown = sorted(set(as_of_s) - set(FOLDERS))
    if unknown:
        raise Malformed(f"expected {', '.join(FOLDERS)}, found {', '.join(unknown)}", where=INDEX)
    text = canonical({"schema": SCHEMA, "as_of_s": dict(as_of_s)}) + b"\n"
    fresh = folder / f"{INDEX}.new"
    fresh.write_bytes(text)
    fresh.replace(folder / INDEX)


def read_index(folder: Path) -> Mapping[str, int]:
    """How fresh each feed in `folder` is (UTC seconds by name); empty without an index.

    Raises:
        Malformed: naming file and field.
    """
    path = folder / INDEX
    if not path.is_file():
        return {}
    where = str(path)
    document = read_json(path.read_bytes(), where=where)
    if document.get("schema") != SCHEMA:
        raise Malformed(
            f"expected {SCHEMA!r}, found {kind(document.get('schema'))}",
            where=f"{where}.schema",
        )
    as_of_s: dict[str, int] = {}
    for name, value in object_of(document, "as_of_s", where).items():
        place = f"{where}.as_of_s.{name}"
        if name not in FOLDERS:
            raise Malformed(f"expected one of {', '.join(FOLDERS)}", where=place)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Malformed(f"expected UTC seconds, found {kind(value)}", where=place)
        as_of_s[name] = value
    return as_of_s


class FeedsDir:
    """Implements `engine.ports.FeedSource`. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._known: dict[str, tuple[_Signature, bytes, Digest, int | None]] = {}

    def snapshots(self) -> Sequence[FeedSnapshot]:
        return self.snapshots_of(FOLDERS)

    def snapshots_of(self, names: Collection[str]) -> Sequence[FeedSnapshot]:
        """As `snapshots`, of these feeds alone; the others are not looked at."""
        index = read_index(self._folder)
        found = (self._snapshot(name, index) for name in sorted(FOLDERS) if name in names)
        return tuple(snapshot for snapshot in found if snapshot is not None)

    def _snapshot(self, name: str, index: Mapping[str, int]) -> FeedSnapshot | None:
        paths = list(self._paths(name))
        if not paths:
            return None
        content, digest, own_s = self._content(name, paths)
        as_of_s = index.get(name, own_s)
        if as_of_s is None:
            raise Malformed(
                f"expected as_of_s of {name}, because its files carry no date, found nothing",
                where=str(self._folder / INDEX),
            )
        return FeedSnapshot(name=name, digest=digest, as_of_s=as_of_s, content=content)

    def _paths(self, name: str) -> Iterator[Path]:
        root = self._folder / FOLDERS[name]
        for path in sorted(root.rglob("*")):
            if path.suffix in _SUFFIXES[name] and path.is_file():
                yield path

    def _content(self, name: str, paths: list[Path]) -> tuple[bytes, Digest, int | None]:
        """The packed files of a feed, their digest, and the newest date inside them.

        All three are kept while the files stay as they are: a feed may have hundreds of megabytes,
        and its age is asked for all the time.
        """
        stats = [(path, path.stat()) for path in paths]
        signature = tuple(
            (str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for path, stat in stats
        )
        with self._lock:
            known = self._known.get(name)
            if known is None or known[0] != signature:
                files = dict(self._files(paths))
                content = pack_feed(name, files)
                known = (signature, content, Digest.of(content), _newest(name, files))
                self._known[name] = known
            return known[1:]

    def _files(self, paths: list[Path]) -> Iterator[tuple[str, bytes]]:
        for path in paths:
            place = path.relative_to(self._folder).as_posix()
            content = path.read_bytes()
            if path.suffix != ".zip":
                yield place, content
                continue
            try:
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    for member in sorted(archive.namelist()):
                        if member.endswith(".json"):
                            yield f"{place}/{member}", archive.read(member)
            except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, RuntimeError) as error:
                raise Malformed(f"expected a zip archive, found {error}", where=place) from error


def _newest(name: str, files: Mapping[str, bytes]) -> int | None:
    """UTC seconds of the newest date that a feed's own files carry; None when there is none."""
    field = _DATES.get(name, "")
    found = []
    for place, content in files.items() if field else ():
        try:
            text = read_json(content, where=place).get(field)
        except Malformed:
            continue  # the file is named when the feed is read
        if isinstance(text, str):
            found.append(seconds_of(text, f"{place}.{field}"))
    return max(found, default=None)
