"""Judges that look a planned number of times instead of at every poll. Pure.

`group_sequential` compares the counts of both arms, `mann_whitney` the ranks of their rates poll by
poll; both speak only at planned looks, spread evenly over the time that a stage has to hold, and
between two looks the last word stands. Looking more than once inflates false alarms, so each look
may spend only part of alpha: by the function of Lan and DeMets (Biometrika 70, 1983) that imitates
O'Brien and Fleming, little at first and most at the end. A look's line is taken from what it spends
alone. That is a little stricter than the recursive boundary, and it stays right when traffic, and
so information, does not come evenly. A stage that outlives its plan begins another on new counts
with half of the alpha that is left: all plans together stay within it. Where it waits for hours for
the next step's time, halves would soon be nothing: from there on the k-th plan gets 1/(k(k+1)) of
what is left.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Protocol

from engine.core.health_criteria import Criteria
from engine.core.health_evidence import Counts, limit_z, share_z
from engine.core.health_judges import METRICS, pair
from engine.core.health_ranks import POLLS_MIN, Ranks
from engine.core.jcs import JsonValue

_NORMAL: Final = NormalDist()
# Enough for a page to show the plan that runs and the one before.
_LOOKS_KEPT: Final = 40


class Judge(Protocol):
    """What the table asks of a judge: rows 4 to 6 by `proves`, row 8 by `proves` at alpha_hold."""

    bad: dict[str, int]

    def proves(self, metric: str, kind: str, alpha_ppm: int) -> bool: ...

    def says(self, metric: str, kind: str, alpha_ppm: int) -> str:
        """The number behind `proves` and the line it is held against, for a sentence."""
        ...

    def lacks(self) -> str:
        """What the judge needs before its silence means anything; empty when it has it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look. `z`: per (metric, kind), how many standard deviations beyond what is allowed."""

    t_ms: int
    number: int
    lines: dict[int, float]
    z: dict[tuple[str, str], float]
    polls: int


class _Sums:
    """Counts of one metric since the plan began.

    Attributes:
        expected: bad requests the canary may have had, given all bad ones of both arms and who got
            how much traffic: summed poll by poll, so that a shift of traffic or a bad minute of
            the whole fleet does not look like a difference between the arms.
    """

    def __init__(self) -> None:
        self.canary = [0, 0]
        self.baseline = [0, 0]
        self.compared = [0, 0]  # bad ones of the canary and of both, where both had traffic
        self.expected = 0.0

    def add(self, canary: tuple[int, int], baseline: tuple[int, int] | None, margin: float) -> None:
        for total, seen in ((self.canary, canary), (self.baseline, baseline or (0, 0))):
            total[0] += seen[0]
            total[1] += seen[1]
        if baseline is None or not canary[0] or not baseline[0]:
            return
        odds, both = margin * canary[0] / baseline[0], canary[1] + baseline[1]
        self.compared[0] += canary[1]
        self.compared[1] += both
        self.expected += both * odds / (1 + odds)


class PlannedLooks:
    """Attributes:
    bad: bad requests of the canary since the stage's start, per metric.
    """

    def __init__(self, criteria: Criteria, phi: float, phi_limit: float) -> None:
        self._criteria, self._phi, self._phi_limit = criteria, phi, phi_limit
        self._margin = criteria.margin_bp / 10_000
        self._ranked = criteria.method == "mann_whitney"
        self.bad = dict.fromkeys(METRICS, 0)
        self._looks: deque[_Look] = deque(maxlen=_LOOKS_KEPT)
        self._plan, self._polls_best, self._t_ms = 0, 0, 0
        self._waits_from: int | None = None
        self._begin(0)

    def wait(self) -> None:
        """The stage waits for the next step's time, which may be hours away."""
        if self._waits_from is None:
            self._waits_from = self._plan

    @property
    def _share(self) -> float:
        """Of alpha, what the plan at hand may spend."""
        waits_from = self._waits_from
        if waits_from is None or self._plan <= waits_from:
            return float(0.5**self._plan)
        k = self._plan - waits_from
        return float(0.5**waits_from) / (k * (k + 1))

    def _begin(self, t_ms: int) -> None:
        self._plan += 1
        self._begun_ms, self._done = t_ms, 0
        self._sums = {metric: _Sums() for metric in METRICS}
        self._ranks = {metric: Ranks(self._margin) for metric in METRICS}

    def add(
        self,
        t_ms: int,
        canary: Counts,
        baseline: Counts | None,
        parts: tuple[Counts, ...],
    ) -> None:
        """Take in one tick, and look when a look is due.

        Args:
            parts: the baseline target by target, in the order of their names; may be empty.
        """
        self._t_ms = t_ms
        for metric in METRICS:
            seen = pair(canary, metric)
            if seen is None or (metric == "slow" and not self._criteria.slow_over_ms):
                continue
            before = pair(baseline, metric)
            self.bad[metric] += seen[1]
            self._sums[metric].add(seen, before, self._margin)
            if self._ranked:
                split = [one for part in parts if (one := pair(part, metric)) is not None]
                self._ranks[metric].add(seen, before, split)
        planned, hold_ms = self._criteria.looks, self._criteria.hold_ms
        due = min(planned, (t_ms - self._begun_ms) * planned // hold_ms)
        if due > self._done:
            self._look(due)
            if due == planned:
                self._begin(t_ms)

    def _look(self, number: int) -> None:
        criteria = self._criteria
        lines = {
            alpha_ppm: look_line(
                alpha_ppm / 1_000_000 * self._share,
                done=self._done / criteria.looks,
                now=number / criteria.looks,
            )
            for alpha_ppm in (criteria.alpha_ppm, criteria.alpha_hold_ppm)
        }
        z = {}
        for metric, limit in criteria.limits.items():
            sums, ranks = self._sums[metric], self._ranks[metric]
            z[metric, "relative"] = (
                ranks.z(self._phi)
                if self._ranked
                else share_z(*sums.compared, expected=sums.expected, phi=self._phi)
            )
            z[metric, "limit"] = limit_z(*sums.canary, limit=limit, phi=self._phi_limit)
            z[metric, "limit_baseline"] = limit_z(*sums.baseline, limit=limit, phi=self._phi_limit)
        polls = len(self._ranks["errors"])
        self._polls_best = max(self._polls_best, polls)
        self._looks.append(_Look(t_ms=self._t_ms, number=number, lines=lines, z=z, polls=polls))
        self._done = number

    def resumed(self, t_ms: int, *, limits_too: bool) -> None:
        """A pause takes no time from the plan. `limits_too`: what proved the limit before a person
        let the stage go on is not held against it again."""
        self._begun_ms += t_ms - self._t_ms
        self._t_ms = t_ms
        if limits_too:
            self._looks.clear()
            for sums in self._sums.values():
                sums.canary, sums.baseline = [0, 0], [0, 0]

    def proves(self, metric: str, kind: str, alpha_ppm: int) -> bool:
        if not self._looks:
            return False
        last = self._looks[-1]
        return round(last.z[metric, kind], 9) >= round(last.lines[alpha_ppm], 9)

    def says(self, metric: str, kind: str, alpha_ppm: int) -> str:
        last = self._looks[-1]
        return (
            f"z {last.z[metric, kind]:.2f} of {last.lines[alpha_ppm]:.2f}, "
            f"look {last.number} of {self._criteria.looks}"
        )

    def lacks(self) -> str:
        if not self._ranked or self._polls_best >= POLLS_MIN:
            return ""
        return f"{max(self._polls_best, len(self._ranks['errors']))}/{POLLS_MIN} comparable polls"

    def document(self) -> dict[str, JsonValue]:
        return {
            "method": self._criteria.method,
            "plan": self._plan,
            "looks_planned": self._criteria.looks,
            "looks": [
                {
                    "t_ms": look.t_ms,
                    "look": look.number,
                    "polls": look.polls,
                    "line": f"{look.lines[self._criteria.alpha_ppm]:.6f}",
                    "suspect_line": f"{look.lines[self._criteria.alpha_hold_ppm]:.6f}",
                    "z": {f"{metric}_{kind}": f"{z:.6f}" for (metric, kind), z in look.z.items()},
                }
                for look in self._looks
            ],
        }


def look_line(alpha: float, *, done: float, now: float) -> float:
    """The z that a look at share `now` of the plan has to reach, the last one made at `done`."""
    return -_NORMAL.inv_cdf(_spent(alpha, now) - _spent(alpha, done))


def _spent(alpha: float, share: float) -> float:
    """Of `alpha`, what may be spent until `share` of the plan, in 0..1, is over."""
    if not share:
        return 0.0
    z = -_NORMAL.inv_cdf(alpha / 2) / math.sqrt(share)
    return math.erfc(z / math.sqrt(2))
