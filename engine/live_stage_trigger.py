"""The automatic rollback in words: which rule is nearest, how near, what is still missing. Pure.

The gate alone decides; here its numbers are only put beside the lines that they would have to
reach. Evidence is told on the log10 scale, where equal steps weigh the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.core import overrides
from engine.core.health_criteria import duration, percent_bp, percent_ppm
from engine.core.run import Run
from engine.live_stage_course import Course
from engine.live_text import percent

# Judges whose answer is a sequential E value against 1/alpha.
_BY_EVIDENCE: Final = "anytime"
_METRIC: Final = {"errors": "errors", "slow": "slow requests"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """How near one rule is.

    Attributes:
        share: 0 = nothing speaks for it, 1 = it fires with this tick.
        text: the number beside the line that it would have to reach.
    """

    rule: int
    name: str
    share: float
    text: str

    def sentence(self) -> str:
        return f"rule {self.rule}, {self.name}: {self.text}"


def line_log10(alpha_ppm: int) -> float:
    """Where evidence has to get to: log10(1/alpha)."""
    return math.log10(1_000_000 / alpha_ppm)


def nearest(course: Course) -> tuple[Near, ...]:
    """Every rule that could roll back this stage, the nearest first; empty when none is on."""
    return tuple(sorted(_rules(course), key=lambda near: -near.share))


def suppressed_because(run: Run, course: Course) -> str:
    """Why a breach would not be rolled back by itself; empty when it would."""
    criteria, last = course.criteria, run.step(course.step).attempt
    if last is not None and last.result == "OVERRIDDEN":
        return overrides.suppressed(run, course.step, last.number)
    if run.request.on_breach != "rollback":
        return f"a breach pauses the run: {run.environment} is set to on_breach: pause"
    if run.rollback_suppressed:
        return run.rollback_suppressed
    if run.plan is not None and not run.rollback_executable:
        stuck = "; ".join(f"{target} {why}" for target, why in run.stuck_targets[:2])
        return f"the way back is not complete ({stuck}): a breach pauses the run"
    if not (criteria.rollback_worse or criteria.rollback_limit or criteria.rollback_share_bp):
        return "the workflow lists no rule for it"
    return ""


def _rules(course: Course) -> Iterator[Near]:
    """In the order in which they are told when nothing speaks for any."""
    criteria = course.criteria
    if criteria.method == "threshold" and criteria.rollback_limit:
        yield _plain_limit(course)
    if criteria.method == _BY_EVIDENCE:
        yield from _by_evidence(course)
    yield from _looked(course)
    if criteria.rollback_share_bp:
        yield _share(course)


def _by_evidence(course: Course) -> Iterator[Near]:
    criteria = course.criteria
    for metric in ("errors", *(("slow",) if criteria.slow_over_ms else ())):
        if criteria.rollback_worse and _has_baseline(course):
            yield _evidence(course, 4, "worse than baseline", metric, "relative")
        if criteria.rollback_limit:
            limit = (
                criteria.error_rate_ppm_max if metric == "errors" else criteria.slow_share_ppm_max
            )
            yield _evidence(course, 6, f"proven over {percent_ppm(limit)}", metric, "limit")


def _has_baseline(course: Course) -> bool:
    return str(course.evidence["baseline"]["kind"]) != "none"


def _evidence(course: Course, rule: int, name: str, metric: str, kind: str) -> Near:
    criteria = course.criteria
    now, line = course.last.evidence[f"{metric}_{kind}"], line_log10(criteria.alpha_ppm)
    text = f"evidence {now:.2f} of {line:.2f} (log10) needed"
    share = max(0.0, min(1.0, now / line))
    bad = course.evidence["canary"]["errors" if metric == "errors" else "slow"]
    if now >= line and bad < criteria.bad_min:
        text += f", and {bad} of {criteria.bad_min} {_METRIC[metric]}"
        share = bad / criteria.bad_min
    elif metric == "slow":
        text += f", every tick over the limit for {duration(criteria.rollback_share_for_ms)}"
    # What the latency says is the same table with slow requests in the place of errors.
    shown = name if metric == "errors" else f"{name} by slow requests"
    return Near(rule=rule, name=shown, share=share, text=text)


def _share(course: Course) -> Near:
    criteria, last = course.criteria, course.last
    least = percent_bp(criteria.rollback_share_bp)
    low_ms = low_for_ms(course)
    text = f"{last.up} of {last.expected} answer"
    if low_ms:
        text += f", for {duration(low_ms)} of {duration(criteria.rollback_share_for_ms)}"
    share = min(1.0, low_ms / max(1, criteria.rollback_share_for_ms))
    return Near(rule=3, name=f"fewer than {least} of the stage healthy", share=share, text=text)


def low_for_ms(course: Course) -> int:
    """How long most of the stage's targets have not answered, up to the newest tick."""
    since = None
    for point in reversed(course.points):
        low = point.up * 10_000 < course.criteria.rollback_share_bp * point.expected
        if not point.ok or not low:
            break
        since = point.t_ms
    return 0 if since is None else course.last.t_ms - since


def _plain_limit(course: Course) -> Near:
    criteria, window = course.criteria, course.last.window
    limit = criteria.error_rate_ppm_max
    rate = percent(window.errors, window.requests, limit_ppm=limit)
    text = f"error rate {rate}, and {window.errors} of {criteria.bad_min} errors"
    share = 0.0
    if window.requests:
        share = window.errors * 1_000_000 / (limit * window.requests)
        share = min(share, window.errors / max(1, criteria.bad_min))
    if window.requests < criteria.requests_min:
        text += f", {window.requests} of {criteria.requests_min} requests"
        share = min(share, window.requests / criteria.requests_min)
    return Near(
        rule=6, name=f"over {percent_ppm(limit)}", share=min(1.0, max(0.0, share)), text=text
    )


def _looked(course: Course) -> Iterator[Near]:
    """Judges that look a planned number of times: the newest look against its own line."""
    looks = course.evidence.get("judge", {}).get("looks", [])
    if not looks:
        return
    newest = looks[-1]
    line = float(newest["line"])
    for rule, name, kind in (
        (4, "worse than baseline", "relative"),
        (6, "over its limit", "limit"),
    ):
        z = newest["z"].get(f"errors_{kind}")
        if z is not None and line > 0:
            share = max(0.0, min(1.0, float(z) / line))
            text = f"z {float(z):.2f} of {line:.2f} needed at look {newest['look']}"
            yield Near(rule=rule, name=name, share=share, text=text)


def statistic_missing(course: Course) -> str:
    """How a judge stands that leaves no course of evidence, in words; empty for one that does."""
    method = course.criteria.method
    if method == _BY_EVIDENCE:
        return ""
    if method == "threshold":
        return (
            "This stage is judged by the plain threshold: what counts is the error rate of the "
            "window against its limit."
        )
    judge = course.evidence.get("judge", {})
    done, planned = len(judge.get("looks", [])), judge.get("looks_planned", 0)
    told = "; ".join(near.sentence() for near in _looked(course)) or "nothing to tell yet"
    return (
        f"Judged by {method.replace('_', ' ')} at planned looks, not at every poll: {done} of "
        f"{planned} done. Newest: {told}."
    )
