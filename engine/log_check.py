"""Checks a whole log: its leaves, its signed heads, its files, and what the journal says of it.

Pure over what was read. Every finding names the row by its index, so that whoever changed, took
away or added one behind our back is shown which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from engine.core.errors import Malformed, NotFound, Unverified
from engine.core.rows import TlogEntry, TlogHead
from engine.evidence import certificates
from engine.evidence.checkpoint import NoteKey, open_checkpoint
from engine.evidence.cosignature import WitnessKey, open_cosignatures
from engine.evidence.merkle import Tree, leaf_hash
from engine.evidence.strict import parse_object
from engine.evidence.tiles import CHECKPOINT, WIDTH, Tile, bundle, hash_tile, parse_bundle, tiles_of
from engine.evidence.tlog_entry import parse_entry, parse_receipt
from engine.evidence.trust import TrustedRoot

_HASH: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFinding:
    """`index`: of the leaf among all shards; None when it is not about one leaf.

    `note`: nothing is wrong; a power cut leaves this, and the next signature puts it right.
    """

    where: str
    index: int | None
    problem: str
    note: bool = False

    def __str__(self) -> str:
        leaf = "" if self.index is None else f" leaf {self.index}"
        return f"{self.where}{leaf}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """A shard as it is recorded, and what it is held against.

    Attributes:
        first: its first leaf among all shards.
        heads: by size, each with the hash of the event that stands at its `gseq`.
        read: a file of the log by its path; raises `NotFound`.
        written: whether there are files at all; a home of before has none until its next start.
        seen: size and root that the witness has signed last; None without a witness.
        witnesses: whose cosignatures are verified; those of former keys are passed over.
    """

    key: NoteKey
    first: int
    entries: tuple[TlogEntry, ...]
    heads: tuple[tuple[TlogHead, str], ...]
    read: Callable[[str], bytes]
    written: bool
    seen: tuple[int, bytes] | None
    witnesses: tuple[WitnessKey, ...]

    @property
    def whole(self) -> bool:
        return all(one.idx == n for n, one in enumerate(self.entries, start=self.first))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A receipt that an event of the journal names: where, and its bytes, if they are there."""

    where: str
    shard: str
    receipt: bytes | None


def check_shard(shard: ShardRecord, trusted: TrustedRoot) -> Iterator[LogFinding]:
    yield from _entries(shard, trusted)
    if not shard.whole:
        return  # without a leaf every later one is at another place: only the gap can be told
    tree = _tree(shard)
    yield from _heads(shard, tree)
    yield from _files(shard, tree)
    if shard.seen is not None:
        yield from _witness(shard, tree, *shard.seen)


def check_told(told: Sequence[Told], shards: Mapping[str, ShardRecord]) -> Iterator[LogFinding]:
    """The other direction: every receipt in the journal is of a leaf and a head of this log."""
    trees = {origin: _tree(shard) for origin, shard in shards.items() if shard.whole}
    for one in told:
        if one.shard not in trees:
            continue
        if one.receipt is None:
            yield LogFinding(where=one.where, index=None, problem="its receipt is gone")
            continue
        shard, tree = shards[one.shard], trees[one.shard]
        try:
            receipt = parse_receipt(parse_object(one.receipt, where=one.where), where=one.where)
        except Malformed as error:
            yield LogFinding(where=one.where, index=None, problem=str(error))
            continue
        index = shard.first + receipt.index
        if receipt.index >= tree.size:
            yield LogFinding(
                where=one.where, index=index, problem="its receipt names it, and it is missing"
            )
        elif tree.leaf(receipt.index) != leaf_hash(receipt.body):
            yield LogFinding(
                where=one.where, index=index, problem="its receipt is about another leaf than this"
            )
        elif receipt.size > tree.size or tree.root(receipt.size) != receipt.root:
            yield LogFinding(
                where=one.where, index=index, problem=f"its receipt shows another tree of "
                f"{receipt.size} leaves than the recorded ones make",
            )  # fmt: skip


def _tree(shard: ShardRecord) -> Tree:
    """Of the leaves' own bytes: a stored hash proves nothing about the leaf beside it."""
    return Tree(leaf_hash(entry.body.encode()) for entry in shard.entries)


def _entries(shard: ShardRecord, trusted: TrustedRoot) -> Iterator[LogFinding]:
    expected, seen = shard.first, dict[str, int]()
    for entry in shard.entries:
        for index in range(expected, entry.idx):
            yield LogFinding(where="tlog_entries", index=index, problem="is missing")
        expected = entry.idx + 1
        problem = _entry_problem(entry, trusted)
        if entry.body in seen:
            problem = f"is the same as leaf {seen[entry.body]}"
        if problem:
            yield LogFinding(where="tlog_entries", index=entry.idx, problem=problem)
        seen.setdefault(entry.body, entry.idx)


def _entry_problem(entry: TlogEntry, trusted: TrustedRoot) -> str:
    found = leaf_hash(entry.body.encode()).hex()
    if found != entry.leaf_hash:
        return f"expected hash {entry.leaf_hash}, found {found}: it was changed"
    try:
        read = parse_entry(entry.body.encode(), where="body")
        leaf = certificates.read(read.certificate, where="certificate")
    except Malformed as error:
        return str(error)
    if not any(_issued(leaf, chain.certificates[0]) for chain in trusted.authorities):
        return "no authority of this home certified its signer"
    public = leaf.public_key()
    try:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(read.signature, read.digest, ec.ECDSA(Prehashed(SHA256())))
    except (InvalidSignature, AssertionError):
        return "its signature is not its certificate's"
    return ""


def _issued(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _heads(shard: ShardRecord, tree: Tree) -> Iterator[LogFinding]:
    good, covered, broken = 0, 0, False
    for row, event in shard.heads:
        where = f"tlog_heads {row.size}"
        covered = max(covered, row.size)
        try:
            head = open_checkpoint(row.note, shard.key, where=where)
            open_cosignatures(row.note, shard.witnesses, where=where)
        except (Malformed, Unverified) as error:
            yield LogFinding(where=where, index=None, problem=str(error))
            continue
        if (head.size, head.root.hex()) != (row.size, row.root):
            yield LogFinding(where=where, index=None, problem="is not what its note signs")
        if row.gseq and event != row.hash:
            found = event or "none"
            yield LogFinding(
                where=where, index=None,
                problem=f"expected event {row.gseq} with hash {row.hash}, found {found}: the "
                "journal is not the one that it was signed over",
            )  # fmt: skip
        if head.size > tree.size:
            for index in range(max(tree.size, good), head.size):
                problem = f"is missing: a head over {head.size} leaves was signed"
                yield LogFinding(where=where, index=shard.first + index, problem=problem)
            good = max(good, head.size)
        elif tree.root(head.size) == head.root:
            good = max(good, head.size)
        elif not broken:
            broken = True  # every head behind it is wrong for the same reason
            for index in range(good, head.size):
                problem = f"is not what was signed: one of {good} to {head.size - 1} is another"
                yield LogFinding(where=where, index=shard.first + index, problem=problem)
    for index in range(covered, tree.size):
        problem = f"no head is signed over it yet; the newest is over {covered}"
        yield LogFinding(
            where="tlog_entries", index=shard.first + index, problem=problem, note=True
        )


def _files(shard: ShardRecord, tree: Tree) -> Iterator[LogFinding]:
    folder = f"log/{shard.key.name}"
    try:
        head = open_checkpoint(shard.read(CHECKPOINT).decode(), shard.key, where=CHECKPOINT)
    except NotFound:
        if shard.heads:
            yield LogFinding(
                where=f"{folder}/{CHECKPOINT}", index=None, problem="is missing",
                note=not shard.written,
            )  # fmt: skip
        return
    except (Malformed, Unverified, UnicodeDecodeError) as error:
        yield LogFinding(where=f"{folder}/{CHECKPOINT}", index=None, problem=str(error))
        return
    newest = max((row.size for row, _ in shard.heads), default=0)
    if head.size > tree.size or tree.root(head.size) != head.root:
        problem = f"signs another tree of {head.size} leaves than the recorded ones make"
        yield LogFinding(where=f"{folder}/{CHECKPOINT}", index=None, problem=problem)
        return
    if head.size < newest:
        problem = f"is behind: {head.size} of {newest} leaves"
        yield LogFinding(where=f"{folder}/{CHECKPOINT}", index=None, problem=problem, note=True)
    for tile in tiles_of(head.size):
        yield from _tile(shard, tree, tile, f"{folder}/{tile.path}")


def _tile(shard: ShardRecord, tree: Tree, tile: Tile, where: str) -> Iterator[LogFinding]:
    start = tile.index * WIDTH
    try:
        found = shard.read(tile.path)
    except (NotFound, Malformed) as error:
        first = shard.first + start if tile.level <= 0 else None
        yield LogFinding(where=where, index=first, problem=f"cannot be read: {error}")
        return
    if tile.level < 0:
        bodies = [e.body.encode() for e in shard.entries[start : start + tile.width]]
        if found == bundle(bodies):
            return
        try:
            parts = parse_bundle(found, where=where)
        except Malformed as error:
            yield LogFinding(where=where, index=None, problem=str(error))
            return
        pairs = zip(parts, bodies, strict=False)
    else:
        expected = hash_tile(tree, tile)
        if found == expected:
            return
        pairs = zip(_cut(found), _cut(expected), strict=False)
    wrong = [n for n, (there, recorded) in enumerate(pairs) if there != recorded]
    if tile.level > 0 or not wrong:
        yield LogFinding(where=where, index=None, problem="is not what the recorded leaves make")
        return
    for n in wrong:
        problem = "is another here than in the record"
        yield LogFinding(where=where, index=shard.first + start + n, problem=problem)


def _witness(shard: ShardRecord, tree: Tree, size: int, root: bytes) -> Iterator[LogFinding]:
    if size > tree.size:
        for index in range(tree.size, size):
            problem = f"is missing: the witness has signed {size} leaves"
            yield LogFinding(where="witness", index=shard.first + index, problem=problem)
    elif size and tree.root(size) != root:
        problem = f"has signed another tree of {size} leaves than the recorded ones make"
        yield LogFinding(where="witness", index=None, problem=problem)


def _cut(content: bytes) -> list[bytes]:
    return [content[at : at + _HASH] for at in range(0, len(content), _HASH)]
