"""What a feed's files hold, record by record: to count, to compare with the snapshot before, and to
name what cannot be read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.inputs.advisories import read_advisory
from engine.inputs.catalogues import read_kev, read_nvd
from engine.inputs.feeds import read_epss
from engine.inputs.feeds_nvd import last_modified_us, read_page
from engine.inputs.feeds_osv import micros
from engine.inputs.reading import objects_of, read_json

_SCORED: Final = re.compile(r"score_date:([0-9T:.+Z-]+)")
_OFFSET: Final = re.compile(r"([+-]\d\d)(\d\d)$")
_MICROS: Final = 1_000_000


@dataclass(slots=True, kw_only=True)
class Census:
    """Attributes:
    records: a digest of its content per record, by id.
    withdrawn: ids that their publisher took back.
    problems: what cannot be read, one sentence each; none of it is in `records`.
    newest_us: the newest date in the data (UTC microseconds); 0 = they carry none.
    """

    records: dict[str, bytes] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    newest_us: int = 0

    @property
    def newest_s(self) -> int:
        return self.newest_us // _MICROS


def census(name: str, files: Mapping[str, bytes]) -> Census:
    """Read every file of the feed `name`, which is one of `engine.core.feeds.NAMES`."""
    found = Census()
    read = _READERS[name]
    for place, content in sorted(files.items()):
        try:
            read(found, content, place)
        except Malformed as error:
            found.problems.append(str(error))
    return found


def changes(before: Census | None, after: Census) -> tuple[int, int, int]:
    """How many records were added, changed and removed."""
    old = {} if before is None else before.records
    added = after.records.keys() - old.keys()
    removed = old.keys() - after.records.keys()
    changed = sum(after.records[one] != old[one] for one in after.records.keys() & old.keys())
    return len(added), changed, len(removed)


def _take(found: Census, name: str, content: bytes, modified_us: int, *, withdrawn: bool) -> None:
    digest = hashlib.sha256(content).digest()
    known = found.records.get(name)
    # The same advisory in the lists of two ecosystems is one record.
    found.records[name] = digest if known in (None, digest) else _both(known, digest)
    found.newest_us = max(found.newest_us, modified_us)
    if withdrawn:
        found.withdrawn.add(name)


def _both(known: bytes | None, digest: bytes) -> bytes:
    return hashlib.sha256((known or b"") + digest).digest()


def _osv(found: Census, content: bytes, place: str) -> None:
    advisory = read_advisory(content, where=place)
    _take(found, advisory.id, content, advisory.modified_us, withdrawn=advisory.withdrawn)


def _nvd(found: Census, content: bytes, place: str) -> None:
    read_nvd(content, where=place)
    # A file that somebody put into the folder may hold a whole page of them.
    for name, one in read_page(content, where=place).cves.items():
        (item,) = read_json(one, where=place)["vulnerabilities"]
        rejected = item["cve"].get("vulnStatus") == "Rejected"
        _take(found, name, one, last_modified_us(one), withdrawn=rejected)


def _kev(found: Census, content: bytes, place: str) -> None:
    read_kev(content, where=place)
    document = read_json(content, where=place)
    released = document.get("dateReleased")
    stamp = micros(released, f"{place}.dateReleased") if isinstance(released, str) else 0
    for _, item in objects_of(document, "vulnerabilities", place):
        _take(found, item["cveID"], repr(sorted(item.items())).encode(), stamp, withdrawn=False)


def _epss(found: Census, content: bytes, place: str) -> None:
    stamp = scored_us(content, where=place)
    for name, ppm in read_epss(content, where=place).items():
        _take(found, name, canonical(ppm), stamp, withdrawn=False)


def scored_us(content: bytes, *, where: str) -> int:
    """The day of the scores (UTC microseconds), from the first line; 0 when it does not say.

    `#model_version:v2025.03.14,score_date:2026-02-18T00:00:00+0000`
    """
    first = content.partition(b"\n")[0].decode("utf-8", "replace")
    match = _SCORED.search(first) if first.startswith("#") else None
    if match is None:
        return 0
    return micros(_OFFSET.sub(r"\1:\2", match[1]), f"{where}: line 1")


_READERS: Final[Mapping[str, Callable[[Census, bytes, str], Any]]] = {
    "EPSS": _epss,
    "GHSA": _osv,
    "KEV": _kev,
    "NVD": _nvd,
    "OSV": _osv,
}
