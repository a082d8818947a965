"""Every pack that left the house or was made by a seal, and what a digest is to the house."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from data import queries
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.exporting import SEALED_KINDS, SIGNATURE, sealed_name
from engine.ports import BlobStore
from engine.services import Services

_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WORDS: Final = {
    sealed_name(kind): kind for pack in SEALED_KINDS for kind in (pack, f"{pack}{SIGNATURE}")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Attributes:
    sealed: made once by the seal, and handed out as it is; otherwise somebody took it.
    size: in bytes; None when its bytes are gone.
    """

    run_id: str
    environment: str
    bundle: str
    seq: int
    ts_us: int
    who: str
    sealed: bool
    kind: str
    digest: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """An event that names a digest: as which file, or in which field."""

    stream: str
    seq: int
    ts_us: int
    actor: str
    kind: str
    step: str
    field: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the house knows of a digest.

    Attributes:
        packs: packs that are these very bytes.
        uses: events that name it, oldest first.
        kept: the bytes themselves are in the store.
        trusted_root: it is the trusted root that this home signs under now.
    """

    digest: str
    packs: tuple[Exported, ...]
    uses: tuple[Use, ...]
    kept: bool
    trusted_root: bool

    @property
    def ours(self) -> bool:
        return bool(self.packs or self.uses or self.trusted_root)


def exported(house: Services, *, limit: int = 1_000) -> tuple[Exported, ...]:
    """The newest `limit`, newest first. What a seal made is as long as its bytes are."""
    frame = queries.exports(house.store.cursor(), limit=limit)
    return tuple(_exported(row, house.store.blobs) for row in frame.iter_rows(named=True))


def _exported(row: Mapping[str, Any], blobs: BlobStore) -> Exported:
    kind, size = str(row["kind"]), row["size"]
    if size is None:
        with suppress(NotFound):
            size = blobs.path(Digest.parse(str(row["digest"]))).stat().st_size
    return Exported(
        run_id=str(row["run_id"]),
        environment=str(row["environment"]),
        bundle=str(row["bundle"]),
        seq=int(row["seq"]),
        ts_us=int(row["ts_us"]),
        who=str(row["actor"]),
        sealed=row["how"] == "sealed",
        kind=_WORDS.get(kind, kind),
        digest=str(row["digest"]),
        size=None if size is None else int(size),
    )


def parse_digest(text: str) -> str:
    """64 hex digits out of what people paste: with `sha256:`, a file's name behind it, blanks.

    Raises:
        Malformed: it is not one SHA-256.
    """
    found = text.strip().lower().removeprefix("sha256:").split()
    first = found[0] if found else ""
    if not _HEX.fullmatch(first):
        raise Malformed(
            f"expected 64 hex digits of a SHA-256, found {len(first)} characters", where="digest"
        )
    return first


def known(house: Services, text: str) -> Known:
    """What the house knows of the digest. Raises `Malformed` when it is none."""
    hex_ = parse_digest(text)
    whole = f"sha256:{hex_}"
    rows = queries.digest_uses(house.store.cursor(), hex=hex_).to_dicts()
    root = Digest.of((house.home / "trusted_root.json").read_bytes())
    return Known(
        digest=whole,
        packs=tuple(one for one in exported(house) if one.digest == whole),
        uses=tuple(
            Use(
                stream=str(row["stream"]),
                seq=int(row["seq"]),
                ts_us=int(row["ts_us"]),
                actor=str(row["actor"]),
                kind=str(row["kind"]),
                step=str(row["step"]),
                field=str(row["what"]),
                name=str(row["name"]),
            )
            for row in rows
        ),
        kept=house.store.blobs.has(Digest.parse(whole)),
        trusted_root=str(root) == whole,
    )
