"""One evidence item of a pack: an envelope, verified by the bundle and the receipt beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.core.digest import Digest
from engine.core.errors import Unverified
from engine.evidence.merkle import leaf_hash
from engine.evidence.sigstore_bundle import Verified, verify_bundle
from engine.evidence.statement import Statement, parse_statement
from engine.evidence.trust import TrustedRoot

_RECEIPT: Final = "rekor-entry.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A verified envelope at its path in a pack."""

    path: str
    envelope: Digest
    payload: Digest
    statement: Statement
    verified: Verified

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def leaf(self) -> bytes:
        return leaf_hash(self.verified.receipt.body)


def read_item(path: str, files: Mapping[str, bytes], trusted: TrustedRoot) -> Item:
    """Verify an envelope by the bundle beside it, and the receipt that lies there too.

    Raises:
        Malformed, Unverified: the first thing that is wrong, named.
    """
    stem = path.removesuffix(".dsse")
    bundle = f"{stem}.sigstore.json"
    if bundle not in files:
        raise _no("item.bundle", path, "its bundle beside it", "none")
    verified = verify_bundle(files[bundle], trusted, where=bundle, exact=True)
    if verified.envelope != files[path]:
        raise _no("dsse.bundle", path, "the envelope of the bundle", "another")
    receipt = receipt_path(path, files)
    if files.get(receipt) != verified.receipt.to_bytes():
        raise _no("item.receipt", receipt, "the receipt of the bundle", "another")
    return Item(
        path=path,
        envelope=Digest.of(files[path]),
        payload=Digest.of(verified.payload),
        statement=parse_statement(verified.payload, where=path),
        verified=verified,
    )


def receipt_path(path: str, files: Mapping[str, bytes]) -> str:
    """The receipt beside an envelope; the only envelope of a step needs no stem in its name."""
    named = f"{path.removesuffix('.dsse')}.{_RECEIPT}"
    return named if named in files else f"{path.rpartition('/')[0]}/{_RECEIPT}"


def _no(check: str, file: str, expected: str, found: str) -> Unverified:
    return Unverified(
        f"{file}: expected {expected}, found {found}",
        check=check,
        file=file,
        expected=expected,
        found=found,
    )
