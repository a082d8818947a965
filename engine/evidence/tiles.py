"""The log as static files: C2SP tlog-tiles, by which anyone can copy and check it.

A tile of level L holds up to 256 hashes of complete subtrees of 256^L leaves each; an entry bundle
holds up to 256 leaves' bytes. A full one never changes. A partial one, `N.p/W`, holds the first W,
so a wider one answers for every narrower one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from engine.core.errors import Malformed, Unverified
from engine.evidence.checkpoint import LogCheckpoint, NoteKey, open_checkpoint
from engine.evidence.merkle import EMPTY_ROOT, Tree, leaf_hash, node_hash

WIDTH: Final = 256
HEIGHT: Final = 8
CHECKPOINT: Final = "checkpoint"
ENTRY_MAX: Final = 65_535
_HASH: Final = 32
# 2^63 leaves fill levels 0 to 7; a longer number is no tile of anybody's log.
_PATH: Final = re.compile(
    r"tile/(entries|[0-7])/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Attributes:
    level: -1 for a bundle of entries.
    index: 0-based within its level.
    width: 1 to 256; 256 is a full one.
    """

    level: int
    index: int
    width: int

    @property
    def full(self) -> bool:
        return self.width == WIDTH

    @property
    def stem(self) -> str:
        """Its path without the width, where the full one lies."""
        kind = "entries" if self.level < 0 else str(self.level)
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        return "/".join(("tile", kind, *(f"x{one}" for one in groups[:-1]), groups[-1]))

    @property
    def path(self) -> str:
        return self.stem if self.full else f"{self.stem}.p/{self.width}"


def parse_path(path: str) -> Tile:
    """Read `tile/L/N[.p/W]` or `tile/entries/N[.p/W]` in its one spelling. Raises `Malformed`."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise Malformed("expected tile/L/N, tile/entries/N, or one of them with .p/W", where=path)
    kind, number, width = found.groups()
    tile = Tile(
        level=-1 if kind == "entries" else int(kind),
        index=int(number.replace("x", "").replace("/", "")),
        width=WIDTH if width is None else int(width),
    )
    if tile.path != path:
        raise Malformed(f"expected {tile.path}", where=path)
    return tile


def tiles_of(size: int, *, since: int = 0) -> Iterator[Tile]:
    """Tiles and bundles of a tree of `size` that a tree of `since` did not have alike."""
    if since < size:
        yield from _level(-1, size, since)
    for level in range(HEIGHT):
        now, before = size >> HEIGHT * level, since >> HEIGHT * level
        if now == before:
            return  # so are all levels above it
        yield from _level(level, now, before)


def _level(level: int, now: int, before: int) -> Iterator[Tile]:
    for index in range(before // WIDTH, -(-now // WIDTH)):
        yield Tile(level, index, min(WIDTH, now - index * WIDTH))


def hash_tile(tree: Tree, tile: Tile) -> bytes:
    """The bytes of a tile of level 0 and above."""
    start = tile.index * WIDTH
    return b"".join(tree.nodes(HEIGHT * tile.level, start, start + tile.width))


def bundle(entries: Sequence[bytes]) -> bytes:
    """The bytes of an entry bundle: each entry behind its length in 16 bits."""
    for entry in entries:
        if len(entry) > ENTRY_MAX:
            raise ValueError(f"an entry has at most {ENTRY_MAX} bytes, this one {len(entry)}")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(content: bytes, *, where: str) -> tuple[bytes, ...]:
    """The entries of a bundle. Raises `Malformed` when one is cut."""
    entries: list[bytes] = []
    at = 0
    while at < len(content):
        end = at + 2 + int.from_bytes(content[at : at + 2], "big")
        if end > len(content):
            raise Malformed(f"expected entry {len(entries)} whole, found it cut", where=where)
        entries.append(content[at + 2 : end])
        at = end
    return tuple(entries)


def narrower(content: bytes, tile: Tile, *, where: str) -> bytes:
    """The first `tile.width` parts of a wider tile. Raises `Malformed` when it is no wider."""
    if tile.level < 0:
        entries = parse_bundle(content, where=where)
        if len(entries) < tile.width:
            raise Malformed(f"expected {tile.width} entries, found {len(entries)}", where=where)
        return bundle(entries[: tile.width])
    if len(content) < tile.width * _HASH or len(content) % _HASH:
        raise Malformed(f"expected {tile.width} hashes, found {len(content)} bytes", where=where)
    return content[: tile.width * _HASH]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What a monitor has after a round: the head, and the entries that were new to it."""

    head: LogCheckpoint
    note: str
    entries: tuple[bytes, ...]


def follow(
    fetch: Callable[[str], bytes], log: NoteKey, *, known: LogCheckpoint | None = None
) -> Followed:
    """Read a log as a monitor does: the checkpoint, every tile, and the new entries; all agree.

    Args:
        fetch: content under a path below the log's address.
        known: the head of the round before, which has to be the beginning of this one.

    Raises:
        Malformed, Unverified: says which tile or entry, and what it should have been.
    """
    note = fetch(CHECKPOINT).decode()
    head = open_checkpoint(note, log, where=CHECKPOINT)
    tree = Tree(_checked_leaves(fetch, head.size))
    _agree("the tree", CHECKPOINT, head.root, tree.root() if head.size else EMPTY_ROOT)
    since = 0 if known is None else known.size
    if known is not None:
        if known.size > head.size:
            raise Unverified(
                "the log became shorter",
                check="log.consistency",
                file=CHECKPOINT,
                expected=f"at least {known.size} leaves",
                found=str(head.size),
            )
        _agree("the tree that was known before", CHECKPOINT, known.root, tree.root(known.size))
    entries: list[bytes] = []
    for tile in _level(-1, head.size, since):
        content = fetch(tile.path)
        there = parse_bundle(content, where=tile.path)
        if len(there) != tile.width:
            raise Malformed(f"expected {tile.width} entries, found {len(there)}", where=tile.path)
        for index, entry in enumerate(there, start=tile.index * WIDTH):
            _agree(f"entry {index}", tile.path, tree.leaf(index), leaf_hash(entry))
            if index >= since:
                entries.append(entry)
    return Followed(head=head, note=note, entries=tuple(entries))


def _checked_leaves(fetch: Callable[[str], bytes], size: int) -> list[bytes]:
    """Leaf hashes by index; every tile of every level agrees with the one below it."""
    leaves: list[bytes] = []
    below: list[bytes] = []
    for tile in tiles_of(size):
        if tile.level < 0:
            continue
        content = fetch(tile.path)
        if len(content) != tile.width * _HASH:
            raise Malformed(
                f"expected {tile.width} hashes, found {len(content)} bytes", where=tile.path
            )
        hashes = [content[at : at + _HASH] for at in range(0, len(content), _HASH)]
        if tile.level == 0:
            leaves += hashes
            continue
        if tile.index == 0:
            below = leaves if tile.level == 1 else _folded(below)
        for place, one in enumerate(hashes, start=tile.index * WIDTH):
            expected = _top(below[place * WIDTH : (place + 1) * WIDTH])
            _agree(f"hash {place}", tile.path, expected, one)
    return leaves


def _folded(hashes: Sequence[bytes]) -> list[bytes]:
    full = len(hashes) // WIDTH
    return [_top(hashes[n * WIDTH : (n + 1) * WIDTH]) for n in range(full)]


def _top(hashes: Sequence[bytes]) -> bytes:
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[n], level[n + 1]) for n in range(0, len(level), 2)]
    return level[0]


def _agree(what: str, where: str, expected: bytes, found: bytes) -> None:
    if expected != found:
        raise Unverified(
            f"{where}: {what} is not what the log signed",
            check="log.tile",
            file=where,
            expected=expected.hex(),
            found=found.hex(),
        )
