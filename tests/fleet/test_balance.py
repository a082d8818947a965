"""Shares and counts of the router, without a socket."""

from __future__ import annotations

import random

import pytest

from engine.core.metrics import LATENCY_BOUNDS_MS
from engine.fleet.balance import HISTORY_S, PROBES_UNTIL_DOWN, Balance


def balance(*targets: str) -> Balance:
    made = Balance(slow_over_ms=250, now_s=0.0)
    made.retarget(targets)
    for n, backend in enumerate(made.backends.values()):
        backend.port = 1000 + n
    return made


def picks(made: Balance, count: int) -> dict[str, int]:
    seen = dict.fromkeys(made.backends, 0)
    for _ in range(count):
        chosen = made.pick()
        assert chosen is not None
        seen[chosen.target] += 1
    return seen


def test_equal_weights_take_exact_turns() -> None:
    made = balance("a", "b", "c")
    order = [b.target for _ in range(9) if (b := made.pick())]
    assert order == ["a", "b", "c"] * 3


@pytest.mark.parametrize("weights", [(100, 11), (1, 1), (90, 10), (100, 50), (7, 93)])
def test_shares_are_exact_over_a_round(weights: tuple[int, int]) -> None:
    made = balance("a", "b")
    for backend, weight in zip(made.backends.values(), weights, strict=True):
        backend.weight = weight
    seen = picks(made, sum(weights))
    assert tuple(seen.values()) == weights


def test_a_small_share_is_spread_and_not_sent_in_a_row() -> None:
    made = balance("a", "b")
    made.backends["b"].weight = 25
    order = "".join(b.target for _ in range(10) if (b := made.pick()))
    assert order == "aabaaaabaa"


def test_weight_0_drained_and_portless_targets_get_nothing() -> None:
    made = balance("a", "b", "c", "d")
    made.backends["a"].weight = 0
    made.backends["b"].drained = True
    made.backends["c"].port = None
    assert picks(made, 5) == {"a": 0, "b": 0, "c": 0, "d": 5}
    made.backends["d"].drained = True
    assert made.pick() is None


def test_a_target_that_is_down_is_passed_over_until_a_good_probe() -> None:
    made = balance("a", "b")
    a = made.backends["a"]
    a.refused = True
    assert picks(made, 4) == {"a": 0, "b": 4}
    a.probed(True)
    assert picks(made, 4) == {"a": 2, "b": 2}
    for _ in range(PROBES_UNTIL_DOWN - 1):
        a.probed(None)
    assert a.up  # one missed probe is no outage
    a.probed(None)
    assert not a.up
    assert a.healthy is None


def test_when_all_are_down_all_are_tried() -> None:
    made = balance("a", "b")
    for backend in made.backends.values():
        backend.refused = True
    assert picks(made, 4) == {"a": 2, "b": 2}
    assert made.pick(tried=("a", "b")) is None


@pytest.mark.parametrize(
    ("took_ms", "bucket", "slow"),
    [(0.0, 0, 0), (1.0, 0, 0), (1.01, 1, 0), (250.0, 15, 0), (250.1, 16, 1), (10_001.0, 26, 1)],
)
def test_edges_of_a_bucket_and_of_slow(took_ms: float, bucket: int, slow: int) -> None:
    made = balance("a")
    one = made.backends["a"]
    made.count(one, code=200, took_ms=took_ms, now_s=0.0)
    assert [n for n, count in enumerate(one.buckets) if count] == [bucket]
    assert len(one.buckets) == len(LATENCY_BOUNDS_MS) + 1
    assert one.slow == slow


def test_history_holds_whole_seconds_of_all_targets_in_step() -> None:
    made = balance("a", "b")
    a, b = made.backends["a"], made.backends["b"]
    made.count(a, code=200, took_ms=1, now_s=0.2)
    made.count(a, code=500, took_ms=1, now_s=0.9)
    made.count(b, code=200, took_ms=1, now_s=3.5)
    targets, rows = made.history(900, 4.0)
    assert targets == ["a", "b"]
    assert rows == [((2, 1), (0, 0)), ((0, 0), (0, 0)), ((0, 0), (0, 0)), ((0, 0), (1, 0))]
    assert made.history(1, 4.9)[1] == [((0, 0), (1, 0))]
    assert made.history(0, 4.9)[1] == []


def test_history_is_a_ring_and_agrees_with_the_counters() -> None:
    made, rng = balance("a", "b"), random.Random(7)
    now = 0.0
    for _ in range(5000):
        now += rng.random() / 10
        chosen = made.pick()
        assert chosen is not None
        made.count(chosen, code=500 if rng.random() < 0.1 else 200, took_ms=1, now_s=now)
    now = int(now) + 1.0
    _, rows = made.history(HISTORY_S, now)
    for n, backend in enumerate(made.backends.values()):
        assert sum(row[n][0] for row in rows) == backend.requests
        assert sum(row[n][1] for row in rows) == backend.errors > 0
    made.roll(now + 10 * HISTORY_S)
    assert made.history(HISTORY_S + 5, now + 10 * HISTORY_S)[1] == [((0, 0), (0, 0))] * HISTORY_S


def test_targets_that_stay_keep_their_counts() -> None:
    made = balance("a", "b")
    made.count(made.backends["a"], code=200, took_ms=1, now_s=0.0)
    made.retarget(["a", "c"])
    assert list(made.backends) == ["a", "c"]
    assert made.backends["a"].requests == 1
