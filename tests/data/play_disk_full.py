"""Run as a process: fills what the store may use, sees it refuse, gives room, sees it go on.

Prints one JSON line with what was acknowledged. Arguments: home, and what refuses: `journal`,
`database` (by a limit on file sizes) or `device` (the home lies on a device that is nearly full).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from data.store import Store
from engine.core.errors import StorageFull
from engine.core.house import ADMIN, SessionRevoked
from tests.data.kit import TestClock, sample

PADDING = "x" * 400


def main(home: Path, what: str) -> None:
    store = Store.open(home, clock=TestClock())
    acknowledged, refused = 0, 0
    batches = []
    store.subscribe(lambda batch: batches.append(len(batch)))

    def append() -> bool:
        nonlocal acknowledged, refused
        event = SessionRevoked(secret_hash=str(acknowledged), reason=PADDING)
        try:
            store.append(ADMIN, (event,), after=acknowledged, actor="ana")
        except StorageFull:
            refused += 1
            return False
        acknowledged += 1
        return True

    for _ in range(20):
        append()
    ballast = fill(home, what)
    for _ in range(400):
        store.samples([sample(acknowledged, "t-01")])
        append()
        if refused >= 5:
            break
    assert refused >= 5, "it never refused"
    assert store.version(ADMIN) == acknowledged
    give_room(ballast)
    deadline = time.monotonic() + 20
    while not append():
        assert time.monotonic() < deadline, "it never went on"
        time.sleep(0.1)
    for _ in range(10):
        assert append()
    time.sleep(0.5)
    report = store.fsck()
    said = [r.event for r in store.load("engine:store")]
    kept = [r.event.secret_hash for r in store.load(ADMIN)]
    store.close()
    print(
        json.dumps(
            {
                "acknowledged": acknowledged,
                "refused": refused,
                "ok": report.ok,
                "findings": [str(f) for f in report.findings],
                "said": [type(event).__name__ for event in said],
                "spans": [e.to_us - e.from_us for e in said if type(e).__name__ == "DiskFull"],
                "kept": kept == [str(n) for n in range(acknowledged)],
                "heard": sum(batches),
            }
        )
    )


def fill(home: Path, what: str) -> Path | None:
    if what == "device":
        ballast = home / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        return ballast
    size = 1
    if what == "database":
        sizes = [p.stat().st_size for p in home.rglob("*") if p.suffix in {".wal", ".jsonl"}]
        size = max(sizes)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    return None


def give_room(ballast: Path | None) -> None:
    if ballast is not None:
        ballast.unlink()
        return
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
