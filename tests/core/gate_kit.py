"""Ticks for the tests of the gate: quiet traffic unless told otherwise, and whole stages."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine.core.health import DEFAULT_CRITERIA, Criteria, Gate, new_gate

POLL_S = 5.0
UP = {"t-01": True, "t-02": True}
# Ten targets for a minute, 0.4 % errors spread evenly.
CALM = [[(500, 2)] * 10] * 180


def tick(
    t: float,
    *,
    requests: int = 200,
    errors: int = 0,
    slow: int | None = None,
    baseline: tuple[int, int] | None = (1_800, 7),
    targets: Mapping[str, bool | None] | None = UP,
    status: str = "ok",
) -> dict[str, Any]:
    canary: dict[str, int] = {"requests": requests, "errors": errors}
    if slow is not None:
        canary["slow"] = slow
    arm = None if baseline is None else {"requests": baseline[0], "errors": baseline[1]}
    return {
        "t": t,
        "status": status,
        "canary": canary,
        "baseline": arm,
        "baseline_targets": [],
        "targets": targets,
    }


def silent(t: float, status: str = "nodata") -> dict[str, Any]:
    return {
        "t": t, "status": status, "canary": None, "baseline": None, "baseline_targets": [],
        "targets": None,
    }  # fmt: skip


def gate(criteria: Criteria = DEFAULT_CRITERIA, **kwargs: Any) -> Gate:
    return new_gate(criteria, kwargs.pop("history", CALM), POLL_S, **kwargs)


def feed(
    judge: Gate,
    until_s: float,
    make: Callable[[float], dict[str, Any]] = tick,
    *,
    after_s: float = 0.0,
) -> str:
    """Polls behind `after_s` up to `until_s`, both in seconds; the last answer."""
    action = judge.action
    for n in range(round(after_s / POLL_S) + 1, round(until_s / POLL_S) + 1):
        action = judge.observe(make(n * POLL_S))
    return action


# --- simulated traffic --------------------------------------------------------------------------


def poisson(chance: random.Random, mean: float) -> int:
    if mean > 40:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count += 1
        product *= chance.random()
    return count


def traffic(
    seed: int, *, rps: int, worse: float = 1.0, onset_s: float = 0.0, canaries: int = 2,
    noise: str = "", targets: int = 10, base: float = 0.004,
) -> Iterator[tuple[str, Any]]:  # fmt: skip
    """First ("history", ticks), then ("tick", tick) without end. `noise`: burst or neighbour."""
    chance = random.Random(seed)

    def poll(worse_now: float) -> list[tuple[int, int]]:
        burst = 3.0 if noise == "burst" and chance.random() < 0.05 else 1.0
        row = []
        for n in range(targets):
            loud = 2.5 if noise == "neighbour" and chance.random() < 0.1 else 1.0
            requests = poisson(chance, rps * POLL_S / targets)
            rate = base * burst * loud * (worse_now if n < canaries else 1.0)
            row.append((requests, min(requests, poisson(chance, requests * rate))))
        return row

    yield "history", [poll(1.0) for _ in range(60)]
    t = 0.0
    while True:
        t += POLL_S
        row = poll(worse if t > onset_s else 1.0)
        new, old = row[:canaries], row[canaries:]
        yield (
            "tick",
            tick(
                t,
                requests=sum(n for n, _ in new),
                errors=sum(e for _, e in new),
                baseline=(sum(n for n, _ in old), sum(e for _, e in old)),
                targets={f"t-{n:02d}": True for n in range(canaries)},
            ),
        )


def play(seed: int, criteria: Criteria = DEFAULT_CRITERIA, **kwargs: Any) -> tuple[str, float, int]:
    """A whole stage: (action, seconds, rule) of its end, at most an hour."""
    stream = traffic(seed, **kwargs)
    judge = new_gate(criteria, next(stream)[1], POLL_S)
    for _, one in stream:
        action = judge.observe(one)
        if action in {"promote", "rollback", "pause"} or one["t"] >= 3_600:
            return action, one["t"], judge.rule
    raise AssertionError("traffic never ends")
