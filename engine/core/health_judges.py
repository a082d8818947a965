"""The evidence of one stage: every E value that its metrics have, fed tick by tick.

Errors and slow requests are two metrics with accumulators of the same kind. Which value leads to
which action is the table's business (`health`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from engine.core.health_criteria import Criteria
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

_METRICS: Final = ("errors", "slow")
_KINDS: Final = ("relative", "limit", "limit_baseline")


class Judges:
    """Attributes:
    bad: bad requests of the canary behind the evidence, per metric, the carried ones included.
    """

    def __init__(
        self, criteria: Criteria, phi: float, carry: Mapping[str, JsonValue] | None
    ) -> None:
        self._criteria, self._phi = criteria, phi
        self._margin = criteria.margin_bp / 10_000
        self._limits = {
            "errors": criteria.error_rate_ppm_max / 1_000_000,
            "slow": criteria.slow_share_ppm_max / 1_000_000,
        }
        self._next_start_ms = criteria.staggered_start_ms
        planned = max(1, criteria.max_hold_ms // criteria.staggered_start_ms)
        self.bad = dict.fromkeys(_METRICS, 0)
        self._evidence: dict[tuple[str, str], Evidence] = {}
        for metric in _METRICS:
            for kind in _KINDS:
                name = f"{metric}_{kind}"
                carried = () if carry is None else sums_from_text(carry, name)
                self._evidence[metric, kind] = Evidence(planned, carried)
            bad = 0 if carry is None else carry.get(f"{metric}_bad", 0)
            self.bad[metric] = bad if isinstance(bad, int) else 0

    def add(self, t_ms: int, canary: Counts, baseline: Counts | None) -> None:
        self._add("errors", (canary.requests, canary.errors), _pair(baseline, "errors"))
        if self._criteria.slow_over_ms and canary.slow is not None:
            self._add("slow", (canary.requests, canary.slow), _pair(baseline, "slow"))
        # A start counts what comes after it, so it opens behind the tick that reaches its time.
        while self._next_start_ms <= t_ms:
            for evidence in self._evidence.values():
                evidence.start()
            self._next_start_ms += self._criteria.staggered_start_ms

    def _add(self, metric: str, canary: tuple[int, int], baseline: tuple[int, int] | None) -> None:
        limit, phi = self._limits[metric], self._phi
        self.bad[metric] += canary[1]
        self._evidence[metric, "limit"].add(limit_terms(*canary, limit=limit, phi=phi))
        if baseline is None:
            return
        terms = relative_terms(canary, baseline, margin=self._margin, phi=phi)
        self._evidence[metric, "relative"].add(terms)
        self._evidence[metric, "limit_baseline"].add(limit_terms(*baseline, limit=limit, phi=phi))

    def log_e(self, metric: str, kind: str) -> float:
        return self._evidence[metric, kind].log_e

    def proves(self, metric: str, kind: str, alpha_ppm: int) -> bool:
        return reaches(self.log_e(metric, kind), alpha_ppm)

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
            for (metric, kind), evidence in self._evidence.items()
            for log_e in (evidence.log_e,)
        }


def reaches(log_e: float, alpha_ppm: int) -> bool:
    """E >= 1/alpha, compared rounded, so that a replay elsewhere decides the same."""
    return round(log_e, 9) >= round(log_line(alpha_ppm), 9)


def log_line(alpha_ppm: int) -> float:
    return math.log(1_000_000 / alpha_ppm)


def _pair(arm: Counts | None, metric: str) -> tuple[int, int] | None:
    if arm is None:
        return None
    bad = arm.errors if metric == "errors" else arm.slow
    return None if bad is None else (arm.requests, bad)
