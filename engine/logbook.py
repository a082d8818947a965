"""Reading the transparency log: its head, proofs between two heads, its files, and a check of all.

`open_log` puts the log of a home together; only what is returned here signs into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from engine.core.digest import Digest
from engine.core.errors import LogForked, Malformed, NotFound
from engine.core.event_parts import NamedDigest
from engine.core.events import Recorded
from engine.core.fact_events import EvidenceCaptured, EvidenceSealed
from engine.core.house import EngineStarted, KeysRotated
from engine.core.rows import TlogHead
from engine.evidence.checkpoint import NoteKey
from engine.evidence.cosignature import open_cosignatures
from engine.evidence.merkle import Tree
from engine.evidence.tiles import CHECKPOINT
from engine.evidence.trust import parse_trusted_root
from engine.keystore import Keys, witness_state
from engine.log_check import LogFinding, ShardRecord, Told, check_shard, check_told
from engine.log_tiles import TileFolder, folder_of, read_file
from engine.ports import EventStore
from engine.transparency import Log
from engine.witness import Witness

_RECEIPT: Final = "rekor-entry.json"
# Tables and parts of the journal that the log consists of.
_OURS: Final = frozenset({"tlog_entries", "tlog_heads", "journal", "journal_marks", "events"})


class _Finding(Protocol):
    @property
    def table(self) -> str: ...
    @property
    def lost(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """`ok`: nothing is wrong; findings may still be notes."""

    leaves: int
    heads: int
    receipts: int
    findings: tuple[str, ...]
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """`final`: it will never hold anything else."""

    content: bytes
    final: bool


class LogBook:
    """Thread-safe.

    Args:
        log: where evidence is signed into.
        witness: None in a home that was made without one.
    """

    def __init__(
        self, home: Path, store: EventStore, keys: Keys, log: Log, witness: Witness | None
    ) -> None:
        self._home, self._store, self._keys = home, store, keys
        self.log, self.witness = log, witness
        self._trusted = parse_trusted_root(keys.trusted_root)

    @property
    def keys(self) -> Keys:
        return self._keys

    def head(self, origin: str = "") -> dict[str, Any]:
        """The newest signed head of a shard, by default of the present one.

        Raises:
            NotFound: there is no such shard, or nothing has been signed into it yet.
        """
        key = self._key(origin)
        row = self._newest(key)
        if row is None:
            raise NotFound(f"Nothing has been signed into the log {key.name} yet.")
        witness = self._keys.witness
        known = () if witness is None else (witness.public,)
        return {
            "origin": key.name,
            "size": row.size,
            "root": row.root,
            "checkpoint": row.note,
            "vkey": str(key),
            "witness": None if witness is None else str(witness.public),
            "cosigned_at_s": [one.at_s for one in open_cosignatures(row.note, known)],
            "anchor": {"gseq": row.gseq, "hash": row.hash},
            "shards": list(self._keys.origins),
        }

    def consistency(
        self, first: int, second: int | None = None, origin: str = ""
    ) -> dict[str, Any]:
        """The proof (RFC 9162, 2.1.4) that the tree of `first` leaves is the beginning.

        Args:
            second: of the newest signed head by default.

        Raises:
            NotFound: a size is beyond the head, or in the wrong order.
        """
        key = self._key(origin)
        row = self._newest(key)
        size = 0 if row is None else row.size
        end = size if second is None else second
        if not 0 <= first <= end <= size:
            raise NotFound(
                f"There is no proof from size {first} to {end}: the log has {size} leaves, and the "
                "proof goes from a smaller size to a larger one."
            )
        tree = Tree(bytes.fromhex(leaf) for leaf in self._leaves(key.name))
        return {
            "origin": key.name,
            "first": first,
            "second": end,
            "first_root": tree.root(first).hex(),
            "second_root": tree.root(end).hex(),
            "hashes": [one.hex() for one in tree.consistency(first, end)],
        }

    def file(self, path: str) -> LogFile:
        """`checkpoint` or a tile of the present log, or `<origin>/` before it of any shard.

        Raises:
            NotFound, Malformed: there is none, or it is no such path.
        """
        for origin in self._keys.origins:
            if path.startswith(f"{origin}/"):
                return self._file(origin, path.removeprefix(f"{origin}/"))
        return self._file(self._keys.log_origin, path)

    def now(self) -> tuple[str, int, str]:
        """Origin, size and root (hex) of the recorded tree, for the journal to tell."""
        with self.log.writing() as tree:
            return self._keys.log_origin, tree.size, tree.root().hex()

    def check(self, findings: Iterable[_Finding] = ()) -> LogReport:
        """Read everything and hold it against everything: rows, leaves, heads, files, witness,
        and the journal in both directions.

        Args:
            findings: of the store's own check; those about the log are taken over.
        """
        shards = {shard.key.name: shard for shard in self._records()}
        told = self._told()
        found = [one for one in findings if one.table in _OURS]
        own: list[LogFinding] = []
        for shard in shards.values():
            own += check_shard(shard, self._trusted)
        own += check_told(told, shards)
        own += self._engines(shards)
        own += self._memory()
        return LogReport(
            leaves=sum(len(shard.entries) for shard in shards.values()),
            heads=sum(len(shard.heads) for shard in shards.values()),
            receipts=len(told),
            findings=(*map(str, found), *map(str, own)),
            ok=all(one.lost for one in found) and all(one.note for one in own),
        )

    def _file(self, origin: str, path: str) -> LogFile:
        content = read_file(folder_of(self._home, origin), path)
        return LogFile(content=content, final=path != CHECKPOINT)

    def _key(self, origin: str) -> NoteKey:
        name = origin or self._keys.log_origin
        for log in self._trusted.logs:
            if log.key.name == name:
                return log.key
        raise NotFound(f"There is no log {name}; there are {', '.join(self._keys.origins)}.")

    def _newest(self, key: NoteKey) -> TlogHead | None:
        heads = self._store.tlog_heads(key.name)
        return heads[-1][0] if heads else None

    def _span(self, origin: str) -> tuple[int, int]:
        """First leaf of a shard among all leaves, and the one behind its last."""
        firsts = [*(one.first for one in self._keys.shards), self._keys.log_first]
        place = self._keys.origins.index(origin)
        last = place == len(firsts) - 1
        end = len(self._store.tlog_leaves()) if last else firsts[place + 1]
        return firsts[place], end

    def _leaves(self, origin: str) -> Sequence[str]:
        first, end = self._span(origin)
        return self._store.tlog_leaves()[first:end]

    def _records(self) -> Iterable[ShardRecord]:
        witness = self._keys.witness
        for log in self._trusted.logs:
            origin = log.key.name
            first, end = self._span(origin)
            if origin == self._keys.log_origin:
                end = 1 << 62  # whatever is recorded, also what nobody here has counted
            yield ShardRecord(
                key=log.key,
                first=first,
                entries=self._store.tlog_entries(first, end),
                heads=self._store.tlog_heads(origin),
                read=partial(read_file, folder_of(self._home, origin)),
                written=folder_of(self._home, origin).exists(),
                seen=self._seen(origin),
                witnesses=() if witness is None else (witness.public,),
            )

    def _seen(self, origin: str) -> tuple[int, bytes] | None:
        if self.witness is None:
            return None
        try:
            seen = self.witness.seen(origin)
        except LogForked:
            return None  # said once, in `_memory`
        return seen.size, seen.root

    def _memory(self) -> Iterable[LogFinding]:
        if self.witness is not None:
            try:
                self.witness.seen(self._keys.log_origin)
            except LogForked as gone:
                yield LogFinding(where="witness", index=None, problem=str(gone))

    def _told(self) -> list[Told]:
        """Receipts that events name. Those before a rotation are of the shard of then."""
        told, origins = [], iter(self._keys.origins)
        origin = next(origins)
        kinds = (EvidenceCaptured.TYPE, EvidenceSealed.TYPE, KeysRotated.TYPE)
        for recorded in self._store.of_kinds(kinds):
            if isinstance(recorded.event, KeysRotated) and "log" in recorded.event.what:
                origin = next(origins)
            for named in _receipts(recorded):
                where = f"{recorded.stream} event {recorded.seq}, {named.name}"
                told.append(Told(where=where, shard=origin, receipt=self._blob(named.digest)))
        return told

    def _blob(self, digest: Digest) -> bytes | None:
        try:
            return self._store.blobs.get(digest)
        except (NotFound, Malformed):
            return None

    def _engines(self, shards: dict[str, ShardRecord]) -> Iterable[LogFinding]:
        """What each start of the engine saw of the log."""
        trees = {
            origin: Tree(bytes.fromhex(leaf) for leaf in self._leaves(origin)) for origin in shards
        }
        for recorded in self._store.of_kinds((EngineStarted.TYPE,)):
            event = recorded.event
            if not isinstance(event, EngineStarted) or event.log_origin not in trees:
                continue
            tree = trees[event.log_origin]
            if event.log_size > tree.size or tree.root(event.log_size).hex() != event.log_root:
                problem = f"saw another tree of {event.log_size} leaves than is recorded"
                yield LogFinding(
                    where=f"{recorded.stream} event {recorded.seq}", index=None, problem=problem
                )


def open_log(home: Path, store: EventStore, keys: Keys, *, issuer: str) -> LogBook:
    """The home's log, with its witness and its files."""
    witness = None
    if keys.witness is not None:
        witness = Witness(keys.witness, witness_state(home), (keys.log,))
    first = keys.log_first

    def entries(start: int, end: int) -> list[bytes]:
        return [one.body.encode() for one in store.tlog_entries(first + start, first + end)]

    tiles = TileFolder(home, keys.log_origin, entries)
    log = Log(store, keys, issuer=issuer, witness=witness, tiles=tiles)
    return LogBook(home, store, keys, log, witness)


def _receipts(recorded: Recorded) -> Iterable[NamedDigest]:
    files: tuple[NamedDigest, ...] = getattr(recorded.event, "files", ())
    return (one for one in files if one.name.endswith(_RECEIPT))
