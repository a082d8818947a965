"""Who is waited for, by name, when something waits for a person. Pure.

It says no more than the rules that decide about the action itself, and asks those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from engine.core import approvals, reviews
from engine.core.approvals import Actor
from engine.core.commands import Action
from engine.core.events import Event
from engine.core.hook_events import NoticeRaised
from engine.core.overrides import GLASS_BREAKERS
from engine.core.people_events import ReviewOpened
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus, actors_of

NOBODY_ELIGIBLE: Final = "approval.nobody_eligible"
OVERDUE: Final = "review.overdue"
# Users to the roles that they hold in one environment.
Holders: TypeAlias = Mapping[str, frozenset[Role]]


def waited_for(name: str, event: Event, run: Run | None, holders: Holders) -> tuple[str, ...]:
    """Users who may do what is waited for, sorted; empty when nobody is, or nobody may."""
    if isinstance(event, NoticeRaised):
        return event.people
    if run is None:
        return ()
    match name:
        case "approval.requested":
            return eligible(run, holders)
        case "run.paused":
            return _acting("resume", RunStatus.PAUSED, holders)
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


def eligible(run: Run, holders: Holders) -> tuple[str, ...]:
    """Users whose approval would count now and has not been given."""
    return tuple(
        user
        for user, roles in sorted(holders.items())
        if approvals.conflict(run, Actor(user=user, roles=roles)) is None
    )


def reviewers(doers: tuple[str, ...], holders: Holders) -> tuple[str, ...]:
    """Users who may look at what `doers` did."""
    return tuple(
        user
        for user, roles in sorted(holders.items())
        if roles & reviews.REVIEWERS and user not in doers
    )


def shortage(run: Run, holders: Holders) -> str:
    """Why a run's approval can't be complete with the people there are, in one sentence; empty
    when it can, and when none is waited for."""
    if run.status is not RunStatus.AWAITING_APPROVAL:
        return ""
    rule, may = run.request.approval, eligible(run, holders)
    given = run.counting_approvals
    wanted = rule.min_approvals - len(given)
    if len(may) < wanted:
        who = f"only {', '.join(may)} may still approve" if may else "nobody may approve"
        return f"{run.run_id} needs {_approvals(wanted)} more, and {who}."
    for group in rule.groups:
        have = any(group.name in one.groups for one in given)
        if group.required and not have and not set(group.members) & set(may):
            return f"{run.run_id} needs one approval from {group.name}; none of them may give it."
    return ""


def _approvals(count: int) -> str:
    return "1 approval" if count == 1 else f"{count} approvals"


def _acting(via: str, status: RunStatus, holders: Holders) -> tuple[str, ...]:
    actors = actors_of(via, status)
    return tuple(
        user
        for user, roles in sorted(holders.items())
        if any(role.value in actors for role in roles)
    )
