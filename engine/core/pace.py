"""How long something took lately: a few numbers out of the last minutes. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 300.0
_KEPT_MAX: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds each.

    Attributes:
        n: how many there were in the window; of the newest `_KEPT_MAX` at most.
        p50_s, p95_s, max_s: over the window; None when there was none.
        count, total_s: since the process started.
    """

    n: int = 0
    p50_s: float | None = None
    p95_s: float | None = None
    max_s: float | None = None
    count: int = 0
    total_s: float = 0.0


class Recent:
    """Durations as they come in. Not for several threads at once."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._seen: deque[tuple[float, float]] = deque(maxlen=_KEPT_MAX)
        self._count, self._total_s = 0, 0.0

    def add(self, took_s: float, *, at_s: float) -> None:
        """Args: at_s: when it ended, on a clock that only goes forward."""
        self._seen.append((at_s, took_s))
        self._count += 1
        self._total_s += took_s

    def pace(self, now_s: float) -> Pace:
        while self._seen and self._seen[0][0] < now_s - self._window_s:
            self._seen.popleft()
        took = sorted(one for _, one in self._seen)
        return Pace(
            n=len(took),
            p50_s=quantile(took, 50),
            p95_s=quantile(took, 95),
            max_s=took[-1] if took else None,
            count=self._count,
            total_s=self._total_s,
        )


def quantile(ordered: Sequence[float], percent: int) -> float | None:
    """The smallest of the values that so many percent of them do not exceed; None of nothing."""
    if not ordered:
        return None
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
