"""Every evidence item over all runs, as it lies in the store: who signed what, and how it stands.

What is shown of a signature is read out of the very bundle that a pack would hold, so a page can't
say anything that an auditor would not find there. Reading is not verifying: `releaseline verify`
and the item's own page do that.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cryptography import x509

from data import queries
from engine.audit_imports import Import, imports
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Unverified
from engine.evidence.certificates import identity_of
from engine.evidence.imported import SIGSTORE
from engine.evidence.owner import owner_of
from engine.ports import BlobStore
from engine.services import Services

BUNDLE: Final = ".sigstore.json"
# More than this are counted and not listed.
LIMIT: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a stored bundle says of itself.

    Attributes:
        signer: as its certificate names them: an e-mail address, or the engine's address.
        owner: whom the certificate names for clients that want one; empty without.
        references: SHA-256 (hex) of everything that the statement rests on.
        prev: of the statement before it in the run's chain; None for the first.
    """

    signer: str
    owner: str
    predicate_type: str
    references: frozenset[str]
    prev: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One item.

    Attributes:
        state: a word of an evidence item (vocabulary 2).
        item: its place in the run's proof chain, or the number of an addendum or of an imported
            attestation; 0 for none of them.
        signed: None when there is nothing that could be read.
        note: why it is missing, what an addendum says, or why it can't be read.
        imported: what is known of an attestation that others made; None of ours.
    """

    run_id: str
    environment: str
    bundle: str
    what: str
    state: str
    item: int
    step: str
    attempt: int
    name: str
    ts_us: int
    envelope: str
    payload: str
    log_index: int | None
    files: tuple[tuple[str, str], ...]
    signed: Signed | None
    note: str
    imported: Import | None = None

    @property
    def file(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def stem(self) -> str:
        return self.file.removesuffix(".dsse")


def packets(house: Services, *, run_id: str = "", limit: int = LIMIT) -> tuple[Packet, ...]:
    """The newest `limit` items, newest first; of one run when it is named.

    Imported attestations are among them.
    """
    frame = queries.evidence_items(house.store.cursor(), run_id=run_id, limit=limit)
    own = [_packet(row, house.store.blobs) for row in frame.iter_rows(named=True)]
    others = [_imported(one) for one in imports(house, run_id=run_id, limit=limit)]
    # Both are newest first already, and sorting keeps what has one time in its order.
    found = sorted([*own, *others], key=lambda packet: packet.ts_us, reverse=True)
    return tuple(found[:limit])


def _packet(row: Mapping[str, Any], blobs: BlobStore) -> Packet:
    files = tuple((str(one["name"]), str(one["digest"])) for one in row["files"])
    signed, trouble = _read(str(row["name"]), files, blobs)
    return Packet(
        run_id=str(row["run_id"]),
        environment=str(row["environment"]),
        bundle=str(row["bundle"]),
        what=str(row["what"]),
        state="INVALID" if trouble else _state(row),
        item=int(row["item"] or 0),
        step=str(row["step"]),
        attempt=int(row["attempt"] or 0),
        name=str(row["name"]),
        ts_us=int(row["ts_us"]),
        envelope=str(row["envelope"] or named(files, str(row["name"]))),
        payload=str(row["payload"] or ""),
        log_index=None if row["log_index"] is None else int(row["log_index"]),
        files=files,
        signed=signed,
        note=trouble or str(row["note"]),
    )


def _imported(one: Import) -> Packet:
    """As its files are named in a pack. It was hashed and verified, and is in no log of ours."""
    files = {f"{one.place}.dsse": one.envelope}
    if one.form == SIGSTORE:
        files[f"{one.place}{BUNDLE}"] = one.source
    return Packet(
        run_id=one.run_id,
        environment=one.environment,
        bundle=one.bundle,
        what="imported",
        state="INVALID" if one.trouble else "CAPTURED",
        item=one.number,
        step="",
        attempt=0,
        name=f"{one.place}.dsse",
        ts_us=one.ts_us,
        envelope=one.envelope,
        payload=one.payload,
        log_index=None,
        files=tuple(files.items()),
        signed=None,
        note=one.trouble,
        imported=one,
    )


def _state(row: Mapping[str, Any]) -> str:
    match row["what"]:
        case "missing":
            return "MISSING"
        case "addendum":
            return "ADDENDUM"
        case "sealed":
            return "SEALED"
    if row["superseded"]:
        return "SUPERSEDED"
    return "SEALED" if row["seal_status"] == "SEALED" else "LOGGED"


def _read(
    name: str, files: Sequence[tuple[str, str]], blobs: BlobStore
) -> tuple[Signed | None, str]:
    """What the bundle beside the envelope says; or None and why it can't be read."""
    bundle = name.rpartition("/")[2].removesuffix(".dsse") + BUNDLE
    digest = named(files, bundle)
    if not digest:
        return None, ""
    try:
        return _signed(blobs.get(Digest.parse(digest))), ""
    except (NotFound, Malformed, Unverified) as error:
        return None, str(error)
    except (ValueError, KeyError, TypeError) as error:
        return None, f"{bundle}: expected a Sigstore bundle, found {type(error).__name__}"


# By content: the bytes are fetched and hashed again each time, so damage is seen.
@lru_cache(maxsize=LIMIT)
def _signed(content: bytes) -> Signed:
    document = json.loads(content)
    raw = base64.b64decode(document["verificationMaterial"]["certificate"]["rawBytes"])
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    predicate = statement["predicate"]
    link: dict[str, Any] = next(
        (value for key, value in predicate.items() if key.endswith("/link/v1")), {}
    )
    prev = link.get("prev")
    rest = {key: value for key, value in predicate.items() if not key.endswith("/link/v1")}
    certificate = x509.load_der_x509_certificate(raw)
    return Signed(
        signer=identity_of(certificate, where="certificate").removeprefix("mailto:"),
        owner=owner_of(certificate),
        predicate_type=str(statement["predicateType"]),
        references=frozenset(_digests(rest)),
        prev=None if prev is None else str(prev["digest"]["sha256"]),
    )


def _digests(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("sha256"), str):
            yield value["sha256"]
        for one in value.values():
            yield from _digests(one)
    elif isinstance(value, list):
        for one in value:
            yield from _digests(one)


def named(files: Sequence[tuple[str, str]], name: str) -> str:
    """The digest of the file of that name, wherever it lies; empty when there is none."""
    return next((d for n, d in files if n.rpartition("/")[2] == name.rpartition("/")[2]), "")
