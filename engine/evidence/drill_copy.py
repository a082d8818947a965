"""Scratch copies of a pack, each broken in one way, and how such copies are written.

A copy says who could have made it: somebody without any key, somebody with keys of their own, or a
thief of every key there is. The last one is played with scratch keys that stand for the real ones.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.evidence.items import Item, read_item
from engine.evidence.pack import read_pack, write_tar_gz, write_zip
from engine.evidence.strict import parse_object
from engine.evidence.trust import TrustedRoot
from engine.evidence.verify import MANIFEST, SUMS, SUMS_BUNDLE

Files = Mapping[str, bytes]
BUNDLE_ENDING: Final = ".sigstore.json"


class Thief(StrEnum):
    """What the maker of a broken copy has in hand."""

    NO_KEY = "no_key"
    OWN_KEYS = "own_keys"
    STOLEN_KEYS = "stolen_keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One broken copy.

    Attributes:
        what: one sentence on what was done.
        touched: files that were changed; a check that names one of them says most.
        trusted_root: to be judged by; None = the one that the drill was given.
        against: an older checkpoint of the log to be compared with; None = there is none.
        file_name: under which the copy is handed over; empty = under none.
        note: what else one should know about this case.
    """

    name: str
    by: Thief
    what: str
    copy: bytes
    touched: tuple[str, ...] = ()
    trusted_root: bytes | None = None
    against: bytes | None = None
    file_name: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A case that this pack gives no occasion for, and why."""

    name: str
    why: str


Scratch = Broken | LeftOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The untouched pack. `items`: in order of `seq`, each verified."""

    content: bytes
    files: Files
    items: tuple[Item, ...]
    partial: bool

    @property
    def zipped(self) -> bool:
        return self.content.startswith(b"PK")

    @property
    def victim(self) -> Item:
        """The item that is broken where any will do: one in the middle."""
        return self.items[len(self.items) // 2]

    def pack(self, files: Files) -> bytes:
        return write_zip(files) if self.zipped else write_tar_gz(files)

    def relisted(self, files: Files) -> bytes:
        """A pack whose SHA256SUMS fits its files again; nobody has signed that list."""
        return self.pack({**files, SUMS: sums(files)})


def unsigned(name: str, what: str, copy: bytes, *touched: str, file_name: str = "") -> Broken:
    """A copy that it took no key to make."""
    return Broken(
        name=name, by=Thief.NO_KEY, what=what, copy=copy, touched=touched, file_name=file_name
    )


def read_original(content: bytes, trusted: TrustedRoot) -> Original:
    """Read a pack that was verified. Raises `Malformed` or `Unverified` for any other."""
    files = read_pack(content).files
    found = [
        read_item(path, files, trusted)
        for path in sorted(files)
        if path.startswith("steps/") and path.endswith(".dsse")
    ]
    found.sort(key=lambda item: item.statement.link.seq)
    manifest = parse_object(files[MANIFEST], where=MANIFEST)
    return Original(
        content=content,
        files=files,
        items=tuple(found),
        partial=manifest.get("partial") is not False,
    )


def sums(files: Files) -> bytes:
    """SHA256SUMS over everything but itself and its signature."""
    kept = sorted(files.keys() - {SUMS, SUMS_BUNDLE})
    return "".join(f"{Digest.of(files[name]).hex}  {name}\n" for name in kept).encode()


def without(files: Files, *names: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name not in names}


def bundle_of(path: str) -> str:
    """The bundle beside an envelope."""
    return path.removesuffix(".dsse") + BUNDLE_ENDING


def receipt_of(path: str, files: Files) -> str:
    """The receipt beside an envelope; a step with one envelope needs no stem in its name."""
    named = f"{path.removesuffix('.dsse')}.rekor-entry.json"
    return named if named in files else f"{path.rpartition('/')[0]}/rekor-entry.json"


def trio(path: str, files: Files) -> tuple[str, str, str]:
    """The three files of an item: envelope, bundle, receipt."""
    return path, bundle_of(path), receipt_of(path, files)


def bent(files: Files, path: str, bend: Callable[[dict[str, Any]], object]) -> dict[str, bytes]:
    """All three files of an item after one change of its bundle, so that they agree again."""
    document = json.loads(files[bundle_of(path)])
    bend(document)
    receipt = document["verificationMaterial"]["tlogEntries"][0]
    return {
        **files,
        path: canonical(document["dsseEnvelope"]),
        bundle_of(path): canonical(document),
        receipt_of(path, files): canonical(receipt),
    }


def flipped(content: bytes, spot: int | None = None) -> bytes:
    """`content` with one bit of one byte turned; in the middle unless told."""
    changed = bytearray(content)
    changed[len(content) // 2 if spot is None else spot] ^= 1
    return bytes(changed)


def flipped64(encoded: str, spot: int | None = None) -> str:
    return encode64(flipped(base64.b64decode(encoded), spot))


def encode64(content: bytes) -> str:
    return base64.b64encode(content).decode()
