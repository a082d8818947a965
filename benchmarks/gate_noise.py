"""Simulated traffic of healthy and broken releases, as the health gate would see it.

Ten targets behind one load, polled every 5 s: 15 minutes of history on the old bundle, then one
stage in which some targets run the new one. Healthy traffic is noisy in seven ways; in each the
new bundle behaves exactly as the old one. Counts are Poisson, or its normal approximation.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

POLL_S = 5.0
TARGETS = 10
BASE_RATE = 0.004
HISTORY_POLLS = 180
RATE_MAX = 0.9
NORMAL_FROM = 30

Rates = Callable[[int], list[float]]
"""Error rate of every target in poll `n`; the history ends before poll 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Attributes:
    worse: the canary's error rate over the old bundle's, from poll 0 on.
    """

    rps: int
    noise: str = "steady"
    canaries: int = 1
    worse: float = 1.0
    base: float = BASE_RATE


def poisson(chance: random.Random, mean: float) -> int:
    if mean > NORMAL_FROM:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count += 1
        product *= chance.random()
    return count


# --- seven kinds of healthy noise -----------------------------------------------------------------


def steady(chance: random.Random, base: float) -> Rates:
    """Coin flips."""
    return lambda _: [base] * TARGETS


def bursts(chance: random.Random, base: float) -> Rates:
    """The whole fleet fails more for 10 to 40 s, about every two minutes: a shared dependency."""
    left = 0

    def rates(_: int) -> list[float]:
        nonlocal left
        left = left - 1 if left else (chance.randint(2, 8) if chance.random() < 0.04 else 0)
        return [base * (4.0 if left else 1.0)] * TARGETS

    return rates


def neighbour(chance: random.Random, base: float) -> Rates:
    """Now one target, now another fails five times as often for 20 to 60 s."""
    left = [0] * TARGETS

    def rates(_: int) -> list[float]:
        for i, more in enumerate(left):
            left[i] = more - 1 if more else (chance.randint(4, 12) if chance.random() < 0.01 else 0)
        return [base * (5.0 if more else 1.0) for more in left]

    return rates


def drift(chance: random.Random, base: float) -> Rates:
    """Half as many errors up or down, in waves of 20 minutes."""
    phase = chance.uniform(0, 2 * math.pi)
    return lambda n: [base * (1 + 0.5 * math.sin(phase + n * 2 * math.pi / 240))] * TARGETS


def uneven(chance: random.Random, base: float) -> Rates:
    """Every target has its own error rate, and keeps it."""
    own = [base * math.exp(chance.gauss(-0.045, 0.3)) for _ in range(TARGETS)]
    return lambda _: own


def spikes(chance: random.Random, base: float) -> Rates:
    """For a single poll 5 % of everything fails, about every five minutes."""
    return lambda _: [0.05 if chance.random() < 1 / 60 else base] * TARGETS


def restless(chance: random.Random, base: float) -> Rates:
    """Every target's rate wanders on its own, within about a factor of two."""
    logs = [chance.gauss(0, 0.35) for _ in range(TARGETS)]

    def rates(_: int) -> list[float]:
        for i, log in enumerate(logs):
            logs[i] = 0.9 * log + chance.gauss(0, 0.35 * math.sqrt(1 - 0.81))
        return [base * math.exp(log - 0.06) for log in logs]

    return rates


NOISE: dict[str, Callable[[random.Random, float], Rates]] = {
    "steady": steady,
    "bursts": bursts,
    "neighbour": neighbour,
    "drift": drift,
    "uneven": uneven,
    "spikes": spikes,
    "restless": restless,
}


# --- the stream -----------------------------------------------------------------------------------


class Stream:
    """One release. `history` first, then as many `ticks` as are asked for; the same for a seed."""

    def __init__(self, seed: int, load: Load) -> None:
        self._chance, self._load = random.Random(seed), load  # noqa: S311 - a simulation
        self._rates = NOISE[load.noise](self._chance, load.base)
        self.history = [self._poll(n, 1.0) for n in range(-HISTORY_POLLS, 0)]

    def _poll(self, n: int, worse: float) -> list[tuple[int, int]]:
        chance, load, cells = self._chance, self._load, []
        mean = load.rps * POLL_S / TARGETS
        for i, rate in enumerate(self._rates(n)):
            requests = poisson(chance, mean)
            failing = min(RATE_MAX, rate * (worse if i < load.canaries else 1.0))
            cells.append((requests, min(requests, poisson(chance, requests * failing))))
        return cells

    def ticks(self) -> Iterator[dict[str, Any]]:
        canaries = self._load.canaries
        targets = {f"t-{i:02d}": True for i in range(canaries)}
        n = 0
        while True:
            cells = self._poll(n, self._load.worse)
            new, old = cells[:canaries], cells[canaries:]
            n += 1
            yield {
                "t": n * POLL_S,
                "status": "ok",
                "canary": _arm(new),
                "baseline": _arm(old),
                "baseline_targets": old,
                "targets": targets,
            }


def _arm(cells: list[tuple[int, int]]) -> dict[str, int]:
    return {"requests": sum(n for n, _ in cells), "errors": sum(e for _, e in cells)}
