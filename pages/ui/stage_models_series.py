"""What a stage's time charts draw: one value per poll, None where nothing is known. Pure.

Texts of the hover stand beside the values, because a number that was rounded for a line would say
in words what is not so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.core.burn import rate_text
from engine.core.events import Recorded
from engine.core.health_criteria import Criteria, percent_ppm
from engine.live_stage_burn import Burn
from engine.live_stage_course import Arm, Course, Point
from engine.live_stage_reader import P95, Seen
from engine.live_stage_trigger import line_log10, statistic_missing
from engine.live_text import clock, count, percent, span
from pages.ui.stage_models_judges import Curve, Line, curve
from pages.ui.stage_models_marks import Mark, marks

# More polls than this are not told apart on a screen; the newest are drawn, and the page says so.
POINTS_MAX: Final = 720
# Evidence by latency is drawn once it says anything: two more lines at zero would hide the others.
_SPEAKS_LOG10: Final = 0.3
# A sample may be this much older than the tick that it belongs to.
_SAME_POLL_US: Final = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch without numbers: `no data`, `paused` or `no tick`, and why."""

    from_us: int
    to_us: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Attributes:
    times_us: of the polls; where polls are missing stands a moment between them with all None.
    by_minute: of latency only the highest value of each minute is known.
    evidence: empty for every judge but the sequential one. Of another, `evidence_missing` says
        how it stands, and `curve` what it compares, once there is something.
    span_us: first and last moment of every chart.
    window_us: the window that the gate's rates are taken from.
    cut: polls that are older than what is drawn.
    """

    criteria: Criteria
    times_us: tuple[int, ...]
    errors: tuple[Line, Line]
    latency: tuple[Line, Line]
    by_minute: bool
    evidence: tuple[Line, ...]
    evidence_missing: str
    curve: Curve | None
    held_s: Line
    requests: Line
    burn: tuple[Line, ...]
    burn_missing: str
    gaps: tuple[Gap, ...]
    marks: tuple[Mark, ...]
    span_us: tuple[int, int]
    window_us: tuple[int, int]
    cut: int

    @property
    def lines_log10(self) -> tuple[float, float]:
        """Where evidence makes the gate suspect, and where it rolls back."""
        criteria = self.criteria
        return line_log10(criteria.alpha_hold_ppm), line_log10(criteria.alpha_ppm)


def series(seen: Seen, log: Iterable[Recorded], burn: Sequence[Burn]) -> Series:
    """Args:
    burn: of the same course, one value per point.
    """
    course = seen.course
    points = course.points[-POINTS_MAX:]
    happened = marks(log, course)
    slots = _slots(points, course.poll_ms)
    times = tuple(at for at, _ in slots)
    shown = [point for _, point in slots]
    criteria, limit_ppm = course.criteria, course.criteria.error_rate_ppm_max
    slow = [_p95_of(seen.p95, point) for point in shown]
    rates = [_burn_line(one, criteria, points, slots) for one in burn]
    ends = times[-1]
    return Series(
        criteria=criteria,
        times_us=times,
        errors=(
            _rate("canary (new)", [None if p is None else p.canary for p in shown], limit_ppm),
            _rate("baseline (old)", [None if p is None else p.baseline for p in shown], limit_ppm),
        ),
        latency=(
            _latency("canary (new)", [pair[0] for pair in slow]),
            _latency("baseline (old)", [pair[1] for pair in slow]),
        ),
        by_minute=seen.by_minute,
        evidence=_evidence(course, shown),
        evidence_missing=statistic_missing(course),
        curve=curve(course, times, shown) if statistic_missing(course) else None,
        held_s=_held(criteria, shown),
        requests=_requests(criteria, shown),
        burn=tuple(line for line in rates if any(v is not None for v in line.values)),
        burn_missing=burn_missing(burn),
        gaps=_gaps(points, course.poll_ms, happened),
        marks=happened,
        span_us=_span(times, course.poll_ms, happened),
        window_us=(ends - criteria.window_ms * 1000, ends),
        cut=len(course.points) - len(points),
    )


def _span(times: Sequence[int], poll_ms: int, happened: Sequence[Mark]) -> tuple[int, int]:
    """From the first poll's beginning, or a mark before it, to the newest poll or mark."""
    drawn = [mark.at_us for mark in happened]
    return min([times[0] - poll_ms * 1000, *drawn]), max([times[-1], *drawn])


def _slots(points: Sequence[Point], poll_ms: int) -> list[tuple[int, Point | None]]:
    """The points, with an empty moment in every stretch that has none: a line must break there."""
    slots: list[tuple[int, Point | None]] = []
    for point in points:
        if slots and point.ts_us - slots[-1][0] > 2_500 * poll_ms:
            slots.append(((slots[-1][0] + point.ts_us) // 2, None))
        slots.append((point.ts_us, point))
    return slots


def _p95_of(p95: P95, point: Point | None) -> tuple[int | None, int | None]:
    if point is None or not point.ok:
        return None, None
    found = p95.get(point.ts_us)
    if found is not None:
        return found
    times = sorted(at for at in p95 if point.ts_us - _SAME_POLL_US <= at <= point.ts_us)
    return p95[times[-1]] if times else (None, None)


def _rate(name: str, arms: Sequence[Arm | None], limit_ppm: int) -> Line:
    values: list[float | None] = []
    texts = []
    for arm in arms:
        if arm is None or not arm.requests:
            values.append(None)
            texts.append("no requests" if arm is not None else "no data")
            continue
        values.append(100 * arm.errors / arm.requests)
        rate = percent(arm.errors, arm.requests, limit_ppm=limit_ppm)
        texts.append(f"{rate} ({count(arm.errors)} of n = {count(arm.requests)})")
    return Line(name=name, values=tuple(values), texts=tuple(texts))


def _latency(name: str, values: Sequence[int | None]) -> Line:
    return Line(
        name=name,
        values=tuple(None if value is None else float(value) for value in values),
        texts=tuple("no data" if value is None else f"≤ {count(value)} ms" for value in values),
    )


def _evidence(course: Course, shown: Sequence[Point | None]) -> tuple[Line, ...]:
    criteria = course.criteria
    if statistic_missing(course):
        return ()
    limit = percent_ppm(criteria.error_rate_ppm_max)
    names = {"errors_relative": "worse than baseline", "errors_limit": f"over {limit}"}
    if criteria.slow_over_ms:
        slow = f"slower than {criteria.slow_over_ms} ms"
        names |= {"slow_relative": f"{slow}, vs baseline", "slow_limit": f"too many {slow}"}
    lines = []
    for key, name in names.items():
        values = [None if p is None or not p.ok else p.evidence.get(key) for p in shown]
        quiet = all(value is None or value < _SPEAKS_LOG10 for value in values)
        if key.startswith("slow") and quiet:
            continue
        texts = ["no data" if v is None else f"log10 E {v:.2f}, E {e_text(v)}" for v in values]
        lines.append(Line(name=name, values=tuple(values), texts=tuple(texts)))
    return tuple(lines)


def e_text(log10: float) -> str:
    """An E value as people read it: `6.8`, `0.0021`, `10^31`."""
    if log10 >= 6:
        return f"10^{log10:.0f}"
    value = 10**log10
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def _held(criteria: Criteria, shown: Sequence[Point | None]) -> Line:
    need = clock(criteria.hold_ms)
    return Line(
        name="criteria held",
        values=tuple(None if p is None else p.held_ms / 1000 for p in shown),
        texts=tuple("" if p is None else f"{clock(p.held_ms)} of {need}" for p in shown),
    )


def _requests(criteria: Criteria, shown: Sequence[Point | None]) -> Line:
    need = count(criteria.requests_min)
    return Line(
        name="requests in the window",
        values=tuple(None if p is None or not p.ok else float(p.window.requests) for p in shown),
        texts=tuple("" if p is None else f"{count(p.window.requests)} of {need}" for p in shown),
    )


def _burn_line(
    burn: Burn,
    criteria: Criteria,
    points: Sequence[Point],
    slots: Sequence[tuple[int, Point | None]],
) -> Line:
    skipped = len(burn.total) - len(points)
    pairs = dict(
        zip(
            (p.ts_us for p in points),
            zip(burn.bad[skipped:], burn.total[skipped:], strict=True),
            strict=False,
        )
    )
    values: list[float | None] = []
    texts = []
    for at, point in slots:
        bad, total = pairs.get(at, (None, None)) if point is not None else (None, None)
        text = burn_text(bad, total, criteria)
        texts.append(text or "not enough history")
        budget_bp = 10_000 - criteria.guard_slo_bp
        known = bad is not None and total is not None and budget_bp > 0
        values.append(bad * 10_000 / (total * budget_bp) if known else None)  # type: ignore[operator]
    return Line(name=burn.name, values=tuple(values), texts=tuple(texts))


def burn_text(bad: int | None, total: int | None, criteria: Criteria) -> str:
    """`0.4x (12 of n = 3,004)`; empty where too little is known."""
    if bad is None or not total:
        return ""
    limit = min((rule.burn_centi for rule in criteria.guard_burns), default=100)
    rate = rate_text(bad, total, burn_centi=limit, slo_bp=criteria.guard_slo_bp)
    return f"{rate} ({count(bad)} of n = {count(total)})"


def burn_missing(burn: Sequence[Burn]) -> str:
    """Which windows have no number, and how much of them is known."""
    short = [
        f"{one.name}: not enough history ({span(one.known_ms * 1000)} known)"
        for one in burn
        if not one.known
    ]
    return " · ".join(short)


def _gaps(points: Sequence[Point], poll_ms: int, happened: Sequence[Mark]) -> tuple[Gap, ...]:
    """Every stretch without numbers; neighbours of one kind are one."""
    pauses = [mark.ts_us for mark in happened if mark.kind == "pause"]
    gaps: list[Gap] = []
    for before, point in zip([None, *points], points, strict=False):
        from_us = point.ts_us - poll_ms * 1000 if before is None else before.ts_us
        if before is not None and point.ts_us - from_us > 2_500 * poll_ms:
            until_us = point.ts_us - poll_ms * 1000
            at = bisect_right(pauses, point.ts_us) - 1
            paused = at >= 0 and pauses[at] >= from_us - poll_ms * 1000
            kind = "paused" if paused else "no tick"
            gaps.append(Gap(from_us=from_us, to_us=until_us, kind=kind, text=kind))
            from_us = until_us
        if point.ok:
            continue
        text = point.note or "the stage's targets are missing"
        last = gaps[-1] if gaps else None
        if last is not None and last.kind == "no data" and last.to_us == from_us:
            gaps[-1] = Gap(from_us=last.from_us, to_us=point.ts_us, kind="no data", text=last.text)
        else:
            gaps.append(Gap(from_us=from_us, to_us=point.ts_us, kind="no data", text=text))
    return tuple(gaps)
