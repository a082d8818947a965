"""The waiver register as it stands in the store: read anew at every question, kept nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core import waivers
from engine.core.digest import Digest
from engine.core.event_parts import UsedWaiver
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


def authors_of(store: EventStore, used: Sequence[UsedWaiver]) -> tuple[str, ...]:
    """Who wrote these, and by whose hand, sorted."""
    if not used:
        return ()
    known = register(store)
    return tuple(sorted({name for one in used for name in known[one.waiver].authors}))


def lost(store: EventStore, run: Run, now_us: int) -> str:
    """Why the run's verdict can rest no more on the waivers that it rests on; empty when it can."""
    if run.verdict is None or not run.verdict.waivers:
        return ""
    return waivers.lost(register(store), run.verdict.waivers, now_us)
