"""The evidence of one stage: every E value that its metrics have, fed tick by tick.

Errors and slow requests are two metrics with accumulators of the same kind. Which value leads to
which action is the table's business (`health`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from engine.core.errors import Malformed
from engine.core.health_criteria import SHORT_MS, Criteria
from engine.core.health_editions import Rules
from engine.core.health_evidence import (
    Counts,
    Evidence,
    e_text,
    limit_terms,
    log10_text,
    relative_terms,
    sums_from_text,
    sums_to_text,
)
from engine.core.jcs import JsonValue

METRICS: Final = ("errors", "slow")
_KINDS: Final = ("relative", "limit", "limit_baseline")
_NEVER_MS: Final = -10 * SHORT_MS


class Judges:
    """Attributes:
    bad: bad requests of the canary behind the evidence, per metric, the carried ones included.
    """

    def __init__(
        self,
        criteria: Criteria,
        phi: float,
        phi_limit: float,
        carry: Mapping[str, JsonValue] | None,
        rules: Rules,
    ) -> None:
        self._criteria, self._phi, self._phi_limit = criteria, phi, phi_limit
        self._rules = rules
        self._margin = criteria.margin_bp / 10_000
        self._next_start_ms = criteria.staggered_start_ms
        self._planned = max(1, criteria.max_hold_ms // criteria.staggered_start_ms)
        self._t_ms = 0
        self._compared_ms = dict.fromkeys(METRICS, _NEVER_MS)
        self.bad = dict.fromkeys(METRICS, 0)
        self._evidence: dict[tuple[str, str], Evidence] = {}
        for metric in METRICS:
            for kind in _KINDS:
                name = f"{metric}_{kind}"
                carried = () if carry is None else sums_from_text(carry, name)
                self._evidence[metric, kind] = Evidence(self._planned, carried)
            bad = 0 if carry is None else carry.get(f"{metric}_bad", 0)
            if type(bad) is not int or bad < 0:
                raise Malformed(
                    f"expected a whole number, 0 or more, found {str(bad)[:60]}",
                    where=f"carried evidence: {metric}_bad",
                )
            self.bad[metric] = bad

    def add(self, t_ms: int, canary: Counts, baseline: Counts | None) -> None:
        self._t_ms = t_ms
        for metric in METRICS if self._criteria.slow_over_ms else METRICS[:1]:
            seen = pair(canary, metric)
            if seen is not None:
                self._add(metric, seen, pair(baseline, metric))
        # A start counts what comes after it, so it opens behind the tick that reaches its time.
        every_ms = self._criteria.staggered_start_ms
        if self._next_start_ms > t_ms:
            return
        starts = (t_ms - self._next_start_ms) // every_ms + 1
        self._next_start_ms += starts * every_ms
        for evidence in self._evidence.values():
            for _ in range(min(starts, self._planned)):
                evidence.start()

    def _add(self, metric: str, canary: tuple[int, int], baseline: tuple[int, int] | None) -> None:
        limit, phi = self._criteria.limits[metric], self._phi_limit
        self.bad[metric] += canary[1]
        self._evidence[metric, "limit"].add(limit_terms(*canary, limit=limit, phi=phi))
        if baseline is None:
            return
        if baseline[0]:
            self._compared_ms[metric] = self._t_ms
        terms = relative_terms(canary, baseline, margin=self._margin, phi=self._phi)
        self._evidence[metric, "relative"].add(terms)
        self._evidence[metric, "limit_baseline"].add(limit_terms(*baseline, limit=limit, phi=phi))

    def wait(self) -> None:
        """The stage waits for the next step's time, which may be hours away."""
        for evidence in self._evidence.values():
            evidence.wait()

    def log_e(self, metric: str, kind: str) -> float:
        """Staggered starts find what begins late. Of the limit they count only while no baseline
        is there: beside one, a late fault shows in the comparison, and a few bad seconds of the
        whole fleet must not prove anything against ten good minutes."""
        evidence = self._evidence[metric, kind]
        alone = self._t_ms - self._compared_ms[metric] > SHORT_MS or not self._rules.whole_limit
        return evidence.log_e if kind == "relative" or alone else evidence.log_whole

    def forget_limits(self) -> None:
        """A person let the stage go on although the limit was proven on both arms: from here on
        it takes new proof. What was seen of canary against baseline stays."""
        for metric in METRICS:
            for kind in ("limit", "limit_baseline"):
                self._evidence[metric, kind] = Evidence(self._planned)

    def proves(self, metric: str, kind: str, alpha_ppm: int) -> bool:
        return reaches(self.log_e(metric, kind), alpha_ppm)

    def says(self, metric: str, kind: str, alpha_ppm: int) -> str:
        return f"E {_spoken(self.log_e(metric, kind))} of {_spoken(log_line(alpha_ppm))}"

    def lacks(self) -> str:
        """Nothing: evidence that may be looked at after every poll needs no number of them."""
        return ""

    def carry(self) -> dict[str, JsonValue]:
        """What the next stage starts with: exact, as JSON without floats."""
        carried: dict[str, JsonValue] = {
            f"{metric}_{kind}": sums_to_text(evidence.sums)
            for (metric, kind), evidence in self._evidence.items()
        }
        return carried | {f"{metric}_bad": count for metric, count in self.bad.items()}

    def document(self) -> dict[str, JsonValue]:
        return {
            f"{metric}_{kind}": {"e": e_text(log_e), "log10": log10_text(log_e)}
            for metric, kind in self._evidence
            for log_e in (self.log_e(metric, kind),)
        }


def _spoken(log_e: float) -> str:
    """An E value in a sentence; the evidence holds it exactly: `0.0021`, `6.8`, `3267`, `10^31`."""
    log10 = log_e / math.log(10)
    if log10 >= 6:
        return f"10^{log10:.0f}"
    value = math.exp(log_e)
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def reaches(log_e: float, alpha_ppm: int) -> bool:
    """E >= 1/alpha, compared rounded, so that a replay elsewhere decides the same."""
    return round(log_e, 9) >= round(log_line(alpha_ppm), 9)


def log_line(alpha_ppm: int) -> float:
    return math.log(1_000_000 / alpha_ppm)


def pair(arm: Counts | None, metric: str) -> tuple[int, int] | None:
    """(requests, bad ones) of an arm; None when it is missing or the metric is not counted."""
    if arm is None:
        return None
    bad = arm.errors if metric == "errors" else arm.slow
    return None if bad is None else (arm.requests, bad)
