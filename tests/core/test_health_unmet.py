"""Exactly what a stage still lacks, in the words of the button: from the gate's own evidence."""

from __future__ import annotations

import random
from typing import Any

import pytest

from engine.core.health_unmet import unmet
from tests.core.gate_kit import feed, gate, silent, tick


def lacks(**changes: Any) -> tuple[str, ...]:
    judge = gate()
    feed(judge, 130, lambda t: tick(t, **changes))
    return unmet(judge.evidence)


def test_too_few_requests_and_too_short_a_time() -> None:
    assert lacks(requests=4) == ("104 of 300 requests in 5m", "held 2:10 of 5:00")


def test_enough_requests_and_too_short_a_time() -> None:
    assert lacks() == ("held 2:10 of 5:00",)


def test_a_sick_target() -> None:
    found = lacks(targets={"t-01": True, "t-02": False})
    assert found == ("healthy 1 of 2 targets (95 % needed)", "held 0:00 of 5:00")


def test_errors_over_the_limit_name_rate_count_and_limit() -> None:
    judge = gate()
    feed(judge, 10, lambda t: tick(t, requests=1_057, errors=14))
    assert unmet(judge.evidence)[0] == "error rate 1.32 % of 2,114, limit 1 %"


def test_silence_is_missing_too() -> None:
    judge = gate()
    feed(judge, 60)
    judge.observe(silent(65, "nodata"))
    assert unmet(judge.evidence)[0] == "no data: nodata"


def test_a_promoted_stage_lacks_nothing_and_a_stopped_one_says_why() -> None:
    judge = gate()
    feed(judge, 300)
    assert judge.action == "promote" and unmet(judge.evidence) == ()
    stopped = gate()
    feed(stopped, 200, lambda t: silent(t, "error"))
    assert stopped.action == "pause" and unmet(stopped.evidence) == (stopped.reason,)


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_missing_only_when_the_gate_promotes(seed: int) -> None:
    """Whatever the traffic: a gate that does not promote names something, and always text."""
    rng, judge = random.Random(seed), gate()
    for n in range(1, 80):
        t = n * 5.0
        if rng.random() < 0.05:
            judge.observe(silent(t, rng.choice(["nodata", "error", "partial"])))
        else:
            requests = rng.choice([0, 3, 40, 900])
            errors = min(requests, rng.choice([0, 0, 0, 1, 5]))
            up = {"t-01": rng.random() < 0.97, "t-02": rng.choice([True, True, None])}
            judge.observe(tick(t, requests=requests, errors=errors, targets=up))
        found = unmet(judge.evidence)
        assert (found == ()) is (judge.action == "promote"), (judge.action, judge.reason, found)
        assert all(one and one[-1] != "." for one in found)
