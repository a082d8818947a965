"""Run as a process and killed: puts away and retires for ever, beside appends and new samples.

Each round is one more ended run. Says `round <n>` when it was put away. Arguments: home.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from data.store import Store
from tests.data.kit import TestClock
from tests.data.put_kit import a_run


def main(home: Path) -> None:
    store = Store.open(home, clock=TestClock())
    os.write(1, b"open\n")
    for run_id in store.left_open():  # as the engine does at start
        store.put_away(run_id)
    number = store.last_run_number()
    while True:
        number += 1
        a_run(store, seed=6, number=number, polls=20)
        store.put_away(f"run-{number}")
        os.write(1, f"round {number}\n".encode())
        store.retire(10**18)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
