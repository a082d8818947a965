"""Nights in a small house: time passes as the worker lets it, and what it left is read back."""

from __future__ import annotations

from engine.core.schedule_events import FiringTicked
from tests.faults.small_house import SmallHouse

NIGHT = 1_800_064_800  # 2027-01-16 02:00 UTC
HOUR, MINUTE = 3_600, 60


def ticks(house: SmallHouse, schedule: str = "schedule-1") -> list[tuple[str, str, int]]:
    """(word, local date, seconds late) of a schedule, in order of recording."""
    found = house.real.of_kinds([FiringTicked.TYPE])
    return [
        (r.event.word.value, r.event.firing, r.event.late_ms // 1000)
        for r in found
        if isinstance(r.event, FiringTicked) and r.event.schedule == schedule
    ]


def live(house: SmallHouse, until_s: int, *, but: str = "") -> None:
    """Let time pass as the worker does: each run when it wants to be called, the sweep beside.

    `but`: a run that nobody calls.
    """
    due: dict[str, int] = {}
    while house.clock.us < until_s * 1_000_000:
        house.scheduling.runs.when_due()
        for run in house.real.runs_open():
            if run.run_id != but:
                due.setdefault(run.run_id, 0)
        next_us = until_s * 1_000_000
        for run_id, at_us in list(due.items()):
            if at_us <= house.clock.us:
                wait_s = house.runner.advance(run_id)
                due[run_id] = 2**62 if wait_s is None else house.clock.us + int(wait_s * 1e6)
            next_us = min(next_us, due[run_id])
        house.scheduling.runs.when_due()
        if all(run.run_id in {*due, but} for run in house.real.runs_open()):
            house.clock.us = max(house.clock.us + 1_000, next_us)
