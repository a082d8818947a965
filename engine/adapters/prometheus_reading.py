"""What an answer of a Prometheus tells of the targets: which of its series still speak. Pure.

A range of raw samples holds the last ones of exporters that have died since. They are counted, and
they prove nothing about now: so each series is held against the clock and against `up`, which says
of its exporter whether it could be scraped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from engine.adapters.prometheus_series import NAME, Counts, Series
from engine.core.metrics import Reading, ReadingStatus, SeriesNames

UP: Final = "up"
_NAMED_MAX: Final = 5

Exporter = tuple[str, str]


class Scene:
    """One answer, sorted. Series of targets that are not of this environment are left out.

    Attributes:
        counters: requests and durations, with all their samples.
    """

    def __init__(
        self,
        series: Sequence[Series],
        targets: Sequence[str],
        names: SeriesNames,
        *,
        at_ms: int,
        age_ms_max: int,
        select: str,
    ) -> None:
        self._targets, self._names, self._select = targets, names, select
        self._at_ms, self._age_ms_max = at_ms, age_ms_max
        inside = set(targets)
        ours = [one for one in series if one.labels.get(names.target_label) in inside]
        self.counters = self._named(ours, names.requests) + self._named(ours, names.durations)
        self._ready = self._named(ours, names.ready)
        self._up = self._named(series, UP)
        self._silent = {
            _exporter(one): one
            for one in self._up
            if self._fresh(one) and one.points[-1][1] == 0  # that scrape failed
        }

    def reading(self, counts: Counts, *, query: str, slow_over_ms: int) -> Reading:
        """The counters of every target that has current ones, and how much that is worth."""
        current = self._by_target(self._named(self.counters, self._names.requests))
        timed = self._by_target(self._named(self.counters, self._names.durations))
        health = {target: self._health(target) for target in self._targets}
        known = set(current) | {
            str(one.labels.get(self._names.target_label))
            for one in (*self._ready, *self._up)
            if self._fresh(one)
        }
        status, note = ReadingStatus.OK, ""
        if not current:
            status, note = ReadingStatus.NODATA, self._why_nothing()
        elif all(answer is None for answer in health.values()):
            status, note = ReadingStatus.NODATA, self._why_no_health()
        elif unknown := [t for t in self._targets if t not in known]:
            status, note = ReadingStatus.PARTIAL, f"it knows nothing of {_listed(unknown)}"
        elif self._names.durations and (lacking := sorted(current.keys() - timed.keys())):
            status = ReadingStatus.PARTIAL
            note = f"there is no {self._names.durations} of {_listed(lacking)}"
        elif self._names.durations and counts.slow_bound_missing:
            note = f"no bucket ends at {slow_over_ms} ms; slow counts from the bucket around it on"
        return Reading(
            at_us=min(current.values(), default=self._at_ms) * 1000,
            status=status,
            targets={t: counts.of(t, healthy=health[t]) for t in self._targets if t in current},
            note=note,
            query=query,
        )

    def _health(self, target: str) -> bool | None:
        """The target's own word; None when it has none now."""
        # Without a gauge of readiness, to be scraped is to be healthy.
        asked = self._ready if self._names.ready else self._up
        said = [
            one.points[-1][1]
            for one in asked
            if one.labels.get(self._names.target_label) == target and self._current(one)
        ]
        if not said or any(value not in {0, 1} for value in said):
            return None
        return all(value == 1 for value in said)

    def _why_nothing(self) -> str:
        requests = self._named(self.counters, self._names.requests)
        if not requests:
            return f"there is no {self._names.requests}{{{self._select}}} of any target"
        silent = [one for key, one in self._silent.items() if key in set(map(_exporter, requests))]
        if silent:
            named = [f"{job} at {place}" for job, place in map(_exporter, silent)]
            return f"it can't scrape {_listed(named)}"
        newest = max(requests, key=lambda one: one.newest_ms)
        age_s = (self._at_ms - newest.newest_ms) / 1000
        told = f"the newest sample is {age_s:.1f} s old, {self._age_ms_max / 1000:g} s are allowed"
        if len(newest.points) > 1:
            every_s = (newest.newest_ms - newest.points[-2][0]) / 1000
            told += f" (samples came every {every_s:g} s)"
        return told

    def _why_no_health(self) -> str:
        name = self._names.ready or UP
        if self._silent:
            return f"it can't scrape any of the {len(self._targets)} targets"
        return f"no target has a current {name}{{{self._select}}}"

    def _by_target(self, series: Iterable[Series]) -> dict[str, int]:
        """Time of the newest current sample, by target."""
        newest: dict[str, int] = {}
        for one in filter(self._current, series):
            target = one.labels[self._names.target_label]
            newest[target] = max(newest.get(target, 0), one.newest_ms)
        return newest

    def _current(self, one: Series) -> bool:
        failed = self._silent.get(_exporter(one))
        if failed is not None and failed.newest_ms >= one.newest_ms and one.labels[NAME] != UP:
            return False
        return self._fresh(one) and not (one.labels[NAME] == UP and one.points[-1][1] == 0)

    def _fresh(self, one: Series) -> bool:
        return self._at_ms - one.newest_ms <= self._age_ms_max

    @staticmethod
    def _named(series: Iterable[Series], name: str) -> list[Series]:
        return [one for one in series if name and one.labels.get(NAME) == name]


def _exporter(one: Series) -> Exporter:
    return one.labels.get("job", ""), one.labels.get("instance", "")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED_MAX
    return ", ".join(names[:_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
