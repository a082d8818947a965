"""Snapshots of advisory feeds: how their files are packed, and what is read out of them.

A snapshot is one JSON text with the feed's files as they came, so that its digest depends on
nothing else. A file that can't be read makes the scan of its feed INCOMPLETE; a feed of which
nothing can be used is left out, which the policy then answers as a missing feed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.core.kept import Kept
from engine.inputs.advisories import Advisory, read_advisory
from engine.inputs.catalogues import read_kev, read_nvd
from engine.inputs.packages import Identity
from engine.inputs.reading import nfc, object_of, read_json
from engine.ports import FeedSnapshot

SCHEMA: Final = "releaseline.feed/1"
_NAMED_MAX: Final = 3
_READ_KEPT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """How complete one source of facts is; as in the gate's document."""

    id: str
    status: str
    detail: str

    def document(self) -> dict[str, str]:
        return {"id": nfc(self.id), "status": self.status, "detail": nfc(self.detail)}


def scan(scan_id: str, gaps: Sequence[str], complete: str) -> Scan:
    """COMPLETE with the sentence `complete`, or INCOMPLETE naming the first gaps."""
    if not gaps:
        return Scan(id=scan_id, status="COMPLETE", detail=complete)
    more = f" and {len(gaps) - _NAMED_MAX} more" if len(gaps) > _NAMED_MAX else ""
    return Scan(id=scan_id, status="INCOMPLETE", detail="; ".join(gaps[:_NAMED_MAX]) + more)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFacts:
    """What the feeds say, ready to be asked.

    Attributes:
        advisories: those that are not withdrawn, by package.
        vectors: CVSS vectors by CVE id.
        epss_ppm: exploitation probability by CVE id.
        usable: the snapshots of which something could be read, sorted by name.
    """

    advisories: Mapping[Identity, tuple[Advisory, ...]] = field(default_factory=dict)
    kev: frozenset[str] = frozenset()
    vectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    epss_ppm: Mapping[str, int] = field(default_factory=dict)
    usable: tuple[FeedSnapshot, ...] = ()
    scans: tuple[Scan, ...] = ()

    @property
    def ecosystems(self) -> frozenset[str]:
        """Those of which the feeds speak at all."""
        return frozenset(identity.ecosystem for identity in self.advisories)


def pack_feed(name: str, files: Mapping[str, bytes]) -> bytes:
    """The bytes of a snapshot. Raises `Malformed` for a file that is no UTF-8 text."""
    texts = {}
    for path, content in files.items():
        try:
            texts[path] = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(f"expected UTF-8 text, found byte {error.start}", where=path) from error
    return canonical({"schema": SCHEMA, "name": name, "files": texts})


def unpack_feed(content: bytes, *, where: str) -> dict[str, bytes]:
    """The files of a snapshot by path. Raises `Malformed`."""
    document = read_json(content, where=where)
    if document.get("schema") != SCHEMA:
        raise Malformed(f"expected {SCHEMA!r}, found {document.get('schema')!r}", where=where)
    files = object_of(document, "files", where)
    return {path: str(text).encode() for path, text in files.items()}


def read_feeds(snapshots: Sequence[FeedSnapshot]) -> FeedFacts:
    """Read every snapshot. What is wrong with one is said in the scans, never left out."""
    found = _Found()
    readers = found.readers()
    usable: list[FeedSnapshot] = []
    scans: list[Scan] = []
    for snapshot in sorted(snapshots, key=lambda one: one.name):
        reader = readers.get(snapshot.name)
        if reader is None:
            scans.append(
                Scan(
                    id=f"feed:{snapshot.name}",
                    status="UNKNOWN",
                    detail=f"nothing here reads a feed named {snapshot.name}",
                )
            )
            continue
        done = _take(snapshot, *reader)
        scans.append(done)
        if done.status != "FAILED":
            usable.append(snapshot)
    return FeedFacts(
        advisories={
            package: tuple(known[name] for name in sorted(known))
            for package, known in found.advisories.items()
            if known
        },
        kev=frozenset(found.kev),
        vectors=found.vectors,
        epss_ppm=found.epss,
        usable=tuple(usable),
        scans=tuple(scans),
    )


class FeedMemory:
    """What the feeds say, read once for the same bytes: that takes seconds, and they rarely change
    between two questions. Not for several threads at once."""

    def __init__(self) -> None:
        self._kept = Kept[tuple[tuple[str, Digest, int], ...], FeedFacts](_READ_KEPT)

    def facts(self, snapshots: Sequence[FeedSnapshot]) -> FeedFacts:
        key = tuple((one.name, one.digest, one.as_of_s) for one in snapshots)
        known = self._kept.get(key)
        if known is None:
            known = read_feeds(snapshots)
            self._kept.put(key, known)
        return known


@dataclass(slots=True)
class _Found:
    """What was read so far.

    Attributes:
        newest: of each advisory that was seen, when it was modified.
        named: of each advisory that counts, the packages that it is about.
    """

    advisories: dict[Identity, dict[str, Advisory]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    newest: dict[str, int] = field(default_factory=dict)
    named: dict[str, frozenset[Identity]] = field(default_factory=dict)
    kev: set[str] = field(default_factory=set)
    vectors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    epss: dict[str, int] = field(default_factory=dict)

    def readers(self) -> dict[str, tuple[Callable[[bytes, str], int], str]]:
        """By feed: what reads one of its files and returns a count, and of what."""
        return {
            "OSV": (self._advisory, "advisories"),
            "GHSA": (self._advisory, "advisories"),
            "KEV": (self._kev, "known exploited flaws"),
            "NVD": (self._nvd, "flaws"),
            "EPSS": (self._epss, "scores"),
        }

    def _advisory(self, content: bytes, where: str) -> int:
        advisory = read_advisory(content, where=where)
        # Bulk files of two ecosystems may hold the same advisory in two states: the newer counts.
        if advisory.modified_us < self.newest.get(advisory.id, 0):
            return 1
        self.newest[advisory.id] = advisory.modified_us
        for package in self.named.pop(advisory.id, ()):
            del self.advisories[package][advisory.id]
        if not advisory.withdrawn:
            self.named[advisory.id] = frozenset(one.package for one in advisory.affected)
            for package in self.named[advisory.id]:
                self.advisories[package][advisory.id] = advisory
        return 1

    def _kev(self, content: bytes, where: str) -> int:
        found = read_kev(content, where=where)
        self.kev.update(found)
        return len(found)

    def _nvd(self, content: bytes, where: str) -> int:
        found = read_nvd(content, where=where)
        self.vectors.update(found)
        return len(found)

    def _epss(self, content: bytes, where: str) -> int:
        found = read_epss(content, where=where)
        self.epss.update(found)
        return len(found)


def _take(snapshot: FeedSnapshot, reader: Callable[[bytes, str], int], what: str) -> Scan:
    scan_id, gaps, count = f"feed:{snapshot.name}", [], 0
    try:
        files = unpack_feed(snapshot.content, where=f"feed {snapshot.name}")
    except Malformed as error:
        return Scan(id=scan_id, status="FAILED", detail=str(error))
    for path, content in sorted(files.items()):
        try:
            count += reader(content, path)
        except Malformed as error:
            gaps.append(str(error))
    if not count:
        why = gaps[0] if gaps else f"no {what} in it"
        return Scan(id=scan_id, status="FAILED", detail=why)
    return scan(scan_id, gaps, f"{count} {what}")


def read_epss(content: bytes, *, where: str) -> dict[str, int]:
    """Scores in parts per million by CVE id, from the daily CSV (`cve,epss,percentile`)."""
    lines = [line for line in content.decode().splitlines() if line and not line.startswith("#")]
    if not lines or lines[0].split(",")[:2] != ["cve", "epss"]:
        raise Malformed("expected the columns cve,epss,percentile", where=f"{where}: line 1")
    scores = {}
    for n, line in enumerate(lines[1:], start=2):
        parts = line.split(",")
        try:
            ppm = int(Decimal(parts[1]) * 1_000_000)
        except (IndexError, ArithmeticError, ValueError) as error:  # NaN and Infinity too
            raise Malformed(
                f"expected a score, found {line!r}", where=f"{where}: row {n}"
            ) from error
        if not 0 <= ppm <= 1_000_000:
            raise Malformed(f"expected 0 to 1, found {parts[1]}", where=f"{where}: row {n}")
        scores[parts[0]] = ppm
    return scores
