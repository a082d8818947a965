"""What two people overrule when they let a run go on although its gate asked for a rollback."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core import effects, overrides
from engine.core.commands import Action
from engine.core.effect_kinds import ApplyStage
from engine.core.people_events import OverrideUsed, ReviewOpened
from engine.core.run_events import RunResumed
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import StepErrored, StepInconclusive, StepStarted
from tests.core.book import Book
from tests.core.test_overrides import offer, paused, say, wish

THEN = (
    "Deploy canary is then judged anew, as attempt 2; what its gate found stays on record with "
    "attempt 1."
)


def overruled() -> Book:
    book = paused("health_breach", "rollback")
    say(book, "sam", wish(Action.RESUME))
    say(book, "ana", wish(Action.RESUME))
    return book


def test_a_rollback_is_final_for_its_watch_so_the_stage_gets_a_new_one() -> None:
    book = paused("health_breach", "rollback")
    say(book, "sam", wish(Action.RESUME))
    used, review, ended, resumed, started = say(book, "ana", wish(Action.RESUME))
    assert isinstance(used, OverrideUsed) and isinstance(review, ReviewOpened)
    assert (used.step, used.attempt, used.rule) == ("canary", 1, 9)
    assert isinstance(ended, StepInconclusive) and isinstance(resumed, RunResumed)
    assert ended.reason == (
        "overruled by sam and ana, to be judged anew: insufficient 118/300 requests"
    )
    assert isinstance(started, StepStarted) and started.attempt == 2
    run = book.current
    first, second = run.step("canary").attempts
    assert (first.status, second.status) == (StepStatus.INCONCLUSIVE, StepStatus.RUNNING)
    assert run.step("canary").gate is None, "nothing has been judged yet by the new watch"
    assert run.step("canary").watch_from == 2, "and it goes on from nothing of the old one"
    # The old attempt's trigger was suppressed by the two, the new one's is nobody's yet.
    assert overrides.suppressed(run, "canary", 1) == "by an override of sam and ana"
    assert overrides.suppressed(run, "canary", 2) == ""


def test_what_was_seen_is_sealed_then_the_targets_are_seen_to() -> None:
    book = overruled()
    effect = effects.next_effect(book.current, book.now_us)
    assert (effect.step, effect.attempt) == ("canary", 1)  # type: ignore[union-attr]
    book.run = replace(
        book.current,
        steps=tuple(
            replace(s, attempts=tuple(replace(a, evidence=("e",)) for a in s.attempts))
            for s in book.current.steps
        ),
    )
    assert effects.next_effect(book.current, book.now_us) == ApplyStage("canary", 2)


def test_the_new_watch_goes_on_after_a_lost_engine_and_reaches_no_further_back() -> None:
    book = overruled()
    lost = StepErrored(step="canary", attempt=2, cause="engine_lost", reason="x", transient=True)
    book.append((lost, StepStarted(step="canary", attempt=3, op_id="z")))
    assert book.current.step("canary").watch_from == 2


@pytest.mark.parametrize(("cause", "action"), [("health_inconclusive", "pause")])
def test_a_pause_only_clears_its_answer_and_the_watch_goes_on(cause: str, action: str) -> None:
    book = paused(cause, action)
    assert offer(book, "sam", Action.RESUME).override.then == ""  # type: ignore[union-attr]
    say(book, "sam", wish(Action.RESUME))
    *_, resumed = say(book, "ana", wish(Action.RESUME))
    assert isinstance(resumed, RunResumed)
    assert [a.status for a in book.current.step("canary").attempts] == [StepStatus.RUNNING]


def test_people_are_told_beforehand() -> None:
    book = paused("health_breach", "rollback")
    assert offer(book, "sam", Action.RESUME).override.then == THEN  # type: ignore[union-attr]
    say(book, "sam", wish(Action.RESUME))
    assert offer(book, "ana", Action.RESUME).override.then == THEN  # type: ignore[union-attr]
    assert book.current.status is RunStatus.PAUSED
