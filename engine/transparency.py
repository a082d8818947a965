"""Signing into the home's transparency log: statements become envelopes, leaves and receipts.

A leaf is recorded before anybody signs a head over it: the witness never signs a tree that a power
cut could take back, and every signature that was ever made stands in the log, even when the event
that should have told of it lost a race. The signed head goes into the same append as that event.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from engine.core.errors import LogForked, Malformed, Unverified
from engine.core.events import Recorded
from engine.core.rows import Row, TlogEntry, TlogHead
from engine.evidence import checkpoint
from engine.evidence.checkpoint import LogCheckpoint, open_checkpoint
from engine.evidence.merkle import Tree, leaf_hash
from engine.evidence.sigstore_bundle import Chance, Pending, attest
from engine.evidence.tlog_entry import Receipt
from engine.keystore import Keys
from engine.log_tiles import TileFolder
from engine.ports import EventStore
from engine.witness import Witness


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
    """The one writer of the log. Hold `writing()` from `sign` to the acknowledged append.

    Args:
        witness: cosigns every head; None in a home that has none.
        tiles: the copy in files, brought up to date behind each append.
    """

    def __init__(
        self,
        store: EventStore,
        keys: Keys,
        *,
        issuer: str,
        witness: Witness | None = None,
        tiles: TileFolder | None = None,
    ) -> None:
        self._store, self._keys, self._issuer = store, keys, issuer
        self._witness, self._tiles = witness, tiles
        self._lock = threading.Lock()
        self._tree: Tree | None = None
        self._note = ""

    @contextmanager
    def writing(self) -> Iterator[Tree]:
        """Alone with the log, as it is recorded. Whatever goes wrong inside, it is read anew.

        Raises:
            LogForked: what is recorded is not what was signed; the log grows no further.
        """
        with self._lock:
            tree = self._read() if self._tree is None else self._tree
            # Only an end without any exception proves that what `sign` added is recorded.
            self._tree = None
            yield tree
            self._tree = tree
            if self._tiles is not None and self._note:
                self._tiles.publish(tree, self._note)

    def sign(
        self, tree: Tree, wishes: Sequence[Wish], *, now_us: int, anchor: Recorded | None
    ) -> tuple[tuple[Signed, ...], tuple[Row, ...]]:
        """Sign each wish and record it as a leaf. Returns the signed and the head to record.

        All receipts show the one head after the last of them, which is anchored in `anchor`.

        Raises:
            LogForked: the witness does not sign it; the leaves are there and no head is.
        """
        pendings = [self._attest(wish, now_us) for wish in wishes]
        indexes = [tree.append(leaf_hash(pending.entry)) for pending in pendings]
        self._store.record(
            tuple(
                TlogEntry(
                    idx=self._keys.log_first + index,
                    leaf_hash=tree.leaf(index).hex(),
                    body=pending.entry.decode(),
                    ts_us=now_us,
                )
                for pending, index in zip(pendings, indexes, strict=True)
            )
        )
        head, note = self._head(tree, now_us)
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
        self._note = note
        return signed, (_row(head, note, anchor),)

    def closing(self, *, now_us: int) -> str:
        """Sign and record the head over all that is recorded: the last checkpoint of this log."""
        with self.writing() as tree:
            if not self._covers(tree):
                head, self._note = self._head(tree, now_us)
                self._store.record((_row(head, self._note, None),))
            return self._note

    def refresh(self) -> None:
        """Bring the files up to the newest signed head. Raises `LogForked` as `writing`."""
        with self.writing():
            pass

    def _covers(self, tree: Tree) -> bool:
        """Whether the newest recorded head is over all of the tree."""
        if not self._note:
            return False
        return open_checkpoint(self._note, self._keys.log).size == tree.size

    def _head(self, tree: Tree, now_us: int) -> tuple[LogCheckpoint, str]:
        head = LogCheckpoint(origin=self._keys.log_origin, size=tree.size, root=tree.root())
        note = checkpoint.sign(head, self._keys.log_key)
        if self._witness is not None:
            note = self._witness.cosign(note, tree, now_us=now_us)
        return head, note

    def _read(self) -> Tree:
        """The tree as it is recorded, held against the newest head that was signed over it."""
        origin = self._keys.log_origin
        leaves = self._store.tlog_leaves()[self._keys.log_first :]
        tree = Tree(bytes.fromhex(leaf) for leaf in leaves)
        heads = self._store.tlog_heads(origin)
        if not heads:
            return tree
        newest = heads[-1][0]
        try:
            head = open_checkpoint(newest.note, self._keys.log)
        except (Malformed, Unverified) as error:
            raise _forked(
                origin, newest.size, f"its recorded head is not its own: {error}"
            ) from None
        if head.size > tree.size:
            raise _forked(origin, head.size, f"only {tree.size} are recorded")
        if tree.root(head.size) != head.root:
            raise _forked(origin, head.size, "the recorded ones have another root")
        self._note = newest.note
        return tree

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


def _row(head: LogCheckpoint, note: str, anchor: Recorded | None) -> TlogHead:
    return TlogHead(
        size=head.size,
        root=head.root.hex(),
        note=note,
        gseq=0 if anchor is None else anchor.gseq,
        hash="" if anchor is None else anchor.hash.hex,
    )


def _forked(origin: str, size: int, why: str) -> LogForked:
    return LogForked(
        f"The log {origin} does not grow: it has signed {size} leaves, and {why}.",
        hint="releaseline log fsck says which; the journal is the record to go by.",
    )
