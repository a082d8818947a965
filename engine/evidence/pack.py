"""Packs as bytes: a writer with one spelling, and a reader that trusts nothing.

The writer stores without compression: what a compressor makes differs between its versions, and an
auditor who packs the same files again must get the same bytes. The reader refuses everything that
could be more than a plain file at a plain path, and reports any byte of the container that the
writer would not have written, for no signature covers the container itself.
"""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.core.errors import Malformed, Unverified

BYTES_MAX: Final = 512 * 1024 * 1024
MEMBERS_MAX: Final = 10_000
_MODE: Final = 0o644
# No compression, no name, no time, Unix: RFC 1952, 2.3.
_GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
_BLOCK: Final = 65_535
# No part begins or ends with a dot: `..` is no name, and Windows drops a dot at the end.
_PART: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_-])?"
_NAME: Final = re.compile(rf"{_PART}(/{_PART})*", re.ASCII)
# Names of devices, with any ending, wherever Windows sees them.
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.ASCII | re.IGNORECASE)
# Our writer does not compress; what grows more than this is no pack that somebody packed again.
_RATIO_MAX: Final = 100


def write_tar_gz(files: Mapping[str, bytes]) -> bytes:
    """Pack into .tar.gz: sorted, regular files only, no times, no owners."""
    return _gzip(_tar(files))


def write_zip(files: Mapping[str, bytes]) -> bytes:
    """Pack into .zip under the same rules."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            _check_name(name)
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3
            member.external_attr = (0o100000 | _MODE) << 16
            archive.writestr(member, files[name])
    return out.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """`problems`: what is wrong with the container although its files could be read."""

    files: Mapping[str, bytes]
    problems: tuple[Unverified, ...]


def read_pack(content: bytes, *, where: str = "pack") -> Unpacked:
    """Read a .tar.gz or .zip pack into memory; nothing is ever written to a disk.

    Raises:
        Malformed: neither kind of archive, or damaged beyond reading.
        Unverified: a member that is dangerous: a path that leaves the pack, a link, a device, a
            name that stands twice, more than 512 MiB or 10,000 members.
    """
    if content.startswith(b"\x1f\x8b"):
        return _read_tar_gz(content, where)
    if content.startswith(b"PK"):
        return _read_zip(content, where)
    raise Malformed("expected a .tar.gz or .zip pack", where=where)


def read_file(path: Path, *, where: str) -> Unpacked:
    """As `read_pack`; a file that is larger than any pack is not even read."""
    if path.stat().st_size > 2 * BYTES_MAX:
        raise _dangerous(where, f"at most {2 * BYTES_MAX} bytes", "more")
    return read_pack(path.read_bytes(), where=where)


def read_folder(folder: Path) -> Unpacked:
    """Read a pack that somebody has unpacked. Links are refused, never followed.

    Raises:
        Unverified: something that is no plain file at a plain path; also an empty folder, for no
            pack unpacks to one.
    """
    files: dict[str, bytes] = {}
    names, size = _Names(), 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            raise _dangerous(name, "a regular file", "an empty folder")
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _dangerous(name, "a regular file", "a link or device")
        if path.is_file():
            names.take(name)
            size += path.stat().st_size
            if size > BYTES_MAX:
                raise _dangerous(name, f"at most {BYTES_MAX} bytes", "more")
            files[name] = path.read_bytes()
    return Unpacked(files=files, problems=())


def _read_tar_gz(content: bytes, where: str) -> Unpacked:
    problems: list[Unverified] = []
    if content[:10] != _GZIP_HEAD:
        problems.append(_container(where, "the gzip header of our writer", "another"))
    if len(content) > 10 and content[10] & 0b110:
        problems.append(_container(where, "stored bytes", "compressed ones"))
    tar, rest = _inflate(content, where)
    if rest != _gzip_tail(tar):
        problems.append(_container(where, "a matching checksum and nothing after it", "others"))
    files: dict[str, bytes] = {}
    names = _Names()
    try:
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
            for member in archive:
                if not member.isreg() or member.sparse is not None:
                    raise _dangerous(member.name, "a regular file", "a link, device or folder")
                names.take(member.name)
                source = archive.extractfile(member)
                assert source is not None  # a regular member has content
                files[member.name] = source.read()
    # A long row of headers that only announce the next one is read by recursion.
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise Malformed(f"expected a tar archive: {error}", where=where) from None
    if not problems and (_tar(files) != tar or _gzip(tar) != content):
        problems.append(_container(where, "the form that our writer gives", "another"))
    return Unpacked(files=files, problems=tuple(problems))


def _read_zip(content: bytes, where: str) -> Unpacked:
    files: dict[str, bytes] = {}
    names = _Names()
    problems: list[Unverified] = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > min(BYTES_MAX, _RATIO_MAX * len(content)):
                raise _dangerous(where, f"at most {BYTES_MAX} bytes", "more")
            for member in members:
                kind = member.external_attr >> 16 & 0o170000
                if kind not in {0, 0o100000} or member.is_dir():
                    raise _dangerous(member.filename, "a regular file", "a link, device or folder")
                if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                    raise _dangerous(member.filename, "stored or deflated", "another method")
                names.take(member.filename)
                files[member.filename] = _member(archive, member, problems, where)
    except (
        zipfile.BadZipFile,
        EOFError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        IndexError,  # a member without any name
        zlib.error,
        OSError,
    ) as error:
        raise Malformed(f"expected a zip archive: {error}", where=where) from None
    if write_zip(files) != content:
        problems.append(_container(where, "the form that our writer gives", "another"))
    return Unpacked(files=files, problems=tuple(problems))


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, problems: list[Unverified], where: str
) -> bytes:
    """Content of a member, never longer than it claims to be."""
    with archive.open(member) as source:
        try:
            content = source.read(member.file_size + 1)
        except zipfile.BadZipFile as error:
            problems.append(_container(member.filename, "a matching checksum", str(error)))
            start = member.header_offset + 30 + len(member.filename.encode())
            file = archive.fp
            assert file is not None
            file.seek(start)
            return file.read(member.file_size)
    if len(content) != member.file_size:
        raise _dangerous(member.filename, f"{member.file_size} bytes", "more")
    return content


class _Names:
    """The names of a pack so far; each has to be a file of its own on any file system."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def take(self, name: str) -> None:
        """Raises `Unverified` for a name that is dangerous, or that meets another one."""
        _check_name(name)
        folded = name.lower()
        if folded in self._files:
            raise _dangerous(name, "each name once, in one spelling", "twice")
        parts = folded.split("/")
        folders = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if folded in self._folders or folders & self._files:
            raise _dangerous(name, "a file or a folder", "both")
        if len(self._files) >= MEMBERS_MAX:
            raise _dangerous(name, f"at most {MEMBERS_MAX} members", "more")
        self._files.add(folded)
        self._folders |= folders


def _check_name(name: str) -> None:
    # No colon, backslash or space passes at all.
    if (
        not _NAME.fullmatch(name)
        or len(name) > 200
        or any(_DEVICE.fullmatch(part) for part in name.split("/"))
    ):
        raise _dangerous(name, "a plain relative path", "another")


def _inflate(content: bytes, where: str) -> tuple[bytes, bytes]:
    """The bytes inside a gzip member without optional fields, and what follows its data."""
    if len(content) < 18 or content[2] != 8 or content[3] != 0:
        raise Malformed("expected gzip without optional fields", where=where)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    most = min(BYTES_MAX, _RATIO_MAX * len(content))
    try:
        inflated = inflater.decompress(content[10:], most + 1)
    except zlib.error as error:
        raise Malformed(f"expected gzip: {error}", where=where) from None
    if len(inflated) > most:
        raise _dangerous(where, f"at most {most} bytes", "more")
    if not inflater.eof:
        raise Malformed("expected gzip, it ends too early", where=where)
    return inflated, inflater.unused_data


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            _check_name(name)
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), _MODE
            archive.addfile(member, io.BytesIO(files[name]))
    return out.getvalue()


def _gzip(content: bytes) -> bytes:
    """RFC 1952 around stored blocks (RFC 1951, 3.2.4)."""
    blocks = []
    for start in range(0, len(content) or 1, _BLOCK):
        block = content[start : start + _BLOCK]
        last = start + _BLOCK >= len(content)
        length = len(block)
        blocks.append(
            bytes((last,))
            + length.to_bytes(2, "little")
            + (length ^ 0xFFFF).to_bytes(2, "little")
            + block
        )
    return _GZIP_HEAD + b"".join(blocks) + _gzip_tail(content)


def _gzip_tail(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little") + (len(content) & 0xFFFFFFFF).to_bytes(
        4, "little"
    )


def _dangerous(name: str, expected: str, found: str) -> Unverified:
    return Unverified(
        f"{name}: expected {expected}, found {found}",
        check="pack.member",
        file=name,
        expected=expected,
        found=found,
    )


def _container(where: str, expected: str, found: str) -> Unverified:
    return Unverified(
        f"{where}: expected {expected}, found {found}",
        check="pack.container",
        file=where,
        expected=expected,
        found=found,
    )
