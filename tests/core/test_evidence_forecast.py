"""What is there, what will arrive and what can't: told for every moment of any history."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.evidence_forecast import outlook, sentence, states, whole
from engine.core.run import evolve
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.core.statemachine import STEP_OPEN
from tests.core.simulated import Walk

SEEDS = given(seed=st.integers(min_value=0, max_value=2**32))
MANY = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def moments(seed: int) -> Iterator[Run]:
    run: Run | None = None
    for recorded in Walk(seed).play().log:
        run = evolve(run, recorded)
        yield run


@MANY
@SEEDS
def test_at_every_moment_the_numbers_agree(seed: int) -> None:
    for run in moments(seed):
        told = [outlook(run, step) for step in run.steps]
        signed = sum(o.signed for o in told)
        assert signed == run.evidence_count
        coming = sum(o.due for o in told)
        barred = sum(o.barred + o.missing for o in told)
        said = sentence(run)
        numbers = [int(n) for n in re.findall(r"\d+", said)]
        assert numbers[:2] == [signed, signed + coming + barred]
        if run.terminal:
            assert coming == 0 and "will arrive" not in said
            assert said.startswith("Sealed" if run.chain is not None else "Not sealed")
        assert all(min(o.due, o.barred, o.missing) >= 0 for o in told)
        assert all(bool(o.why) == bool(o.barred) for o in told)
        assert ("can't" in said or "never arrived" in said) == bool(barred)
        assert ("will arrive" in said) == bool(coming)


@MANY
@SEEDS
def test_the_states_are_the_forecast_by_other_words(seed: int) -> None:
    for run in moments(seed):
        found = whole(run)
        assert all(count > 0 for count in found.values())
        kept = {"LOGGED", "SEALED", "SUPERSEDED"}
        assert sum(found.get(state, 0) for state in kept) == run.evidence_count
        assert not {"LOGGED", "SEALED"} <= found.keys()
        assert "LOGGED" not in found if run.seal_status == "SEALED" else "SEALED" not in found
        for step in run.steps:
            one, of_step = outlook(run, step), states(run, step)
            assert of_step.get("EXPECTED", 0) == one.due
            assert of_step.get("MISSING", 0) == one.missing
            assert of_step.get("CANNOT_ARRIVE", 0) == one.barred


@MANY
@SEEDS
def test_what_arrives_was_announced(seed: int) -> None:
    """Each item that is captured was among those that were said to come, the moment before."""
    before: Run | None = None
    for run in moments(seed):
        if before is not None:
            for old, new in zip(before.steps, run.steps, strict=True):
                was, now = outlook(before, old), outlook(run, new)
                if now.signed > was.signed:
                    assert was.due >= now.signed - was.signed, (old.id, was, now)
                if now.missing > was.missing:
                    assert was.due > 0, (old.id, was, now)
        before = run


@MANY
@SEEDS
def test_nothing_is_awaited_of_what_has_been_told(seed: int) -> None:
    """A step that is over and has left its evidence is not said to leave more."""
    for run in moments(seed):
        for step in run.steps:
            if step.spec.kind in {StepKind.APPROVAL, StepKind.SEAL} or run.ways_back:
                continue
            if step.attempts and all(
                a.status not in STEP_OPEN and a.evidence for a in step.attempts
            ):
                assert outlook(run, step).due == 0


def test_nobody_has_begun() -> None:
    run = next(moments(3))
    said = sentence(run)
    assert re.fullmatch(r"If sealed now 0 of (\d+); \1 will arrive\.", said), said
