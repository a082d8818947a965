"""How waiting for an environment enters a run. One part of `engine.core.run.evolve`."""

from __future__ import annotations

from dataclasses import replace

from engine.core.events import Recorded
from engine.core.queue_events import StartBarred, StartUnbarred
from engine.core.state import Run


def apply(run: Run, recorded: Recorded) -> Run | None:
    """Return the run after one of these facts; None when the event is of another family."""
    match recorded.event:
        case StartBarred() as barred:
            return replace(run, barred=barred)
        case StartUnbarred():
            return replace(run, barred=None)
        case _:
            return None
