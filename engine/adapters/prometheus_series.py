"""Series of a Prometheus to exact counters per target. Pure: no network, no clock.

`increase()` guesses what lies between samples and the edges of its window; a judge of releases
needs whole requests. So raw samples are read and added up here, each sample once, with every
restart of a counter in between taken for what it is.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from engine.core.errors import AdapterFailed
from engine.core.metrics import LATENCY_BOUNDS_MS, SeriesNames, TargetCounters

NAME: Final = "__name__"
_BOUND: Final = "le"
_EXACT_MAX: Final = 2**53  # beyond it a float skips whole numbers
_RESTARTS_KEPT: Final = 16
_KEPT_MS: Final = 3_600_000

Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Series:
    """`points` are (milliseconds, value), oldest first, at least one."""

    labels: Mapping[str, str]
    points: tuple[tuple[int, float], ...]

    @property
    def newest_ms(self) -> int:
        return self.points[-1][0]

    def __str__(self) -> str:
        inside = ",".join(f'{k}="{v}"' for k, v in sorted(self.labels.items()) if k != NAME)
        return f"{self.labels.get(NAME, '')}{{{inside}}}"[:200]


def matrix(data: Mapping[str, Any]) -> list[Series]:
    """The series of an answer with samples over a time. Raises `AdapterFailed`."""
    return [_series(one, "values") for one in _result(data, "matrix") if "values" in one]


def vector(data: Mapping[str, Any]) -> list[Series]:
    """The series of an answer with one sample each. Raises `AdapterFailed`."""
    return [_series(one, "value") for one in _result(data, "vector") if "value" in one]


def _result(data: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    result = data.get("result")
    if data.get("resultType") != kind or not isinstance(result, list):
        raise AdapterFailed(
            f"expected a {kind} as answer, found {str(data.get('resultType'))[:40]!r}",
            transient=False,
        )
    if not all(isinstance(one, dict) for one in result):
        raise AdapterFailed(f"expected objects in the {kind}", transient=False)
    return result


def _series(one: Mapping[str, Any], key: str) -> Series:
    try:
        labels = {str(name): str(text) for name, text in one["metric"].items()}
        pairs = one[key] if key == "values" else [one[key]]
        points = tuple((round(float(at_s) * 1000), float(text)) for at_s, text in pairs)
        if not points or any(a >= b for (a, _), (b, _) in pairwise(points)):
            raise ValueError("samples are missing or not in the order of time")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise AdapterFailed(f"answers an unreadable series: {error!r}", transient=False) from error
    return Series(labels, points)


def counted(series: Series, value: float) -> int:
    """A sample of a counter as the whole number that it has to be. Raises `AdapterFailed`."""
    if not math.isfinite(value) or not 0 <= value <= _EXACT_MAX or value != int(value):
        raise AdapterFailed(
            f"{series}: expected a whole number of requests, found {value}", transient=False
        )
    return int(value)


@dataclass(slots=True)
class _Totals:
    requests: int = 0
    errors: int = 0
    slow: int = 0
    buckets: list[int] = field(default_factory=list)


class Counts:
    """Counters per target that only grow, whatever their exporters do.

    Right after the first look they stand where the exporters stand. A series that appears beside
    known ones of the same exporter (the first answer of a code) counts from 0; one that appears
    with a new exporter counts from its first sample, because nobody knows since when it counted.
    """

    def __init__(self, names: SeriesNames, *, slow_over_ms: int) -> None:
        self._names = names
        self._error = re.compile(names.errors)
        self._slow_over_ms = slow_over_ms
        self._last: dict[Key, tuple[int, int]] = {}
        self._restarts: dict[Key, list[int]] = {}
        self._totals: dict[str, _Totals] = {}
        self.slow_bound_missing = False

    def take(self, series: Sequence[Series]) -> None:
        """Add what is new in `series`, all of one answer; samples that were taken before are not.

        Raises:
            AdapterFailed: a sample is no count; nothing was taken.
        """
        read = [(one, [(at, counted(one, value)) for at, value in one.points]) for one in series]
        self._check(series)
        known, groups = set(self._totals), set(self._restarts)
        for one, points in read:
            self._note_restarts(one, points)
        grown = [
            (one, self._grown(one, points, known=known, groups=groups)) for one, points in read
        ]
        for one, more in grown:
            if one.labels[NAME] == self._names.requests:
                totals = self._of(one)
                totals.requests += more
                if self._error.fullmatch(one.labels[self._names.code_label]):
                    totals.errors += more
        self._spread(
            (one, more) for one, more in grown if one.labels[NAME] == self._names.durations
        )
        self._forget(max((one.newest_ms for one in series), default=0) - _KEPT_MS)

    def of(self, target: str, *, healthy: bool | None) -> TargetCounters:
        totals = self._totals[target]
        return TargetCounters(
            requests=totals.requests,
            errors=totals.errors,
            slow=totals.slow,
            buckets=tuple(totals.buckets),
            healthy=healthy,
        )

    def _forget(self, before_ms: int) -> None:
        """Let go of processes that ended long ago; what they counted stays in the totals."""
        newest: dict[Key, int] = {}
        for group, at in ((self._group_of(key), at) for key, (at, _) in self._last.items()):
            newest[group] = max(newest.get(group, 0), at)
        gone = {group for group, at in newest.items() if at < before_ms}
        if gone:
            self._last = {k: v for k, v in self._last.items() if self._group_of(k) not in gone}
            for group in gone:
                self._restarts.pop(group, None)

    def _check(self, series: Iterable[Series]) -> None:
        for one in series:
            if one.labels[NAME] == self._names.durations:
                _bound_ms(one)
            elif self._names.code_label not in one.labels:  # no code would mean no error, ever
                raise AdapterFailed(
                    f"{one}: expected a label {self._names.code_label!r}", transient=False
                )

    def _of(self, one: Series) -> _Totals:
        return self._totals.setdefault(one.labels[self._names.target_label], _Totals())

    def _group_of(self, key: Key) -> Key:
        """What all series of one counting process for one target have in common."""
        own = {NAME, _BOUND, self._names.code_label}
        return tuple(pair for pair in key if pair[0] not in own)

    def _note_restarts(self, one: Series, points: Sequence[tuple[int, int]]) -> None:
        restarts = self._restarts.setdefault(self._group_of(_key(one.labels)), [])
        at, value = self._last.get(_key(one.labels), points[0])
        for next_at, next_value in points:
            if next_at > at and next_value < value and next_at not in restarts:
                restarts.append(next_at)
                restarts.sort()
                del restarts[:-_RESTARTS_KEPT]
            if next_at > at:
                at, value = next_at, next_value

    def _grown(
        self,
        one: Series,
        points: Sequence[tuple[int, int]],
        *,
        known: set[str],
        groups: set[Key],
    ) -> int:
        """By how much a series grew since it was last looked at."""
        key = _key(one.labels)
        group = self._group_of(key)
        last, grown = self._last.get(key), 0
        if last is None:
            new_target = one.labels[self._names.target_label] not in known
            last = points[0]
            grown = last[1] if new_target or group in groups else 0
        for at, value in points:
            if at <= last[0]:
                continue
            # One series of a process began again, so all of them did, even those that have
            # grown past their former value by now.
            anew = value < last[1] or any(last[0] < r <= at for r in self._restarts[group])
            grown += value if anew else value - last[1]
            last = (at, value)
        self._last[key] = last
        return grown

    def _spread(self, grown: Iterable[tuple[Series, int]]) -> None:
        """Cumulative buckets of each histogram to counts per bucket of ours."""
        histograms: dict[Key, list[tuple[float, Series, int]]] = {}
        for one, more in grown:
            rest = {name: text for name, text in one.labels.items() if name != _BOUND}
            histograms.setdefault(_key(rest), []).append((_bound_ms(one), one, more))
        for bounds in histograms.values():
            bounds.sort(key=lambda bound: bound[0])
            totals = self._of(bounds[0][1])
            totals.buckets = totals.buckets or [0] * (len(LATENCY_BOUNDS_MS) + 1)
            below = 0
            for bound_ms, _, more in bounds:
                inside = max(0, more - below)
                below = max(below, more)
                totals.buckets[bisect_left(LATENCY_BOUNDS_MS, bound_ms)] += inside
                if bound_ms > self._slow_over_ms:
                    totals.slow += inside
            self.slow_bound_missing = self._slow_over_ms not in {bound for bound, _, _ in bounds}


def _bound_ms(one: Series) -> float:
    try:
        bound_s = float(one.labels[_BOUND])
    except (KeyError, ValueError):
        bound_s = math.nan
    if math.isnan(bound_s):
        raise AdapterFailed(
            f"{one}: expected the upper bound of a bucket in its label {_BOUND!r}",
            transient=False,
        )
    return round(bound_s * 1000, 6)


def _key(labels: Mapping[str, str]) -> Key:
    return tuple(sorted(labels.items()))
