"""A backup is whole while the engine goes on, and a home is made of it whole or not at all."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.backup import MANIFEST
from data.restore import restore
from data.store import Store
from engine.core.errors import Conflict, Malformed
from engine.core.fact_events import Commented
from tests.data.kit import TestClock, history, play

Files = dict[str, bytes]


def filled(home: Path) -> None:
    """What else lies in a home: settings and keys, and what is no part of a backup."""
    for name, text in {
        "releaseline.yaml": "version: 1\n",
        "policies/gate.yaml": "rules: []\n",
        "keys/keystore.json": "{}",
        "keys/local-token": "secret of this shell",
        "fleet/eu-prod/target-1.json": "{}",
        "log/checkpoint": "made again",
        "exports/run-1/audit-pack.tar.gz": "made again",
        "incoming/0f/file": "being checked",
        "releaseline-1.duckdb.quarantine": "set aside",
        ".releaseline.yaml.new": "half written",
        "server.json": "{}",
    }.items():
        place = home / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A home, and its backup."""
    home = tmp_path_factory.mktemp("backup") / "home"
    store = Store.open(home, clock=TestClock())
    try:
        play(store, history(3))
        store.blobs.put(b"named by an event")
        filled(home)
        return home, b"".join(store.backup())
    finally:
        store.close()


def members(content: bytes) -> Files:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = ((one.name, archive.extractfile(one)) for one in archive)
        return {name: file.read() for name, file in found if file is not None}


def packed(files: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def records(home: Path) -> list[tuple[str, int, str]]:
    store = Store.open(home, clock=TestClock())
    try:
        return [(r.stream, r.seq, r.hash.hex) for r in store.load("run-1")]
    finally:
        store.close()


def test_a_home_is_made_again_and_is_in_order(made: tuple[Path, bytes], tmp_path: Path) -> None:
    home, content = made
    done = restore(io.BytesIO(content), tmp_path / "again", clock=TestClock())
    assert done.findings == () and done.line > 0
    assert records(tmp_path / "again") == records(home)
    names = set(members(content))
    assert {"releaseline.yaml", "policies/gate.yaml", "keys/keystore.json", MANIFEST} <= names
    first = {name.partition("/")[0] for name in names}
    assert first == {"blobs", "journal", "keys", "policies", "releaseline.yaml", MANIFEST}
    assert "keys/local-token" not in names
    assert list(members(content))[-1] == MANIFEST
    assert {path.name for path in tmp_path.iterdir()} == {"again"}
    for path in (tmp_path / "again" / "keys", tmp_path / "again"):
        assert path.stat().st_mode & 0o077 == 0


def test_it_is_whole_while_others_append(tmp_path: Path) -> None:
    home, done = tmp_path / "home", threading.Event()
    store = Store.open(home, clock=TestClock())
    play(store, history(3))

    def go_on() -> None:
        while not done.is_set():
            store.blobs.put(str(store.version("run-1")).encode())
            event = Commented(text="another one")
            store.append("run-1", [event], after=store.version("run-1"), actor="ana")

    others = threading.Thread(target=go_on)
    others.start()
    try:
        copies = []
        for _ in range(4):
            chunks = store.backup()  # as of now; what is read later is not in it
            before = store.version("run-1")
            copies.append((before, b"".join(chunks)))
    finally:
        done.set()
        others.join()
        store.close()
    whole = records(home)
    for n, (before, content) in enumerate(copies):
        place = tmp_path / f"copy-{n}"
        assert restore(io.BytesIO(content), place, clock=TestClock()).findings == ()
        kept = [one for one in records(place) if one[0] == "run-1"]
        assert kept == whole[: len(kept)] and len(kept) <= before


def test_only_into_an_empty_folder(made: tuple[Path, bytes], tmp_path: Path) -> None:
    _, content = made
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    with pytest.raises(Conflict, match="empty or a new folder"):
        restore(io.BytesIO(content), tmp_path / "taken", clock=TestClock())
    assert (tmp_path / "taken" / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    restore(io.BytesIO(content), tmp_path / "empty", clock=TestClock())


def _without(name: str) -> Callable[[Files], Files]:
    return lambda files: {n: c for n, c in files.items() if not n.startswith(name)}


def _with(name: str, content: bytes = b"x") -> Callable[[Files], Files]:
    return lambda files: {name: content, **files}


def _changed(files: Files) -> Files:
    name = next(name for name in files if name.startswith("journal/"))
    return {**files, name: files[name][:-1] + b" "}


def _shortened(files: Files) -> Files:
    """Whole lines are missing, and the manifest agrees: only its last line does not."""
    name = next(name for name in files if name.startswith("journal/"))
    lines = files[name].splitlines(keepends=True)
    return {**files, name: b"".join(lines[:-1])}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("policies/"), "policies/gate.yaml: expected this file"),
        (_without("blobs/"), "expected this file"),
        (_without(MANIFEST), "it is not whole"),
        (_changed, "journal/.*with SHA-256"),
        (_shortened, "journal/.*bytes with SHA-256"),
        (_with("more.txt"), "more.txt: expected only what"),
        (_with("/etc/passwd"), "inside of the home"),
        (_with("a/../../b"), "inside of the home"),
        (_with("./a"), "inside of the home"),
        (lambda files: {**files, MANIFEST: b"{"}, "expected a manifest"),
        (lambda files: {**files, MANIFEST: b'{"files":[],"line":1,"digest":"x"}'}, "schema|1"),
    ],
)
def test_what_is_not_as_it_was_written_makes_nothing(
    made: tuple[Path, bytes], tmp_path: Path, change: Callable[[Files], Files], said: str
) -> None:
    with pytest.raises(Malformed, match=said):
        restore(io.BytesIO(packed(change(members(made[1])))), tmp_path / "home", clock=TestClock())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_only_files_are_taken(made: tuple[Path, bytes], tmp_path: Path, kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("keys")
        info.type, info.linkname = kind, "/etc"
        archive.addfile(info)
    with pytest.raises(Malformed, match="expected a file"):
        restore(io.BytesIO(buffer.getvalue()), tmp_path / "home", clock=TestClock())


def test_a_name_twice_and_something_behind_the_end(
    made: tuple[Path, bytes], tmp_path: Path
) -> None:
    files = members(made[1])
    for extra, said in (("releaseline.yaml", "each name once|nothing behind"), ("z", "behind")):
        buffer = io.BytesIO(packed(files))
        with tarfile.open(fileobj=buffer, mode="a") as archive:
            info = tarfile.TarInfo(extra)
            archive.addfile(info)
        with pytest.raises(Malformed, match=said):
            restore(io.BytesIO(buffer.getvalue()), tmp_path / "home", clock=TestClock())


@given(st.data())
def test_a_torn_or_flipped_file_is_never_taken_for_the_whole(
    made: tuple[Path, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    _, content = made
    place = tmp_path_factory.mktemp("torn")
    if data.draw(st.booleans()):
        # The two empty blocks at the end of a tar file say nothing, so they may be missing.
        broken = content[: data.draw(st.integers(0, len(content) - 1025))]
    else:
        at = data.draw(st.integers(0, len(content) - 1025))
        flipped = bytearray(content)
        flipped[at] ^= 1 << data.draw(st.integers(0, 7))
        broken = bytes(flipped)
    try:
        done = restore(io.BytesIO(broken), place / "home", clock=TestClock())
    except (Malformed, Conflict):
        assert list(place.iterdir()) == []
        return
    # What is not looked at, as a time of a member or what fills up a block, changes nothing.
    assert done.findings == () and _same(members(content), place / "home")


def _same(files: Files, home: Path) -> bool:
    expected = {n: c for n, c in files.items() if n != MANIFEST and not n.startswith("journal/")}
    return all((home / name).read_bytes() == content for name, content in expected.items())
