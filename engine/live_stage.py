"""How a watched stage stands: its counts against its limits, its clock, its trigger. Pure.

Everything is computed from the ticks exactly as the gate saw them, so that a finished stage shows
the same page from its stored ticks. What a tick means for the run is not decided here; the gate's
own answer stands in every tick.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.errors import Malformed
from engine.core.health_criteria import (
    DEFAULT_CRITERIA,
    Criteria,
    criteria_from_document,
    duration,
    percent_bp,
    percent_ppm,
)
from engine.core.health_stage import SHUT_ROW
from engine.core.run import Run
from engine.core.state import StepState
from engine.live_stage_course import Arm, Course, Point, Restart
from engine.live_stage_trigger import Near, nearest, suppressed_because
from engine.live_text import clock, count, moment, percent, plural

SPARK: Final = 36
# A sample at most this much older than a tick belongs to its poll.
_SAME_POLL_US: Final = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StageNow:
    """Attributes:
    word, trigger: as in vocabulary 2; `suppressed` says why a breach would not be rolled back.
    near: the rule that is nearest to a rollback; None when none is on.
    fleet_on_new: targets that run the new bundle and are healthy there.
    window: canary counts over the criteria's window; `base` the baseline's.
    health: the newest answer of each target; None = no answer.
    p95_ms, base_p95_ms: of the newest poll, the worst target's; None = unknown. `by_minute`: the
        worst of its whole minute, because single polls are not kept any more.
    spark: canary and baseline error rate in ppm, canary and baseline p95 in ms; newest last.
    """

    step: str
    name: str
    word: str
    trigger: str
    suppressed: str
    near: Near | None
    action: str
    rule: int
    reason: str
    criteria: Criteria
    speed: int
    cohort: tuple[str, ...]
    healthy: int
    fleet_on_new: int
    fleet: int
    window: Arm
    base: Arm
    health: Mapping[str, bool | None]
    held_ms: int
    restarts: tuple[Restart, ...]
    p95_ms: int | None
    base_p95_ms: int | None
    by_minute: bool
    spark: tuple[tuple[int | None, ...], ...]

    @property
    def error_rate(self) -> str:
        window, limit = self.window, self.criteria.error_rate_ppm_max
        return percent(window.errors, window.requests, limit_ppm=limit)

    @property
    def short(self) -> str:
        return self.name.removeprefix("Deploy ")

    def line(self) -> str:
        """One row of the timeline: `2 of 2 targets healthy (2/10 of the fleet), ...`."""
        rate = f"error rate {self.error_rate} (n = {count(self.window.requests)})"
        held = f"held {clock(self.held_ms)} of {clock(self.criteria.hold_ms)}"
        return f"{self.cohort_text()} {self.fleet_text()}, {rate}, {held}"

    def cohort_text(self) -> str:
        return f"{self.healthy} of {plural(len(self.cohort), 'target')} healthy"

    def fleet_text(self) -> str:
        return f"({self.fleet_on_new}/{self.fleet} of the fleet)"

    def held_as(self) -> str:
        """The configured hold, and what the run's speed made of it."""
        hold = self.criteria.hold_ms
        if self.speed <= 1:
            return duration(hold)
        return f"{duration(hold * self.speed)} held as {duration(hold)}"

    def now(self, following: str) -> tuple[str, str, str, str]:
        """Tone, shape, head and text of the sentence of the moment."""
        reason = f"{self.reason[:1].upper()}{self.reason[1:].rstrip('.')}."
        held = f"held {clock(self.held_ms)} of {clock(self.criteria.hold_ms)}"
        if self.trigger == "TRIGGERED":
            return "err", "undo", f"{self.short} breached its gate.", reason
        match self.word:
            case "OK" if self.rule == SHUT_ROW:
                text = f"{reason} It stays under its gate until then, and goes on by itself."
                return "wait", "clock", f"{self.short} is healthy and waits.", text
            case "OK":
                text = f"{self.cohort_text()}, {held}; then {following}, by itself."
                return "run", "play", f"{self.short} is healthy.", text
            case "WARMING_UP":
                text = f"{reason} Nobody has to act."
                return "run", "play", f"{self.short} is warming up.", text
            case "NO_DATA":
                return "warn", "question", f"{self.short} cannot be judged.", reason
            case _:
                return "warn", "warn", f"{self.short} is held back.", reason

    def trigger_text(self) -> str:
        """Which rule fired, or which is nearest and how near; and what would keep it back."""
        if self.trigger == "TRIGGERED":
            return f"rule {self.rule}: {self.reason}"
        if self.suppressed:
            return self.suppressed
        return "no rule is on" if self.near is None else self.near.sentence()

    def requests_text(self) -> str:
        """`118 of 300`: what the window holds against what it must."""
        return f"{count(self.window.requests)} of {count(self.criteria.requests_min)}"

    def document(self) -> dict[str, Any]:
        """What travels to the browser: texts, ready to show."""
        criteria, window = self.criteria, self.window
        slow = percent(window.slow, window.requests, limit_ppm=criteria.slow_share_ppm_max)
        limit = percent_ppm(criteria.error_rate_ppm_max)
        minute = "highest of its minute · " if self.by_minute else ""
        slow_text = f"{slow} over {criteria.slow_over_ms} ms" if criteria.slow_over_ms else ""
        slow_max = f" · max {percent_ppm(criteria.slow_share_ppm_max)}" if slow_text else ""
        return {
            "id": self.step,
            "name": self.short,
            "word": self.word,
            "trigger": self.trigger,
            "rule_sub": f"gate: {self.action}, rule {self.rule}"[:60],
            "why": self.trigger_text()[:150],
            "near": 0 if self.near is None else round(self.near.share, 3),
            "err": self.error_rate,
            "err_sub": f"{count(window.errors)} of {count(window.requests)} · max {limit}",
            "p95": "–" if self.p95_ms is None else f"≤ {count(self.p95_ms)} ms",
            "p95_sub": minute + slow_text + slow_max,
            "cohort": self.cohort_text(),
            "cohort_sub": f"of this stage · {percent_bp(criteria.healthy_share_bp_min)} needed",
            "fleet": self.fleet_text(),
            "ratio": f"{self.fleet_on_new}/{self.fleet}",
            "ratio_sub": "of the fleet healthy on the new bundle",
            "n": self.requests_text(),
            "n_done": round(min(1.0, window.requests / max(1, criteria.requests_min)), 3),
            "clock": f"{clock(self.held_ms)} of {clock(criteria.hold_ms)}",
            "clock_sub": self.held_as() if self.speed > 1 else "without a break",
            "done": round(min(1.0, self.held_ms / max(1, criteria.hold_ms)), 3),
            "limit": criteria.error_rate_ppm_max,
            "spark": [list(series) for series in self.spark],
            "facts": self._facts(),
        }

    def _facts(self) -> list[list[str]]:
        facts = [["run", "next", self.reason[:110]]] if self.reason else []
        base = self.base
        if base.requests:
            rate = percent(base.errors, base.requests)
            slow = "" if self.base_p95_ms is None else f", p95 ≤ {count(self.base_p95_ms)} ms"
            facts.append(["idle", "ring", f"Baseline: {rate} of {count(base.requests)}{slow}"])
        if self.restarts:
            last = self.restarts[-1]
            at = f"{moment(last.ts_us):%H:%M:%S}"
            facts.append(["warn", "clock", f"Clock restarted {at}: {last.reason}"[:120]])
        return facts


def criteria_of(step: StepState) -> Criteria:
    """The criteria pinned in the run; the default where an old run's cannot be read."""
    try:
        return criteria_from_document(json.loads(step.spec.gate or "null"))
    except (Malformed, ValueError):
        return DEFAULT_CRITERIA


def criteria_sentence(criteria: Criteria) -> str:
    """`Proceed if 95 % healthy for 5m, error rate < 1 %`, as on the stage's page."""
    below = "<" if criteria.error_rate_strict else "≤"
    text = (
        f"proceed if {percent_bp(criteria.healthy_share_bp_min)} healthy for "
        f"{duration(criteria.hold_ms)}, error rate {below} "
        f"{percent_ppm(criteria.error_rate_ppm_max)}"
    )
    if criteria.slow_over_ms:
        share = percent_ppm(criteria.slow_share_ppm_max)
        text += f", fewer than {share} over {criteria.slow_over_ms} ms"
    return text


def stage_now(
    run: Run,
    step: StepState,
    course: Course,
    p95: Mapping[int, tuple[int | None, int | None]],
    *,
    by_minute: bool = False,
) -> StageNow:
    """How the stage stands after its newest tick.

    Args:
        p95: by `ts_us` of the poll: the worst canary and the worst baseline target, in ms.
        by_minute: as of `Seen`.
    """
    last, criteria = course.last, course.criteria
    cohort = run.cohort(step.id) or tuple(t.target for t in run.targets)
    recent = [p for p in course.points if p.t_ms > last.t_ms - criteria.window_ms]
    known = newest_health(course)
    on_new = {t.target for t in run.targets if t.current == run.bundle}
    latest = _latest(p95, sorted(p95), last.ts_us)
    suppressed = suppressed_because(run, course)
    trigger = course.trigger
    if suppressed and trigger != "TRIGGERED":
        trigger = "SUPPRESSED"
    near = nearest(course)
    return StageNow(
        step=step.id,
        name=step.spec.name,
        word=course.word,
        trigger=trigger,
        suppressed=suppressed,
        near=near[0] if near else None,
        action=last.action,
        rule=last.rule,
        reason=last.reason,
        criteria=criteria,
        speed=run.request.speed,
        cohort=cohort,
        healthy=sum(known.get(t) is True for t in cohort),
        fleet_on_new=sum(known.get(t) is True for t in on_new),
        fleet=len(run.targets),
        window=last.window,
        base=total(p.baseline for p in recent),
        health=known,
        held_ms=course.held_ms,
        restarts=course.restarts,
        p95_ms=latest[0],
        base_p95_ms=latest[1],
        by_minute=by_minute,
        spark=_spark(course.points[-SPARK:], p95),
    )


def newest_health(course: Course) -> Mapping[str, bool | None]:
    """What the cohort's targets last answered, from the newest poll that had an answer."""
    return next((p.health for p in reversed(course.points) if p.ok and p.health), {})


def _spark(
    polls: Sequence[Point], p95: Mapping[int, tuple[int | None, int | None]]
) -> tuple[tuple[int | None, ...], ...]:
    times = sorted(p95)
    slow = [_latest(p95, times, p.ts_us, not_before_us=p.ts_us - _SAME_POLL_US) for p in polls]
    return (
        tuple(_ppm(p.canary) for p in polls),
        tuple(_ppm(p.baseline) for p in polls),
        tuple(pair[0] for pair in slow),
        tuple(pair[1] for pair in slow),
    )


def _latest(
    p95: Mapping[int, tuple[int | None, int | None]],
    times: Sequence[int],
    until_us: int,
    *,
    not_before_us: int = 0,
) -> tuple[int | None, int | None]:
    at = bisect_right(times, until_us) - 1
    if at < 0 or times[at] < not_before_us:
        return None, None
    return p95[times[at]]


def _ppm(arm: Arm | None) -> int | None:
    if arm is None or arm.requests == 0:
        return None
    return arm.errors * 1_000_000 // arm.requests


def total(arms: Iterable[Arm | None]) -> Arm:
    counted = Arm()
    for arm in arms:
        counted = counted.plus(arm)
    return counted
