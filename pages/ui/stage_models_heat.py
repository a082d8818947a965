"""Which target was how at which poll: the rows of the heat map. Pure.

Missing is its own state: a target that gave no answer was not seen to be unhealthy, and was not
seen to be healthy either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.core.run import Run
from engine.live_stage_course import Course, Point
from engine.live_text import plural
from pages.ui.stage_models_series import POINTS_MAX

NOT_YET, HEALTHY, MISSING, UNHEALTHY = range(4)
STATES: Final[Mapping[int, str]] = {
    NOT_YET: "not in this stage yet",
    HEALTHY: "healthy",
    MISSING: "no answer",
    UNHEALTHY: "unhealthy",
}
# An environment larger than this shows its stage target by target, and the others as one row.
_ALL_ROWS_MAX: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """Attributes:
    targets: names of the rows, first of all those that were ever not healthy.
    edges_us: where each poll's cell begins and ends, one more than there are polls.
    states: per row, one state per poll; None where no poll was due.
    """

    targets: tuple[str, ...]
    edges_us: tuple[int, ...]
    middles_us: tuple[int, ...]
    states: tuple[tuple[int | None, ...], ...]
    ever_unhealthy: tuple[str, ...]
    ever_missing: tuple[str, ...]


def heat(run: Run, course: Course) -> Heat:
    """The polls of `course`, a row per target of the run."""
    points = course.points[-POINTS_MAX:]
    poll_us = course.poll_ms * 1000
    slots: list[tuple[int, int, Point | None]] = []
    for point in points:
        since = slots[-1][1] if slots else point.ts_us - poll_us
        if point.ts_us - since > 5 * poll_us // 2:
            slots.append((since, point.ts_us - poll_us, None))
            since = point.ts_us - poll_us
        slots.append((since, point.ts_us, point))
    cohort = set(run.cohort(course.step)) or {t for p in points for t in p.health}
    names = [t.target for t in run.targets if t.target in cohort]
    names += sorted(cohort - set(names))
    states = {name: tuple(_state(slot[2], name) for slot in slots) for name in names}
    unhealthy = tuple(name for name in names if UNHEALTHY in states[name])
    missing = tuple(name for name in names if MISSING in states[name])
    odd = set(unhealthy) | set(missing)
    rows = [*(n for n in names if n in odd), *(n for n in names if n not in odd)]
    if len(names) <= _ALL_ROWS_MAX:
        rows = names
    others = [t.target for t in run.targets if t.target not in cohort]
    waiting = tuple(None if slot[2] is None else NOT_YET for slot in slots)
    if len(run.targets) > _ALL_ROWS_MAX and others:
        others = [f"{plural(len(others), 'target')} more"]
    return Heat(
        targets=(*rows, *others),
        edges_us=(*(slot[0] for slot in slots[:1]), *(slot[1] for slot in slots)),
        middles_us=tuple((slot[0] + slot[1]) // 2 for slot in slots),
        states=(*(states[name] for name in rows), *(waiting for _ in others)),
        ever_unhealthy=unhealthy,
        ever_missing=missing,
    )


def _state(point: Point | None, target: str) -> int | None:
    """Of a poll without an answer nothing is known about any target: all are missing."""
    if point is None:
        return None
    if not point.ok:
        return MISSING
    match point.health.get(target):
        case True:
            return HEALTHY
        case False:
            return UNHEALTHY
        case _:
            return MISSING


def heat_text(heat: Heat, cohort: int) -> str:
    """The map in one sentence, for those who cannot see it."""
    polls = len(heat.edges_us) - 1
    odd = []
    if heat.ever_unhealthy:
        odd.append(f"unhealthy at times: {_listed(heat.ever_unhealthy)}")
    if heat.ever_missing:
        odd.append(f"without an answer at times: {_listed(heat.ever_missing)}")
    told = "; ".join(odd) or "every one healthy at every poll"
    return f"{plural(cohort, 'target')} of this stage over {plural(polls, 'poll')}: {told}."


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
