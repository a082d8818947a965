"""Tiles of any size are the tree, a monitor finds every flipped byte, and files heal at a start."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import Malformed, NotFound, Unverified
from engine.evidence.checkpoint import LogCheckpoint, NoteKey, sign
from engine.evidence.merkle import Tree, leaf_hash
from engine.evidence.tiles import (
    ENTRY_MAX,
    Tile,
    bundle,
    follow,
    hash_tile,
    narrower,
    parse_bundle,
    parse_path,
    tiles_of,
)
from engine.log_tiles import TileFolder, folder_of

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = NoteKey("log.example", KEY.public_key())
ENTRIES = [f"entry {n}".encode() for n in range(66_000)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
SIZES = (1, 2, 255, 256, 257, 511, 512, 513, 700)


def note_of(tree: Tree) -> str:
    return sign(LogCheckpoint(origin="log.example", size=tree.size, root=tree.root()), KEY)


def files_of(size: int) -> dict[str, bytes]:
    """All files of a log, made at once."""
    tree = Tree(LEAVES[:size])
    files = {"checkpoint": note_of(tree).encode()}
    for tile in tiles_of(size):
        start = tile.index * 256
        files[tile.path] = (
            bundle(ENTRIES[start : start + tile.width]) if tile.level < 0 else hash_tile(tree, tile)
        )
    return files


def folder(home: Path) -> TileFolder:
    return TileFolder(home, "log.example", lambda start, end: ENTRIES[start:end])


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/000", Tile(0, 0, 256)),
        ("tile/0/001.p/7", Tile(0, 1, 7)),
        ("tile/2/x001/x234/067", Tile(2, 1_234_067, 256)),
        ("tile/entries/x001/000.p/255", Tile(-1, 1_000, 255)),
    ],
)
def test_paths_as_the_specification_spells_them(path: str, tile: Tile) -> None:
    assert parse_path(path) == tile and tile.path == path


@pytest.mark.parametrize(
    "path",
    [
        "", "tile", "tile/0/0", "tile/0/1000", "tile/8/000", "tile/0/000.p/256", "tile/0/000.p/0",
        "tile/0/000.p/01", "tile/0/x000/001", "tile/0/../000", "tile/-1/000", "tile/00/000",
        "../tile/0/000", "tile/0/000/", "tile/0/x001/001/002", "tile/entries/000.p/٣",
        "tile/0/000\n",
    ],
)  # fmt: skip
def test_what_is_no_path(path: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        parse_path(path)
    with pytest.raises(Malformed):
        folder(tmp_path).read(path)


@given(st.integers(0, 1 << 40), st.integers(1, 256), st.integers(-1, 7))
def test_a_path_is_read_back(index: int, width: int, level: int) -> None:
    tile = Tile(level, index, width)
    assert parse_path(tile.path) == tile


@pytest.mark.parametrize("size", [*SIZES, 65_537])
def test_a_monitor_reads_every_entry(size: int) -> None:
    files = files_of(size)
    found = follow(files.__getitem__, LOG)
    assert found.head.size == size and list(found.entries) == ENTRIES[:size]
    assert found.head.root == Tree(LEAVES[:size]).root()


@settings(max_examples=30)
@given(st.lists(st.integers(1, 800), min_size=1, max_size=5), st.data())
def test_files_written_in_steps_are_those_written_at_once(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    home = tmp_path_factory.mktemp("tiles")
    tiles, known = folder(home), None
    for size in sorted(sizes):
        if data.draw(st.booleans()):
            tiles = folder(home)  # a restart
        tree = Tree(LEAVES[:size])
        tiles.publish(tree, note_of(tree))
        found = follow(tiles.read, LOG, known=known)
        since = 0 if known is None else known.size
        assert list(found.entries) == ENTRIES[since:size]
        known = found.head
    size = max(sizes)
    there = {
        str(path.relative_to(folder_of(home, "log.example"))): path.read_bytes()
        for path in folder_of(home, "log.example").rglob("*")
        if path.is_file()
    }
    assert there == files_of(size)  # no narrower tile and no draft is left behind


@pytest.mark.parametrize("size", [3, 256, 300, 600])
def test_every_flipped_byte_is_found(size: int) -> None:
    files = files_of(size)
    for name in files:
        for spot in {0, len(files[name]) // 2, len(files[name]) - 1}:
            changed = bytearray(files[name])
            changed[spot] ^= 1
            with pytest.raises((Malformed, Unverified)):
                follow({**files, name: bytes(changed)}.__getitem__, LOG)


def test_a_log_that_was_cut_or_rewritten_is_found_by_who_knew_it() -> None:
    known = follow(files_of(300).__getitem__, LOG).head
    with pytest.raises(Unverified, match="became shorter"):
        follow(files_of(299).__getitem__, LOG, known=known)
    other = LogCheckpoint(origin=known.origin, size=known.size, root=bytes(32))
    with pytest.raises(Unverified, match="known before"):
        follow(files_of(301).__getitem__, LOG, known=other)
    assert follow(files_of(300).__getitem__, LOG, known=known).entries == ()


@given(st.integers(1, 256), st.integers(1, 256))
def test_a_wider_tile_answers_for_a_narrower_one(wide: int, narrow: int) -> None:
    tree = Tree(LEAVES[:wide])
    for level, content in ((-1, bundle(ENTRIES[:wide])), (0, hash_tile(tree, Tile(0, 0, wide)))):
        tile = Tile(level, 0, narrow)
        if narrow > wide:
            with pytest.raises(Malformed):
                narrower(content, tile, where=tile.path)
            continue
        found = narrower(content, tile, where=tile.path)
        expected = bundle(ENTRIES[:narrow]) if level < 0 else hash_tile(tree, tile)
        assert found == expected


def test_a_monitor_with_yesterdays_checkpoint_still_finds_its_tiles(tmp_path: Path) -> None:
    tiles, old = folder(tmp_path), files_of(200)
    for size in (200, 250, 300):
        tree = Tree(LEAVES[:size])
        tiles.publish(tree, note_of(tree))
    for name, content in old.items():
        if name != "checkpoint":
            assert tiles.read(name) == content, name
    with pytest.raises(NotFound):
        tiles.read("tile/0/001.p/45")
    with pytest.raises(NotFound):
        tiles.read("tile/0/002")


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundles_are_read_back(entries: list[bytes]) -> None:
    assert list(parse_bundle(bundle(entries), where="bundle")) == entries


def test_entries_are_at_most_64_kib() -> None:
    assert parse_bundle(bundle([bytes(ENTRY_MAX)]), where="bundle") == (bytes(ENTRY_MAX),)
    with pytest.raises(ValueError, match="65535"):
        bundle([bytes(ENTRY_MAX + 1)])
    with pytest.raises(Malformed, match="cut"):
        parse_bundle(bundle([b"abc"])[:-1], where="bundle")


@pytest.mark.parametrize("damage", ["missing", "torn", "empty", "drafts"])
def test_what_a_power_cut_left_is_put_right_at_the_next_start(tmp_path: Path, damage: str) -> None:
    tree = Tree(LEAVES[:600])
    folder(tmp_path).publish(tree, note_of(tree))
    place = folder_of(tmp_path, "log.example")
    if damage == "missing":
        shutil.rmtree(place)
    elif damage == "drafts":
        (place / ".checkpoint.00").write_bytes(b"half")
    else:
        for path in [*place.rglob("tile/[01]/**/*"), place / "checkpoint"]:
            if path.is_file():  # bundles are synced before they get their name
                path.write_bytes(path.read_bytes()[:40] if damage == "torn" else b"")
        for path in place.rglob("tile/entries/*.p/*"):
            path.write_bytes(b"")
    tree = Tree(LEAVES[:601])
    tiles = folder(tmp_path)
    tiles.publish(tree, note_of(tree))
    assert list(follow(tiles.read, LOG).entries) == ENTRIES[:601]


def test_a_disk_that_takes_nothing_is_said_and_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles, tree = folder(tmp_path), Tree(LEAVES[:5])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", _full)
        tiles.publish(tree, note_of(tree))
    assert "No space" in tiles.trouble
    tree = Tree(LEAVES[:7])
    tiles.publish(tree, note_of(tree))
    assert tiles.trouble == "" and len(follow(tiles.read, LOG).entries) == 7


def _full(*_args: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_origin_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    for origin in ("..", ".", "../../x", "a/b", "log.example", "%2e%2e"):
        place = folder_of(tmp_path, origin)
        assert place.parent == tmp_path / "log" and place.resolve().parent == tmp_path / "log"
