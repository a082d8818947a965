"""What must hold for any stream of ticks."""

from __future__ import annotations

import random
import time
from dataclasses import fields
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.health import DEFAULT_CRITERIA, Criteria, Gate, new_gate
from engine.core.health_evidence import Evidence, dispersion, limit_terms, relative_terms
from engine.core.jcs import canonical
from tests.core.gate_kit import CALM, POLL_S, gate, silent, tick

_STOPPED = {"promote", "rollback", "pause"}


def _arm(chance: random.Random, requests_max: int) -> dict[str, int]:
    requests = chance.randint(0, requests_max)
    worst = chance.choice([0, 0, requests // 100, requests])
    return {
        "requests": requests,
        "errors": chance.randint(0, worst),
        "slow": chance.choice([0, 0, chance.randint(0, requests)]),
    }


def _stream(seed: int) -> list[dict[str, Any]]:
    """Ticks in order of time, good ones, bad ones, silent ones, with gaps."""
    chance, stream, t = random.Random(seed), [], 0.0
    quiet = chance.random() < 0.4
    for _ in range(chance.randint(1, 80)):
        t += chance.choice([POLL_S] * 12 + [10.0, 20.0, 0.5])
        if chance.random() < (0.02 if quiet else 0.2):
            stream.append(silent(t, chance.choice(["nodata", "error", "partial"])))
            continue
        probes = [True] * 20 + ([] if quiet else [False, False, None])
        stream.append(
            {
                "t": t,
                "status": "ok",
                "canary": {**_arm(chance, 2_000), **({"errors": 0, "slow": 0} if quiet else {})},
                "baseline": chance.choice([None, _arm(chance, 10_000)]),
                "baseline_targets": [],
                "targets": {name: chance.choice(probes) for name in ("t-01", "t-02", "t-03")},
            }
        )
    return stream


def streams() -> st.SearchStrategy[list[dict[str, Any]]]:
    """By seed: drawing every count one by one would cost more than judging it."""
    return st.integers(0, 1_000_000).map(_stream)


def answers(judge: Gate, stream: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    return [(judge.observe(one), judge.rule, judge.reason) for one in stream]


@given(streams())
@settings(max_examples=40, deadline=None)
def test_the_same_ticks_give_the_same_answers(stream: list[dict[str, Any]]) -> None:
    one, two = gate(), gate()
    assert answers(one, stream) == answers(two, stream)
    assert canonical(one.evidence) == canonical(two.evidence)


@given(streams(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_late_and_repeated_ticks_change_nothing(
    stream: list[dict[str, Any]], chance: random.Random
) -> None:
    clean, dirty = gate(), gate()
    for n, one in enumerate(stream):
        clean.observe(one)
        dirty.observe(one)
        late = chance.choice(stream[: n + 1])
        assert dirty.observe(late) == (dirty.action if dirty.action in _STOPPED else "hold")
        assert (dirty.action, dirty.clock) == (clean.action, clean.clock)
    assert canonical(dirty.evidence) == canonical(clean.evidence)


@given(streams())
@settings(max_examples=40, deadline=None)
def test_an_answer_that_ends_the_stage_stays(stream: list[dict[str, Any]]) -> None:
    judge, stopped = gate(), None
    for one in stream:
        action = judge.observe(one)
        if stopped is not None:
            assert (action, judge.rule, judge.reason) == stopped
        elif action in _STOPPED:
            stopped = (action, judge.rule, judge.reason)


@given(streams())
@settings(max_examples=40, deadline=None)
def test_a_tick_without_data_never_promotes_nor_rolls_back(stream: list[dict[str, Any]]) -> None:
    judge = gate()
    for one in stream:
        before = judge.action
        action = judge.observe(one)
        if one["status"] != "ok" and before not in _STOPPED:
            assert action in {"hold", "pause"}
            assert judge.clock.held_ms == 0


@given(streams(), st.permutations(["t-01", "t-02", "t-03"]), st.permutations(range(10)))
@settings(max_examples=40, deadline=None)
def test_the_order_of_targets_does_not_matter(
    stream: list[dict[str, Any]], names: list[str], columns: list[int]
) -> None:
    history = [[(500 + 7 * n, n % 4) for n in range(10)]] * 30
    mixed = [[row[n] for n in columns] for row in history]
    turned = [
        {**one, "targets": one["targets"] and {name: one["targets"][name] for name in names}}
        for one in stream
    ]
    one, two = gate(history=history), gate(history=mixed)
    assert answers(one, stream) == answers(two, turned)
    assert canonical(one.evidence) == canonical(two.evidence)


@given(st.integers(1, 60))
def test_speed_never_touches_a_count_a_share_or_a_limit(speed: int) -> None:
    fast = DEFAULT_CRITERIA.for_speed(speed)
    for field in fields(Criteria):
        if not field.name.endswith("_ms") or field.name in {"slow_over_ms", "history_ms"}:
            assert getattr(fast, field.name) == getattr(DEFAULT_CRITERIA, field.name)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=1, max_size=4),
        max_size=12,
    )
)
@settings(max_examples=40, deadline=None)
def test_noise_is_never_below_that_of_coin_flips(rows: list[list[tuple[int, int]]]) -> None:
    history = [[(max(pair), min(pair)) for pair in row] for row in rows]
    phi = dispersion(history, poll_ms=5_000, windows_ms=(5_000, 30_000, 120_000))
    assert 1.0 <= phi < float("inf")
    new_gate(DEFAULT_CRITERIA, history, POLL_S)


def test_a_noisy_neighbour_in_the_history_raises_the_noise_factor() -> None:
    loud = [[(500, 40 if n == t % 10 else 2) for n in range(10)] for t in range(180)]
    assert dispersion(loud, poll_ms=5_000, windows_ms=(5_000,)) > 5
    fleet_wide = [[(500, 40 if t % 10 == 0 else 2)] * 10 for t in range(180)]
    assert dispersion(fleet_wide, poll_ms=5_000, windows_ms=(5_000, 30_000)) == 1.0


@given(st.integers(0, 10_000), st.integers(1, 9), st.floats(1.0, 50.0))
@settings(max_examples=40, deadline=None)
def test_equal_arms_never_prove_the_canary_worse(seed: int, targets: int, phi: float) -> None:
    """The baseline does what the canary does, on as many targets more: no noise, no rollback."""
    chance, evidence = random.Random(seed), Evidence(30)
    for n in range(60):
        requests = chance.randint(0, 5_000)
        errors = chance.randint(0, requests // 20)
        arms = (requests, errors), (targets * requests, targets * errors)
        evidence.add(relative_terms(*arms, margin=1.25, phi=phi))
        if n % 6 == 5:
            evidence.start()
        assert evidence.log_e <= 1e-9


@given(
    st.integers(1, 5_000), st.integers(0, 5_000), st.integers(0, 5_000), st.integers(0, 100),
    st.floats(1.0, 50.0),
)  # fmt: skip
def test_more_canary_errors_are_never_less_evidence(
    requests: int, bad: int, more: int, baseline_bad: int, phi: float
) -> None:
    bad, more = min(bad, requests), min(bad + more, requests)
    for terms in (
        lambda n: relative_terms((requests, n), (9_000, baseline_bad), margin=1.25, phi=phi),
        lambda n: limit_terms(requests, n, limit=0.01, phi=phi),
    ):
        few, many = Evidence(30), Evidence(30)
        few.add(terms(bad))
        many.add(terms(more))
        assert many.log_e >= few.log_e
        assert many.log_whole >= few.log_whole


def test_a_tick_costs_less_than_a_millisecond() -> None:
    judge = gate(history=CALM)
    stream = [
        tick(n * POLL_S, requests=20, slow=1, targets={f"t-{i:02d}": True for i in range(50)})
        for n in range(1, 57)
    ]
    best = float("inf")
    for one in stream:  # the fastest tick: a shared machine may stop us at any of them
        began = time.perf_counter()
        judge.observe(one)
        best = min(best, time.perf_counter() - began)
    assert best < 0.001
