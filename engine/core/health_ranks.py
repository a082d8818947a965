"""The rank test of canary analysis: are the canary's rates, poll by poll, usually the higher ones?

The test of Mann and Whitney (Ann. Math. Stat. 18, 1947) by its normal approximation, corrected for
ties and for continuity, as Kayenta's judge uses it. Ranks ignore how bad a single poll was, so one
wild poll proves nothing. They need two things that counts do not: enough polls, and samples of like
size, because the rate of a small sample swings more. So the baseline is cut into groups of targets
with about as much traffic as the canary has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

# Below it the normal approximation says little about tails.
POLLS_MIN: Final = 20
_CONTINUITY: Final = 0.5


class Ranks:
    """Rates of one metric since the plan began; the baseline's are raised by the margin."""

    def __init__(self, margin: float) -> None:
        self._margin = margin
        self._canary: list[float] = []
        self._baseline: list[float] = []

    def __len__(self) -> int:
        """Polls in which both arms could be compared."""
        return len(self._canary)

    def add(
        self,
        canary: tuple[int, int],
        baseline: tuple[int, int] | None,
        parts: Sequence[tuple[int, int]],
    ) -> None:
        """One poll, (requests, bad ones) each. It is left out when the baseline had less than half
        of the canary's traffic: of few requests most polls have no bad one, so that the baseline
        would rank low whatever its rate is."""
        if baseline is None or not canary[0] or 2 * baseline[0] < canary[0]:
            return
        self._canary.append(canary[1] / canary[0])
        self._baseline += [
            self._margin * bad / requests for requests, bad in _groups(canary[0], baseline, parts)
        ]

    def z(self, phi: float) -> float:
        """How far the canary's ranks lie above the middle, in standard deviations; 0 below it or
        with too few polls."""
        mine, theirs = len(self._canary), len(self._baseline)
        if mine < POLLS_MIN or theirs < POLLS_MIN:
            return 0.0
        rank_sum, tied = self._ranked()
        total = mine + theirs
        above = rank_sum - mine * (mine + 1) / 2 - mine * theirs / 2 - _CONTINUITY
        variance = mine * theirs / 12 * (total + 1 - tied / (total * (total - 1)))
        if above <= 0 or variance <= 0:
            return 0.0
        return above / math.sqrt(variance * phi)

    def _ranked(self) -> tuple[float, int]:
        """Sum of the canary's ranks, equal rates sharing their mean rank; and sum of t^3 - t over
        the groups of t equal rates."""
        both = sorted([(rate, 1) for rate in self._canary] + [(rate, 0) for rate in self._baseline])
        rank_sum, tied, begin = 0.0, 0, 0
        while begin < len(both):
            end, mine = begin, 0
            while end < len(both) and both[end][0] == both[begin][0]:
                mine += both[end][1]
                end += 1
            equal = end - begin
            rank_sum += mine * (begin + 1 + end) / 2
            tied += equal**3 - equal
            begin = end
        return rank_sum, tied


def _groups(
    requests: int, baseline: tuple[int, int], parts: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """The baseline in groups of about `requests` requests; whole when its parts are not known."""
    groups: list[tuple[int, int]] = []
    n = bad = 0
    for part in parts:
        n, bad = n + part[0], bad + part[1]
        if 4 * n >= 3 * requests:
            groups.append((n, bad))
            n = bad = 0
    return groups or [baseline]
