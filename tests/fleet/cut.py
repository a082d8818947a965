"""Applies a plan in a process of its own and kills that process, -9, at one chosen call.

Run as a program by test_crash.py: <folder> <digest> <cut>, where the cut is `emit:<phase>`, or
`before:<name>` or `after:<name>` of a call in `CALLS`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.core.digest import Digest
from engine.fleet import marker, shelf
from engine.fleet.control import Fleet
from engine.ports import DriverEvent
from tests.fleet.kit import Rig

CALLS: dict[str, tuple[Any, str]] = {
    "accept": (shelf.Shelf, "accept"),
    "store": (shelf.Shelf, "store"),
    "check": (shelf, "check"),
    "switch": (shelf.Shelf, "switch"),
    "end": (marker, "end_all"),
    "start": (Fleet, "start_service"),
    "router": (Fleet, "router"),
    "prune": (shelf.Shelf, "prune"),
}


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def cutting(call: Callable[..., Any], when: str) -> Callable[..., Any]:
    def cut(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die()
        result = call(*args, **kwargs)
        die()
        return result

    return cut


def main() -> None:
    folder, digest, cut = sys.argv[1:]
    rig = Rig(Path(folder))
    plan = rig.plan(Digest.parse(digest), rig.targets[:2])
    when, _, name = cut.partition(":")

    def emit(event: DriverEvent) -> None:
        if when == "emit" and event.phase == name:
            die()

    if when != "emit":
        owner, attribute = CALLS[name]
        setattr(owner, attribute, cutting(getattr(owner, attribute), when))
    rig.apply(plan, emit=emit)


if __name__ == "__main__":
    main()
