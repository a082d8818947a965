"""The evidence items of a pack: each verified by itself, then all of them against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.evidence.about import About
from engine.evidence.approved import check_approval, is_approval
from engine.evidence.item import Item, read_item, receipt_path
from engine.evidence.report import Ledger
from engine.evidence.statement import MANIFEST_NAME

__all__ = ["ENGINE_SUFFIX", "Item", "check_items", "read_item", "receipt_path"]

ENGINE_SUFFIX: Final = "/run-engine"


def check_items(
    items: Sequence[Item],
    files: Mapping[str, bytes],
    about: About,
    ledger: Ledger,
) -> None:
    """Hold items, in order of `seq`, against each other and against the run they claim."""
    before: Item | None = None
    nonces: set[str] = set()
    for item in items:
        link = item.statement.link
        # One behind the item before, so that a gap is told once and not for all that follow.
        number = 1 if before is None else before.statement.link.seq + 1
        ledger.equal(item.path, "chain.seq", expected=number, found=link.seq)
        ledger.equal(item.path, "chain.run", expected=about.run_id, found=link.run_id)
        if not _is_at_home(item):
            ledger.no(item.path, "chain.folder", expected=_home(item), found=item.folder)
        ledger.equal(
            item.path,
            "chain.prev",
            expected=None
            if before is None
            else NamedDigest(name=before.path, digest=before.payload),
            found=link.prev,
        )
        subject = NamedDigest(name=MANIFEST_NAME, digest=about.manifest)
        ledger.equal(item.path, "item.subject", expected=(subject,), found=item.statement.subjects)
        _check_references(item, files, ledger)
        if is_approval(item):
            with ledger.judging(item.path, "approval"):
                check_approval(item, items, files, about, ledger, nonces)
        else:
            ledger.equal(
                item.path,
                "certificate.identity",
                expected=about.engine,
                found=item.verified.signer.identity,
            )
        before = item


def _home(item: Item) -> str:
    link = item.statement.link
    later = "" if link.attempt == 1 else f"/attempt-{link.attempt}"
    return f"steps/NN-{link.checkpoint}{later}, as its statement says"


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


def _check_references(item: Item, files: Mapping[str, bytes], ledger: Ledger) -> None:
    """A file that a predicate names beside its envelope has the digest that it says."""
    for name, digest in _references(item.statement.predicate):
        path = f"{item.folder}/{name}"
        if "/" in name or path not in files:
            continue
        found = Digest.of(files[path])
        ledger.equal(path, "item.reference", expected=f"sha256:{digest}", found=str(found))


def _references(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        name, digest = value.get("name"), value.get("digest")
        if isinstance(name, str) and isinstance(digest, Mapping):
            return [(name, str(digest.get("sha256")))]
        return [pair for one in value.values() for pair in _references(one)]
    if isinstance(value, list):
        return [pair for one in value for pair in _references(one)]
    return []
