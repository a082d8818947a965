"""Metrics of one environment, read from a Prometheus by its HTTP API.

One question per look, over the raw samples of a short time, so that all counters stand at the same
moment; the answer is added up to exact counts (`prometheus_series`) and judged for what it knows
(`prometheus_reading`). The question is recorded with its evaluation time: asked again, it gets the
same answer.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Final

from engine.adapters.prometheus_http import Answer, PrometheusHttp
from engine.adapters.prometheus_reading import UP, Scene
from engine.adapters.prometheus_series import NAME, Counts, Series, matrix, vector
from engine.adapters.references import Secret
from engine.core.errors import AdapterFailed
from engine.core.metrics import Reading, ReadingStatus, SeriesNames
from engine.ports import Clock

# A scrape is stored under the time when it began. So long after it, it has ended or is late.
SETTLE_MS: Final = 500
_RANGE_S_MAX: Final = 300  # further back, only the newest sample known before is compared with
_POINTS_MAX: Final = 10_000  # Prometheus refuses more than 11,000 per series
_GRID: Final = 60  # a window counts as known when samples were there at so many moments of it
_QUERY: Final = "/api/v1/query"


class PrometheusMetrics:
    """`MetricSource` and `BurnSource` of one environment. Usable from several threads.

    What a target is: requests are counted by whoever exposes them (a router, or the target
    itself); `ready` is the target's own word. A series whose exporter can't be scraped any more
    (`up` is 0) is not current, however new its last sample is. A target without current series of
    its own is missing, and one that nothing is known of makes the reading partial. When not one
    target answers, that may as well be the scraper's trouble: there is no data then.
    """

    def __init__(
        self,
        url: str,
        *,
        environment: str,
        targets: Sequence[str],
        clock: Clock,
        slow_over_ms: int = 250,
        max_sample_age_ms: int = 10_000,
        names: SeriesNames | None = None,
        token: Secret | None = None,
    ) -> None:
        self._http = PrometheusHttp(url, token=token)
        self._targets = tuple(sorted(targets))
        self._clock = clock
        self._age_ms_max = max_sample_age_ms
        self._names = names = names or SeriesNames()
        # Between quotes already: what is put in is escaped as there.
        self._select = names.select.replace("{environment}", _quoted(environment)[1:-1])
        self._slow_over_ms = slow_over_ms
        self._counts = Counts(names, slow_over_ms=slow_over_ms)
        self._taken_ms: int | None = None
        self._lock = threading.Lock()

    @property
    def kind(self) -> str:
        return "prometheus"

    # --- counters now -----------------------------------------------------------------------

    def read(self, *, deadline_s: float) -> Reading:
        with self._lock:
            at_ms = self._now_ms()
            text = self._samples_query(at_ms)
            query = f"{_QUERY}?query={text}&time={_seconds(at_ms)}"
            try:
                answer = self._query(text, at_ms, deadline_s)
                series = matrix(answer.data)
                scene = Scene(
                    series,
                    self._targets,
                    self._names,
                    at_ms=at_ms,
                    age_ms_max=self._age_ms_max,
                    select=self._select,
                )
                if not answer.warnings:  # what is missing now would be counted as new later
                    self._counts.take(scene.counters)
                    self._taken_ms = at_ms
            except AdapterFailed as failed:
                return Reading(
                    at_us=at_ms * 1000, status=ReadingStatus.ERROR, note=str(failed), query=query
                )
            if answer.warnings:
                return Reading(
                    at_us=at_ms * 1000,
                    status=ReadingStatus.PARTIAL,
                    note=f"the source warns: {'; '.join(answer.warnings)}",
                    query=query,
                )
            return scene.reading(self._counts, query=query, slow_over_ms=self._slow_over_ms)

    def _samples_query(self, at_ms: int) -> str:
        """All series in one selector, as far back as there may be samples not yet taken."""
        kept = (self._names.requests, self._names.durations, self._names.ready, UP)
        since_ms = at_ms if self._taken_ms is None else self._taken_ms
        range_s = min(-(-(at_ms - since_ms + 2 * self._age_ms_max) // 1000), _RANGE_S_MAX)
        named = f'{NAME}=~"{"|".join(one for one in kept if one)}"'
        return f"{{{named},{self._select}}}[{max(1, range_s)}s]"

    # --- the time before a deploy -----------------------------------------------------------

    def history(
        self, *, seconds: int, poll_s: float, deadline_s: float
    ) -> Sequence[Sequence[tuple[int, int]]]:
        """As polls would have seen it, from the values at the polls' moments.

        A counter that began again between two of them counts from 0 then. Polls at which a target
        had no current sample are left out. Counts here measure noise; nothing is judged by them.
        """
        step_ms = max(1, round(poll_s * 1000))
        wanted = min(seconds * 1000 // step_ms, _POINTS_MAX)
        until_ms = self._now_ms()
        moments = range(until_ms - wanted * step_ms, until_ms + 1, step_ms)
        until_s = self._clock.monotonic_s() + deadline_s
        label = self._names.target_label

        def values(text: str) -> dict[str, dict[int, float]]:
            params = {
                "query": text,
                "start": _seconds(moments[0]),
                "end": _seconds(moments[-1]),
                "step": _seconds(step_ms),
            }
            left_s = max(0.001, until_s - self._clock.monotonic_s())
            answer = self._http.ask("/api/v1/query_range", params, deadline_s=left_s)
            if answer.warnings:
                raise AdapterFailed("; ".join(answer.warnings), transient=True)
            return {one.labels.get(label, ""): dict(one.points) for one in matrix(answer.data)}

        try:
            requests = values(f"sum by ({label}) ({self._requests()})")
            errors = values(f"sum by ({label}) ({self._requests(errors=True)})")
            taken_s = values(f"max by ({label}) (timestamp({self._requests()}))")
        except AdapterFailed:
            return ()
        columns = [
            _column(
                moments,
                requests.get(target, {}),
                errors.get(target, {}),
                {
                    at
                    for at, s in taken_s.get(target, {}).items()
                    if at - s * 1000 <= self._age_ms_max
                },
            )
            for target in self._targets
        ]
        return tuple(
            tuple(cell for cell in row if cell is not None)
            for row in zip(*columns, strict=True)
            if None not in row
        )

    # --- the error budget -------------------------------------------------------------------

    def burn_query(self, *, windows_s: Sequence[int]) -> str:
        """Everything in one question, so that all windows end at the same moment.

        Hours of raw samples would be too many. `increase` extrapolates to the edges of a window,
        by at most the time between two samples: of no weight over the minutes and hours of a
        budget, and never used to judge a release.
        """
        good_and_bad, bad = self._requests(), self._requests(errors=True)
        parts = [_labelled(f"time() - max(timestamp({good_and_bad}))", "age")]
        for window_s in windows_s:
            step_s = max(1, window_s // _GRID)
            seen = f"count_over_time(count({good_and_bad})[{window_s}s:{step_s}s])"
            parts += [
                _labelled(f"sum(increase({bad}[{window_s}s]))", f"bad {window_s}"),
                _labelled(f"sum(increase({good_and_bad}[{window_s}s]))", f"total {window_s}"),
                _labelled(seen, f"seen {window_s}"),
            ]
        return " or ".join(parts)

    def bad_and_total(
        self, *, windows_s: Sequence[int], deadline_s: float
    ) -> Mapping[int, tuple[int, int] | None]:
        """By `burn_query`. A window with a gap of more than a sixtieth of it is not known.

        Raises:
            AdapterFailed: no answer, no series at all, or the newest sample is too old.
        """
        answer = self._query(self.burn_query(windows_s=windows_s), self._now_ms(), deadline_s)
        if answer.warnings:
            raise AdapterFailed(f"the source warns: {'; '.join(answer.warnings)}", transient=True)
        found = {one.labels.get("of", ""): one.points[0][1] for one in vector(answer.data)}
        age_s = found.get("age")
        if age_s is None:
            raise AdapterFailed(f"there is no series {self._requests()}", transient=False)
        if not age_s * 1000 <= self._age_ms_max:
            raise AdapterFailed(
                f"the newest sample is {age_s:.1f} s old, "
                f"{self._age_ms_max / 1000:g} s are allowed",
                transient=True,
            )
        return {window_s: _window(found, window_s) for window_s in windows_s}

    # --- questions --------------------------------------------------------------------------

    def repeat(self, query: str, *, deadline_s: float) -> Sequence[Series]:
        """Ask again what a reading says that it asked, at its time.

        Raises:
            AdapterFailed: there is no whole answer, or `query` is not that of a reading.
        """
        text, time, at_s = query.removeprefix(f"{_QUERY}?query=").rpartition("&time=")
        if not query.startswith(_QUERY) or not time:
            raise AdapterFailed("expected the query of a reading", transient=False)
        params = {"query": text, "time": at_s}
        return matrix(self._http.ask(_QUERY, params, deadline_s=deadline_s).data)

    def _requests(self, *, errors: bool = False) -> str:
        failed = f",{self._names.code_label}=~{_quoted(self._names.errors)}" if errors else ""
        return f"{self._names.requests}{{{self._select}{failed}}}"

    def _query(self, text: str, at_ms: int, deadline_s: float) -> Answer:
        params = {
            "query": text,
            "time": _seconds(at_ms),
            "timeout": f"{max(1, round(deadline_s * 1000))}ms",
        }
        return self._http.ask(_QUERY, params, deadline_s=deadline_s)

    def _now_ms(self) -> int:
        return self._clock.now_us() // 1000 - SETTLE_MS


def _column(
    moments: Sequence[int],
    requests: Mapping[int, float],
    errors: Mapping[int, float],
    fresh: Collection[int],
) -> list[tuple[int, int] | None]:
    """One target's (requests, errors) between neighbouring moments; None where it is not known."""
    cells: list[tuple[int, int] | None] = []
    for before, now in pairwise(moments):
        if not {before, now} <= requests.keys() or not {before, now} <= set(fresh):
            cells.append(None)
            continue
        total = _grown(requests[before], requests[now])
        # A code that nobody was answered with yet has no series: that is none, not unknown.
        failed = _grown(errors.get(before, 0), errors.get(now, 0))
        cells.append((total, min(total, failed)))
    return cells


def _grown(before: float, now: float) -> int:
    grown = now if now < before else now - before
    return round(grown) if math.isfinite(grown) else 0


def _window(found: Mapping[str, float], window_s: int) -> tuple[int, int] | None:
    total, bad = found.get(f"total {window_s}"), found.get(f"bad {window_s}", 0.0)
    moments = window_s // max(1, window_s // _GRID)
    if total is None or found.get(f"seen {window_s}", 0.0) < moments - 1:
        return None
    if not (math.isfinite(total) and math.isfinite(bad)):
        return None
    return min(round(bad), round(total)), round(total)


def _labelled(text: str, what: str) -> str:
    return f'label_replace({text}, "of", "{what}", "", "")'


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"


def _quoted(text: str) -> str:
    """A string of PromQL; its escapes are those of JSON for all that names here may hold."""
    return json.dumps(text, ensure_ascii=False)
