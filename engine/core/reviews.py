"""What was done alone, or against the gate, is looked at afterwards by somebody else. Pure.

A rollback by one person is due within 24 hours, an override or a broken glass within 72: that is
the override debt. The review stays with the run after its end; nothing sealed is touched by it.
"""

from __future__ import annotations

from typing import Final

from engine.core.approvals import Actor, let_in
from engine.core.commands import Command, Refusal
from engine.core.people_events import ReviewClosed, ReviewOpened
from engine.core.people_state import Review
from engine.core.state import Run
from engine.core.statemachine import Role

DUE_AFTER_S: Final = {"rollback": 86_400, "override": 259_200, "break_glass": 259_200}
# What is override debt until somebody has looked at it.
DEBTS: Final = frozenset({"override", "break_glass"})
# An auditor never writes to a run, so not this either.
REVIEWERS: Final = frozenset({Role.RELEASE_MANAGER, Role.SRE, Role.APPROVER})
_DID: Final = {
    "rollback": "rolled back",
    "override": "took part in this override",
    "break_glass": "broke the glass",
}
AGREED: Final = "agreed"
FOLLOW_UP: Final = "follow_up"


def opened(kind: str, doers: tuple[str, ...], what: str) -> ReviewOpened:
    """Args:
    kind: a key of `DUE_AFTER_S`.
    doers: everybody who did it; none of them may close the review.
    """
    return ReviewOpened(kind=kind, doers=doers, what=what, due_after_s=DUE_AFTER_S[kind])


def due(run: Run) -> tuple[Review, ...]:
    """Those that nobody has closed yet, oldest first."""
    return tuple(review for review in run.reviews if review.closed_us is None)


def chosen(run: Run, command: Command, actor: Actor) -> Review | None:
    """The review that `command` is about: the one that it names, else the oldest open one that
    this person may close, else the oldest open one."""
    if command.review:
        return next((r for r in run.reviews if r.number == command.review), None)
    waiting = due(run)
    mine = (review for review in waiting if not _conflict(review, actor))
    return next(mine, waiting[0] if waiting else None)


def refusal(run: Run, command: Command, actor: Actor) -> Refusal | None:
    review = chosen(run, command, actor)
    if review is None:
        none = f"This run has no review {command.review}."
        return Refusal(
            sentence=none if command.review else "No review is open on this run.", code="state"
        )
    if review.closed_us is not None:
        return Refusal(
            sentence=f"Review {review.number} was closed by {review.closed_by}.", code="state"
        )
    if not actor.roles & REVIEWERS:
        who = ", ".join(sorted(role.value.replace("_", " ") for role in REVIEWERS))
        return Refusal(
            sentence=f"This needs one of the roles {who} in {run.environment}; "
            f"{actor.user} has none.",
            code="role",
        )
    conflict = _conflict(review, actor)
    if conflict:
        return Refusal(sentence=conflict, code="conflict_of_interest")
    if not command.reason.strip():
        return Refusal(
            sentence="Say in a sentence what you found; it goes on record.", code="reason"
        )
    return None


def closed(run: Run, command: Command, actor: Actor) -> ReviewClosed:
    """With a ticket something is left to do, and the ticket says where; without one, nothing is."""
    review = chosen(run, command, actor)
    assert review is not None  # `refusal`
    ticket = command.ticket.strip()
    return ReviewClosed(
        number=review.number,
        verdict=FOLLOW_UP if ticket else AGREED,
        note=command.reason.strip(),
        ticket=ticket,
    )


def _conflict(review: Review, actor: Actor) -> str:
    if actor.service:
        return f"{actor.user} is a service account; reviews come from people."
    if actor.user in review.doers:
        return f"{actor.user} {_DID[review.kind]}; another person has to look at it."
    if actor.hand in review.doers:
        did = _DID[review.kind]
        return f"{let_in(actor)}, and {did}; another person has to look at it."
    if actor.hand and actor.provider:
        return f"{let_in(actor)}; sign in through {actor.provider} to look at it."
    return ""
