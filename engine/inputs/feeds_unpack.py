"""Packed files of others, unpacked in memory with a bound on everything that a hostile one grows.

Nothing is ever written under a name that stands in an archive.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from engine.core.errors import Malformed

_MIB: Final = 1024 * 1024
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLimits:
    """Attributes:
    file_bytes: of one file as it is transferred.
    unpacked_bytes: of everything that one feed holds, unpacked.
    files: in one feed.
    deadline_s: for one sync of one feed, whatever it consists of.
    """

    file_bytes: int = 512 * _MIB
    unpacked_bytes: int = 1024 * _MIB
    files: int = 500_000
    deadline_s: int = 900


def gunzip(content: bytes, *, limit: int, where: str) -> bytes:
    """Unpack one gzip file. Raises `Malformed`, also for one that is cut or has an appendix."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(content, limit + 1)
    except zlib.error as error:
        raise Malformed(f"expected a gzip file, found {error}", where=where) from error
    if len(text) > limit:
        raise Malformed(f"expected at most {limit} bytes unpacked, found more", where=where)
    if not unpacker.eof or unpacker.unused_data:
        raise Malformed("expected one whole gzip file, found a part or more than one", where=where)
    return text


def unzip(content: bytes, *, limits: FeedLimits, where: str) -> dict[str, bytes]:
    """The `.json` members of a zip archive by name, in the order of their names.

    Raises:
        Malformed: it is no archive, is damaged, too big, or names a member twice or outside.
    """
    found: dict[str, bytes] = {}
    left = limits.unpacked_bytes
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = sorted(archive.infolist(), key=lambda one: one.filename)
            if len(members) > limits.files:
                raise Malformed(
                    f"expected at most {limits.files} members, found {len(members)}", where=where
                )
            for member in members:
                _check_name(member.filename, where)
                if not member.filename.endswith(".json"):
                    continue
                if member.filename in found:
                    raise Malformed("expected each member once", where=f"{where}/{member.filename}")
                found[member.filename] = _member(archive, member, left, limits, where)
                left -= len(found[member.filename])
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        OSError,
        RuntimeError,  # a member with a password
        UnicodeDecodeError,
    ) as error:
        raise Malformed(f"expected a zip archive, found {error}", where=where) from error
    return found


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: int, limits: FeedLimits, where: str
) -> bytes:
    # The size that the archive states is a claim: what really comes out is counted.
    pieces, size = [], 0
    with archive.open(member) as file:
        while piece := file.read(_PIECE):
            size += len(piece)
            if size > left:
                raise Malformed(
                    f"expected at most {limits.unpacked_bytes} bytes unpacked, found more",
                    where=f"{where}/{member.filename}",
                )
            pieces.append(piece)
    return b"".join(pieces)


def _check_name(name: str, where: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable():
        raise Malformed(f"expected a member inside, found {name!r}", where=where)
