"""Reviews: who may close them, how, and that a sealed run keeps them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.core.commands import Action, Command
from engine.core.decide import allowed, decide, refusal
from engine.core.errors import IllegalTransition, Refused
from engine.core.people_events import ReviewClosed
from engine.core.run import evolve
from engine.core.run_events import RunPaused
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from tests.core.book import PEOPLE, Book, command
from tests.core.test_decide import deploying

DAY_US = 86_400_000_000


def rolled_back(by: str = "sam") -> Book:
    book = deploying()
    wish = command(book.current, Action.ROLLBACK, reason="latency")
    book.append(decide(book.current, wish, PEOPLE[by]), actor=by)
    return book


def look(**changes: Any) -> Command:
    return replace(Command(action=Action.REVIEW, reason="right to do"), **changes)


def why(run: Run, who: str, **changes: Any) -> str:
    found = refusal(run, look(**changes), PEOPLE[who])
    return "" if found is None else found.sentence


def test_a_rollback_by_one_person_opens_a_review_for_another() -> None:
    run = rolled_back().current
    (review,) = run.reviews
    assert (review.kind, review.doers, review.number) == ("rollback", ("sam",), 1)
    assert review.what == "rollback of 1 target: latency"
    assert review.due_us - review.opened_us == DAY_US
    assert not review.overdue(review.due_us - 1) and review.overdue(review.due_us)


def test_a_rollback_by_name_opens_one_too_and_a_retry_does_not() -> None:
    book = deploying()
    wish = replace(command(book.current, Action.ROLLBACK), targets=("t-01",))
    book.append(decide(book.current, wish, PEOPLE["ana"]), actor="ana")
    assert [r.doers for r in book.current.reviews] == [("ana",)]


def test_the_gate_going_back_by_itself_opens_none() -> None:
    book = deploying()
    pause = RunPaused(via="pause", pause_reason="manual", reason="r")
    book.append((pause,), actor="sam")
    assert book.current.reviews == ()
    assert why(book.current, "carol") == "No review is open on this run."


@pytest.mark.parametrize("who", ["ana", "mia", "bob", "carol"])
def test_another_person_with_a_role_closes_it(who: str) -> None:
    book = rolled_back()
    book.append(decide(book.current, look(), PEOPLE[who]), actor=who)
    (review,) = book.current.reviews
    assert (review.closed_by, review.verdict, review.note) == (who, "agreed", "right to do")
    assert not review.overdue(review.due_us + DAY_US)
    assert why(book.current, "carol") == "No review is open on this run."
    assert why(book.current, "carol", review=1) == f"Review 1 was closed by {who}."


def test_who_may_not() -> None:
    run = rolled_back().current
    assert why(run, "sam") == "sam rolled back; another person has to look at it."
    assert why(run, "root").startswith("This needs one of the roles approver, release")
    assert why(run, "eve").endswith("eve has none.")
    assert why(run, "bot") == "bot is a service account; reviews come from people."
    assert why(run, "carol", reason=" ").startswith("Say in a sentence")
    assert why(run, "carol", review=7) == "This run has no review 7."


def test_a_ticket_says_that_something_is_left_to_do() -> None:
    (event,) = decide(rolled_back().current, look(ticket=" INC-9 "), PEOPLE["carol"])
    assert event == ReviewClosed(number=1, verdict="follow_up", note="right to do", ticket="INC-9")


def test_the_first_word_on_a_review_stands() -> None:
    book = rolled_back()
    first = ReviewClosed(number=1, verdict="agreed", note="a")
    book.append((first,), actor="bob")
    book.append((ReviewClosed(number=1, verdict="follow_up", note="b", ticket="T"),), actor="carol")
    assert (book.current.reviews[0].closed_by, book.current.reviews[0].note) == ("bob", "a")


def test_it_may_be_closed_after_the_end_and_nothing_else_may_be_said() -> None:
    book = rolled_back()
    book.run = replace(book.current, status=RunStatus.ROLLED_BACK, outcome=RunStatus.ROLLED_BACK)
    state = next(s for s in allowed(book.current, PEOPLE["carol"]) if s.action is Action.REVIEW)
    assert state.ok and state.shown
    events = decide(book.current, look(), PEOPLE["carol"])
    book.append(events, actor="carol")
    assert book.current.reviews[0].closed_by == "carol"
    assert book.current.status is RunStatus.ROLLED_BACK
    opened = next(r for r in book.log if r.event.TYPE == "review.opened/1")
    with pytest.raises(IllegalTransition):
        evolve(book.current, replace(opened, seq=book.current.version + 1))
    with pytest.raises(Refused):
        decide(book.current, look(), PEOPLE["carol"])
