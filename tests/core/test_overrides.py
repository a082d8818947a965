"""Overrides: two people, one hour, one situation, and every fault of a guard is caught."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from engine.core import effects, overrides
from engine.core.approvals import Actor
from engine.core.commands import Action, ActionState, Command, Now
from engine.core.decide import allowed, decide, refusal
from engine.core.effect_kinds import Record
from engine.core.errors import Refused
from engine.core.people_events import (
    OverrideExpired,
    OverrideRequested,
    OverrideUsed,
    PauseCauseSeen,
)
from engine.core.run_events import RunPaused, RunResumed
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus, StepStatus
from engine.core.step_events import StepErrored, StepFailed, StepStarted
from tests.core.book import PEOPLE, Book
from tests.core.test_decide import decision, deploying

LACKS = ("118 of 300 requests in 5m", "held 2:10 of 5:00")
TWO = PEOPLE | {
    "ci": Actor(user="ci", roles=frozenset({Role.RELEASE_MANAGER})),  # it requested the run
    "engineer": Actor(user="engineer", roles=frozenset({Role.SRE}), service=True),
    "author": Actor(user="author", roles=frozenset({Role.SRE})),
}


def now(book: Book, **changes: Any) -> Now:
    return Now(now_us=book.now_us, unmet=LACKS, **changes)


def wish(action: Action = Action.CONTINUE, **changes: Any) -> Command:
    return replace(Command(action=action, reason="known noise", override=True), **changes)


def say(book: Book, who: str, command: Command | None = None) -> tuple[Any, ...]:
    events = decide(book.current, command or wish(), TWO[who], now(book))
    book.append(events, actor=who)
    return events


def why(book: Book, who: str, command: Command | None = None) -> str:
    found = refusal(book.current, command or wish(), TWO[who], now(book))
    return "" if found is None else found.sentence


def offer(book: Book, who: str, action: Action = Action.CONTINUE) -> ActionState:
    return next(s for s in allowed(book.current, TWO[who], now(book)) if s.action is action)


class TestContinue:
    def test_one_asks_and_nothing_moves_a_second_confirms_and_it_passes(self) -> None:
        book = deploying(gate="hold")
        (asked,) = say(book, "sam", wish(ticket="INC-1"))
        assert isinstance(asked, OverrideRequested)
        assert (asked.action, asked.step, asked.attempt, asked.rule) == ("continue", "canary", 1, 9)
        assert asked.missing == LACKS and "118 of 300 requests" in asked.against
        assert asked.evidence is not None
        assert book.current.step("canary").status is StepStatus.RUNNING
        used, review, moved, done = say(book, "ana", wish(reason="seen it"))
        assert isinstance(used, OverrideUsed)
        assert (used.asked_by, used.confirmed_by) == ("sam", "ana")
        assert (used.asked_reason, used.reason, used.ticket) == ("known noise", "seen it", "INC-1")
        assert (review.kind, review.doers, review.due_after_s) == (
            "override", ("sam", "ana"), 259_200,
        )  # fmt: skip
        assert moved.override_by == "ana"
        assert done.result == "OVERRIDDEN"
        assert done.summary.startswith("continued by an override of sam and ana although: 118 of")
        run = book.current
        assert run.override is None and run.step("canary").status is StepStatus.SUCCEEDED
        assert overrides.suppressed(run, "canary", 1) == "by an override of sam and ana"
        assert overrides.suppressed(run, "canary", 2) == ""

    @pytest.mark.parametrize(
        ("who", "sentence"),
        [
            ("sam", "sam asked for this override; a second person has to confirm it."),
            ("ci", "ci requested this promotion; somebody else has to confirm the override."),
            ("author", "author made this bundle; an author cannot confirm the override."),
            ("engineer", "engineer is a service account; an override takes two people."),
            ("root", "This needs the role release manager or sre in prod; root has none."),
            ("carol", "This needs the role release manager or sre in prod; carol has none."),
        ],
    )
    def test_who_is_no_second_person(self, who: str, sentence: str) -> None:
        book = deploying(gate="hold")
        say(book, "sam")
        assert why(book, who) == sentence
        with pytest.raises(Refused):
            say(book, who)
        assert book.current.step("canary").status is StepStatus.RUNNING

    def test_who_started_it_does_not_confirm_it(self) -> None:
        book = deploying(gate="hold")
        book.run = replace(book.current, started_by="ana")
        say(book, "sam")
        assert why(book, "ana").startswith("ana started this promotion;")

    def test_a_service_account_does_not_ask_either(self) -> None:
        assert "takes two people" in why(deploying(gate="hold"), "engineer")

    def test_it_needs_a_reason_from_both(self) -> None:
        book = deploying(gate="hold")
        assert why(book, "sam", wish(reason=" ")).startswith("An override needs a reason")
        say(book, "sam")
        assert why(book, "ana", wish(reason="")).startswith("An override needs a reason")

    def test_an_hour_and_not_a_moment_longer(self) -> None:
        book = deploying(gate="hold")
        (asked,) = say(book, "sam")
        assert asked.expires_us - book.now_us == 3_600_000_000 - 1_000  # the book's own step
        book.now_us = asked.expires_us - 1
        assert offer(book, "ana").override.turn == "confirm"  # type: ignore[union-attr]
        book.now_us = asked.expires_us
        assert offer(book, "ana").override.turn == "ask"  # type: ignore[union-attr]
        (again,) = decide(book.current, wish(), TWO["ana"], now(book))
        assert isinstance(again, OverrideRequested)
        effect = effects.next_effect(book.current, book.now_us)
        assert effect == Record((OverrideExpired(step="canary", attempt=1, asked_by="sam"),))
        book.append(effect.events)
        assert book.current.override is None

    def test_without_a_clock_nothing_is_confirmed(self) -> None:
        book = deploying(gate="hold")
        say(book, "sam")
        found = refusal(book.current, wish(), TWO["ana"], Now(unmet=LACKS))
        assert found is not None and found.sentence.startswith("The time is not known")

    def test_not_before_the_gate_has_answered_and_never_where_nothing_is_judged(self) -> None:
        for book in (deploying(applied=False), deploying()):
            state = offer(book, "sam")
            assert not state.ok and state.override is None
            with pytest.raises(Refused):
                say(book, "sam")

    def test_nothing_is_overridden_when_the_criteria_are_met(self) -> None:
        book = deploying(gate="continue")
        events = decide(book.current, wish(), TWO["sam"], Now(now_us=1, unmet=()))
        assert [e.TYPE for e in events] == ["run.continued/1", "step.succeeded/1"]
        assert events[1].result == "CONTINUED"  # type: ignore[union-attr]

    def test_another_attempt_is_another_situation(self) -> None:
        book = deploying(gate="hold")
        say(book, "sam")
        lost = StepErrored(
            step="canary", attempt=1, cause="engine_lost", reason="x", transient=True
        )
        book.append((lost, StepStarted(step="canary", attempt=2, op_id="y")))
        assert book.current.override is None

    def test_taken_back_or_declined(self) -> None:
        for who, kind in (("sam", "override.withdrawn/1"), ("mia", "override.declined/1")):
            book = deploying(gate="hold")
            assert why(book, who, wish(Action.DROP_OVERRIDE)).startswith("No override is being")
            say(book, "sam")
            assert offer(book, who, Action.DROP_OVERRIDE).shown
            assert why(book, "carol", wish(Action.DROP_OVERRIDE)).startswith("This needs the role")
            (event,) = say(book, who, wish(Action.DROP_OVERRIDE))
            assert kind == event.TYPE
            assert book.current.override is None
            assert offer(book, "ana").override.turn == "ask"  # type: ignore[union-attr]

    def test_what_the_page_is_told(self) -> None:
        book = deploying(gate="hold")
        before = offer(book, "sam")
        assert not before.ok and before.override is not None
        assert (before.override.turn, before.override.ok) == ("ask", True)
        assert before.override.missing == LACKS
        say(book, "sam")
        waits, confirms = offer(book, "sam").override, offer(book, "ana").override
        assert waits is not None and confirms is not None
        assert (waits.turn, waits.ok) == ("wait", False)
        assert (confirms.turn, confirms.ok, confirms.asked_by) == ("confirm", True, "sam")
        assert confirms.reason == "known noise" and confirms.expires_us is not None
        assert offer(book, "eve").override is None


def paused(cause: str, action: str) -> Book:
    book = deploying(gate=action)
    via = "health_breach_hold" if cause == "health_breach" else cause
    book.append((RunPaused(via=via, pause_reason=cause, reason="the gate said so"),))
    return book


class TestResume:
    @pytest.mark.parametrize(
        ("cause", "action"), [("health_breach", "rollback"), ("health_inconclusive", "pause")]
    )
    def test_what_has_not_cleared_takes_two(self, cause: str, action: str) -> None:
        book = paused(cause, action)
        assert why(book, "sam", Command(action=Action.RESUME)) != ""
        say(book, "sam", wish(Action.RESUME))
        assert book.current.status is RunStatus.PAUSED
        events = say(book, "ana", wish(Action.RESUME))
        (resumed,) = [e for e in events if isinstance(e, RunResumed)]
        assert resumed.override_by == "ana"
        assert book.current.status is RunStatus.RUNNING

    def test_one_person_resumes_what_has_cleared(self) -> None:
        book = paused("health_inconclusive", "pause")
        seen = PauseCauseSeen(step="canary", attempt=1, cleared=False, reason="no data: refused")
        book.append((seen,))
        found = why(book, "sam", Command(action=Action.RESUME))
        assert found == "What paused the run has not cleared: Deploy canary: no data: refused."
        book.append((replace(seen, cleared=True, reason="good, clock 0:05 of 5:00"),))
        assert offer(book, "sam", Action.RESUME).ok
        (resumed,) = decide(book.current, Command(action=Action.RESUME), TWO["sam"], now(book))
        assert isinstance(resumed, RunResumed) and resumed.override_by == ""
        book.append((resumed,), actor="sam")
        assert book.current.pause_cause is None

    @pytest.mark.parametrize("cause", ["step_failed", "engine_restart"])
    def test_a_failed_step_is_retried_not_overridden(self, cause: str) -> None:
        book = deploying(gate="hold")
        via = "step_failed" if cause == "step_failed" else "engine_lost"
        if cause == "step_failed":
            book.append((StepFailed(step="canary", attempt=1, result="NOT_SET", reason="r"),))
        book.append((RunPaused(via=via, pause_reason=cause, reason="r"),))
        assert offer(book, "sam", Action.RESUME).override is None
        with pytest.raises(Refused):
            say(book, "sam", wish(Action.RESUME))

    def test_a_request_from_before_a_pause_counts_no_more_after_it(self) -> None:
        book = paused("health_inconclusive", "pause")
        say(book, "sam", wish(Action.RESUME))
        book.append((RunResumed(via="resume", reason="cleared"),))
        again = RunPaused(via="health_inconclusive", pause_reason="health_inconclusive", reason="x")
        book.append((decision("pause"), again))
        (event,) = say(book, "ana", wish(Action.RESUME))
        assert isinstance(event, OverrideRequested)


# --- anything in any order ----------------------------------------------------------------------

USERS = ["ana", "author", "carol", "ci", "engineer", "mia", "sam"]


class Overriding(RuleBasedStateMachine):
    """People ask, confirm, drop and wait; the run pauses and goes on. One oracle watches."""

    def __init__(self) -> None:
        super().__init__()
        self.book = deploying(gate="hold")
        self.asked: tuple[str, int, str] | None = None  # who, until when, for what

    def situation_over(self) -> None:
        self.asked = None

    @rule(who=st.sampled_from(USERS))
    def override(self, who: str) -> None:
        book, before = self.book, self.book.current
        action = Action.RESUME if before.status is RunStatus.PAUSED else Action.CONTINUE
        try:
            events = decide(before, wish(action), TWO[who], now(book))
        except Refused:
            return
        standing = self.asked
        if standing is not None and book.now_us >= standing[1]:
            standing = None
        if any(isinstance(event, OverrideRequested) for event in events):
            assert len(events) == 1 and standing is None
            self.asked = (who, events[0].expires_us, action.value)  # type: ignore[union-attr]
            book.append(events, actor=who)
            return
        # Something moves although the criteria are not met: then two people stand behind it.
        person, roles = TWO[who], {Role.RELEASE_MANAGER, Role.SRE}
        assert standing is not None and standing[0] != who and standing[2] == action.value
        assert not person.service and person.roles & roles
        assert who not in {before.requested_by, before.started_by, *before.request.bundle_authors}
        assert isinstance(events[0], OverrideUsed)
        assert {events[0].asked_by, events[0].confirmed_by} == {standing[0], who}
        self.book = deploying(gate="hold") if action is Action.CONTINUE else book
        if action is Action.RESUME:
            book.append(events, actor=who)
        self.situation_over()

    @rule(who=st.sampled_from(USERS))
    def drop(self, who: str) -> None:
        try:
            events = decide(self.book.current, wish(Action.DROP_OVERRIDE), TWO[who], now(self.book))
        except Refused:
            return
        assert self.asked is not None
        self.book.append(events, actor=who)
        self.situation_over()

    @rule(seconds=st.sampled_from([1_800, 3_599, 3_600]))
    def wait(self, seconds: int) -> None:
        self.book.now_us += seconds * 1_000_000

    @rule()
    def engine_looks(self) -> None:
        fact = overrides.expired(self.book.current, self.book.now_us)
        if fact is not None:
            assert self.asked is not None and self.book.now_us >= self.asked[1]
            self.book.append((fact,))
            self.situation_over()

    @rule()
    def pause_or_go_on(self) -> None:
        if self.book.current.status is RunStatus.PAUSED:
            self.book.append((RunResumed(via="resume"),))
        else:
            cause = "health_inconclusive"
            self.book.append(
                (decision("pause"), RunPaused(via=cause, pause_reason=cause, reason="r"))
            )
        self.situation_over()

    @invariant()
    def nothing_waits_that_nobody_asked_for(self) -> None:
        ask = self.book.current.override
        assert (ask is None) or (self.asked is not None and ask.by == self.asked[0])


QUIET = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def test_no_order_of_events_lets_one_person_through() -> None:
    run_state_machine_as_test(Overriding, settings=QUIET)


# Where a fault is planted the first history that shows it is enough; nobody reads a shorter one.
FAULTY = settings(QUIET, max_examples=200, phases=(Phase.generate,))


def never(*_: object) -> str:
    return ""


def alive(run: Run, _: Now) -> Any:
    return run.override


@pytest.mark.parametrize(
    ("where", "name", "fault"),
    [
        (overrides, "_may_not_confirm", never),
        (overrides, "standing", alive),
        (overrides, "expired", lambda run, now_us: None if run.override is None else _lapse(run)),
    ],
    ids=["anybody-confirms", "never-expires", "expires-at-once"],
)
def test_the_machine_catches_a_planted_fault(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, fault: Any
) -> None:
    """The machine above proves something only if it fails when a guard is taken out."""
    monkeypatch.setattr(where, name, fault)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Overriding, settings=FAULTY)


def test_the_machine_catches_a_situation_that_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Book, "append", _remembering(Book.append))
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Overriding, settings=FAULTY)


def _remembering(append: Any) -> Any:
    """A fold that forgets to end what was asked for when the run moves."""

    def remembering(self: Book, events: Any, *, actor: str = "engine") -> None:
        before = self.run
        append(self, events, actor=actor)
        moved = any(isinstance(event, RunPaused | RunResumed) for event in events)
        if moved and before is not None and before.override is not None:
            self.run = replace(self.current, override=before.override)

    return remembering


def _lapse(run: Run) -> OverrideExpired:
    assert run.override is not None
    return OverrideExpired(step="canary", attempt=1, asked_by=run.override.by)
