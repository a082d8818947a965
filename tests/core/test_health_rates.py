"""How often the gate is wrong and how fast it is right, on simulated traffic with fixed seeds."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.core.gate_kit import play

HEALTHY = 40


@pytest.mark.parametrize("noise", ["", "burst", "neighbour"])
def test_healthy_releases_are_promoted(noise: str) -> None:
    ends = Counter(play(seed, rps=200, noise=noise)[0] for seed in range(HEALTHY))
    assert ends["rollback"] <= 0
    assert ends["promote"] >= HEALTHY * 95 // 100


def test_five_times_the_errors_at_a_thousand_requests_a_second_are_found_at_once() -> None:
    ends = [play(seed, rps=1_000, worse=5.0) for seed in range(30)]
    assert {(action, rule) for action, _, rule in ends} == {("rollback", 4)}
    found = sorted(seconds for _, seconds, _ in ends)
    assert found[len(found) * 95 // 100] <= 15
    assert found[-1] <= 25


def test_five_percent_errors_are_found_within_15_s_always() -> None:
    # What the demo's broken release has, at its load.
    ends = [play(seed, rps=500, worse=12.5) for seed in range(30)]
    assert {action for action, _, _ in ends} == {"rollback"}
    assert max(seconds for _, seconds, _ in ends) <= 15


def test_twice_the_errors_are_found_before_the_stage_is_over() -> None:
    ends = [play(seed, rps=1_000, worse=2.0) for seed in range(15)]
    found = sorted(seconds for action, seconds, _ in ends if action == "rollback")
    assert len(found) >= 14
    assert found[len(found) // 2] <= 180


def test_a_trickle_is_never_promoted() -> None:
    assert {play(seed, rps=1)[0] for seed in range(5)} == {"pause"}
