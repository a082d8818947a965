"""The chain of events checked from its beginning, beside bare hashing of the same journal.

    python benchmarks/audit.py [--events N]

A fresh home is filled with denials of the size that they have in use. Checking reads and parses
every line, compares each event with its row, and follows every chain; the bare line is SHA-256 over
the same bytes and `json.loads` of the same lines, which no check can do without.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data.queries_audit import records
from data.store import Store
from engine.adapters.clock_system import SystemClock
from engine.core.audit import AuditFilter
from engine.core.auth import AuthContext
from engine.core.house import ADMIN, CommandRejected

BATCH = 500


def fill(store: Store, count: int) -> None:
    for first in range(0, count, BATCH):
        events = [
            CommandRejected(
                action="approve",
                run=f"run-{n % 997}",
                code="conflict_of_interest",
                reason=f"ana.li requested this promotion; somebody else has to approve it ({n}).",
                environment="eu-prod",
                asked="looks good to me",
                own=True,
            )
            for n in range(first, min(count, first + BATCH))
        ]
        store.append(ADMIN, events, after=store.version(ADMIN), actor="ana.li")


def bare(home: Path) -> float:
    began_s = time.process_time()
    for path in sorted((home / "journal").glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            hashlib.sha256(line)
            json.loads(line)
    return time.process_time() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    count = parser.parse_args().events
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        auth = AuthContext(method="session", credential="0123456789ab", request_id="req_0")
        store = Store.open(home, clock=SystemClock(), auth=lambda: auth)
        fill(store, count)
        wall_s, cpu_s = time.monotonic(), time.process_time()
        report = store.check_trail()
        wall_s, cpu_s = time.monotonic() - wall_s, time.process_time() - cpu_s
        assert report.ok and report.events == count, report
        base_s = bare(home)
        asked = AuditFilter(overrides=True, self_approvals=True)
        page_s = time.process_time()
        records(store.cursor(), asked=asked, limit=50)
        page_s = time.process_time() - page_s
        store.close()
    load = os.getloadavg()[0]
    print(f"{count:,} events, load average {load:.1f}")
    print(f"check    {wall_s:6.2f} s, {cpu_s:6.2f} s of the processor")
    print(f"bare     {base_s:6.2f} s of the processor; ratio {cpu_s / base_s:.2f}")
    print(f"one page of a filter over all of them: {page_s * 1000:.0f} ms of the processor")


if __name__ == "__main__":
    main()
