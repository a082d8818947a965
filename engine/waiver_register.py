"""The waiver register as it stands in the store: read anew at every question, kept nowhere else."""

from __future__ import annotations

from engine.core import waivers
from engine.core.digest import Digest
from engine.core.run import Run
from engine.core.waiver_events import WAIVERS
from engine.core.waivers import Holding, Waivers
from engine.ports import EventStore


def register(store: EventStore) -> Waivers:
    """Every waiver that was ever asked for, by id, the oldest first."""
    return waivers.fold(store.load(WAIVERS))


def holding(
    store: EventStore, environment: str, bundle: Digest, now_us: int
) -> tuple[Holding, ...]:
    """What holds for the bundle there at `now_us`."""
    return waivers.holding(register(store), environment, bundle, now_us)


def lost(store: EventStore, run: Run, now_us: int) -> str:
    """Why the run's verdict can rest no more on the waivers that it rests on; empty when it can."""
    if run.verdict is None or not run.verdict.waivers:
        return ""
    return waivers.lost(register(store), run.verdict.waivers, now_us)
