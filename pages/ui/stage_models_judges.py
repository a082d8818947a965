"""The curve of a judge that is not the sequential one: what it compares, in its own unit. Pure.

Judges of planned looks speak at these only, and what a look said stands until the next. The plain
threshold compares the window's rate. Both are drawn where the sequential judge's evidence stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.core.health_criteria import Criteria, percent_ppm
from engine.live_stage_course import Arm, Course, Look, Point
from engine.live_text import count, percent

# As of evidence: latency is drawn once it says anything.
_SPEAKS_Z: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`values` and `texts` have one entry per time; None = a gap."""

    name: str
    values: tuple[float | None, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Attributes:
    name, unit: for the strip's title; `suffix` stands behind the numbers of its axis.
    rollback, suspect: what the lines are held against.
    stepped: a value stands until the next one.
    """

    name: str
    unit: str
    suffix: str
    times_us: tuple[int, ...]
    lines: tuple[Line, ...]
    rollback: Line
    suspect: Line | None
    stepped: bool


def curve(course: Course, times_us: Sequence[int], shown: Sequence[Point | None]) -> Curve | None:
    """None for the sequential judge, and for one of planned looks before its first.

    Args:
        shown: the points at `times_us`; None = a gap.
    """
    if course.criteria.method == "threshold":
        return _threshold(course.criteria, times_us, shown)
    looks = tuple(look for look in course.looks if look.ts_us >= times_us[0])
    return _planned(course.criteria, looks, course.last.ts_us) if looks else None


def _planned(criteria: Criteria, looks: tuple[Look, ...], now_us: int) -> Curve:
    held = (*looks, looks[-1])  # the newest look's word stands until now

    def line(name: str, value: Callable[[Look], float], *, of: str = "") -> Line:
        return Line(
            name=name,
            values=tuple(value(look) for look in held),
            texts=tuple(
                f"{name}: z {value(look):.2f}{of}, look {look.number} of {criteria.looks}"
                for look in held
            ),
        )

    limit = percent_ppm(criteria.error_rate_ppm_max)
    names = {"errors_relative": "worse than baseline", "errors_limit": f"over {limit}"}
    if criteria.slow_over_ms:
        slow = f"slower than {criteria.slow_over_ms} ms"
        names |= {"slow_relative": f"{slow}, vs baseline", "slow_limit": f"too many {slow}"}
    told = [
        line(name, lambda look, key=key: look.z[key])  # type: ignore[misc]
        for key, name in names.items()
        if key.startswith("errors") or any(look.z[key] >= _SPEAKS_Z for look in looks)
    ]
    return Curve(
        name=f"What {criteria.method.replace('_', ' ')} sees",
        unit="z of each planned look, which stands until the next",
        suffix="",
        times_us=(*(look.ts_us for look in looks), now_us),
        lines=tuple(told),
        rollback=line("rollback", lambda look: look.line, of=" needed"),
        suspect=line("suspect", lambda look: look.suspect, of=" needed"),
        stepped=True,
    )


def _threshold(criteria: Criteria, times_us: Sequence[int], shown: Sequence[Point | None]) -> Curve:
    limit = percent_ppm(criteria.error_rate_ppm_max)
    return Curve(
        name="What the threshold sees",
        unit=f"error rate of the window; counts from {criteria.bad_min} errors of "
        f"{count(criteria.requests_min)} requests on",
        suffix=" %",
        times_us=tuple(times_us),
        lines=(
            _window_rate("canary (new)", shown, lambda point: point.window, criteria),
            _window_rate("baseline (old)", shown, lambda point: point.base_window, criteria),
        ),
        rollback=Line(
            name="rollback",
            values=(criteria.error_rate_ppm_max / 10_000,) * len(times_us),
            texts=(f"limit {limit}",) * len(times_us),
        ),
        suspect=None,
        stepped=False,
    )


def _window_rate(
    name: str,
    shown: Sequence[Point | None],
    window: Callable[[Point], Arm],
    criteria: Criteria,
) -> Line:
    arms = [None if point is None or not point.ok else window(point) for point in shown]
    limit = criteria.error_rate_ppm_max
    return Line(
        name=name,
        values=tuple(
            None if arm is None or not arm.requests else 100 * arm.errors / arm.requests
            for arm in arms
        ),
        texts=tuple(
            "no data"
            if arm is None or not arm.requests
            else f"{name}: {percent(arm.errors, arm.requests, limit_ppm=limit)} "
            f"({count(arm.errors)} of n = {count(arm.requests)})"
            for arm in arms
        ),
    )
