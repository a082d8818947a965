"""Freezes over random histories: they stop a run between two steps, and never on its way back."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.commands import Action, Now
from engine.core.decide import refusal
from engine.core.effect_kinds import Record
from engine.core.effects import next_effect
from engine.core.events import Recorded
from engine.core.freezes import bar_of, frozen, may_stop
from engine.core.run import evolve
from engine.core.run_events import RunPaused
from engine.core.spec import HOTFIX, ROLLBACK, StepKind
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from engine.core.step_time_events import StepTicked
from engine.time_zones import offset_at
from tests.core.simulated import PEOPLE, Walk, command
from tests.core.test_freezes import EPOCH_US, FREEZES, INSTANTS, freeze

NOW_US = EPOCH_US + 1
walks = settings(max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
STOP = freeze(1)
SEEDS = st.integers(min_value=0, max_value=2**32)


def states(seed: int) -> list[Run]:
    """The run after each event of a random history."""
    found: list[Run] = []
    for recorded in Walk(seed).play().log:
        found.append(evolve(found[-1] if found else None, recorded))
    return found


def after(run: Run, event: RunPaused) -> Run:
    old = Walk(0).log[0]
    told: Recorded = replace(
        old, stream=run.run_id, seq=run.version + 1, event=event, actor="engine"
    )
    return evolve(run, told)


@walks
@given(seed=SEEDS)
def test_a_freeze_takes_hold_between_two_steps_and_nowhere_else(seed: int) -> None:
    for run in states(seed):
        bar = bar_of([STOP], run, NOW_US, offset_at)
        assert bar is not None
        without, under = next_effect(run, NOW_US), next_effect(run, NOW_US, bar)
        if under == without:
            told = isinstance(without, Record) and isinstance(without.events[0], StepTicked)
            begins = isinstance(without, Record) and not told
            assert not may_stop(run) or not begins or run.override is not None
            continue
        assert run.status is RunStatus.RUNNING and isinstance(under, Record)
        (paused,) = under.events
        assert isinstance(paused, RunPaused) and paused.pause_reason == "freeze"
        assert all(not step.open for step in run.steps) and run.being_set is None
        assert run.current_step is not None and run.current_step.spec.kind is not StepKind.VERIFY
        still, now = after(run, paused), Now(now_us=NOW_US, frozen=frozen(bar, run.environment))
        assert still.status is RunStatus.PAUSED
        resume = refusal(still, command(still, Action.RESUME), PEOPLE["ana"], now)
        assert resume is not None and resume.overridable
        if still.changed_targets:
            back = command(still, Action.ROLLBACK)
            assert refusal(still, back, PEOPLE["ana"], now) is None


@walks
@given(seed=SEEDS, freezes=FREEZES, at_us=INSTANTS)
def test_no_freeze_ever_bars_a_rollback(seed: int, freezes: list[object], at_us: int) -> None:
    for run in states(seed):
        back = replace(run, request=replace(run.request, kind=ROLLBACK))
        assert bar_of([*freezes, STOP], back, at_us, offset_at) is None  # type: ignore[list-item]
        if run.status in {RunStatus.ROLLING_BACK, RunStatus.ROLLBACK_FAILED}:
            bar = bar_of([STOP], run, NOW_US, offset_at)
            assert next_effect(run, NOW_US, bar) == next_effect(run, NOW_US)


def test_a_hotfix_is_barred_by_what_does_not_let_it() -> None:
    run = states(1)[0]
    fix = replace(run, request=replace(run.request, kind=HOTFIX))
    soft = freeze(2, hotfix=True)
    assert bar_of([soft], fix, NOW_US, offset_at) is None
    assert bar_of([soft, STOP], fix, NOW_US, offset_at) is not None
    assert bar_of([soft], run, NOW_US, offset_at) is not None
