"""How a watched stage stands: its counts against its limits, its clock, its trigger. Pure.

Everything is computed from the ticks exactly as the gate saw them, so that a finished stage shows
the same page from its stored ticks. What a tick means for the run is not decided here; the gate's
own answer stands in every tick.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
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
from engine.core.rows import GateTick
from engine.core.run import Run
from engine.core.state import StepState
from engine.core.ticks import is_mark, rebuild
from engine.live_text import clock, count, percent, plural

SPARK: Final = 36
# A sample at most this much older than a tick belongs to its poll.
_SAME_POLL_US: Final = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Counts of one arm."""

    requests: int = 0
    errors: int = 0
    slow: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """One tick, read. `canary` is None when the source had nothing to say about it."""

    t_ms: int
    ts_us: int
    ok: bool
    canary: Arm | None
    baseline: Arm | None
    health: Mapping[str, bool | None]
    action: str
    rule: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """The stage's clock began again, and why."""

    ts_us: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageNow:
    """Attributes:
    word, trigger: as in vocabulary 2.
    window: canary counts over the criteria's window; `base` the baseline's.
    health: the newest answer of each target; None = no answer.
    p95_ms, base_p95_ms: of the newest poll, the worst target's; None = unknown.
    spark: canary and baseline error rate in ppm, canary and baseline p95 in ms; newest last.
    """

    step: str
    name: str
    word: str
    trigger: str
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

    def document(self) -> dict[str, Any]:
        """What travels to the browser: texts, ready to show."""
        criteria, window = self.criteria, self.window
        slow = percent(window.slow, window.requests, limit_ppm=criteria.slow_share_ppm_max)
        limit = percent_ppm(criteria.error_rate_ppm_max)
        slow_text = f"{slow} over {criteria.slow_over_ms} ms" if criteria.slow_over_ms else ""
        return {
            "id": self.step,
            "name": self.short,
            "word": self.word,
            "trigger": self.trigger,
            "trigger_sub": f"rule {self.rule}: {self.action}"[:60],
            "err": self.error_rate,
            "err_sub": f"{count(window.errors)} of {count(window.requests)} · max {limit}",
            "p95": "–" if self.p95_ms is None else f"≤ {count(self.p95_ms)} ms",
            "p95_sub": slow_text,
            "cohort": self.cohort_text(),
            "fleet": self.fleet_text(),
            "clock": f"{clock(self.held_ms)} of {clock(criteria.hold_ms)}",
            "clock_sub": self.held_as(),
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
            at = f"{last.ts_us // 1_000_000 % 86_400 // 3600:02d}:"
            at += f"{last.ts_us // 60_000_000 % 60:02d}:{last.ts_us // 1_000_000 % 60:02d}"
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


def polls_of(rows: Sequence[GateTick]) -> tuple[Poll, ...]:
    """The ticks of a watch, read; the marks between them are left out."""
    return tuple(_poll(row) for row in rows if not is_mark(row))


def stage_now(
    run: Run,
    step: StepState,
    rows: Sequence[GateTick],
    p95: Mapping[int, tuple[int | None, int | None]],
) -> StageNow | None:
    """How the stage stands after its newest tick; None before the first.

    Args:
        rows: every stored row of the watch. The gate is made again from them, so that word,
            trigger and clock are its own.
        p95: by `ts_us` of the poll: the worst canary and the worst baseline target, in ms.

    Raises:
        Malformed: the stored rows do not begin with the mark of a watch.
    """
    polls = polls_of(rows)
    if not polls:
        return None
    gate, last = rebuild(rows), polls[-1]
    criteria, clock_now = gate.criteria, gate.clock
    cohort = run.cohort(step.id) or tuple(t.target for t in run.targets)
    recent = [p for p in polls if p.t_ms > last.t_ms - criteria.window_ms]
    known = next((p.health for p in reversed(polls) if p.ok and p.health), {})
    on_new = {t.target for t in run.targets if t.current == run.bundle}
    latest = _latest(p95, sorted(p95), last.ts_us)
    began_us = last.ts_us - last.t_ms * 1000
    return StageNow(
        step=step.id,
        name=step.spec.name,
        word=gate.word.value,
        trigger=gate.trigger.value,
        action=last.action,
        rule=last.rule,
        reason=last.reason,
        criteria=criteria,
        speed=run.request.speed,
        cohort=cohort,
        healthy=sum(known.get(t) is True for t in cohort),
        fleet_on_new=sum(known.get(t) is True for t in on_new),
        fleet=len(run.targets),
        window=_sum(p.canary for p in recent),
        base=_sum(p.baseline for p in recent),
        health=known,
        held_ms=min(clock_now.held_ms, criteria.hold_ms),
        restarts=tuple(
            Restart(ts_us=began_us + t_ms * 1000, reason=why) for t_ms, why in clock_now.restarts
        ),
        p95_ms=latest[0],
        base_p95_ms=latest[1],
        spark=_spark(polls[-SPARK:], p95),
    )


def _spark(
    polls: Sequence[Poll], p95: Mapping[int, tuple[int | None, int | None]]
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


def _sum(arms: Any) -> Arm:
    known = [arm for arm in arms if arm is not None]
    return Arm(
        requests=sum(arm.requests for arm in known),
        errors=sum(arm.errors for arm in known),
        slow=sum(arm.slow for arm in known),
    )


def _poll(row: GateTick) -> Poll:
    body = json.loads(row.tick)
    return Poll(
        t_ms=row.t_ms,
        ts_us=row.ts_us,
        ok=body["status"] == "ok",
        canary=_arm(body["canary"]),
        baseline=_arm(body["baseline"]),
        health=body["targets"] or {},
        action=row.action,
        rule=row.rule,
        reason=row.reason,
    )


def _arm(body: Mapping[str, int] | None) -> Arm | None:
    if body is None:
        return None
    return Arm(
        requests=int(body.get("requests", 0)),
        errors=int(body.get("errors", 0)),
        slow=int(body.get("slow", 0)),
    )
