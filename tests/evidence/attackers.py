"""What somebody without any key can do to a pack: to its files, and to the archive around them.

Each attack takes a pack and chance, and gives the bytes that it makes of it.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from engine.evidence import pack as packing
from engine.evidence.drill_copy import sums
from engine.evidence.verify import SUMS
from tests.evidence.kit import repacked, unpacked

Files = dict[str, bytes]
_SIGNS: Final = b'{}[]:,"\n='


@dataclass(frozen=True, slots=True)
class Pack:
    """A good one. `name`: of its file."""

    content: bytes
    name: str
    root: bytes

    @property
    def zipped(self) -> bool:
        return self.content.startswith(b"PK")

    @property
    def files(self) -> Files:
        return unpacked(self.content)

    def again(self, files: Mapping[str, bytes]) -> bytes:
        return repacked(files, zipped=self.zipped)


# --- the files -----------------------------------------------------------------------------------


def _one(files: Files, chance: Random) -> str:
    return chance.choice(sorted(name for name in files if files[name]))


def flip(files: Files, chance: Random) -> None:
    """One bit, anywhere."""
    name = _one(files, chance)
    changed = bytearray(files[name])
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    files[name] = bytes(changed)


def restructure(files: Files, chance: Random) -> None:
    """A sign that holds a document together becomes another, or is there twice."""
    name = _one(files, chance)
    content = files[name]
    spots = [n for n, sign in enumerate(content) if sign in _SIGNS] or [0]
    spot = chance.choice(spots)
    sign = bytes([chance.choice([one for one in _SIGNS if one != content[spot]])])
    files[name] = content[:spot] + sign + content[spot + chance.randrange(2) :]


def shorten(files: Files, chance: Random) -> None:
    name = _one(files, chance)
    files[name] = files[name][: chance.randrange(len(files[name]))]


def lengthen(files: Files, chance: Random) -> None:
    name = _one(files, chance)
    files[name] += chance.choice([b"\n", b" ", b"\0", files[name]])


def drop(files: Files, chance: Random) -> None:
    del files[chance.choice(sorted(files))]


def drop_folder(files: Files, chance: Random) -> None:
    folder = chance.choice(sorted({name.rpartition("/")[0] for name in files if "/" in name}))
    for name in [one for one in files if one.startswith(f"{folder}/")]:
        del files[name]


def add(files: Files, chance: Random) -> None:
    places = ["more.txt", "steps/03-approval/approval-9.dsse", "log/more", "imported/09-x.dsse"]
    name = chance.choice([place for place in places if place not in files])
    files[name] = chance.choice([b"", b"{}", files[_one(files, chance)]])


def swap(files: Files, chance: Random) -> None:
    one = _one(files, chance)
    other = chance.choice([name for name in sorted(files) if files[name] != files[one]])
    files[one], files[other] = files[other], files[one]


def overwrite(files: Files, chance: Random) -> None:
    one = _one(files, chance)
    other = chance.choice([name for name in sorted(files) if files[name] != files[one]])
    files[other] = files[one]


def rename(files: Files, chance: Random) -> None:
    name = _one(files, chance)
    files[chance.choice([f"{name}x", f"x{name}", f"steps/{name}"])] = files.pop(name)


def renumber(files: Files, chance: Random) -> None:
    """A step's folder gets another number, or becomes another attempt's."""
    folder = chance.choice(sorted({name.split("/")[1] for name in files if name[:6] == "steps/"}))
    other = chance.choice([f"99-{folder[3:]}", f"{folder}/attempt-2"])
    for name in [one for one in files if one.startswith(f"steps/{folder}/")]:
        files[name.replace(f"steps/{folder}/", f"steps/{other}/", 1)] = files.pop(name)


FILE_ATTACKS: Final[tuple[Callable[[Files, Random], None], ...]] = (
    flip, restructure, shorten, lengthen, drop, drop_folder, add, swap, overwrite, rename, renumber,
)  # fmt: skip


def changed(
    pack: Pack, attack: Callable[[Files, Random], None], chance: Random, fits: bool
) -> bytes:
    """`fits`: the list of files is made to tell the changed ones; nobody can sign it."""
    files = pack.files
    attack(files, chance)
    if fits:
        files[SUMS] = sums(files)
    return pack.again(files)


# --- the archive ---------------------------------------------------------------------------------


def bits(pack: Pack, chance: Random) -> bytes:
    content = bytearray(pack.content)
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def head_bits(pack: Pack, chance: Random) -> bytes:
    """In the first header or the last directory, where a container says what it is."""
    content = bytearray(pack.content)
    spot = chance.choice([chance.randrange(600), -1 - chance.randrange(600)])
    content[spot] ^= 1 << chance.randrange(8)
    return bytes(content)


def cut(pack: Pack, chance: Random) -> bytes:
    return pack.content[: chance.randrange(1, len(pack.content))]


def tail(pack: Pack, chance: Random) -> bytes:
    return pack.content + chance.choice([b"\0", b"\n", bytes(512), pack.content, b"PK\x05\x06"])


def in_front(pack: Pack, chance: Random) -> bytes:
    return chance.choice([b"\0", b"#!/bin/sh\n", pack.content]) + pack.content


def twice(pack: Pack, chance: Random) -> bytes:
    """A member that is there twice: readers differ about which of them counts."""
    files = pack.files
    name = _one(files, chance)
    return _members(pack, [*sorted(files.items()), (name, chance.choice([b"{}", files[name]]))])


def reordered(pack: Pack, chance: Random) -> bytes:
    members = sorted(pack.files.items())
    chance.shuffle(members)
    return _members(pack, members)


def slip(pack: Pack, chance: Random) -> bytes:
    name = chance.choice(["../x", "/etc/x", "a/../../x", "C:\\x", "a\\..\\x", "..", "steps/./x"])
    return _members(pack, [*sorted(pack.files.items()), (name, b"x")])


def link(pack: Pack, chance: Random) -> bytes:
    """A file is a link to another one."""
    files = pack.files
    name, target = _one(files, chance), _one(files, chance)
    if not pack.zipped:
        kind = chance.choice([tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE])
        return _members(pack, sorted(files.items()), {name: (kind, target)})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member in sorted(files):
            info = zipfile.ZipInfo(member, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = (0o120777 if member == name else 0o100644) << 16
            archive.writestr(info, target if member == name else files[member])
    return out.getvalue()


def bomb(pack: Pack, chance: Random) -> bytes:
    """A few bytes that become very many."""
    size = 200 * 1024 * 1024
    if pack.zipped:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(chance.choice(["bomb", SUMS]), bytes(size // 20))
        return out.getvalue()
    info = tarfile.TarInfo("bomb")
    info.size = size // 20
    raw = info.tobuf(tarfile.USTAR_FORMAT) + bytes(info.size + 1024)
    return tarfile_gz(raw)


def tarfile_gz(raw: bytes) -> bytes:
    return gzip.compress(raw, mtime=0)


def repackaged(pack: Pack, chance: Random) -> bytes:
    """The same files in the other container, or compressed: no signature covers a container."""
    files = pack.files
    if chance.random() < 0.5 or not pack.zipped:
        return tarfile_gz(packing._tar(files))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(name, files[name])
    return out.getvalue()


ARCHIVE_ATTACKS: Final[tuple[Callable[[Pack, Random], bytes], ...]] = (
    bits, head_bits, cut, tail, in_front, twice, reordered, slip, link, bomb, repackaged,
)  # fmt: skip


def _members(
    pack: Pack,
    members: list[tuple[str, bytes]],
    links: Mapping[str, tuple[bytes, str]] | None = None,
) -> bytes:
    """As our writer writes them, in this order, whatever their names."""
    out = io.BytesIO()
    if pack.zipped:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for name, content in members:
                archive.NameToInfo.clear()  # it warns of a name that stands twice
                info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                info.create_system, info.external_attr = 3, 0o100644 << 16
                archive.writestr(info, content)
        return out.getvalue()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archived:
        for name, content in members:
            info_ = tarfile.TarInfo(name)
            info_.mode = 0o644
            if links and name in links:
                info_.type, info_.linkname = links[name]
                archived.addfile(info_)
            else:
                info_.size = len(content)
                archived.addfile(info_, io.BytesIO(content))
    return packing._gzip(out.getvalue())
