"""What is wrong with the house and waits for a person although no event of a run says so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.core.data_health import Level, disk_source
from engine.core.integrity import IntegrityLog, runs_of, sentence
from engine.core.rescans import INTERRUPTED, Standing
from engine.core.retirement import DAY_US
from engine.core.statemachine import Role

DISK_LOW: Final = "disk.low"
RESCAN_FAILED: Final = "rescan.failed"
RUN_STOPPED: Final = "run.stopped"
STORED_DAMAGED: Final = "store.damaged"
# Who cares for the house: they are told by name.
CARERS: Final = frozenset({Role.ADMIN, Role.RELEASE_MANAGER, Role.SRE})
# The engine begins again by itself, a little later.
_PASSES: Final = frozenset({"stopped", INTERRUPTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Attributes:
    name: stable name of what is told.
    occasion: what makes it one occasion; it is told once for each.
    run: that it is about; empty when it is about none.
    """

    name: str
    occasion: str
    text: str
    run: str = ""


def disk_trouble(free_bytes: int, total_bytes: int, *, now_us: int) -> Trouble | None:
    """Told once a day for as long as it is so."""
    source = disk_source(free_bytes, total_bytes)
    if source.level is Level.OK:
        return None
    return Trouble(name=DISK_LOW, occasion=f"day-{now_us // DAY_US}", text=f"The {source.text}.")


def rescan_trouble(found: Standing) -> Trouble | None:
    """Told once from the first failure on until one has succeeded."""
    if not found.failed or found.code in _PASSES:
        return None
    of = f"{found.failed} of {found.bundles} bundle{'s' * (found.bundles != 1)}"
    places = ", ".join(found.environments)
    text = f"SBOMs of {of} ({places}) could not be matched against the newest feeds"
    reason = found.reason.rstrip(".")
    return Trouble(
        name=RESCAN_FAILED, occasion=f"since-{found.failing_us}", text=f"{text}: {reason}."
    )


def stored_trouble(log: IntegrityLog) -> Trouble | None:
    """Told once from the first damage on until everything is whole again."""
    damaged = sorted(log.damaged.values(), key=lambda one: one.since_us)
    if not damaged:
        return None
    more = f" {len(damaged) - 1} more are damaged." if len(damaged) > 1 else ""
    return Trouble(
        name=STORED_DAMAGED,
        occasion=f"since-{damaged[0].since_us}",
        text=f"{sentence(damaged[0].found)}{more}",
        run=next(iter(runs_of(damaged)), ""),
    )


def stopped_troubles(because: Mapping[str, str], versions: Mapping[str, int]) -> list[Trouble]:
    """Told once for each place of the run's log at which a defect stops it.

    Args:
        because: run id to the defect; `versions`: run id to the number of its events.
    """
    return [
        Trouble(
            name=RUN_STOPPED,
            occasion=f"at-{versions[run_id]}",
            text=f"{run_id} is stopped by a defect: {defect.rstrip('.')}.",
            run=run_id,
        )
        for run_id, defect in sorted(because.items())
        if run_id in versions
    ]
