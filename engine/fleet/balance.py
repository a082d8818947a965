"""Who gets the next request, and what is counted of it. No sockets, no clock: time comes in.

The counts are what a release is judged by, so they are exact: every attempt at a target that
reached it, or should have, is one request of that target, and one error when it failed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, Final

from engine.core.metrics import LATENCY_BOUNDS_MS

HISTORY_S: Final = 900
DEFAULT_WEIGHT: Final = 100
PROBES_UNTIL_DOWN: Final = 2
FAILED_FROM: Final = 500  # statuses that are the target's failure, not the asker's


class Backend:
    """One target as the router knows it.

    Attributes:
        weight: 0 to 100, as set; kept over restarts.
        drained: taken out for a switch; its weight waits for it.
        healthy: answer of the newest probe; None when it gave none.
        codes: requests by the status that they were answered with.
        refused: it did not take a connection since the newest good probe.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.port: int | None = None
        self.weight = DEFAULT_WEIGHT
        self.drained = False
        self.healthy: bool | None = None
        self.bad_probes = 0
        self.refused = False
        self.in_flight = 0
        self.current = 0
        self.requests = 0
        self.errors = 0
        self.slow = 0
        self.buckets = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        self.codes: dict[int, int] = {}
        self.took_us = 0
        self.second = (0, 0)
        self.past: deque[tuple[int, int]] = deque(maxlen=HISTORY_S)

    @property
    def offered(self) -> bool:
        return self.weight > 0 and not self.drained and self.port is not None

    @property
    def up(self) -> bool:
        return not self.refused and self.bad_probes < PROBES_UNTIL_DOWN

    def probed(self, answer: bool | None) -> None:
        self.healthy = answer
        if answer:
            self.bad_probes, self.refused = 0, False
        else:
            self.bad_probes += 1

    def document(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "errors": self.errors,
            "slow": self.slow,
            "buckets": list(self.buckets),
            "healthy": self.healthy,
            "in_flight": self.in_flight,
            "weight": self.weight,
            "drained": self.drained,
            "up": self.up,
            "port": self.port,
        }


class Balance:
    """The targets of a router, by id. `now_s` is any clock that only goes forward."""

    def __init__(self, *, slow_over_ms: int, now_s: float) -> None:
        self.slow_over_ms = slow_over_ms
        self.backends: dict[str, Backend] = {}
        self._second = int(now_s)

    def retarget(self, targets: Collection[str]) -> None:
        """Serve exactly these; those that stay keep their counts."""
        self.backends = {t: self.backends.get(t) or Backend(t) for t in sorted(targets)}

    def pick(self, tried: Collection[str] = ()) -> Backend | None:
        """Smooth weighted round robin over what is offered and up.

        When nothing is up, whatever is offered is tried: a probe may be wrong, and to refuse
        everything because of it would make an outage of a doubt.
        """
        offered = [b for b in self.backends.values() if b.offered and b.target not in tried]
        candidates = [b for b in offered if b.up] or offered
        if not candidates:
            return None
        for backend in candidates:
            backend.current += backend.weight
        chosen = max(candidates, key=lambda b: b.current)
        chosen.current -= sum(b.weight for b in candidates)
        return chosen

    def count(self, backend: Backend, *, code: int, took_ms: float, now_s: float) -> None:
        """Count a request that ended. `code` is the status that the client was answered with."""
        self.roll(now_s)
        failed = code >= FAILED_FROM
        backend.requests += 1
        backend.codes[code] = backend.codes.get(code, 0) + 1
        backend.took_us += round(took_ms * 1000)
        backend.errors += failed
        backend.slow += took_ms > self.slow_over_ms
        backend.buckets[bisect_left(LATENCY_BOUNDS_MS, took_ms)] += 1
        requests, errors = backend.second
        backend.second = (requests + 1, errors + failed)

    def roll(self, now_s: float) -> None:
        """Close the seconds that have passed; all targets step together."""
        passed = min(int(now_s) - self._second, HISTORY_S)
        if passed <= 0:
            return
        self._second = int(now_s)
        for backend in self.backends.values():
            backend.past.append(backend.second)
            backend.past.extend([(0, 0)] * (passed - 1))
            backend.second = (0, 0)

    def history(self, seconds: int, now_s: float) -> tuple[list[str], list[Sequence[Any]]]:
        """Target ids, and per whole second (oldest first) a pair of counts for each of them.

        Only seconds that every target was there for.
        """
        self.roll(now_s)
        backends = list(self.backends.values())
        known = min((len(b.past) for b in backends), default=0)
        count = min(known, max(0, seconds))
        columns = [list(b.past)[len(b.past) - count :] for b in backends]
        return [b.target for b in backends], list(zip(*columns, strict=True))
