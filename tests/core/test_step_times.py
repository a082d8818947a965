"""A step with a time: who may give it one, and that it begins inside of its window or is told."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core import approval_view, effects, freezes, step_times
from engine.core.commands import Action, Command, Now, Window
from engine.core.decide import allowed, decide, refusal
from engine.core.effect_kinds import CaptureEvidence, Record, Wait, Watch
from engine.core.effects import next_effect
from engine.core.errors import Refused
from engine.core.fact_events import EvidenceMissing, GateDecided, StageApplied
from engine.core.freezes import Bar, Cause
from engine.core.gate_answers import gate_decided
from engine.core.health_stage import SHUT_ROW
from engine.core.hook_names import names_of
from engine.core.run_events import RollbackStarted, RunPaused, RunResumed
from engine.core.schedule_events import FiringWord
from engine.core.spec import ROLLBACK
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import StepStarted
from engine.core.step_time_events import StepScheduled, StepTicked, StepUnscheduled
from engine.story import tell
from tests.core.book import PEOPLE, Book, D
from tests.core.test_decide import deploying

S = 1_000_000
OPENS, CLOSES = 2_000 * S, 2_600 * S


def window(opens_us: int = OPENS, closes_us: int = CLOSES) -> Window:
    return Window(
        start_us=opens_us, end_us=closes_us, time_zone="Europe/Sofia", local="2026-12-01 06:00"
    )


def wish(step: str = "full", **changes: Any) -> Command:
    fields: dict[str, Any] = {"step": step, "window": window(), "reason": "traffic is low"}
    return Command(action=Action.SCHEDULE_STEP, **(fields | changes))


def say(book: Book, command: Command, who: str = "mia") -> None:
    events = decide(book.current, command, PEOPLE[who], Now(now_us=book.now_us, unmet=()))
    book.append(events, actor=who)


def why(run: Run, command: Command, who: str = "mia", now_us: int = 1_000 * S) -> str:
    refused = refusal(run, command, PEOPLE[who], Now(now_us=now_us, unmet=()))
    return "" if refused is None else refused.sentence


def act(book: Book, *, fit: bool = True) -> Any:
    """Do the one thing that comes next; a gate answers as its stage is `fit` or not."""
    run, now_us = book.current, book.now_us
    effect = next_effect(run, now_us)
    match effect:
        case Record(events=events):
            book.append(events)
        case Watch(step=step, attempt=n, judge=True):
            opening = step_times.opening(run, step, now_us)
            shut = "" if opening is None else opening.shut
            action, rule = ("continue", SHUT_ROW) if shut else ("promote", 10)
            action, rule = (action, rule) if fit else ("hold", 7)
            known = run.step(step).gate
            decided = GateDecided(
                step=step, attempt=n, action=action, rule=rule, reason="r", t_ms=1, ticks=1,
                evidence=D,
            )  # fmt: skip
            if known is None or (known.action, known.rule) != (action, rule):
                book.append(gate_decided(run, decided))
        case CaptureEvidence(step=step, attempt=n):
            book.append((EvidenceMissing(step=step, attempt=n, reason="no disk"),))
        case _:
            step_now = run.current_step
            applies = type(effect).__name__ in {"ApplyStage", "VerifyTargets"}
            if applies and step_now is not None:
                n = len(step_now.attempts)
                done = StageApplied(step=step_now.id, attempt=n, plan=D, changed=1, noop=0)
                book.append((done,))
    return effect


def waiting() -> Book:
    """Canary is watched and meets its criteria; full waits for 06:00."""
    book = deploying()
    say(book, wish())
    act(book)
    assert book.current.step("canary").gate.rule == SHUT_ROW  # type: ignore[union-attr]
    return book


def until(book: Book, at_us: int, **kwargs: Any) -> None:
    book.now_us = at_us
    for _ in range(6):
        act(book, **kwargs)


def words(book: Book) -> list[str]:
    return [r.event.word.value for r in book.log if isinstance(r.event, StepTicked)]


def test_the_stage_before_stays_watched_and_the_step_begins_at_its_time() -> None:
    book = waiting()
    assert isinstance(next_effect(book.current, book.now_us), Watch)
    assert book.current.step("canary").open and book.current.status is RunStatus.RUNNING
    until(book, OPENS - 1)
    assert not book.current.step("full").attempts
    until(book, OPENS + 3 * S)
    assert book.current.step("full").attempts and words(book) == ["DUE", "STARTED"]
    started = next(r.seq for r in book.log if isinstance(r.event, StepStarted) and r.seq > 5)
    ticked = book.log[started - 2].event
    assert isinstance(ticked, StepTicked) and ticked.word is FiringWord.STARTED
    assert ticked.late_ms >= 3_000 and "after it opened" in ticked.why
    assert book.current.step("canary").status is StepStatus.SUCCEEDED


def test_a_breach_in_the_wait_rolls_back_and_the_wish_dies_with_it() -> None:
    book = waiting()
    breach = GateDecided(
        step="canary", attempt=1, action="rollback", rule=4, reason="worse", t_ms=2, ticks=2,
        evidence=D,
    )  # fmt: skip
    book.append(gate_decided(book.current, breach))
    assert book.current.status is RunStatus.ROLLING_BACK
    assert words(book) == ["CANCELLED"] and book.current.step("full").time is None
    assert any(isinstance(r.event, RollbackStarted) for r in book.log)


def test_nobody_goes_past_the_time_while_the_wish_stands() -> None:
    book = waiting()
    states = {s.action: s for s in allowed(book.current, PEOPLE["ana"], Now(now_us=1, unmet=()))}
    assert states[Action.CONTINUE].opens_at_us == OPENS
    assert states[Action.CONTINUE].why_not.startswith("Deploy full opens 2026-12-01 06:00 Europe/")
    assert states[Action.CONTINUE].override is None
    say(book, Command(action=Action.UNSCHEDULE_STEP, step="full"))
    assert words(book) == ["CANCELLED"]
    assert why(book.current, Command(action=Action.CONTINUE), "ana") == ""
    act(book)
    assert book.current.step("canary").status is StepStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("command", "who", "sentence"),
    [
        (wish(), "sam", "This needs the role release manager in prod; sam has none."),
        (wish("canary"), "mia", "Deploy canary has begun already."),
        (wish("seal"), "mia", "Seal is not put off: what a run leaves behind is sealed at once."),
        (wish("nope"), "mia", "run-1 has no step 'nope'; it has inputs, gate-eval, approval, "
         "canary, full, verify, seal."),
        (wish(window=window(999 * S)), "mia", "2026-12-01 06:00 Europe/Sofia (1970-01-01 00:16 "
         "UTC) has passed."),
        (wish("verify", window=window(1_999 * S)), "mia", "Deploy full comes before it and opens "
         "2026-12-01 06:00 Europe/Sofia, after that."),
        (replace(wish("verify"), action=Action.UNSCHEDULE_STEP), "mia",
         "verify waits for no time; full does."),
    ],
)  # fmt: skip
def test_refusals_say_why(command: Command, who: str, sentence: str) -> None:
    book = deploying()
    say(book, wish())
    before = book.current
    assert why(book.current, command, who) == sentence
    with pytest.raises(Refused):
        decide(book.current, command, PEOPLE[who], Now(now_us=1_000 * S))
    assert book.current == before


def test_a_later_step_bounds_an_earlier_one_too() -> None:
    book = deploying()
    say(book, wish("verify"))
    said = why(book.current, wish(window=window(OPENS + 1)))
    assert said == "Verify comes behind it and opens 2026-12-01 06:00 Europe/Sofia, before that."
    say(book, wish())
    say(book, wish(window=window(OPENS - 5 * S)))  # changed while it has not begun
    assert book.current.step("full").time.opens_us == OPENS - 5 * S  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "status",
    [RunStatus.SEALING, RunStatus.ROLLING_BACK, RunStatus.CANCELLING, RunStatus.ROLLBACK_FAILED,
     RunStatus.SUCCEEDED],
)  # fmt: skip
def test_a_run_on_its_way_out_takes_no_wish(status: RunStatus) -> None:
    run = replace(deploying().current, status=status)
    assert why(run, wish()).startswith("Not possible while the run is ")


def test_a_way_back_is_not_put_off() -> None:
    run = deploying().current
    run = replace(run, request=replace(run.request, kind=ROLLBACK))
    assert why(run, wish()) == "A way back is not put off."


def test_behind_a_stage_that_has_passed_nothing_waits() -> None:
    book = deploying()
    act(book)  # promoted; full has not begun yet
    assert book.current.step("canary").status is StepStatus.SUCCEEDED
    assert "has passed its gate, and nothing watches" in why(book.current, wish())


def test_a_window_that_closes_while_the_stage_is_unfit_is_told_and_the_gate_goes_on() -> None:
    book = deploying()
    say(book, wish())
    until(book, OPENS, fit=False)
    until(book, CLOSES, fit=False)
    assert words(book) == ["DUE", "EXPIRED"]
    told = next(r.event for r in reversed(book.log) if isinstance(r.event, StepTicked))
    assert names_of(told, book.current) == ("schedule.missed",)
    assert "had not passed its gate" in told.why
    assert book.current.status is RunStatus.RUNNING  # a paused run would not be rolled back
    assert isinstance(next_effect(book.current, book.now_us), Watch)
    until(book, CLOSES + 60 * S)
    assert book.current.status is RunStatus.PAUSED
    assert book.current.pause_reason == "step_failed"
    assert "Deploy full did not begin in its window" in book.current.pause_note
    assert not book.current.step("full").attempts


def missed_while_nobody_looked() -> Book:
    book = waiting()
    until(book, CLOSES + 9 * S)
    assert words(book) == ["MISSED"] and book.current.status is RunStatus.PAUSED
    return book


def test_late_it_begins_only_because_somebody_says_so() -> None:
    book = missed_while_nobody_looked()
    said = why(book.current, Command(action=Action.RESUME), "sam", book.now_us)
    assert said.startswith("Deploy full did not begin in its window")
    say(book, Command(action=Action.RETRY_STEP, reason="now, then"), "sam")
    kinds = [type(r.event) for r in book.log[-2:]]
    assert kinds == [StepUnscheduled, RunResumed] and book.log[-1].actor == "sam"
    for _ in range(3):
        act(book)
    assert book.current.step("full").attempts


def test_after_a_missed_window_it_may_be_given_another() -> None:
    book = missed_while_nobody_looked()
    later = window(CLOSES + 100 * S, CLOSES + 200 * S)
    say(book, wish(window=later))
    assert why(book.current, Command(action=Action.RESUME), "sam", book.now_us) == ""
    say(book, Command(action=Action.RESUME), "sam")
    until(book, CLOSES + 99 * S)
    assert not book.current.step("full").attempts
    until(book, CLOSES + 101 * S)
    assert book.current.step("full").attempts and words(book) == ["MISSED", "DUE", "STARTED"]


def test_paused_at_its_time_it_begins_late_or_is_told() -> None:
    for resumed_us, ends in ((OPENS + 60 * S, "STARTED"), (CLOSES + S, "EXPIRED")):
        book = waiting()
        book.append((RunPaused(via="pause", pause_reason="manual", reason="looking"),))
        until(book, OPENS)
        assert words(book) == ["DUE"] and book.current.status is RunStatus.PAUSED
        until(book, resumed_us)
        if why(book.current, Command(action=Action.RESUME), "sam", book.now_us) == "":
            say(book, Command(action=Action.RESUME), "sam")
        until(book, resumed_us + S)
        assert words(book)[-1] == ends
        assert bool(book.current.step("full").attempts) is (ends == "STARTED")


def test_a_freeze_is_asked_about_at_the_time_and_not_before() -> None:
    cause = Cause(
        key="f@1", freeze="f", name="night", owner="o", reason="r", since_us=1, until_us=None
    )
    bar = Bar(causes=(cause,), until_us=None)
    book = Book(replace(deploying().request, initial="QUEUED"))
    run = replace(book.current, status=RunStatus.RUNNING)
    book.run = run
    say(book, wish("inputs"))
    effect = next_effect(book.current, book.now_us, bar)
    assert effect == Wait(OPENS, "Inputs waits for its time") and freezes.may_stop(book.current)
    until_us = OPENS + S
    book.now_us = OPENS
    act(book)  # DUE
    effect = next_effect(book.current, until_us, bar)
    assert isinstance(effect, Record)
    (paused,) = effect.events
    assert isinstance(paused, RunPaused) and paused.pause_reason == "freeze"


def test_the_story_tells_all_of_it() -> None:
    told = " ".join(line.text for line in tell(missed_while_nobody_looked().log))
    assert "mia scheduled full: it may begin between 2026-12-01 06:00 Europe/Sofia" in told
    assert "full MISSED: nobody looked while it was open" in told


def test_the_approver_sees_a_time_that_was_wished_before() -> None:
    plain = deploying().current
    timed = deploying()
    say(timed, wish())
    stages = {s["step"]: s for s in approval_view._plan(timed.current)["stages"]}
    assert stages["full"]["time"]["at"] == "2026-12-01 06:00 Europe/Sofia"
    assert all("time" not in s for s in approval_view._plan(plain)["stages"])


moves = st.lists(
    st.tuples(
        st.integers(-120, 700),
        st.booleans(),
        st.sampled_from(["", "", "", "lost", "pause", "resume", "retry", "wish", "away"]),
        st.integers(1, 900),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves, st.integers(0, 2**32))
def test_whatever_happens_it_begins_once_inside_of_its_window_or_is_told(
    course: list[tuple[int, bool, str, int]], seed: int
) -> None:
    """Clocks jump, engines are lost, people pause, resume, retry and change their minds."""
    book, rng = deploying(), random.Random(seed)
    say(book, wish(window=window(book.now_us + 300 * S, book.now_us + 900 * S)))
    reached = False  # the clock has shown the time of the wish that stands
    for passed_s, fit, what, ahead_s in course:
        book.now_us = max(S, book.now_us + passed_s * S)
        run = book.current
        if what == "lost":
            book.append(effects.engine_lost(run))
        commands = {
            "pause": Command(action=Action.PAUSE, reason="r"),
            "resume": Command(action=Action.RESUME, reason="r"),
            "retry": Command(action=Action.RETRY_STEP, reason="r"),
            "away": Command(action=Action.UNSCHEDULE_STEP, step="full"),
            "wish": wish(
                window=window(book.now_us + ahead_s * S, book.now_us + ahead_s * S + 300 * S)
            ),
        }
        if what in commands:
            with contextlib.suppress(Refused):
                say(book, commands[what], "ana")
        for _ in range(rng.randrange(1, 6)):
            before, time = book.current, step_times.wish(book.current.step("full"))
            now_us, length = book.now_us, len(book.log)
            reached = time is not None and (now_us >= time.opens_us or (reached and what != "wish"))
            act(book, fit=fit)
            begun = [
                r for r in book.log[length:]
                if isinstance(r.event, StepStarted) and r.event.step == "full"
            ]  # fmt: skip
            if not begun or before.step("full").attempts:
                continue
            if time is None:
                assert not any(isinstance(r.event, StepTicked) for r in book.log[length:])
                continue
            assert reached and now_us < time.closes_us and not time.missed
            tick, _ = (r.event for r in book.log[length:])
            assert isinstance(tick, StepTicked) and tick.word is FiringWord.STARTED
            assert before.status is RunStatus.RUNNING
    _each_wish_ends_once(book)


def _each_wish_ends_once(book: Book) -> None:
    ends: list[list[str]] = []
    for r in book.log:
        if isinstance(r.event, StepScheduled):
            ends.append([])
        if isinstance(r.event, StepTicked) and r.event.word is not FiringWord.DUE:
            ends[-1].append(r.event.word.value)
    assert all(len(found) <= 1 for found in ends)
    begun = [r for r in book.log if isinstance(r.event, StepStarted) and r.event.step == "full"]
    assert sum(found == ["STARTED"] for found in ends) <= 1
    assert len([r for r in begun if r.event.attempt == 1]) <= 1  # type: ignore[union-attr]
