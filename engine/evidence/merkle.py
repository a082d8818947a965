"""The Merkle tree of a transparency log: hashes, proofs, and their checks (RFC 6962, 2.1).

The names follow the RFC (and RFC 9162, which keeps the same tree), so that the two can be read
side by side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NoReturn

from engine.core.errors import Unverified

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree. Keeps the hash of every complete subtree, so that proofs cost O(log² n).

    Not thread-safe: its owner holds the log's lock.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        # Level by level: a log of millions of leaves is rebuilt at every start.
        below = list(leaves)
        self._levels: list[list[bytes]] = [below]
        sha256 = hashlib.sha256
        while len(below) > 1:
            pairs = zip(below[::2], below[1::2], strict=False)
            below = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
            self._levels.append(below)

    @property
    def size(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> int:
        """Add a leaf hash and return its 0-based index."""
        index = self.size
        node, level = leaf, 0
        self._levels[0].append(node)
        while len(self._levels[level]) % 2 == 0:
            node = node_hash(self._levels[level][-2], self._levels[level][-1])
            level += 1
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(node)
        return index

    def leaf(self, index: int) -> bytes:
        return self._levels[0][index]

    def nodes(self, level: int, start: int, end: int) -> list[bytes]:
        """Hashes `start` to `end` (excluded) of the complete subtrees of 2^level leaves."""
        found = self._levels[level][start:end] if level < len(self._levels) else []
        if len(found) != end - start:
            raise ValueError(f"level {level} of a tree of {self.size} has no {start} to {end}")
        return found

    def root(self, size: int | None = None) -> bytes:
        """MTH of the first `size` leaves (all of them by default)."""
        n = self.size if size is None else size
        self._check(n)
        return EMPTY_ROOT if n == 0 else self._mth(0, n)

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """PATH(index, D[size]): sibling hashes from the leaf up."""
        n = self.size if size is None else size
        self._check(n)
        if not 0 <= index < n:
            raise ValueError(f"leaf {index} is outside a tree of {n}")
        return tuple(self._path(index, 0, n))

    def consistency(self, first: int, second: int | None = None) -> tuple[bytes, ...]:
        """PROOF(first, D[second]): that the smaller tree is the beginning of the larger."""
        n = self.size if second is None else second
        self._check(n)
        if not 0 <= first <= n:
            raise ValueError(f"a tree of {first} is no beginning of one of {n}")
        return () if first in {0, n} else tuple(self._subproof(first, 0, n, known=True))

    def _check(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise ValueError(f"expected a size up to {self.size}, got {size}")

    def _mth(self, low: int, high: int) -> bytes:
        n = high - low
        if n & (n - 1) == 0 and low % n == 0:
            level = n.bit_length() - 1
            return self._levels[level][low >> level]
        k = _split(n)
        return node_hash(self._mth(low, low + k), self._mth(low + k, high))

    def _path(self, m: int, low: int, high: int) -> list[bytes]:
        n = high - low
        if n == 1:
            return []
        k = _split(n)
        if m < k:
            return [*self._path(m, low, low + k), self._mth(low + k, high)]
        return [*self._path(m - k, low + k, high), self._mth(low, low + k)]

    def _subproof(self, m: int, low: int, high: int, *, known: bool) -> list[bytes]:
        n = high - low
        if m == n:
            return [] if known else [self._mth(low, high)]
        k = _split(n)
        if m <= k:
            return [
                *self._subproof(m, low, low + k, known=known),
                self._mth(low + k, high),
            ]
        return [
            *self._subproof(m - k, low + k, high, known=False),
            self._mth(low, low + k),
        ]


def _split(n: int) -> int:
    """The largest power of two smaller than `n`."""
    return 1 << (n - 1).bit_length() - 1


def verify_inclusion(
    leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that `leaf` stands at `index` in the tree of `size` leaves with `root`.

    RFC 9162, 2.1.3.2.

    Args:
        leaf: leaf hash, 32 bytes.
        index: 0-based, `0 <= index < size`.
        size: number of leaves in the tree that the checkpoint signs.
        proof: sibling hashes from the leaf up, 32 bytes each.
        root: root hash from a checkpoint whose signature the caller has verified.

    Raises:
        Unverified: for every way in which this is not a proof.
    """
    if not 0 <= index < size:
        _refuse("inclusion", f"a leaf below {size}", f"leaf {index}")
    _check_hashes("inclusion", (leaf, root, *proof))
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            _refuse("inclusion", f"a shorter proof for a tree of {size}", f"{len(proof)} hashes")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            # A right-border node without a sibling moves up without being hashed.
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            r = node_hash(r, p)
        fn >>= 1
        sn >>= 1
    if sn != 0:
        _refuse("inclusion", f"a longer proof for a tree of {size}", f"{len(proof)} hashes")
    if r != root:
        _refuse("inclusion", f"root {root.hex()}", f"calculated {r.hex()}")


def verify_consistency(
    *, first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `first` leaves is the beginning of the one of `second`.

    RFC 9162, 2.1.4.2; a tree of 0 is the beginning of every tree and needs no hashes.

    Raises:
        Unverified: for every way in which this is not a proof.
    """
    if not 0 <= first <= second:
        _refuse("consistency", f"a size up to {second}", f"{first}")
    # Of two equal trees only the equality of their roots is asked.
    _check_hashes("consistency", proof if first == second else (first_root, second_root, *proof))
    if first in {0, second}:
        if proof:
            _refuse("consistency", "no hashes", f"{len(proof)} hashes")
        expected = EMPTY_ROOT if first == 0 else second_root
        if first_root != expected:
            _refuse("consistency", f"root {expected.hex()}", first_root.hex())
        if second == 0 and second_root != EMPTY_ROOT:
            _refuse("consistency", f"root {EMPTY_ROOT.hex()}", second_root.hex())
        return
    path = list(proof)
    if not path:
        _refuse("consistency", f"a proof from {first} to {second}", "no hashes")
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            _refuse("consistency", "a shorter proof", f"{len(proof)} hashes")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            sr = node_hash(sr, c)
        fn >>= 1
        sn >>= 1
    if sn != 0:
        _refuse("consistency", "a longer proof", f"{len(proof)} hashes")
    if fr != first_root:
        _refuse("consistency", f"first root {first_root.hex()}", f"calculated {fr.hex()}")
    if sr != second_root:
        _refuse("consistency", f"second root {second_root.hex()}", f"calculated {sr.hex()}")


def _check_hashes(kind: str, hashes: Sequence[bytes]) -> None:
    for one in hashes:
        if len(one) != 32:
            _refuse(kind, "hashes of 32 bytes", f"one of {len(one)}")


def _refuse(kind: str, expected: str, found: str) -> NoReturn:
    raise Unverified(
        f"{kind} proof: expected {expected}, found {found}",
        check=f"log.{kind}",
        expected=expected,
        found=found,
    )
