"""Run as a process and killed: plays runs that a webhook is told of, until all has arrived.

It says `open` when it begins and `done` when nothing waits any more. Arguments: home, receiver.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.data.kit import history
from tests.hooks.kit import HookHouse

RUNS = (24, 14)


def main(home: Path, url: str) -> None:
    house = HookHouse(home)
    if not house.real.hooks():
        house.add(url)
    house.postman.start()
    os.write(1, b"open\n")
    for number, seed in enumerate(RUNS, 1):
        stream = f"run-{number}"
        done = house.real.version(stream)
        for step in history(seed, number):
            if done > 0:
                done -= len(step.events)
                continue
            after = house.real.version(stream)
            house.real.append(stream, step.events, after=after, actor=step.actor)
    while not house.settled():
        time.sleep(0.01)
    house.close()
    os.write(1, b"done\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
