"""From the moment that a target is switched a run can be rolled back, the first stage's too."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core import effects
from engine.core.back_events import TargetRollbackRequested, TargetTouched
from engine.core.commands import Action, Now
from engine.core.decide import allowed, decide, refusal
from engine.core.effect_kinds import Drain, Record, Revert
from engine.core.fact_events import TargetSet, TargetsObserved
from engine.core.run import evolve
from engine.core.run_events import RollbackStarted, RunCancelling, RunPaused
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from engine.core.step_events import StepStarted
from tests.core.book import NEW, OTHER, PEOPLE, Book, D, command
from tests.core.simulated import Walk
from tests.core.test_decide import deploying, why

NOT_YET = "No target has changed yet: Deploy canary has not begun to switch its first one."


def setting() -> Book:
    """A first stage that has begun, and has touched nothing."""
    book = deploying(applied=False)
    run = book.current
    book.run = replace(run, targets=tuple(replace(t, current=D) for t in run.targets))
    return book


def touched(book: Book, target: str = "t-01") -> Book:
    book.append((TargetTouched(step="canary", attempt=1, target=target),))
    return book


def was_set(target: str, digest: object = NEW) -> TargetSet:
    return TargetSet(
        step="canary", attempt=1, target=target, outcome="changed", from_digest=D, to_digest=NEW,
        digest=digest, healthy=True, note="", duration_ms=1,
    )  # type: ignore[arg-type]  # fmt: skip


def test_before_the_first_switch_there_is_nothing_to_go_back_from() -> None:
    run = setting().current
    assert run.changed_targets == ()
    assert why(run, Action.ROLLBACK, "sam") == NOT_YET
    state = next(s for s in allowed(run, PEOPLE["sam"]) if s.action is Action.ROLLBACK)
    assert (state.shown, state.ok, state.why_not) == (True, False, NOT_YET)
    assert why(run, Action.CANCEL, "ana") == ""


def test_with_the_first_switch_there_is() -> None:
    book = touched(setting())
    run = book.current
    assert run.changed_targets == ("t-01",)
    # Nobody has seen yet what it runs.
    assert (run.targets[0].current, run.targets[0].healthy) == (None, None)
    assert why(run, Action.ROLLBACK, "sam") == ""
    assert why(run, Action.CANCEL, "ana") == "1 target has changed: roll back instead."
    events = decide(run, command(run, Action.ROLLBACK), PEOPLE["sam"])
    assert [e.TYPE for e in events] == [
        "step.cancelled/1",
        "run.rollback_started/1",
        "review.opened/1",
    ]
    book.append(events, actor="sam")
    assert effects.next_effect(book.current, book.now_us) == Revert()
    # What the switch under way became is told after it, and changes nothing about the way back.
    book.append((was_set("t-01"),))
    assert effects.next_effect(book.current, book.now_us) == Revert()
    assert book.current.changed_targets == ("t-01",)


@pytest.mark.parametrize("digest", [D, NEW, None])
def test_what_is_seen_afterwards_is_the_last_word(digest: object) -> None:
    book = touched(setting())
    book.append((was_set("t-01", digest),))
    assert book.current.changed_targets == (() if digest == D else ("t-01",))


def test_a_plan_that_moves_on_does_not_keep_anybody_from_stopping_it() -> None:
    run = touched(setting()).current
    wish = replace(command(run, Action.ROLLBACK), plan=D, plan_now=OTHER)
    assert refusal(run, wish, PEOPLE["sam"]) is None
    by_name = replace(wish, targets=("t-01",))
    for stale in (
        refusal(run, by_name, PEOPLE["sam"]),
        refusal(deploying().current, wish, PEOPLE["sam"]),
    ):
        assert stale is not None and stale.code == "stale"


def test_sent_back_by_name_it_is_not_taken_for_set_by_the_stage_that_it_stopped() -> None:
    book = touched(setting())
    wish = replace(command(book.current, Action.ROLLBACK), targets=("t-01",))
    events = decide(book.current, wish, PEOPLE["sam"])
    assert isinstance(events[0], RunPaused) and isinstance(events[1], TargetRollbackRequested)
    book.append((*events, was_set("t-01")))
    assert book.current.sent_back == ("t-01",)


def test_cancelled_in_the_middle_of_a_switch_is_not_called_cancelled_unseen() -> None:
    book = setting()
    book.append((RunCancelling(via="cancel", reason="x"),))
    touched(book)  # the command came while the switch began
    assert effects.next_effect(book.current, book.now_us) == Drain(last=False)
    effect = effects.next_effect(book.current, book.now_us + effects.CANCEL_LIMIT_US)
    assert isinstance(effect, Record)
    (paused,) = effect.events
    assert isinstance(paused, RunPaused) and paused.pause_reason == "cancel_after_change"
    assert paused.reason == "targets changed before it was cancelled: t-01"
    book.append(effect.events)
    assert why(book.current, Action.ROLLBACK, "sam") == ""


def test_nobody_is_left_untold_after_a_power_cut() -> None:
    book = touched(setting())
    book.append(effects.engine_lost(book.current))
    assert why(book.current, Action.ROLLBACK, "sam") == ""
    book.append((StepStarted(step="canary", attempt=2, op_id="y"),))
    assert why(book.current, Action.ROLLBACK, "sam") == ""


# --- anywhere that a walk gets to --------------------------------------------------------------

SEEDS = range(340)
walks = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@functools.cache
def walk(seed: int) -> Walk:
    return Walk(seed).play()


@walks
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_a_target_in_a_switch_counts_as_changed_until_it_was_seen(seed: int) -> None:
    run: Run | None = None
    unseen: set[str] = set()
    for recorded in walk(seed).log:
        run, event = evolve(run, recorded), recorded.event
        match event:
            case TargetTouched():
                unseen.add(event.target)
            case TargetSet():
                unseen.discard(event.target)
            case TargetsObserved():
                unseen -= {f.target for f in event.targets}
            case _:
                pass
        known = {t.target for t in run.targets if t.baseline is not None}
        assert unseen & known <= set(run.changed_targets)
        # Refused for want of a change only where there is none.
        found = refusal(run, command(run, Action.ROLLBACK), PEOPLE["ana"], Now())
        if run.status is RunStatus.RUNNING:
            said = "" if found is None else found.sentence
            assert said.startswith("No target has changed") == (not run.changed_targets)


@walks
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_a_way_back_takes_everything_that_was_touched(seed: int) -> None:
    played = walk(seed)
    run = played.current
    was = {t.target: t.baseline for t in run.targets if t.baseline is not None}
    if run.status is RunStatus.ROLLED_BACK:
        assert {t: played.fleet[t] for t in was} == was
    if run.status is RunStatus.CANCELLED:
        assert NEW not in {played.fleet[t] for t in was}


def test_walks_go_back_out_of_a_first_stage_that_is_setting_its_targets() -> None:
    ends = []
    for seed in SEEDS:
        run: Run | None = None
        for recorded in walk(seed).log:
            if run is not None and isinstance(recorded.event, RollbackStarted):
                first = next(s for s in run.steps if s.spec.kind is StepKind.DEPLOY)
                setting_it = not any(a.applied for a in first.attempts)
                if run.status is RunStatus.RUNNING and setting_it:
                    ends.append(walk(seed).current.status)
            run = evolve(run, recorded)
    assert len(ends) >= 3 and RunStatus.ROLLED_BACK in ends
