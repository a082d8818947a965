"""Which targets a stage touches, and the way back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.digest import Digest
from engine.core.plan import cohort, plan_rollback, plan_stage
from engine.core.spec import rollout_plan_digest

A, B, C = (Digest.of(x) for x in (b"a", b"b", b"c"))
ten = [f"eu-prod-{n:02d}" for n in range(1, 11)]
quick = settings(max_examples=200, deadline=None, derandomize=True)
names = st.lists(st.text("abc01", min_size=1, max_size=4), max_size=12)


@pytest.mark.parametrize(
    ("share_bp", "count"), [(1, 1), (1_000, 1), (1_001, 2), (5_000, 5), (9_999, 10), (10_000, 10)]
)
def test_a_cohort_is_rounded_up(share_bp: int, count: int) -> None:
    assert cohort(ten, share_bp=share_bp) == tuple(ten[:count])


@quick
@given(targets=names, small=st.integers(1, 10_000), large=st.integers(1, 10_000))
def test_cohorts_are_sorted_nested_and_never_too_small(
    targets: list[str], small: int, large: int
) -> None:
    small, large = min(small, large), max(small, large)
    inner, outer = (cohort(targets, share_bp=s) for s in (small, large))
    assert list(outer) == sorted(set(outer))
    assert outer[: len(inner)] == inner
    assert len(outer) == max(bool(targets), math.ceil(len(set(targets)) * large / 10_000))
    assert cohort(reversed(targets), share_bp=small) == inner
    assert cohort(targets, share_bp=10_000) == tuple(sorted(set(targets)))


@pytest.mark.parametrize("share_bp", [0, -1, 10_001])
def test_a_share_is_one_to_all(share_bp: int) -> None:
    with pytest.raises(ValueError, match="1 to 10000"):
        cohort(ten, share_bp=share_bp)


def test_a_minimum_never_asks_for_more_than_there_are() -> None:
    assert cohort(ten[:2], share_bp=1_000, minimum=5) == tuple(ten[:2])
    assert cohort([], share_bp=1_000, minimum=5) == ()


def test_a_stage_plan_lists_targets_that_are_there_already() -> None:
    plan = plan_stage(
        run_id="run-1", step="canary", environment="prod", bundle=B, targets=("t2", "t1"),
        observed={"t1": B},
    )  # fmt: skip
    assert [(c.target, c.from_digest, c.to_digest) for c in plan.changes] == [
        ("t1", B, B),
        ("t2", None, B),
    ]
    again = plan_stage(
        run_id="run-1", step="canary", environment="prod", bundle=B, targets=("t1", "t2"),
        observed={"t1": B},
    )  # fmt: skip
    assert plan.digest == again.digest
    assert rollout_plan_digest((("s", ("t1",)),), A) != rollout_plan_digest((("s", ("t1",)),), B)


def test_the_way_back_goes_to_what_each_target_really_had() -> None:
    back = plan_rollback(
        run_id="run-1",
        environment="prod",
        baseline={"t1": A, "t2": C, "t3": A, "t4": None, "t5": A},
        current={"t1": B, "t2": B, "t3": A, "t4": B, "t5": None},
        present={"t1": (A, B), "t2": (B,), "t3": (), "t4": (B,), "t5": (A,)},
    )
    assert [(c.target, c.to_digest) for c in back.plan.changes] == [("t1", A), ("t5", A)]
    assert back.unchanged == ("t3",)
    assert dict(back.irreversible) == {
        "t2": f"previous bundle {C.short} is no longer on the target",
        "t4": "its digest before this run is not known",
    }
    assert not back.executable
    assert back.plan.max_failures == 2  # it tries every target, whatever fails


def test_only_some_targets() -> None:
    back = plan_rollback(
        run_id="run-1", environment="prod", baseline={"t1": A, "t2": A},
        current={"t1": B, "t2": B}, present={"t1": (A,), "t2": (A,)}, only=("t2",),
    )  # fmt: skip
    assert [c.target for c in back.plan.changes] == ["t2"]
    assert back.executable


@quick
@given(
    baseline=st.dictionaries(st.sampled_from(ten), st.sampled_from([A, C, None])),
    current=st.dictionaries(st.sampled_from(ten), st.sampled_from([A, B, C, None])),
    held=st.dictionaries(st.sampled_from(ten), st.lists(st.sampled_from([A, B, C]))),
)
def test_every_target_is_answered_for_once(
    baseline: dict[str, Digest | None],
    current: dict[str, Digest | None],
    held: dict[str, list[Digest]],
) -> None:
    back = plan_rollback(
        run_id="r", environment="e", baseline=baseline, current=current, present=held
    )
    named = [c.target for c in back.plan.changes] + list(back.unchanged)
    named += [target for target, _ in back.irreversible]
    assert sorted(named) == sorted(baseline)
    for change in back.plan.changes:
        assert change.to_digest == baseline[change.target] != current.get(change.target)
        assert change.to_digest in held[change.target]
