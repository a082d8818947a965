"""The seal of a pack: its proof chain against the items that are really there, and the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.core.digest import Digest
from engine.core.errors import Unverified
from engine.core.event_parts import NamedDigest
from engine.evidence.about import About
from engine.evidence.approved import check_approved
from engine.evidence.chain import FILE, STEM, Head, Node, ProofChain, parse_chain
from engine.evidence.checkpoint import open_checkpoint
from engine.evidence.history import root_before
from engine.evidence.items import Item, read_item
from engine.evidence.merkle import verify_consistency
from engine.evidence.report import Ledger
from engine.evidence.statement import MANIFEST_NAME
from engine.evidence.trust import TrustedRoot


def check_chain(
    items: Sequence[Item],
    files: Mapping[str, bytes],
    about: About,
    trusted: TrustedRoot,
    ledger: Ledger,
    *,
    partial: bool,
) -> Item | None:
    """Only a partial pack may lack the proof chain, and only a whole one may have it.

    Returns:
        The seal; None for a partial pack.

    Raises:
        Malformed, Unverified: the chain itself can't be read or verified.
    """
    present = sorted(path for path in files if path.startswith(f"{STEM}."))
    if partial:
        ledger.equal(FILE, "chain.partial", expected=[], found=present)
        return None
    if f"{STEM}.dsse" not in files or FILE not in files:
        raise Unverified(
            "a pack without a proof chain is only valid as a partial one",
            check="chain.missing",
            file=FILE,
            expected="a proof chain, or a pack that is signed as partial",
            found="neither",
        )
    seal = read_item(f"{STEM}.dsse", files, trusted)
    chain = parse_chain(files[FILE])
    check_seal(seal, chain, about, ledger)
    _check_subjects(seal, files, about.manifest, ledger)
    check_approved(chain, items, ledger)
    _check_nodes(chain, items, ledger)
    _check_link(seal, items, ledger)
    _check_log(chain, items, seal, trusted, ledger)
    ledger.ok(FILE, "chain", f"{len(chain.nodes)} items, outcome {chain.outcome}")
    return seal


def check_seal(seal: Item, chain: ProofChain, about: About, ledger: Ledger) -> None:
    """The seal is the engine's, over this chain, and both are of this pack's run."""
    ledger.equal(
        seal.path,
        "certificate.identity",
        expected=about.engine,
        found=seal.verified.signer.identity,
    )
    ledger.same(
        FILE,
        "chain.signature",
        expected=chain.predicate(seal.statement.base),
        found=seal.statement.predicate,
    )
    ledger.equal(
        seal.path,
        "chain.type",
        expected=f"{seal.statement.base}/proof-chain/v1",
        found=seal.statement.predicate_type,
    )
    ledger.equal(FILE, "chain.run", expected=about.run_id, found=chain.run_id)
    ledger.equal(seal.path, "chain.run", expected=about.run_id, found=seal.statement.link.run_id)
    ledger.equal(FILE, "chain.subject", expected=about.manifest, found=chain.subject)
    ledger.equal(FILE, "chain.outcome", expected=about.said.get("outcome"), found=chain.outcome)
    ledger.equal(
        FILE,
        "chain.environment",
        expected=about.said.get("environment"),
        found=chain.environment,
    )


def node_of(item: Item) -> Node:
    """The node that a chain must hold for a verified item."""
    return Node(
        seq=item.statement.link.seq,
        checkpoint=item.statement.link.checkpoint,
        attempt=item.statement.link.attempt,
        file=item.path,
        file_digest=item.envelope,
        payload=item.payload,
        predicate_type=item.statement.predicate_type,
        signer=item.verified.signer.identity,
        signed_s=item.verified.at_s,
        log_index=item.verified.receipt.index,
        leaf=item.leaf,
    )


def _check_subjects(
    seal: Item, files: Mapping[str, bytes], manifest: Digest, ledger: Ledger
) -> None:
    """Every file of every packet is a subject of the seal, and every subject is there."""
    there = {MANIFEST_NAME: manifest, FILE: Digest.of(files[FILE])} | {
        path: Digest.of(content) for path, content in files.items() if path.startswith("steps/")
    }
    named = {one.name: one.digest for one in seal.statement.subjects}
    ledger.equal(
        seal.path, "chain.subjects", expected=len(named), found=len(seal.statement.subjects)
    )
    for path in sorted(named.keys() | there.keys()):
        ledger.equal(path, "chain.file", expected=named.get(path), found=there.get(path))


def _check_nodes(chain: ProofChain, items: Sequence[Item], ledger: Ledger) -> None:
    ledger.equal(FILE, "chain.count", expected=len(chain.nodes), found=len(items))
    there = {item.path: item for item in items}
    for node in chain.nodes:
        item = there.pop(node.file, None)
        if item is None:
            ledger.no(node.file, "chain.node", expected="an item that verifies", found="none")
            continue
        ledger.same(
            item.path, "chain.node", expected=node.document(), found=node_of(item).document()
        )
    for path in there:
        ledger.no(path, "chain.node", expected="no item beside those of the chain", found="one")
    order = [node.seq for node in chain.nodes]
    ledger.equal(FILE, "chain.order", expected=[n + 1 for n in range(len(order))], found=order)


def _check_link(seal: Item, items: Sequence[Item], ledger: Ledger) -> None:
    link = seal.statement.link
    head = items[-1] if items else None
    ledger.equal(seal.path, "chain.seq", expected=len(items) + 1, found=link.seq)
    ledger.equal(
        seal.path,
        "chain.prev",
        expected=None if head is None else NamedDigest(name=head.path, digest=head.payload),
        found=link.prev,
    )


def _check_log(
    chain: ProofChain, items: Sequence[Item], seal: Item, trusted: TrustedRoot, ledger: Ledger
) -> None:
    """One history: every head that a receipt shows grows into the one before the seal."""
    log = trusted.log(seal.verified.receipt.log_id, where=seal.path)
    ledger.equal(FILE, "log.key", expected=str(log.key), found=chain.log.vkey)
    ledger.equal(FILE, "log.origin", expected=log.key.name, found=chain.log.origin)
    first = items[0].verified.receipt.index if items else chain.log.size
    ledger.equal(FILE, "log.start", expected=first, found=chain.log.start.size)
    known = {head.size: head for head in chain.log.heads}
    shown = {}
    for item in items:
        note = item.verified.receipt.checkpoint
        head = open_checkpoint(note, log.key, where=item.path)
        shown[head.size] = head.root
        if head.size in known:
            ledger.equal(
                item.path,
                "log.split",
                expected=f"{head.size} leaves with root {known[head.size].root.hex()}",
                found=f"{head.size} leaves with root {head.root.hex()}",
            )
    ledger.equal(FILE, "log.heads", expected=sorted(shown), found=sorted(known))
    for head_before in (chain.log.start, *chain.log.heads):
        with ledger.judging(FILE, "log.consistency"):
            _check_grows(head_before, chain.log.size, chain.log.root)
    receipt = seal.verified.receipt
    ledger.equal(seal.path, "log.seal", expected=chain.log.size, found=receipt.index)
    # The seal's own receipt shows the tree that the chain says it was added to.
    before = root_before(receipt.index, receipt.size, receipt.hashes)
    ledger.equal(
        seal.path,
        "log.seal",
        expected=f"root {chain.log.root.hex()} before the seal",
        found=f"root {before.hex()} before the seal",
    )


def _check_grows(head: Head, size: int, root: bytes) -> None:
    verify_consistency(
        first=head.size,
        second=size,
        first_root=head.root,
        second_root=root,
        proof=head.consistency,
    )
