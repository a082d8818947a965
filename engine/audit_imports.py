"""Attestations that others made and a run took in: who signed them, who vouched, what they say.

They are no part of the run's proof chain and have no place in our log. A run rests on those that
its inputs name; the statement about the inputs has their digests.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data import queries
from engine.core.attestations import place
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.evidence import dsse
from engine.evidence.imported import Imported, judge
from engine.evidence.strict import parse_object
from engine.ports import BlobStore
from engine.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One attestation of a run.

    Attributes:
        number: as its files are numbered in the packs of the run, 1-based.
        place: where they lie in a pack, without what follows the dot.
        ts_us: when the run had it first, UTC; `signed_s` as a verified time stamp says, or None.
        pinned: the inputs of the run, as resolved last, name it.
        form: `dsse` or `sigstore`; `source` is what came in, around `envelope`.
        trust: entry of the settings that vouched then; `anchor` digest of its key or root.
        says: result that the statement states, for example PASSED; else empty.
        about: parts of the bundle that it is about, by our names.
        trouble: why its bytes can't be read; empty when they are there and whole.
    """

    run_id: str
    environment: str
    bundle: str
    number: int
    place: str
    ts_us: int
    envelope: str
    payload: str
    source: str
    form: str
    file: str
    predicate_type: str
    signer: str
    issuer: str
    trust: str
    anchor: str
    signed_s: int | None
    says: str
    about: tuple[str, ...]
    pinned: bool
    trouble: str


def imports(house: Services, *, run_id: str, limit: int) -> tuple[Import, ...]:
    """The newest `limit`, newest first; of one run when it is named."""
    frame = queries.imported_items(house.store.cursor(), run_id=run_id, limit=limit)
    return tuple(_import(row, house.store.blobs) for row in frame.iter_rows(named=True))


def _import(row: Mapping[str, Any], blobs: BlobStore) -> Import:
    return Import(
        run_id=str(row["run_id"]),
        environment=str(row["environment"]),
        bundle=str(row["bundle"]),
        number=int(row["item"]),
        place=place(int(row["item"]), str(row["predicate_type"])),
        ts_us=int(row["ts_us"]),
        envelope=str(row["envelope"]),
        payload=str(row["payload"]),
        source=str(row["source"]),
        form=str(row["form"]),
        file=str(row["file"]),
        predicate_type=str(row["predicate_type"]),
        signer=str(row["signer"]),
        issuer=str(row["issuer"]),
        trust=str(row["trust"]),
        anchor=str(row["anchor"]),
        signed_s=None if row["signed_s"] is None else int(row["signed_s"]),
        says=str(row["says"]),
        about=tuple(row["about"]),
        pinned=bool(row["pinned"]),
        trouble=_trouble(str(row["envelope"]), blobs),
    )


def _trouble(envelope: str, blobs: BlobStore) -> str:
    """Bytes are hashed again each time, so damage is seen."""
    try:
        blobs.get(Digest.parse(envelope))
    except (NotFound, Malformed) as error:
        return str(error)
    return ""


def statement_of(house: Services, one: Import) -> Mapping[str, Any]:
    """The decoded payload of the stored envelope. Reading is not verifying.

    Raises:
        NotFound, Malformed: the bytes are gone, are others, or are no envelope.
    """
    content = house.store.blobs.get(Digest.parse(one.envelope))
    document = parse_object(content, where=one.file)
    dsse.envelope_of(document, where=one.file)  # refuses what is none
    found: Mapping[str, Any] = json.loads(base64.b64decode(document["payload"]))
    return found


def judged_now(house: Services, one: Import) -> Imported:
    """Judge what came in once more, by whom the settings trust at this moment.

    Raises:
        NotFound: its bytes are gone.
        Malformed, Unverified: they are others; or nobody who is trusted now signed it.
    """
    content = house.store.blobs.get(Digest.parse(one.source))
    return judge(content, house.settings.trust, where=one.file)
