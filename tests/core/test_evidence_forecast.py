"""What is there, what will arrive and what can't: told for every moment of any history."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.evidence_forecast import due, outlook, sentence
from engine.core.run import evolve
from engine.core.state import Run
from tests.core.simulated import Walk


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_at_every_moment_the_numbers_agree(seed: int) -> None:
    run: Run | None = None
    for recorded in Walk(seed).play().log:
        run = evolve(run, recorded)
        told = [outlook(run, step) for step in run.steps]
        signed = sum(o.signed for o in told)
        assert signed == sum(len(a.evidence) for s in run.steps for a in s.attempts)
        coming, barred = sum(o.due for o in told), sum(o.barred for o in told)
        said = sentence(run)
        numbers = [int(n) for n in re.findall(r"\d+", said)]
        assert numbers[:2] == [signed, signed + coming + barred]
        if run.terminal:
            assert coming == 0 and "will arrive" not in said
            assert all(due(run, step) == 0 for step in run.steps)
            assert said.startswith("Sealed" if run.chain is not None else "Not sealed")
        assert all(bool(o.why) == bool(o.barred) for o in told)
        assert ("can't" in said or "never arrived" in said) == bool(barred)
        assert ("will arrive" in said) == bool(coming)


def test_nobody_has_begun() -> None:
    run = next(r for r in _moments(3))
    said = sentence(run)
    assert re.fullmatch(r"If sealed now 0 of (\d+); \1 will arrive\.", said), said


def _moments(seed: int):  # type: ignore[no-untyped-def]
    run: Run | None = None
    for recorded in Walk(seed).play().log:
        run = evolve(run, recorded)
        yield run
