"""Rows 3 to 13 of the gate's table: what is known of one stage, and the first row that matches.

`Stage` only sees ticks that count: late ones and those without data are answered in `health`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.core.health_criteria import (
    SHORT_MS,
    Criteria,
    clock_time,
    duration,
    percent_bp,
    percent_ppm,
    share,
)
from engine.core.health_editions import Rules
from engine.core.health_evidence import Counts, rejects_limit
from engine.core.health_judges import Judges, log_line
from engine.core.health_looks import Judge, PlannedLooks
from engine.core.health_probes import Probes
from engine.core.health_tick import Opening, Totals, Window

# The stage may pass, and the step behind it may not begin yet.
SHUT_ROW: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`row` is the row behind `rule`: of a pause at max_hold (11) the one that held until then."""

    action: str
    rule: int
    reason: str
    row: int


def answered(rule: int, action: str, reason: str) -> Answer:
    return Answer(action=action, rule=rule, reason=reason, row=rule)


class Stage:
    """Attributes:
    judges: the E values, which are kept whoever judges; `judge` is who does.
    t_ms: of the newest tick.
    origin_ms: the stage's age counts from here: its start, or when a person let it go on.
    clock_from_ms: since when the criteria have held without a break; None = they do not.
    low_from_ms, slow_from_ms: since when most targets are down, or every tick is over the limit
        of slow requests; None = not.
    fleet: healthy ones of all targets, in the newest tick; `fleet_low_from_ms` since when they
        are too few.
    opening: when the step behind the stage may begin, in the newest tick; `undecided_ms`: since
        when max_hold counts, the stage's start or later: not while nothing but that is waited for.
    restarts: (time, cause) of every restart of a running clock.
    """

    def __init__(
        self,
        criteria: Criteria,
        poll_ms: int,
        phi: float,
        judges: Judges,
        looks: PlannedLooks | None,
        rules: Rules,
    ) -> None:
        self.criteria, self._poll_ms, self._phi, self.judges = criteria, poll_ms, phi, judges
        self.looks, self._rules = looks, rules
        self.judge: Judge = judges if looks is None else looks
        self.probes = Probes(criteria, poll_ms)
        self.window, self.short = Window(criteria.window_ms), Window(SHORT_MS)
        self.totals, self.totals_baseline = Totals(), Totals()
        self.t_ms, self.origin_ms = -1, 0
        self.clock_from_ms: int | None = None
        self.low_from_ms: int | None = None
        self.slow_from_ms: int | None = None
        self.fleet: tuple[int, int] | None = None
        self.fleet_low_from_ms: int | None = None
        self.opening: Opening | None = None
        self.undecided_ms = 0
        self.restarts: list[tuple[int, str]] = []
        self._newest = Counts(requests=0, errors=0)
        self._both_suspect = ""

    @property
    def held_ms(self) -> int:
        return 0 if self.clock_from_ms is None else self.t_ms - self.clock_from_ms

    def restart(self, cause: str) -> None:
        """Stop the clock; it starts again with the next good tick."""
        if self.clock_from_ms is not None:
            self.restarts.append((self.t_ms, cause))
        self.clock_from_ms = None

    def unseen(self, cause: str) -> None:
        """Time went by without data: it counts neither for nor against the stage."""
        self.restart(cause)
        self.low_from_ms = self.slow_from_ms = self.fleet_low_from_ms = None

    def resume(self, t_ms: int, cause: str, *, limits_too: bool) -> None:
        """A person lets the stage go on; `limits_too`: after the limit was proven on both arms."""
        self.t_ms = self.origin_ms = self.undecided_ms = t_ms
        self.unseen(cause)
        limits_too = limits_too and self._rules.new_proof
        if limits_too:
            self.judges.forget_limits()
        if self.looks is not None:
            self.looks.resumed(t_ms, limits_too=limits_too)

    def take_in(
        self,
        canary: Counts,
        baseline: Counts | None,
        targets: Mapping[str, bool | None],
        parts: tuple[Counts, ...],
    ) -> None:
        self._newest = canary
        if self._shut:
            self.judges.wait()
            if self.looks is not None:
                self.looks.wait()
        self.probes.observe(self.t_ms, targets)
        self.window.add(self.t_ms, canary, baseline)
        self.short.add(self.t_ms, canary, baseline)
        self.totals.add(canary)
        self.totals_baseline.add(baseline)
        self.judges.add(self.t_ms, canary, baseline)
        if self.looks is not None:
            self.looks.add(self.t_ms, canary, baseline, parts)

    def answer(self) -> Answer:
        t_ms = self.t_ms
        fleet = self._fleet_low(t_ms)
        answer = self._breached(t_ms) or fleet or self._held(t_ms) or self._going_on()
        if answer.action != "promote" or not self._shut:
            return answer
        return answered(SHUT_ROW, "continue", f"criteria met; {self._shut}")

    @property
    def _shut(self) -> str:
        return "" if self.opening is None else self.opening.shut

    # --- rows 3 to 6 --------------------------------------------------------------------------

    def _breached(self, t_ms: int) -> Answer | None:
        criteria = self.criteria
        self.low_from_ms = self._since(self.low_from_ms, t_ms, self._mostly_down)
        self.slow_from_ms = self._since(self.slow_from_ms, t_ms, self._slow_now)
        self._both_suspect = ""
        low_ms = None if self.low_from_ms is None else t_ms - self.low_from_ms
        if low_ms is not None and low_ms >= criteria.rollback_share_for_ms:
            return answered(
                3,
                "rollback",
                f"{self.probes.up} of {self.probes.expected} targets of the stage healthy, "
                f"below {percent_bp(criteria.rollback_share_bp)} for {duration(low_ms)}",
            )
        if criteria.method == "threshold":
            return self._limit_alone()
        return self._proven("errors") or self._proven("slow")

    @staticmethod
    def _since(before_ms: int | None, t_ms: int, holds: bool) -> int | None:
        if not holds:
            return None
        return t_ms if before_ms is None else before_ms

    @property
    def _mostly_down(self) -> bool:
        probes = self.probes
        return probes.up * 10_000 < self.criteria.rollback_share_bp * probes.expected

    @property
    def _over_slow_limit(self) -> bool:
        criteria, seen = self.criteria, self.window.canary
        if not criteria.slow_over_ms or seen.slow_of < criteria.slow_requests_min:
            return False
        return seen.slow * 1_000_000 >= criteria.slow_share_ppm_max * seen.slow_of

    @property
    def _slow_now(self) -> bool:
        """Over the limit in the window and in the newest tick alone."""
        slow, limit_ppm = self._newest.slow, self.criteria.slow_share_ppm_max
        if not slow or not self._over_slow_limit:
            return False
        return slow * 1_000_000 >= limit_ppm * self._newest.requests

    def _proven(self, metric: str) -> Answer | None:
        """Rows 4 to 6 for one metric. Slow requests come in clumps (one stall delays a hundred),
        so their evidence counts only when every tick has been over the limit for long enough."""
        criteria, judge = self.criteria, self.judge
        if judge.bad[metric] < criteria.bad_min:
            return None
        if metric == "slow" and (
            self.slow_from_ms is None
            or self.t_ms - self.slow_from_ms < criteria.rollback_share_for_ms
        ):
            return None
        alpha = criteria.alpha_ppm
        what, limit = self._named(metric)
        if criteria.rollback_worse and judge.proves(metric, "relative", alpha):
            how = f"{self._compared(metric)} ({judge.says(metric, 'relative', alpha)})"
            return answered(4, "rollback", f"worse than baseline: {what}, {how}")
        if not criteria.rollback_limit or not judge.proves(metric, "limit", alpha):
            return None
        over = f"{what}, proven over {limit} ({judge.says(metric, 'limit', alpha)})"
        if not criteria.limit_unless_baseline:
            return answered(6, "rollback", over)
        if judge.proves(metric, "limit_baseline", alpha):
            return answered(5, "pause", f"fleet-wide, not the release: {over}, the baseline too")
        if not self._baseline_suspect(metric):
            return answered(6, "rollback", over)
        # Neither fine nor proven: when both arms fail alike, chance decides whose proof is there
        # first. It may not decide between a pause and a rollback, so the stage holds (row 8).
        self._both_suspect = f"{over}, and the baseline may be too"
        return None

    def _baseline_suspect(self, metric: str) -> bool:
        """Whether the baseline may be over the limit too: over it in the last 30 s, or nearly
        proven to be."""
        criteria, seen = self.criteria, self.short.baseline
        if not self._rules.baseline_holds:
            return False
        if self.judge.proves(metric, "limit_baseline", criteria.alpha_hold_ppm):
            return True
        bad, of = (seen.errors, seen.requests) if metric == "errors" else (seen.slow, seen.slow_of)
        return bad > 0 and bad >= criteria.limits[metric] * of

    def _limit_alone(self) -> Answer | None:
        """Rows 5 and 6 of the plain threshold: the window's rate, without any evidence."""
        criteria, seen = self.criteria, self.window.canary
        if not criteria.rollback_limit or seen.errors < criteria.bad_min:
            return None
        if seen.requests < criteria.requests_min or not self._over_limit(seen):
            return None
        what, limit = self._named("errors")
        base = self.window.baseline
        if criteria.limit_unless_baseline and base.requests and self._over_limit(base):
            return answered(5, "pause", f"fleet-wide, not the release: {what}, over {limit}")
        return answered(6, "rollback", f"{what}, over {limit}")

    def _over_limit(self, seen: Totals) -> bool:
        touched = seen.errors * 1_000_000 - self.criteria.error_rate_ppm_max * seen.requests
        if not seen.requests:
            return False
        return touched >= 0 if self.criteria.error_rate_strict else touched > 0

    def _named(self, metric: str) -> tuple[str, str]:
        """What the window shows of a metric, and its limit, for a sentence."""
        seen, criteria = self.window.canary, self.criteria
        if metric == "errors":
            what = f"error rate {share(seen.errors, seen.requests)} of {seen.requests} requests"
            return what, percent_ppm(criteria.error_rate_ppm_max)
        what = f"{share(seen.slow, seen.slow_of)} of requests over {criteria.slow_over_ms} ms"
        return what, percent_ppm(criteria.slow_share_ppm_max)

    def _compared(self, metric: str) -> str:
        seen = self.window.baseline
        bad, of = (seen.errors, seen.requests) if metric == "errors" else (seen.slow, seen.slow_of)
        where = "before the deploy" if self.criteria.baseline == "history" else "at the baseline"
        return f"{share(bad, of)} {where}"

    # --- row 12, which is asked behind row 6 ----------------------------------------------------

    def _fleet_low(self, t_ms: int) -> Answer | None:
        """Too few targets are healthy, whichever version they run: not the stage's to answer."""
        criteria, (healthy, of) = self.criteria, self.fleet or (0, 0)
        low = healthy * 10_000 < criteria.fleet_share_bp_min * of
        self.fleet_low_from_ms = self._since(self.fleet_low_from_ms, t_ms, low)
        if self.fleet_low_from_ms is None:
            return None
        low_ms = t_ms - self.fleet_low_from_ms
        if low_ms < criteria.rollback_share_for_ms:
            return None
        return answered(
            12,
            "pause",
            f"{healthy} of {of} targets of the fleet healthy, below "
            f"{percent_bp(criteria.fleet_share_bp_min)} for {duration(low_ms)}",
        )

    # --- rows 7 to 9, and 11 --------------------------------------------------------------------

    def _held(self, t_ms: int) -> Answer | None:
        answer = self._unfit(t_ms) or self._suspect()
        if answer is None:
            if self._shut:  # nothing speaks against the stage: only the next step's time is awaited
                self.undecided_ms = t_ms
            answer = self._insufficient(t_ms)
        if answer is None or answer.action == "promote":
            return answer
        if t_ms - self.undecided_ms < self.criteria.max_hold_ms:
            return answer
        reason = f"not decided within {duration(self.criteria.max_hold_ms)}: {answer.reason}"
        return Answer(action="pause", rule=11, reason=reason, row=answer.rule)

    def _unfit(self, t_ms: int) -> Answer | None:
        """Row 7: the clock starts again. Any other answer lets it run, or starts it."""
        cause = self._unfit_because()
        if cause:
            self.restart(cause)
            return answered(7, "hold", cause)
        if self.clock_from_ms is None:
            self.clock_from_ms = max(t_ms - self._poll_ms, self.origin_ms)
        return None

    def _unfit_because(self) -> str:
        criteria, probes, sick = self.criteria, self.probes, self.probes.sick
        if not probes.expected:
            return "no health probe of the stage's targets"
        healthy = probes.expected - len(sick)
        if healthy * 10_000 < criteria.healthy_share_bp_min * probes.expected:
            named = "; ".join(f"{name} {why}" for name, why in list(sick.items())[:3])
            return f"{_healthy_of(healthy, probes.expected)} ({named})"
        seen = self.window.canary
        if self._over_limit(seen):
            what, limit = self._named("errors")
            return f"{what}, limit {limit}"
        if self._over_slow_limit:
            what, limit = self._named("slow")
            return f"{what}, limit {limit}"
        return ""

    def _suspect(self) -> Answer | None:
        criteria, short = self.criteria, self.short.canary
        if criteria.method == "threshold":
            return None
        if self.judge.proves("errors", "relative", criteria.alpha_hold_ppm):
            said = self.judge.says("errors", "relative", criteria.alpha_hold_ppm)
            return answered(8, "hold", f"suspect: evidence against the release {said}")
        if self._both_suspect:
            return answered(8, "hold", f"suspect: {self._both_suspect}")
        limit, line = criteria.limits["errors"], log_line(criteria.alpha_hold_ppm)
        if rejects_limit(short.requests, short.errors, limit=limit, phi=self._phi, log_line=line):
            return answered(
                8,
                "hold",
                f"suspect: {share(short.errors, short.requests)} errors of {short.requests} "
                f"requests in the last 30 s, over {percent_ppm(criteria.error_rate_ppm_max)}",
            )
        return None

    def _insufficient(self, t_ms: int) -> Answer | None:
        criteria, seen = self.criteria, self.window.canary
        counted, needed, what = seen.requests, criteria.requests_min, "requests"
        if counted >= needed and criteria.slow_over_ms and seen.slow_of:
            counted, needed, what = seen.slow_of, criteria.slow_requests_min, "timed requests"
        reason = f"insufficient {counted}/{needed} {what} in {duration(criteria.window_ms)}"
        if counted >= needed:
            lacks = "" if criteria.method == "threshold" else self.judge.lacks()
            if not lacks:
                return None
            reason = f"insufficient {lacks}"
        at_end = t_ms - self.origin_ms >= criteria.max_hold_ms
        if at_end and criteria.on_insufficient == "promote" and self._nothing_against:
            return answered(9, "promote", f"{reason}; promoted by on_insufficient, nothing against")
        return answered(9, "hold", reason)

    @property
    def _nothing_against(self) -> bool:
        """Not one bad request, not one failed probe, and the clock has run its time."""
        return (
            self.totals.errors == 0
            and self.totals.requests > 0
            and self.probes.expected > 0
            and self.probes.failed == 0
            and self.held_ms >= self.criteria.hold_ms
        )

    # --- row 10, and going on -------------------------------------------------------------------

    def _going_on(self) -> Answer:
        held_ms, needed_ms = self.held_ms, self.criteria.hold_ms
        if held_ms < needed_ms:
            reason = f"good, clock {clock_time(held_ms)} of {clock_time(needed_ms)}"
            return answered(10, "continue", reason)
        probes, seen = self.probes, self.window.canary
        return answered(
            10,
            "promote",
            f"{_healthy_of(probes.expected - len(probes.sick), probes.expected)} for "
            f"{duration(needed_ms)}, error rate {share(seen.errors, seen.requests)} of "
            f"{seen.requests} requests",
        )


def _healthy_of(healthy: int, expected: int) -> str:
    return f"{healthy} of {expected} target{'' if expected == 1 else 's'} healthy"
