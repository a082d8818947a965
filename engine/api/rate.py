"""How many requests a caller may make: a bucket of tokens for each, filled at a steady rate.

In memory, because a limit protects this process from a client that runs wild; it is no accounting.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

# Buckets that were not used for longest are forgotten first, and a forgotten one is a full one.
_CALLERS_MAX: Final = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class Buckets:
    """Not thread-safe: used in one event loop.

    Args:
        per_second: tokens that come in.
        burst: tokens that a bucket holds.
    """

    def __init__(self, *, per_second: int, burst: int) -> None:
        self._per_second, self._burst = per_second, burst
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, now_s: float) -> float:
        """Take one token out of the caller's bucket.

        Args:
            now_s: monotonic seconds.

        Returns:
            0 when there was one; else the seconds until the next comes in.
        """
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(tokens=self._burst, at_s=now_s)
            if len(self._buckets) > _CALLERS_MAX:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(caller)
        filled = bucket.tokens + max(0.0, now_s - bucket.at_s) * self._per_second
        bucket.tokens, bucket.at_s = min(float(self._burst), filled), now_s
        if bucket.tokens >= 1.0:
            bucket.tokens -= 1.0
            return 0.0
        return (1.0 - bucket.tokens) / self._per_second
