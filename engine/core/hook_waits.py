"""Who is waited for, by name, when something waits for a person. Pure.

It says no more than the rules that decide about the action itself, and asks those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from engine.core import approvals, eligibility, reviews
from engine.core.commands import Action
from engine.core.events import Event
from engine.core.holds import MAY_LIFT
from engine.core.hook_events import NoticeRaised
from engine.core.overrides import GLASS_BREAKERS
from engine.core.people_events import ReviewOpened
from engine.core.schedule_events import FiringTicked
from engine.core.schedules import MAY_CANCEL
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus, actors_of
from engine.core.troubles import CARERS

NOBODY_ELIGIBLE: Final = "approval.nobody_eligible"
OVERDUE: Final = "review.overdue"
WAIVER_REQUESTED: Final = "waiver.requested"
# Nobody has to act on these; but who waits for a promotion wants to know.
FROZEN: Final = "freeze.started"
OPENED: Final = "freeze.ended"
WAIVER_ENDING: Final = "waiver.ending"
# Users to the roles that they hold in one environment.
Holders: TypeAlias = Mapping[str, frozenset[Role]]


def waited_for(name: str, event: Event, run: Run | None, holders: Holders) -> tuple[str, ...]:
    """Users who may do what is waited for, sorted; empty when nobody is, or nobody may."""
    if isinstance(event, NoticeRaised):
        return event.people
    if isinstance(event, FiringTicked):
        return tuple(u for u, roles in sorted(holders.items()) if roles & MAY_CANCEL)
    if run is None:
        return ()
    match name:
        case "approval.requested":
            return eligibility.may_approve(run)
        case "run.paused":
            return _acting("resume", RunStatus.PAUSED, holders)
        case "run.held":
            return tuple(u for u, roles in sorted(holders.items()) if roles & MAY_LIFT)
        case "seal.failed":
            return tuple(u for u, roles in sorted(holders.items()) if roles & CARERS)
        case "rollback.failed":
            return _acting("retry_rollback", RunStatus.ROLLBACK_FAILED, holders)
        case "override.requested" if run.override is not None:
            ask = run.override
            may = _acting(ask.wish.action, run.status, holders)
            if ask.wish.action == Action.BREAK_GLASS:
                may = tuple(u for u, roles in sorted(holders.items()) if roles & GLASS_BREAKERS)
            own = {user for user in may if approvals.own_work(run, user, "confirm it")}
            return tuple(user for user in may if user != ask.by and user not in own)
        case "review.due" if isinstance(event, ReviewOpened):
            return reviewers(event.doers, holders)
        case _:
            return ()


def reviewers(doers: tuple[str, ...], holders: Holders) -> tuple[str, ...]:
    """Users who may look at what `doers` did."""
    return tuple(
        user
        for user, roles in sorted(holders.items())
        if roles & reviews.REVIEWERS and user not in doers
    )


def _acting(via: str, status: RunStatus, holders: Holders) -> tuple[str, ...]:
    actors = actors_of(via, status)
    return tuple(
        user
        for user, roles in sorted(holders.items())
        if any(role.value in actors for role in roles)
    )
