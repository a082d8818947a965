"""One tick as the gate reads it, and the window of ticks that its rates are taken from."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.errors import Malformed
from engine.core.health_evidence import Counts

STATUSES = ("ok", "nodata", "error", "partial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Attributes:
    canary: None when no target of the stage's cohort is in the metrics.
    targets: the cohort's probes; None for a target = missing from the metrics.
    """

    t_ms: int
    status: str
    canary: Counts | None
    baseline: Counts | None
    targets: Mapping[str, bool | None]
    note: str

    @property
    def usable(self) -> bool:
        return self.status == "ok" and self.canary is not None


def read_tick(tick: Mapping[str, Any]) -> Tick:
    """Read the mapping of a tick. Raises `Malformed` naming the field."""
    t = tick.get("t")
    if isinstance(t, bool) or not isinstance(t, int | float):
        raise Malformed(f"expected seconds since the stage's start, found {t!r}", where="tick.t")
    status = tick.get("status")
    if status not in STATUSES:
        raise Malformed(f"expected {', '.join(STATUSES)}, found {status!r}", where="tick.status")
    targets = tick.get("targets") or {}
    if not isinstance(targets, Mapping):
        raise Malformed(f"expected a mapping, found {targets!r}", where="tick.targets")
    return Tick(
        t_ms=round(t * 1000),
        status=status,
        canary=_counts(tick.get("canary"), "tick.canary"),
        baseline=_counts(tick.get("baseline"), "tick.baseline"),
        targets=targets,
        note=str(tick.get("note") or ""),
    )


def _counts(arm: Any, where: str) -> Counts | None:
    if arm is None:
        return None
    if not isinstance(arm, Mapping):
        raise Malformed(f"expected a mapping of counts, found {arm!r}", where=where)
    requests, errors = _count(arm, "requests", where), _count(arm, "errors", where)
    slow = None if arm.get("slow") is None else _count(arm, "slow", where)
    if errors > requests or (slow is not None and slow > requests):
        raise Malformed(
            f"expected at most {requests} of {requests} requests, found errors {errors}, "
            f"slow {slow}",
            where=where,
        )
    return Counts(requests=requests, errors=errors, slow=slow)


def _count(arm: Mapping[str, Any], name: str, where: str) -> int:
    count = arm.get(name)
    if type(count) is not int or count < 0:
        raise Malformed(
            f"expected a whole number, 0 or more, found {count!r}", where=f"{where}.{name}"
        )
    return count


@dataclass(slots=True)
class Totals:
    """Sums of counts. `slow_of` counts the requests of those ticks that counted slow ones."""

    requests: int = 0
    errors: int = 0
    slow: int = 0
    slow_of: int = 0

    def add(self, counts: Counts | None, sign: int = 1) -> None:
        if counts is None:
            return
        self.requests += sign * counts.requests
        self.errors += sign * counts.errors
        if counts.slow is not None:
            self.slow += sign * counts.slow
            self.slow_of += sign * counts.requests

    def document(self) -> dict[str, int]:
        return {
            "requests": self.requests,
            "errors": self.errors,
            "slow": self.slow,
            "slow_of": self.slow_of,
        }


class Window:
    """The ticks of the last `length_ms`, with running totals of both arms."""

    def __init__(self, length_ms: int) -> None:
        self._length_ms = length_ms
        self._ticks: deque[tuple[int, Counts, Counts | None]] = deque()
        self.canary, self.baseline = Totals(), Totals()

    def add(self, t_ms: int, canary: Counts, baseline: Counts | None) -> None:
        self._ticks.append((t_ms, canary, baseline))
        self.canary.add(canary)
        self.baseline.add(baseline)
        while self._ticks[0][0] <= t_ms - self._length_ms:
            _, old_canary, old_baseline = self._ticks.popleft()
            self.canary.add(old_canary, -1)
            self.baseline.add(old_baseline, -1)

    @property
    def from_ms(self) -> int | None:
        """Time of the oldest tick in it; None while it is empty."""
        return self._ticks[0][0] if self._ticks else None

    @property
    def to_ms(self) -> int | None:
        return self._ticks[-1][0] if self._ticks else None

    def __len__(self) -> int:
        return len(self._ticks)
