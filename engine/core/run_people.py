"""How overrides and reviews enter a run. One part of `engine.core.run.evolve`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import assert_never, cast, get_args

from engine.core.events import Recorded
from engine.core.people_events import (
    ApprovalsLapsed,
    ApproversSeen,
    OverrideDeclined,
    OverrideExpired,
    OverrideRequested,
    OverrideUsed,
    OverrideWithdrawn,
    PauseCauseSeen,
    PeopleEvent,
    ReviewClosed,
    ReviewOpened,
)
from engine.core.people_state import OverrideAsk, Review
from engine.core.state import Run

_PEOPLE = get_args(PeopleEvent)


def apply(run: Run, recorded: Recorded) -> Run | None:
    """Return the run after one of these facts; None when the event is of another family."""
    if not isinstance(recorded.event, _PEOPLE):
        return None
    event = cast(PeopleEvent, recorded.event)
    match event:
        case OverrideRequested():
            ask = OverrideAsk(by=recorded.actor, asked_us=recorded.ts_us, wish=event)
            return replace(run, override=ask)
        case OverrideWithdrawn() | OverrideDeclined() | OverrideExpired():
            return replace(run, override=None)
        case OverrideUsed():
            return replace(run, override=None, overrides=(*run.overrides, event))
        case ApproversSeen():
            return replace(run, approvers=event.approvers, approvers_fresh=True)
        case ApprovalsLapsed():
            return no_longer_count(run, event.people)
        case PauseCauseSeen():
            return replace(run, pause_cause=event)
        case ReviewOpened():
            return replace(run, reviews=(*run.reviews, _opened(run, event, recorded)))
        case ReviewClosed():
            return replace(run, reviews=tuple(_closed(r, event, recorded) for r in run.reviews))
        case _:
            assert_never(event)


def no_longer_count(run: Run, people: Collection[str]) -> Run:
    """What these people approved stays on record; it only stops counting."""
    return replace(
        run,
        approvals=tuple(
            replace(a, counts=False) if a.person in people else a for a in run.approvals
        ),
    )


def _opened(run: Run, event: ReviewOpened, recorded: Recorded) -> Review:
    return Review(
        number=len(run.reviews) + 1,
        kind=event.kind,
        doers=event.doers,
        what=event.what,
        opened_us=recorded.ts_us,
        due_us=recorded.ts_us + event.due_after_s * 1_000_000,
    )


def _closed(review: Review, event: ReviewClosed, recorded: Recorded) -> Review:
    """The first word on a review stands; a later one changes nothing."""
    if review.number != event.number or review.closed_us is not None:
        return review
    return replace(
        review,
        closed_by=recorded.actor,
        closed_us=recorded.ts_us,
        verdict=event.verdict,
        note=event.note,
        ticket=event.ticket,
    )
