"""Drills on the archive itself: members that would leave the pack, hide in it, or stand twice."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from typing import Final

from engine.evidence.drill_copy import Broken, Original, unsigned
from engine.evidence.verify import SUMS

_LINK: Final = 0o120777


def archive_drills(original: Original) -> Iterator[Broken]:
    """Every drill on the container of `original`, of the kind that it is."""
    content = original.content
    yield unsigned(
        "archive.truncated",
        "The last tenth of the archive was cut off.",
        content[: len(content) * 9 // 10],
    )
    yield unsigned("archive.tail", "Bytes were appended behind the archive's end.", content + b"x")
    yield unsigned("archive.again", "The archive was appended to itself.", content + content)
    # How hard gzip tried, or when a zip's first member was changed: nobody needs or signs that.
    touched = bytearray(content)
    touched[10 if original.zipped else 8] ^= 2
    yield unsigned(
        "archive.header",
        "One bit of the archive's own header was turned; every file is as it was.",
        bytes(touched),
    )
    for name, member, what in (
        ("archive.slip", "../outside.txt", "A member was added that unpacks outside the folder."),
        ("archive.absolute", "/etc/outside.txt", "A member with an absolute path was added."),
        ("archive.backslash", "steps\\..\\outside.txt", "A member with backslashes was added."),
        ("archive.twice", SUMS, "SHA256SUMS was added a second time, with other bytes."),
    ):
        yield unsigned(name, what, _with_member(original, member, b"0  nothing\n"), member)
    yield unsigned(
        "archive.link",
        "A symbolic link to a file outside the pack was added.",
        _with_member(original, "link.txt", b"/etc/passwd", link=True),
        "link.txt",
    )


def _with_member(original: Original, name: str, content: bytes, *, link: bool = False) -> bytes:
    members = [(one, original.files[one], False) for one in sorted(original.files)]
    members.append((name, content, link))
    return _zip(members) if original.zipped else _tar_gz(members)


def _tar_gz(members: Sequence[tuple[str, bytes, bool]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, link in members:
            member = tarfile.TarInfo(name)
            if link:
                member.type, member.linkname = tarfile.SYMTYPE, content.decode()
                archive.addfile(member)
            else:
                member.size, member.mode = len(content), 0o644
                archive.addfile(member, io.BytesIO(content))
    return gzip.compress(out.getvalue(), compresslevel=1, mtime=0)


def _zip(members: Sequence[tuple[str, bytes, bool]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content, link in members:
            archive.NameToInfo.clear()  # it warns of a name that stands twice; here that is meant
            member = zipfile.ZipInfo(name)
            member.external_attr = (_LINK if link else 0o100644) << 16
            archive.writestr(member, content)
    return out.getvalue()
