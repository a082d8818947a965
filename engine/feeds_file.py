"""Feed snapshots as one signed file, for a home that no network reaches.

A pack like all others (`engine.evidence.pack`: sorted, no times, no owners, not compressed) with
the snapshots and `feeds.dsse`, the signed list of them with their digests and dates. The same
snapshots give the same bytes. A reader believes nothing before the list's signature is good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed, Unverified
from engine.core.feeds import NAMES
from engine.core.jcs import canonical
from engine.evidence.dsse import open_by, parse_envelope
from engine.evidence.feeds_seal import PAYLOAD_TYPE, FeedsSigner
from engine.evidence.foreign_key import ForeignKey
from engine.evidence.pack import BYTES_MAX, read_pack, write_tar_gz
from engine.evidence.strict import fields, parse_object, text
from engine.ports import FeedSnapshot

SCHEMA: Final = "releaseline.feeds-file/1"
LIST: Final = "feeds.dsse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One snapshot of the file.

    Attributes:
        as_of_s: UTC seconds, up to which its source is known.
        source: where it was taken from by the home that exported it.
    """

    name: str
    digest: Digest
    size: int
    as_of_s: int
    source: str

    @property
    def place(self) -> str:
        return f"snapshots/{self.name}.json"

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "digest": str(self.digest),
            "size": self.size,
            "as_of_s": self.as_of_s,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Attributes:
    signed_by: name of the trusted key.
    contents: bytes by name of feed, each of its digest.
    """

    signed_by: str
    listed: tuple[Listed, ...]
    contents: Mapping[str, bytes]


def write_feeds(
    snapshots: Sequence[FeedSnapshot], sources: Mapping[str, str], signer: FeedsSigner
) -> bytes:
    """The file's bytes.

    Raises:
        Malformed: the snapshots are larger than a pack may be.
    """
    listed = [
        Listed(
            name=one.name,
            digest=Digest.of(one.content),
            size=len(one.content),
            as_of_s=one.as_of_s,
            source=sources.get(one.name, ""),
        )
        for one in sorted(snapshots, key=lambda one: one.name)
    ]
    total = sum(one.size for one in listed)
    if total > BYTES_MAX:
        message = f"expected at most {BYTES_MAX} bytes of snapshots, found {total}"
        raise Malformed(message, where="feeds")
    document: dict[str, Any] = {"schema": SCHEMA, "snapshots": [one.document() for one in listed]}
    contents = {one.name: one.content for one in snapshots}
    files = {one.place: contents[one.name] for one in listed}
    return write_tar_gz({**files, LIST: signer.seal(canonical(document)).to_bytes()})


def open_feeds(content: bytes, keys: Sequence[ForeignKey], *, where: str) -> Opened:
    """Check everything, then hand out what is in the file.

    Raises:
        Malformed: it is no such file.
        Unverified: it is not signed by one of the keys, a file is not what the list says, or
            something is in it that the list does not name.
    """
    pack = read_pack(content, where=where)
    if LIST not in pack.files:
        raise _bad("feeds.unsigned", where, f"{LIST}, the signed list", "no such file in it")
    signed_by, document = _list(pack.files[LIST], keys, where=f"{where}/{LIST}")
    listed = _listed(document, where=f"{where}/{LIST}")
    expected, found = sorted([LIST, *(one.place for one in listed)]), sorted(pack.files)
    if expected != found:
        raise _bad("feeds.files", where, ", ".join(expected), ", ".join(found))
    for one in listed:
        digest = Digest.of(pack.files[one.place])
        if digest != one.digest:
            raise _bad("feeds.digest", f"{where}/{one.place}", str(one.digest), str(digest))
        size = len(pack.files[one.place])
        if size != one.size:
            raise _bad("feeds.size", f"{where}/{one.place}", f"{one.size} bytes", f"{size}")
    if pack.problems:  # everything that is signed is good; the container is not our writer's
        raise pack.problems[0]
    contents = {one.name: pack.files[one.place] for one in listed}
    return Opened(signed_by=signed_by, listed=listed, contents=contents)


def _list(
    content: bytes, keys: Sequence[ForeignKey], *, where: str
) -> tuple[str, Mapping[str, Any]]:
    envelope = parse_envelope(content, where=where)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise _bad("feeds.type", where, PAYLOAD_TYPE, envelope.payload_type)
    for key in keys:
        payload = open_by(envelope, key.signed)
        if payload is not None:
            return key.name, parse_object(payload, where=where)
    hints = ", ".join(sorted({one.key_id for one in envelope.signatures})) or "nobody named"
    trusted = ", ".join(key.name for key in keys)
    raise _bad("feeds.signature", where, f"a good signature of {trusted}", f"one of {hints}")


def _listed(document: Mapping[str, Any], *, where: str) -> tuple[Listed, ...]:
    fields(document, {"schema", "snapshots"}, where=where)
    if document["schema"] != SCHEMA:
        message = f"expected {SCHEMA!r}, found {document['schema']!r}"
        raise Malformed(message, where=f"{where}.schema")
    rows = document["snapshots"]
    if not isinstance(rows, list) or not rows:
        raise Malformed("expected at least one snapshot", where=f"{where}.snapshots")
    found = tuple(_row(one, where=f"{where}.snapshots[{n}]") for n, one in enumerate(rows))
    if len({one.name for one in found}) != len(found):
        raise Malformed("expected each feed once", where=f"{where}.snapshots")
    return found


def _row(one: Any, *, where: str) -> Listed:
    fields(one, {"name", "digest", "size", "as_of_s", "source"}, where=where)
    name = text(one, "name", where=where)
    if name not in NAMES:
        raise Malformed(f"expected one of {', '.join(NAMES)}, found {name!r}", where=where)
    for key in ("size", "as_of_s"):
        if type(one[key]) is not int or one[key] < 0:
            message = f"expected a whole number from 0, found {one[key]!r}"
            raise Malformed(message, where=f"{where}.{key}")
    return Listed(
        name=name,
        digest=Digest.parse(text(one, "digest", where=where)),
        size=one["size"],
        as_of_s=one["as_of_s"],
        source=text(one, "source", where=where),
    )


def _bad(check: str, file: str, expected: str, found: str) -> Unverified:
    message = f"{file}: expected {expected}, found {found}"
    return Unverified(message, check=check, file=file, expected=expected, found=found)
