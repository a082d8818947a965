"""One hand behind two names: who makes a link or token for somebody else is no second person."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from engine.core import approvals, overrides, reviews
from engine.core.approvals import Actor
from engine.core.commands import Action, Command
from engine.core.decide import decide, refusal
from engine.core.duties import Duty, duties, self_approval
from engine.core.fact_events import ApprovalApproved
from engine.core.people_state import Review
from engine.core.statemachine import Role, RunStatus
from engine.story import tell
from tests.core.book import PEOPLE as BOOK_PEOPLE
from tests.core.book import Book
from tests.core.simulated import PEOPLE, command
from tests.core.test_approvals import asking
from tests.core.test_decide import deploying
from tests.core.test_overrides import LACKS, now, wish

ADMIN = "dora"
REVIEW = Review(number=1, kind="override", doers=("sam", "mia"), what="x", opened_us=1, due_us=2)


def lent(user: str, hand: str = ADMIN, provider: str = "") -> Actor:
    return replace(PEOPLE[user], hand=hand, provider=provider)


def approve(book: Book, actor: Actor) -> None:
    book.append(
        decide(book.current, command(book.current, Action.APPROVE), actor), actor=actor.user
    )


def why(book: Book, actor: Actor) -> str:
    found = refusal(book.current, command(book.current, Action.APPROVE), actor)
    assert found is None or found.code == "conflict_of_interest"
    return "" if found is None else found.sentence


def test_an_approval_says_whose_link_it_was_given_with() -> None:
    book = asking(min_approvals=2)
    approve(book, lent("bob"))
    (given,) = book.current.counting_approvals
    assert (given.person, given.hand) == ("bob", ADMIN)
    assert any("with a link or token that dora made" in line.text for line in tell(book.log))
    found = duties(book.current, book.log, ())
    (edge,) = (e for e in found.edges if e.duty is Duty.LET_IN)
    assert (edge.person, edge.note) == (ADMIN, "bob approved with it")
    assert not found.conflicts


def test_two_approvals_by_one_hand_are_one() -> None:
    book = asking(min_approvals=2)
    approve(book, lent("bob"))
    assert "dora made the link or token that carol came in with, and the one that bob" in why(
        book, lent("carol")
    )
    assert approvals.missing(book.current) == ("1 of 2 approvals",)
    assert why(book, lent("carol", "eve")) == ""
    approve(book, lent("carol", "eve"))
    assert approvals.missing(book.current) == ()


@pytest.mark.parametrize(("first", "second"), list(permutations(("bob", "carol"))))
def test_who_lent_a_name_is_not_the_second_person(first: str, second: str) -> None:
    """In either order: their own approval first, or the one by their hand."""
    book = asking(min_approvals=2)
    approve(book, PEOPLE[first])
    assert f"{first} made the link or token that {second} came in with, and approved" in why(
        book, lent(second, first)
    )
    book = asking(min_approvals=2)
    approve(book, lent(second, first))
    assert f"{first} made the link or token that {second} approved with" in why(book, PEOPLE[first])


def test_whoever_is_part_of_the_promotion_lends_nobody_an_approval() -> None:
    book = asking(requested_by="ci")
    said = why(book, lent("bob", "ci"))
    assert "ci made the link or token that bob came in with, and requested" in said
    assert "an author cannot approve it" in why(book, lent("bob", "author"))
    run = book.current
    assert self_approval(run, Command(action=Action.APPROVE), "bob", "ci")
    assert not self_approval(run, Command(action=Action.APPROVE), "bob", ADMIN)


def test_where_people_sign_in_at_a_provider_a_lent_link_approves_nothing() -> None:
    book = asking()
    assert "sign in through Example SSO to approve it" in why(
        book, lent("bob", ADMIN, "Example SSO")
    )
    approve(book, lent("bob", "", "Example SSO"))
    assert approvals.missing(book.current) == ()


def test_an_override_takes_two_hands() -> None:
    book = deploying(gate="hold")
    sam = BOOK_PEOPLE["sam"]
    other = replace(sam, user="mia")
    book.append(decide(book.current, wish(), replace(sam, hand=ADMIN), now(book)), actor=sam.user)

    def confirmed(actor: Actor) -> str:
        found = refusal(book.current, wish(), actor, now(book))
        return "" if found is None else found.sentence

    assert LACKS
    assert "two hands" in confirmed(replace(other, hand=ADMIN))
    assert "two hands" in confirmed(replace(other, hand=sam.user))
    assert "two hands" in confirmed(replace(other, user=ADMIN))
    assert "sign in through SSO" in confirmed(replace(other, hand="eve", provider="SSO"))
    assert confirmed(replace(other, hand="eve")) == confirmed(other) == ""
    assert overrides.standing(book.current, now(book)) is not None


def test_what_somebody_did_is_not_reviewed_by_their_hand() -> None:
    run = replace(deploying(gate="hold").current, reviews=(REVIEW,))
    look = Command(action=Action.REVIEW, reason="seen")
    actor = Actor(user="rita", roles=frozenset({Role.SRE}))
    assert reviews.refusal(run, look, actor) is None
    for hand in REVIEW.doers:
        found = reviews.refusal(run, look, replace(actor, hand=hand))
        assert found is not None and "another person has to look at it" in found.sentence
    found = reviews.refusal(run, look, replace(actor, hand="eve", provider="SSO"))
    assert found is not None and "sign in through SSO" in found.sentence


def test_what_was_recorded_before_there_were_hands_has_none() -> None:
    book = asking()
    approve(book, PEOPLE["bob"])
    event = next(r.event for r in book.log if isinstance(r.event, ApprovalApproved))
    assert event.hand == ""
    assert book.current.status is RunStatus.AWAITING_APPROVAL
