"""Feeds: what it costs to read bulk advisories and the KEV catalogue, beside bare JSON parsing.

    python benchmarks/feeds.py [DATA] [--rounds N]

DATA is a folder with `osv/PyPI/all.zip` and `kev/known_exploited_vulnerabilities.json(.gz)`; by
default the one beside the project. The base of each ratio is `json.loads` over the same texts;
times are those of the CPU, which neighbours do not slow.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.core.digest import Digest
from engine.feeds_job import Job
from engine.feeds_take import take
from engine.inputs.advisories import read_advisory
from engine.inputs.feeds import pack_feed, read_feeds, unpack_feed
from engine.inputs.feeds_census import census
from engine.inputs.feeds_unpack import FeedLimits, unzip
from engine.ports import FeedSnapshot

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def best(work: Callable[[], Any], rounds: int) -> float:
    """Median of the rounds, in milliseconds of CPU; the first, which warms caches, is left out."""
    took = []
    for _ in range(rounds + 1):
        started = time.process_time()
        work()
        took.append((time.process_time() - started) * 1000)
    return statistics.median(took[1:])


def row(what: str, ms: float, records: int, base_ms: float | None = None) -> None:
    ratio = "" if base_ms is None else f"{ms / base_ms:6.1f} x bare JSON"
    print(f"{what:<46} {ms:>9.1f} ms {records / ms * 1000:>12,.0f} records/s  {ratio}")


def snapshot(name: str, files: dict[str, bytes]) -> FeedSnapshot:
    content = pack_feed(name, files)
    return FeedSnapshot(name=name, digest=Digest.of(content), as_of_s=0, content=content)


def osv(data: Path, rounds: int) -> None:
    packed = (data / "osv" / "PyPI" / "all.zip").read_bytes()
    members = unzip(packed, limits=FeedLimits(), where="all.zip")
    files = {f"osv/PyPI/{name}": one for name, one in members.items()}
    count, texts = len(members), list(members.values())
    size = sum(map(len, texts))
    print(f"OSV: {count:,} advisories, {len(packed) / 1e6:.1f} MB packed, {size / 1e6:.1f} MB")
    base = best(lambda: [json.loads(one) for one in texts], rounds)
    row("bare json.loads", base, count)
    unpacked = best(lambda: unzip(packed, limits=FeedLimits(), where="all.zip"), rounds)
    row("unpack the archive, bounded", unpacked, count, base)
    read = best(lambda: [read_advisory(one, where="x") for one in texts], rounds)
    row("read every advisory", read, count, base)
    row(
        "census: read, date and digest each",
        best(lambda: census("OSV", files), rounds),
        count,
        base,
    )
    row("pack a snapshot", best(lambda: pack_feed("OSV", files), rounds), count, base)
    made = snapshot("OSV", files)
    opened = best(lambda: unpack_feed(made.content, where="x"), rounds)
    row("open a snapshot", opened, count, base)
    row(
        "snapshot to facts, as the gate does", best(lambda: read_feeds([made]), rounds), count, base
    )
    _sync(data, count, base)


def _sync(data: Path, count: int, base: float) -> None:
    """A whole sync from the folder, in this process."""
    with tempfile.TemporaryDirectory(prefix="rl-bench-") as folder:
        into = Path(folder) / "snapshot"
        job = Job(
            name="OSV",
            address=str(data / "osv" / "PyPI"),
            into=str(into),
            asked_s=int(time.time()),
        )
        started = time.process_time()
        taken = take(job)
        took = (time.process_time() - started) * 1000
        assert taken.records == count, taken
        row("a sync from the folder, all of it", took, count, base)


def kev(data: Path, rounds: int) -> None:
    folder = data / "kev"
    path = folder / "known_exploited_vulnerabilities.json"
    content = (
        path.read_bytes()
        if path.exists()
        else gzip.decompress(path.with_suffix(".json.gz").read_bytes())
    )
    files = {"kev/known_exploited_vulnerabilities.json": content}
    count = json.loads(content)["count"]
    print(f"KEV: {count:,} entries, {len(content) / 1e6:.1f} MB")
    base = best(lambda: json.loads(content), rounds)
    row("bare json.loads", base, count)
    row(
        "census: read, date and digest each",
        best(lambda: census("KEV", files), rounds),
        count,
        base,
    )
    made = snapshot("KEV", files)
    row(
        "snapshot to facts, as the gate does", best(lambda: read_feeds([made]), rounds), count, base
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=_DATA)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    osv(asked.data, asked.rounds)
    kev(asked.data, asked.rounds)


if __name__ == "__main__":
    main()
