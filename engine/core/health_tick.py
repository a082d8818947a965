"""One tick as the gate reads it, and the window of ticks that its rates are taken from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Final, SupportsIndex

from engine.core.errors import Malformed
from engine.core.health_criteria import shown
from engine.core.health_evidence import Counts
from engine.core.jcs import JsonValue

STATUSES: Final = ("ok", "nodata", "error", "partial")
# Beyond these a number is a defect of the source. Up to them the sums of a stage of thousands of
# ticks stay whole numbers that every JSON reader holds.
COUNT_MAX: Final = 10**12
_SECONDS_MAX: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """When the step behind the stage may begin, seen from one tick; 0 or less is behind it.

    Attributes:
        name: of that step. at: when it opens, by the clocks of its zone.
    """

    name: str
    at: str
    opens_in_ms: int
    closes_in_ms: int

    @property
    def shut(self) -> str:
        """Why the step may not begin now, as a sentence's part; empty when it may."""
        if self.closes_in_ms <= 0:
            return f"{self.name} did not begin in its window, which opened {self.at}"
        return f"{self.name} opens {self.at}" if self.opens_in_ms > 0 else ""

    def document(self) -> dict[str, JsonValue]:
        return {
            "name": self.name,
            "at": self.at,
            "opens_in_ms": self.opens_in_ms,
            "closes_in_ms": self.closes_in_ms,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Attributes:
    canary: None when no target of the stage's cohort is in the metrics.
    targets: the cohort's probes; None for a target = missing from the metrics.
    parts: the baseline target by target; empty when it was not asked for.
    fleet: healthy ones of all targets of the environment; None when it was not asked for.
    opening: of the step behind the stage; None when that has no time of its own.
    """

    t_ms: int
    status: str
    canary: Counts | None
    baseline: Counts | None
    targets: Mapping[str, bool | None]
    parts: tuple[Counts, ...]
    note: str
    fleet: tuple[int, int] | None = None
    opening: Opening | None = None

    @property
    def usable(self) -> bool:
        return self.status == "ok" and self.canary is not None


def read_tick(tick: Mapping[str, Any], *, parts: bool) -> Tick:
    """Read the mapping of a tick, with the baseline's single targets when `parts` asks for them.

    Raises:
        Malformed: names the field.
    """
    if not isinstance(tick, Mapping):
        raise Malformed(f"expected a mapping, found {shown(tick)}", where="tick")
    status = tick.get("status")
    if not isinstance(status, str) or status not in STATUSES:
        raise Malformed(
            f"expected {', '.join(STATUSES)}, found {shown(status)}", where="tick.status"
        )
    return Tick(
        t_ms=time_ms(tick.get("t"), "tick.t"),
        status=status,
        canary=_counts(tick.get("canary"), "tick.canary"),
        baseline=_counts(tick.get("baseline"), "tick.baseline"),
        targets=_targets(tick.get("targets")),
        parts=_parts(tick.get("baseline_targets")) if parts else (),
        note=str(tick.get("note") or ""),
        fleet=_fleet(tick.get("fleet")),
        opening=_opening(tick.get("opening")),
    )


def time_ms(t: object, where: str) -> int:
    """Milliseconds of `t` seconds. Raises `Malformed` for what is no time of a stage."""
    if isinstance(t, bool) or not isinstance(t, int | float) or not abs(t) <= _SECONDS_MAX:
        raise Malformed(f"expected a number of seconds, found {shown(t)}", where=where)
    return round(t * 1000)


def _targets(targets: Any) -> Mapping[str, bool | None]:
    if targets is None:
        return {}
    if not isinstance(targets, Mapping):
        raise Malformed(f"expected a mapping, found {shown(targets)}", where="tick.targets")
    for name, probe in targets.items():
        if not isinstance(name, str) or not (probe is None or isinstance(probe, bool)):
            raise Malformed(
                f"expected true, false or nothing for a target's name, found {shown(probe)} "
                f"for {shown(name)}",
                where="tick.targets",
            )
    return targets


def _fleet(fleet: Any) -> tuple[int, int] | None:
    if fleet is None:
        return None
    if not isinstance(fleet, Mapping):
        raise Malformed(f"expected a mapping of counts, found {shown(fleet)}", where="tick.fleet")
    healthy, of = (_count(fleet, name, "tick.fleet") for name in ("healthy", "targets"))
    if not 0 <= healthy <= of:
        raise Malformed(f"expected at most {of} of {of}, found {healthy}", where="tick.fleet")
    return healthy, of


def _opening(opening: Any) -> Opening | None:
    where = "tick.opening"
    if opening is None:
        return None
    if not isinstance(opening, Mapping):
        raise Malformed(f"expected a mapping, found {shown(opening)}", where=where)
    name, at = opening.get("name"), opening.get("at")
    opens, closes = _whole(opening.get("opens_in_ms")), _whole(opening.get("closes_in_ms"))
    if not isinstance(name, str) or not isinstance(at, str) or opens is None or closes is None:
        raise Malformed(
            f"expected two texts and two whole numbers, found {shown(opening)}", where=where
        )
    return Opening(name=name, at=at, opens_in_ms=opens, closes_in_ms=closes)


def _parts(parts: Any) -> tuple[Counts, ...]:
    """The baseline target by target, from (requests, errors) pairs."""
    where = "tick.baseline_targets"
    if parts is None:
        return ()
    return tuple(
        Counts(requests=requests, errors=errors) for requests, errors in pairs(parts, where)
    )


def pairs(cells: Any, where: str) -> Iterator[tuple[int, int]]:
    """The cells as (requests, errors). Raises `Malformed` at the first that is not."""
    if not isinstance(cells, Sequence):
        raise Malformed(f"expected (requests, errors) pairs, found {shown(cells)}", where=where)
    for cell in cells:
        if not isinstance(cell, list | tuple) or len(cell) != 2:
            raise Malformed(f"expected (requests, errors), found {shown(cell)}", where=where)
        requests, errors = _whole(cell[0]), _whole(cell[1])
        if requests is None or errors is None:
            raise Malformed(f"expected whole numbers, found {shown(cell)}", where=where)
        if not 0 <= errors <= requests <= COUNT_MAX:
            raise Malformed(f"expected errors within requests, found {shown(cell)}", where=where)
        yield requests, errors


def _whole(value: object) -> int | None:
    """A whole number of any library as Python's own; None for truth values and all else."""
    if type(value) is int:
        return value
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    return index(value)


def _counts(arm: Any, where: str) -> Counts | None:
    if arm is None:
        return None
    if not isinstance(arm, Mapping):
        raise Malformed(f"expected a mapping of counts, found {shown(arm)}", where=where)
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
    count = _whole(arm.get(name))
    if count is None or not 0 <= count <= COUNT_MAX:
        found = shown(arm.get(name))
        raise Malformed(
            f"expected a whole number, 0 or more, found {found}", where=f"{where}.{name}"
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
