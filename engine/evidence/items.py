"""The evidence items of a pack: each verified by itself, then all of them against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed, Unverified
from engine.core.event_parts import NamedDigest
from engine.evidence.merkle import leaf_hash
from engine.evidence.predicates import SUMMARY
from engine.evidence.report import Ledger
from engine.evidence.sigstore_bundle import Verified, verify_bundle
from engine.evidence.statement import MANIFEST_NAME, Statement, parse_statement, resources
from engine.evidence.strict import fields, text
from engine.evidence.trust import TrustedRoot

ENGINE_SUFFIX: Final = "/run-engine"
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
    receipt = f"{stem}.{_RECEIPT}"
    if receipt not in files:
        receipt = f"{path.rpartition('/')[0]}/{_RECEIPT}"
    if files.get(receipt) != verified.receipt.to_bytes():
        raise _no("item.receipt", receipt, "the receipt of the bundle", "another")
    return Item(
        path=path,
        envelope=Digest.of(files[path]),
        payload=Digest.of(verified.payload),
        statement=parse_statement(verified.payload, where=path),
        verified=verified,
    )


def check_items(
    items: Sequence[Item],
    files: Mapping[str, bytes],
    ledger: Ledger,
    *,
    run_id: str,
    manifest: Digest,
    engine: str,
) -> None:
    """Hold items, in order of `seq`, against each other and against the run they claim."""
    before: Item | None = None
    nonces: set[str] = set()
    for number, item in enumerate(items, start=1):
        link = item.statement.link
        ledger.equal(item.path, "chain.seq", expected=number, found=link.seq)
        ledger.equal(item.path, "chain.run", expected=run_id, found=link.run_id)
        ledger.equal(item.path, "chain.folder", expected=True, found=_is_at_home(item))
        ledger.equal(
            item.path,
            "chain.prev",
            expected=None
            if before is None
            else NamedDigest(name=before.path, digest=before.payload),
            found=link.prev,
        )
        subject = NamedDigest(name=MANIFEST_NAME, digest=manifest)
        ledger.equal(item.path, "item.subject", expected=(subject,), found=item.statement.subjects)
        if before is not None:
            _check_order(before, item, ledger)
        _check_references(item, files, ledger)
        if item.statement.predicate_type.endswith("/approval/v1"):
            with ledger.judging(item.path, "approval"):
                _check_approval(item, items, ledger, run_id, manifest, nonces)
        else:
            ledger.equal(
                item.path,
                "certificate.identity",
                expected=engine,
                found=item.verified.signer.identity,
            )
        before = item


def _is_at_home(item: Item) -> bool:
    """`steps/NN-<checkpoint>/`, and for a later attempt `attempt-N/` below it."""
    link = item.statement.link
    parts = item.folder.split("/")
    later = [] if link.attempt == 1 else [f"attempt-{link.attempt}"]
    number, dash, checkpoint = parts[1].partition("-") if len(parts) > 1 else ("", "", "")
    return (
        parts[0] == "steps"
        and number.isdecimal()
        and bool(dash)
        and checkpoint == link.checkpoint
        and parts[2:] == later
    )


def _check_order(before: Item, item: Item, ledger: Ledger) -> None:
    first, second = before.verified, item.verified
    if second.receipt.index <= first.receipt.index:
        ledger.no(
            item.path,
            "log.order",
            expected=f"an index above {first.receipt.index}",
            found=str(second.receipt.index),
        )
    if second.at_s < first.at_s:
        ledger.no(
            item.path,
            "timestamp.order",
            expected=f"not before {first.at_s}",
            found=str(second.at_s),
        )


def _check_references(item: Item, files: Mapping[str, bytes], ledger: Ledger) -> None:
    """A file that a predicate names beside its envelope has the digest that it says."""
    for name, digest in _references(item.statement.predicate):
        path = f"{item.folder}/{name}"
        if "/" in name or path not in files:
            continue
        ledger.equal(path, "item.reference", expected=digest, found=Digest.of(files[path]).hex)


def _references(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        name, digest = value.get("name"), value.get("digest")
        if isinstance(name, str) and isinstance(digest, Mapping):
            return [(name, str(digest.get("sha256")))]
        return [pair for one in value.values() for pair in _references(one)]
    if isinstance(value, list):
        return [pair for one in value for pair in _references(one)]
    return []


def _check_approval(
    item: Item,
    items: Sequence[Item],
    ledger: Ledger,
    run_id: str,
    manifest: Digest,
    nonces: set[str],
) -> None:
    """The decision is for this run, this bundle and this policy decision, by its approver."""
    said, where = item.statement.predicate, item.path
    scope = said.get("scope")
    if not isinstance(scope, Mapping):
        raise Malformed("expected an object", where=f"{where}.scope")
    ledger.equal(where, "approval.run", expected=run_id, found=scope.get("runId"))
    ledger.equal(
        where, "approval.bundle", expected={"sha256": manifest.hex}, found=scope.get("bundle")
    )
    link = item.statement.link
    ledger.equal(where, "approval.attempt", expected=link.attempt, found=scope.get("attempt"))
    approver = fields(said.get("approver"), {"id", "user", "groups"}, where=where)
    ledger.equal(
        where,
        "approval.identity",
        expected=text(approver, "id", where=where),
        found=item.verified.signer.identity,
    )
    if said.get("requestedBy") == approver["user"]:
        ledger.no(where, "approval.requester", expected="another person", found="the requester")
    nonce = text(said, "nonce", where=where)
    if nonce in nonces:
        ledger.no(where, "approval.nonce", expected="a nonce used once", found=nonce)
    nonces.add(nonce)
    decided, expires = (_seconds(said, key, where) for key in ("decidedAt", "expiresAt"))
    if decided > expires:
        ledger.no(where, "approval.expired", expected=f"by {expires}", found=str(decided))
    judged = {
        (one.path, one.payload)
        for one in items
        if one.statement.predicate_type == SUMMARY and one.statement.link.seq < link.seq
    }
    basis = {(one.name, one.digest) for one in resources(said.get("basis"), where=where)}
    if not basis <= judged:
        ledger.no(
            where,
            "approval.basis",
            expected="this run's policy decision",
            found=", ".join(f"{name} {digest}" for name, digest in sorted(basis)),
        )


def _seconds(said: Mapping[str, Any], key: str, where: str) -> int:
    value = text(said, key, where=where)
    try:
        return int(datetime.fromisoformat(value).timestamp())
    except ValueError:
        raise Malformed(f"expected a time, found {value!r}", where=f"{where}.{key}") from None


def _no(check: str, file: str, expected: str, found: str) -> Unverified:
    return Unverified(
        f"{file}: expected {expected}, found {found}",
        check=check,
        file=file,
        expected=expected,
        found=found,
    )
