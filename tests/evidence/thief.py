"""A thief who holds every key of a home: whatever is bent gets listed, signed and logged again.

The log is the home's real one, grown by what the thief signs; or another one, to play a fork.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec

from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.evidence import checkpoint, dsse, sigstore_bundle, tlog_entry
from engine.evidence.cosignature import cosign
from engine.evidence.history import FILE, history
from engine.evidence.merkle import Tree, leaf_hash
from engine.evidence.statement import parse_statement
from engine.evidence.verify import SUMS, SUMS_BUNDLE
from tests.evidence.conftest import Played
from tests.evidence.kit import ENGINE, ISSUER

Files = dict[str, bytes]
HOME: Final = "home"
# Who cosigns: the home's own witness, nobody, or whatever makes a line of text and time.
Witness = Literal["home"] | Callable[[str, int], str] | None


def real_log(played: Played) -> Tree:
    """The home's log, to be grown without anybody noticing."""
    return Tree(bytes.fromhex(leaf) for leaf in played.world.store.tlog_leaves())


def resummed(
    files: Files,
    played: Played,
    tree: Tree | None = None,
    said: Mapping[str, Any] | None = None,
    witness: Witness = HOME,
) -> Files:
    """The list fits the bent files again, is signed by the home, and stands in its log.

    Args:
        tree: the log to grow; the home's own by default.
        said: what the export statement says otherwise.
    """
    tree = real_log(played) if tree is None else tree
    kept = {n: c for n, c in files.items() if n not in {SUMS, SUMS_BUNDLE}}
    if FILE in kept:
        kept[FILE] = history(
            tree, shown(kept, tree), origin=played.world.keys.log_origin
        ).to_bytes()
    sums = "".join(f"{Digest.of(kept[n]).hex}  {n}\n" for n in sorted(kept)).encode()
    statement = statement_of(files[SUMS_BUNDLE])
    statement["subject"] = [{"name": SUMS, "digest": {"sha256": Digest.of(sums).hex}}]
    statement["predicate"] |= said or {}
    assert parse_statement(canonical(statement), where="")
    return kept | {SUMS: sums, SUMS_BUNDLE: signed(statement, played, tree, witness=witness)}


def shown(files: Files, tree: Tree) -> list[int]:
    """The sizes of the heads that receipts show, as far as the tree goes."""
    receipts = [json.loads(c) for n, c in files.items() if n.endswith("rekor-entry.json")]
    sizes = {int(one["inclusionProof"]["treeSize"]) for one in receipts}
    return sorted(size for size in sizes if size <= tree.size)


def statement_of(bundle: bytes) -> Any:
    envelope = dsse.envelope_of(json.loads(bundle)["dsseEnvelope"], where="")
    return json.loads(envelope._payload)


def signed(
    statement: Any,
    played: Played,
    tree: Tree,
    identity: str = ENGINE,
    *,
    witness: Witness = HOME,
    **changes: Any,
) -> bytes:
    """A bundle with the home's own keys, logged in `tree`. `changes`: of `attest`."""
    pending = attested(statement, played, identity, **changes)
    return pending.bundle(logged(pending.entry, played, tree, witness))


def attested(
    statement: Any, played: Played, identity: str = ENGINE, **changes: Any
) -> sigstore_bundle.Pending:
    """Signed and stamped, and not logged."""
    keys = played.world.keys
    return sigstore_bundle.attest(
        canonical(statement),
        identity=identity,
        issuer=ISSUER,
        **{
            "desk": keys.desk,
            "chance": sigstore_bundle.Chance(
                key=ec.generate_private_key(ec.SECP256R1()), leaf_serial=77, token_serial=78
            ),
            "now_us": played.world.clock.now_us(),
            **changes,
        },
    )


def logged(entry: bytes, played: Played, tree: Tree, witness: Witness = HOME) -> tlog_entry.Receipt:
    keys = played.world.keys
    index = tree.append(leaf_hash(entry))
    head = checkpoint.LogCheckpoint(origin=keys.log_origin, size=tree.size, root=tree.root())
    note = checkpoint.sign(head, keys.log_key)
    at_s = played.world.clock.now_us() // 1_000_000
    if witness is HOME and keys.witness is not None:
        note += cosign(head.text(), keys.witness.name, keys.witness.key, at_s=at_s)
    elif callable(witness):
        note += witness(head.text(), at_s)
    return tlog_entry.Receipt(
        index=index,
        log_id=keys.log.key_id,
        body=entry,
        root=head.root,
        size=head.size,
        hashes=tree.inclusion(index),
        checkpoint=note,
    )


def with_item(files: Files, path: str, bundle: bytes) -> Files:
    """An item's three files from its bundle."""
    document = json.loads(bundle)
    stem = path.removesuffix(".dsse")
    receipt = f"{stem}.rekor-entry.json"
    if receipt not in files:
        receipt = f"{path.rpartition('/')[0]}/rekor-entry.json"
    return files | {
        path: canonical(document["dsseEnvelope"]),
        f"{stem}.sigstore.json": canonical(document),
        receipt: canonical(document["verificationMaterial"]["tlogEntries"][0]),
    }


def items_of(files: Files) -> Sequence[str]:
    """Envelopes of a pack in order of their place in the chain."""

    def seq(path: str) -> int:
        predicate = statement_of(files[path.replace(".dsse", ".sigstore.json")])["predicate"]
        return next(int(value["seq"]) for key, value in predicate.items() if "/link/" in key)

    return sorted((n for n in files if n.startswith("steps/") and n.endswith(".dsse")), key=seq)
