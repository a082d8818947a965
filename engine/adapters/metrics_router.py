"""Metrics of the local fleet, read from its router: exact counts per target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.errors import AdapterFailed
from engine.core.metrics import LATENCY_BOUNDS_MS, Reading, ReadingStatus, TargetCounters
from engine.fleet.control import Fleet
from engine.ports import Clock


class RouterMetrics:
    """`MetricSource` and `BurnSource` of one environment.

    A router that was restarted counts from 0 again.
    """

    def __init__(self, fleet: Fleet, *, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock

    @property
    def kind(self) -> str:
        return "router"

    def read(self, *, deadline_s: float) -> Reading:
        at_us = self._clock.now_us()
        query = f"router of {self._fleet.environment}: GET /counters at {at_us} us"
        try:
            answer = self._fleet.router("/counters", deadline_s=deadline_s)
            known = {str(t): _counters(one) for t, one in answer["targets"].items()}
        except AdapterFailed as failed:
            return Reading(at_us=at_us, status=ReadingStatus.ERROR, note=str(failed), query=query)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            note = f"unreadable counters: {error!r}"
            return Reading(at_us=at_us, status=ReadingStatus.ERROR, note=note, query=query)
        targets = {t: known[t] for t in self._fleet.targets if t in known}
        missing = [t for t in self._fleet.targets if t not in known]
        status = ReadingStatus.OK
        note = ""
        if not targets:
            status, note = ReadingStatus.NODATA, "the router knows no target of this environment"
        elif missing:
            status, note = ReadingStatus.PARTIAL, f"unknown to the router: {', '.join(missing)}"
        return Reading(at_us=at_us, status=status, targets=targets, note=note, query=query)

    def history(
        self, *, seconds: int, poll_s: float, deadline_s: float
    ) -> Sequence[Sequence[tuple[int, int]]]:
        """Rows of `poll_s` rounded to whole seconds, at least one; targets sorted by id."""
        per_row = max(1, round(poll_s))
        try:
            answer = self._fleet.router(f"/history?seconds={seconds}", deadline_s=deadline_s)
            known = {str(t): n for n, t in enumerate(answer["targets"])}
            columns = [known[t] for t in self._fleet.targets if t in known]
            rows = [[(int(row[n][0]), int(row[n][1])) for n in columns] for row in answer["rows"]]
        except (AdapterFailed, KeyError, TypeError, ValueError, IndexError):
            return ()
        first = len(rows) % per_row  # the newest rows are whole; what is odd is the oldest
        return tuple(_sum(rows[n : n + per_row]) for n in range(first, len(rows), per_row))

    def burn_query(self, *, windows_s: Sequence[int]) -> str:
        return f"router of {self._fleet.environment}: GET {_burn_path(windows_s)}"

    def bad_and_total(
        self, *, windows_s: Sequence[int], deadline_s: float
    ) -> Mapping[int, tuple[int, int] | None]:
        """Of what the clients were answered, for as long as the router runs and 6 h 10 min at most.

        A router that was started anew knows nothing of before; a window is up to 10 s longer.
        """
        answer = self._fleet.router(_burn_path(windows_s), deadline_s=deadline_s)
        try:
            found = answer["windows"]
            return {window_s: _pair(found[str(window_s)]) for window_s in windows_s}
        except (KeyError, TypeError, ValueError) as error:
            raise AdapterFailed(f"unreadable burn counts: {error!r}", transient=True) from error


def _burn_path(windows_s: Sequence[int]) -> str:
    return f"/burn?windows={','.join(map(str, windows_s))}"


def _pair(found: Any) -> tuple[int, int] | None:
    if found is None:
        return None
    bad, total = found
    return int(bad), int(total)


def _sum(rows: Sequence[Sequence[tuple[int, int]]]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (sum(requests for requests, _ in column), sum(errors for _, errors in column))
        for column in zip(*rows, strict=True)
    )


def _counters(one: Mapping[str, Any]) -> TargetCounters:
    healthy = one["healthy"]
    buckets = tuple(int(count) for count in one["buckets"])
    if len(buckets) != len(LATENCY_BOUNDS_MS) + 1:
        raise ValueError(f"{len(buckets)} latency buckets")
    return TargetCounters(
        requests=int(one["requests"]),
        errors=int(one["errors"]),
        slow=int(one["slow"]),
        buckets=buckets,
        healthy=None if healthy is None else bool(healthy),
    )
