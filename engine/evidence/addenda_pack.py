"""The pack of what came after the seal: each addendum by its author, and about this very chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.event_parts import NamedDigest
from engine.evidence.about import About
from engine.evidence.chain import FILE, STEM, parse_chain
from engine.evidence.items import Item, read_item, receipt_path
from engine.evidence.report import Ledger
from engine.evidence.sealed import check_seal
from engine.evidence.statement import resources
from engine.evidence.strict import fields, text
from engine.evidence.trust import TrustedRoot

FOLDER: Final = "addenda/"
_TYPE: Final = "/addendum/v1"


def check_addenda(
    files: Mapping[str, bytes], about: About, trusted: TrustedRoot, ledger: Ledger
) -> tuple[Item, ...]:
    """Verify every addendum, and that it speaks of the proof chain that lies beside it.

    The files under the chain are not here: the pack of the run has them, and the chain itself is
    what the two packs have in common.

    Returns:
        Seal and addenda, in order.

    Raises:
        Malformed, Unverified: the chain can't be read or verified.
    """
    seal = read_item(f"{STEM}.dsse", files, trusted)
    chain = parse_chain(files.get(FILE, b""))
    check_seal(seal, chain, about, ledger)
    found: list[Item] = []
    for path in sorted(files):
        if path.startswith(FOLDER) and path.endswith(".dsse"):
            with ledger.judging(path, "addendum"):
                found.append(read_item(path, files, trusted))
    found.sort(key=lambda item: item.statement.link.seq)
    ledger.equal("pack.json", "addenda.count", expected=about.said.get("addenda"), found=len(found))
    before = NamedDigest(name=FILE, digest=Digest.of(files[FILE]))
    for number, item in enumerate(found, start=1):
        with ledger.judging(item.path, "addendum"):
            _check(item, number, before, files, about, ledger)
            ledger.ok(item.path, "addendum", f"signed by {item.verified.signer.identity}")
        before = NamedDigest(name=item.path, digest=item.payload)
    ledger.ok(FILE, "chain", f"outcome {chain.outcome}, {len(found)} addenda")
    return (seal, *found)


def _check(
    item: Item,
    number: int,
    before: NamedDigest,
    files: Mapping[str, bytes],
    about: About,
    ledger: Ledger,
) -> None:
    where, statement = item.path, item.statement
    link, said = statement.link, statement.predicate
    chain = NamedDigest(name=FILE, digest=Digest.of(files[FILE]))
    ledger.equal(
        where, "addendum.path", expected=f"{FOLDER}{number:02d}/addendum.dsse", found=where
    )
    ledger.equal(
        where, "addendum.type", expected=f"{statement.base}{_TYPE}", found=statement.predicate_type
    )
    ledger.equal(where, "addendum.run", expected=about.run_id, found=link.run_id)
    ledger.equal(where, "addendum.seq", expected=number, found=link.seq)
    ledger.equal(where, "addendum.seq", expected=number, found=said.get("number"))
    ledger.equal(where, "addendum.prev", expected=before, found=link.prev)
    ledger.equal(where, "addendum.chain", expected=(chain,), found=statement.subjects)
    author = fields(said.get("author"), {"id", "user", "roles"}, where=where)
    ledger.equal(
        where,
        "addendum.author",
        expected=text(author, "id", where=where),
        found=item.verified.signer.identity,
    )
    _check_attachments(item, files, ledger)


def _check_attachments(item: Item, files: Mapping[str, bytes], ledger: Ledger) -> None:
    """What lies in an addendum's folder is its three files and what it names, and all of that."""
    listed = item.statement.predicate.get("attachments")
    if not isinstance(listed, list):
        raise Malformed("expected a list", where=f"{item.path}.attachments")
    named = {} if not listed else _named(listed, item)
    own = {item.path, receipt_path(item.path, files), f"{item.path[:-5]}.sigstore.json"}
    there = {
        path: Digest.of(content)
        for path, content in files.items()
        if path.startswith(f"{item.folder}/") and path not in own
    }
    for path in sorted(named.keys() | there.keys()):
        ledger.equal(path, "addendum.file", expected=named.get(path), found=there.get(path))


def _named(listed: Sequence[Any], item: Item) -> dict[str, Digest]:
    return {f"{item.folder}/{one.name}": one.digest for one in resources(listed, where=item.path)}
