"""Packs: one spelling when written, and nothing but plain files when read."""

from __future__ import annotations

import contextlib
import gzip
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Malformed, Unverified
from engine.evidence import pack
from engine.evidence.pack import read_folder, read_pack, write_tar_gz, write_zip

FILES = {"a.txt": b"one", "steps/01-inputs/x.json": b"{}", "big": bytes(200_000), "empty": b""}
WRITERS = [write_tar_gz, write_zip]


@pytest.mark.parametrize("write", WRITERS)
def test_what_was_written_is_read(write: Callable[[dict[str, bytes]], bytes]) -> None:
    read = read_pack(write(FILES))
    assert read.files == FILES and not read.problems
    assert write(dict(reversed(FILES.items()))) == write(FILES)


@given(st.binary(max_size=300_000))
def test_other_tools_read_our_gzip(content: bytes) -> None:
    assert pack._gzip(content) and gzip.decompress(pack._gzip(content)) == content


def test_standard_tools_read_our_archives(tmp_path: Path) -> None:
    (tmp_path / "p.tar.gz").write_bytes(write_tar_gz(FILES))
    subprocess.run(["tar", "xzf", "p.tar.gz"], cwd=tmp_path, check=True)
    assert (tmp_path / "steps/01-inputs/x.json").read_bytes() == b"{}"
    with zipfile.ZipFile(io.BytesIO(write_zip(FILES))) as archive:
        assert archive.testzip() is None


@pytest.mark.parametrize("write", WRITERS)
def test_every_changed_byte_of_the_container_is_seen(
    write: Callable[[dict[str, bytes]], bytes],
) -> None:
    content = write({"a.txt": b"one", "b/c.txt": b"two"})
    # A tar is mostly padding: the ends whole, and every seventh of the rest.
    for spot in sorted(
        {*range(0, len(content), 5), *range(160), *range(len(content) - 40, len(content))}
    ):
        changed = bytearray(content)
        changed[spot] ^= 1
        try:
            read = read_pack(bytes(changed))
        except (Malformed, Unverified):
            continue
        assert read.problems, spot


@pytest.mark.parametrize("write", WRITERS)
def test_anything_behind_the_end_is_seen(write: Callable[[dict[str, bytes]], bytes]) -> None:
    with_tail = write(FILES) + b"tail"
    with contextlib.suppress(Malformed):
        assert read_pack(with_tail).problems
    with pytest.raises(Malformed):
        read_pack(write(FILES)[: len(write(FILES)) // 2])


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return pack._gzip(out.getvalue())


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "a/../../x", "a\\b", "C:x", "a//b", "./a", "", "a/", "a b", ".x", "é"],
)
def test_a_path_that_leaves_the_pack(name: str) -> None:
    with pytest.raises((Unverified, Malformed)):
        read_pack(tar_of((member(name), b"x")))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name or "/"), b"x")
    with pytest.raises((Unverified, Malformed)):
        read_pack(out.getvalue())


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
     tarfile.DIRTYPE],
)  # fmt: skip
def test_a_link_or_device(kind: bytes) -> None:
    with pytest.raises(Unverified) as refusal:
        read_pack(tar_of((member("a", kind, "/etc/passwd"), b"")))
    assert refusal.value.check == "pack.member" and refusal.value.file == "a"


def test_a_link_in_a_zip() -> None:
    link = zipfile.ZipInfo("a")
    link.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(link, b"/etc/passwd")
    with pytest.raises(Unverified, match="regular file"):
        read_pack(out.getvalue())


def test_a_name_that_stands_twice() -> None:
    with pytest.raises(Unverified, match="twice"):
        read_pack(tar_of((member("a"), b"1"), (member("a"), b"2")))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a"), b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(zipfile.ZipInfo("a"), b"2")
    with pytest.raises(Unverified, match="twice"):
        read_pack(out.getvalue())


def test_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "BYTES_MAX", 1_000_000)
    with pytest.raises(Unverified, match="bytes"):
        read_pack(gzip.compress(bytes(2_000_000), mtime=0))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a"), bytes(2_000_000))
    with pytest.raises(Unverified, match="bytes"):
        read_pack(out.getvalue())


def test_too_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "MEMBERS_MAX", 3)
    with pytest.raises(Unverified, match="members"):
        read_pack(write_tar_gz(FILES))


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_stumble(content: bytes) -> None:
    for head in (b"", b"\x1f\x8b\x08\x00", b"PK\x03\x04"):
        with pytest.raises((Malformed, Unverified)):
            read_pack(head + content)


def test_the_writer_writes_no_dangerous_name() -> None:
    for write in WRITERS:
        with pytest.raises(Unverified):
            write({"../x": b""})


def test_an_unpacked_folder_with_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    assert read_folder(tmp_path).files == {"a": b"1"}
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(Unverified, match="link"):
        read_folder(tmp_path)
