"""Signing into the home's transparency log: statements become envelopes, leaves and receipts.

Nothing here is durable by itself. `Log.sign` says which rows belong into the same append as the
event that tells of them; only once that append is acknowledged does the log have grown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from engine.core.events import Recorded
from engine.core.rows import Row, TlogEntry, TlogHead
from engine.evidence import checkpoint
from engine.evidence.checkpoint import LogCheckpoint
from engine.evidence.merkle import Tree, leaf_hash
from engine.evidence.sigstore_bundle import Chance, Pending, attest
from engine.evidence.tlog_entry import Receipt
from engine.keystore import Keys
from engine.ports import EventStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A statement to be signed for `identity`."""

    payload: bytes
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed statement with its place in the log."""

    payload: bytes
    identity: str
    pending: Pending
    receipt: Receipt

    @property
    def leaf(self) -> bytes:
        return leaf_hash(self.pending.entry)


class Log:
    """The one writer of the log. Hold `writing()` from `sign` to the acknowledged append."""

    def __init__(self, store: EventStore, keys: Keys, *, issuer: str) -> None:
        self._store, self._keys, self._issuer = store, keys, issuer
        self._lock = threading.Lock()
        self._tree: Tree | None = None

    @contextmanager
    def writing(self) -> Iterator[Tree]:
        """Alone with the log, as it is recorded. Whatever goes wrong inside, it is read anew."""
        with self._lock:
            if self._tree is None:
                self._tree = Tree(bytes.fromhex(leaf) for leaf in self._store.tlog_leaves())
            tree = self._tree
            # Only an end without any exception proves that what `sign` added is recorded.
            self._tree = None
            yield tree
            self._tree = tree

    def sign(
        self, tree: Tree, wishes: Sequence[Wish], *, now_us: int, anchor: Recorded
    ) -> tuple[tuple[Signed, ...], tuple[Row, ...]]:
        """Sign each wish and add it to `tree`. Returns the signed and the rows to record.

        All receipts show the one head after the last of them, which is anchored in `anchor`.
        """
        pendings = [self._attest(wish, now_us) for wish in wishes]
        indexes = [tree.append(leaf_hash(pending.entry)) for pending in pendings]
        origin = self._keys.log_origin
        head = LogCheckpoint(origin=origin, size=tree.size, root=tree.root())
        note = checkpoint.sign(head, self._keys.log_key)
        signed = tuple(
            Signed(
                payload=wish.payload,
                identity=wish.identity,
                pending=pending,
                receipt=Receipt(
                    index=index,
                    log_id=self._keys.log.key_id,
                    body=pending.entry,
                    root=head.root,
                    size=head.size,
                    hashes=tree.inclusion(index),
                    checkpoint=note,
                ),
            )
            for wish, pending, index in zip(wishes, pendings, indexes, strict=True)
        )
        rows: list[Row] = [
            TlogEntry(
                idx=one.receipt.index,
                leaf_hash=one.leaf.hex(),
                body=one.pending.entry.decode(),
                ts_us=now_us,
            )
            for one in signed
        ]
        rows.append(
            TlogHead(
                size=head.size,
                root=head.root.hex(),
                note=note,
                gseq=anchor.gseq,
                hash=anchor.hash.hex,
            )
        )
        return signed, tuple(rows)

    def _attest(self, wish: Wish, now_us: int) -> Pending:
        return attest(
            wish.payload,
            identity=wish.identity,
            issuer=self._issuer,
            desk=self._keys.desk,
            # The key is used once and dropped: there is nothing to steal afterwards.
            chance=Chance(
                key=ec.generate_private_key(ec.SECP256R1()),
                leaf_serial=x509.random_serial_number(),
                token_serial=x509.random_serial_number(),
            ),
            now_us=now_us,
        )
