"""Run as a process and killed: appends for ever and says each acknowledged event, once it is.

Three threads append to streams of their own; each line is `<stream> <seq> <hash>`, written and
flushed after `append` returned. Arguments: home.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from data.store import Store
from engine.core.events import Recorded
from engine.core.house import ADMIN, SessionRevoked
from tests.data.kit import TestClock, gate_tick, history, log_line, sample


def say(recorded: tuple[Recorded, ...]) -> None:
    text = "".join(f"{r.stream} {r.seq} {r.hash.hex}\n" for r in recorded)
    os.write(1, text.encode())


def sessions(store: Store) -> None:
    while True:
        event = SessionRevoked(secret_hash="x" * 64, reason="padding " * 20)
        say(store.append(ADMIN, (event, event), after=store.version(ADMIN), actor="ana"))


def runs(store: Store, lane: int) -> None:
    number = lane
    while True:
        stream = f"run-{number}"
        done = store.version(stream)
        for step in history(number % 40, number):
            if done:
                done -= min(done, len(step.events))
                continue
            after = store.version(stream)
            tick = gate_tick(after + 1, run_id=stream)
            say(store.append(stream, step.events, after=after, actor=step.actor, rows=(tick,)))
            store.samples([sample(after, "t-01")])
            store.logs([log_line("line")])
        number += 2


def main(home: Path) -> None:
    store = Store.open(home, clock=TestClock())
    os.write(1, b"open\n")
    for work in (lambda: runs(store, 1), lambda: runs(store, 2)):
        threading.Thread(target=work, daemon=True).start()
    sessions(store)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
