"""Who did what around one run, and where one person stood on both sides. Pure.

Separation of duties as a graph: people on one side, deeds on the other, an edge for each time that
somebody did one. *Making* deeds are those that brought the release about, *checking* deeds those
that let it through or looked at it afterwards. Whoever has an edge to both is a conflict, with the
rule that it is against; a denied attempt is an edge too, and shows the rule at work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from engine.core.approvals import own_work
from engine.core.audit import CONFLICT, ENGINE
from engine.core.back_events import TargetRollbackRequested
from engine.core.commands import Action, Command
from engine.core.events import Recorded
from engine.core.fact_events import ApprovalApproved, ApprovalRejected
from engine.core.house import CommandRejected
from engine.core.people_events import OverrideRequested, OverrideUsed, ReviewClosed
from engine.core.run_events import RollbackStarted
from engine.core.state import Run


class Duty(StrEnum):
    """A deed around a run."""

    REQUESTED = "requested"
    STARTED = "started"
    MADE_BUNDLE = "made_bundle"
    AUTHORED_COMMITS = "authored_commits"
    CHANGED_POLICY = "changed_policy"
    ROLLED_BACK = "rolled_back"
    ASKED_OVERRIDE = "asked_override"
    APPROVED = "approved"
    REJECTED = "rejected"
    CONFIRMED_OVERRIDE = "confirmed_override"
    REVIEWED = "reviewed"


# In the order in which they are told.
MAKING: Final = (
    Duty.REQUESTED,
    Duty.STARTED,
    Duty.MADE_BUNDLE,
    Duty.AUTHORED_COMMITS,
    Duty.CHANGED_POLICY,
)
DOING: Final = (Duty.ASKED_OVERRIDE, Duty.ROLLED_BACK)
CHECKING: Final = (Duty.APPROVED, Duty.CONFIRMED_OVERRIDE, Duty.REVIEWED, Duty.REJECTED)

# Nobody lets through what they brought about. Saying no to it harms nobody, so it is not here.
_LETTING: Final = (Duty.APPROVED, Duty.CONFIRMED_OVERRIDE)
_TOLD: Final = {
    Duty.REQUESTED: "who requested a promotion",
    Duty.STARTED: "who started a promotion",
    Duty.MADE_BUNDLE: "who made the bundle",
    Duty.AUTHORED_COMMITS: "a commit author by the bundle's provenance",
    Duty.CHANGED_POLICY: "who changed the policy less than 14 days before",
}
_DEED: Final = {Duty.APPROVED: "approve it", Duty.CONFIRMED_OVERRIDE: "confirm an override of it"}
_ATTEMPTS: Final = {
    "approve": Duty.APPROVED,
    "reject": Duty.REJECTED,
    "review": Duty.REVIEWED,
    "continue": Duty.CONFIRMED_OVERRIDE,
    "resume": Duty.CONFIRMED_OVERRIDE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One person and one deed.

    Attributes:
        gseq: the event that says so; 0 where it is pinned in the request.
        denied: they tried, and were refused; `note` says why.
        note: what they did it to, or what they said.
    """

    person: str
    duty: Duty
    ts_us: int
    gseq: int
    denied: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyConflict:
    """Attributes:
    rule: what one person may not do both of, as a sentence.
    prevented: it was tried and refused; else it happened.
    """

    person: str
    made: Duty
    checked: Duty
    rule: str
    prevented: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """`people` in the order in which they came in; `edges` in that of time."""

    run: str
    people: tuple[str, ...]
    edges: tuple[Edge, ...]
    conflicts: tuple[DutyConflict, ...]


def duties(run: Run, log: Iterable[Recorded], denials: Iterable[Recorded]) -> Duties:
    """Args:
    log: the run's events; `denials`: `CommandRejected` of all runs, each in order.
    """
    edges = [*_pinned(run), *(edge for one in log for edge in _of(one))]
    edges += [edge for one in denials for edge in _tried(run, one)]
    edges.sort(key=lambda edge: edge.ts_us)
    people = tuple(dict.fromkeys(edge.person for edge in edges))
    found = [*_both_sides(edges), *_same_person(run, edges)]
    return Duties(
        run=run.run_id,
        people=people,
        edges=tuple(edges),
        conflicts=tuple(dict.fromkeys(found)),
    )


def self_approval(run: Run, command: Command, user: str) -> bool:
    """Whether the command would let through, or look at, what is the user's own work.

    It says nothing of whether they could: who has no role to approve may try it all the same.
    """
    match command.action:
        case Action.APPROVE:
            return own_work(run, user, "") is not None
        case Action.CONTINUE | Action.RESUME if command.override and run.override is not None:
            return run.override.by == user or own_work(run, user, "") is not None
        case Action.REVIEW:
            return any(user in review.doers for review in run.reviews if not review.closed_us)
        case _:
            return False


def _pinned(run: Run) -> Iterable[Edge]:
    """What stands in the request, or was found in what it rests on."""
    since = run.requested_us
    yield Edge(person=run.requested_by, duty=Duty.REQUESTED, ts_us=since, gseq=0)
    if run.started_by and run.started_by not in {run.requested_by, ENGINE}:
        at = run.started_us or since
        yield Edge(person=run.started_by, duty=Duty.STARTED, ts_us=at, gseq=0)
    for people, duty in (
        (run.request.bundle_authors, Duty.MADE_BUNDLE),
        (run.authors, Duty.AUTHORED_COMMITS),
        (run.request.policy_authors, Duty.CHANGED_POLICY),
    ):
        for person in people:
            yield Edge(person=person, duty=duty, ts_us=since, gseq=0)


def _of(one: Recorded) -> Iterable[Edge]:
    found: Sequence[tuple[str, Duty, str]]
    match one.event:
        case ApprovalApproved(comment=comment):
            found = ((one.actor, Duty.APPROVED, comment),)
        case ApprovalRejected(comment=comment):
            found = ((one.actor, Duty.REJECTED, comment),)
        case OverrideRequested(reason=reason):
            found = ((one.actor, Duty.ASKED_OVERRIDE, reason),)
        case OverrideUsed(reason=reason):
            found = ((one.event.confirmed_by, Duty.CONFIRMED_OVERRIDE, reason),)
        case RollbackStarted(reason=reason) | TargetRollbackRequested(reason=reason):
            found = () if one.actor == ENGINE else ((one.actor, Duty.ROLLED_BACK, reason),)
        case ReviewClosed(note=note):
            found = ((one.actor, Duty.REVIEWED, note),)
        case _:
            found = ()
    for person, duty, note in found:
        yield Edge(person=person, duty=duty, ts_us=one.ts_us, gseq=one.gseq, note=note)


def _tried(run: Run, one: Recorded) -> Iterable[Edge]:
    event = one.event
    if not isinstance(event, CommandRejected) or event.run != run.run_id:
        return
    duty = _ATTEMPTS.get(event.action)
    if duty is not None and (event.own or event.code == CONFLICT):
        yield Edge(
            person=one.actor,
            duty=duty,
            ts_us=one.ts_us,
            gseq=one.gseq,
            denied=True,
            note=event.reason,
        )


def _both_sides(edges: Sequence[Edge]) -> Iterable[DutyConflict]:
    made = {(edge.person, edge.duty) for edge in edges if edge.duty in MAKING}
    for edge in edges:
        if edge.duty not in _LETTING:
            continue
        for duty in MAKING:
            if (edge.person, duty) in made:
                yield DutyConflict(
                    person=edge.person,
                    made=duty,
                    checked=edge.duty,
                    rule=f"{_TOLD[duty]} may not {_DEED[edge.duty]}".capitalize() + ".",
                    prevented=edge.denied,
                )


def _same_person(run: Run, edges: Sequence[Edge]) -> Iterable[DutyConflict]:
    """What takes two different people."""
    asked = {edge.person for edge in edges if edge.duty is Duty.ASKED_OVERRIDE}
    for edge in edges:
        if edge.duty is Duty.CONFIRMED_OVERRIDE and edge.person in asked:
            yield DutyConflict(
                person=edge.person,
                made=Duty.ASKED_OVERRIDE,
                checked=edge.duty,
                rule="An override takes two different people.",
                prevented=edge.denied,
            )
    for review in run.reviews:
        if review.closed_by and review.closed_by in review.doers:
            made = Duty.ROLLED_BACK if review.kind == "rollback" else Duty.ASKED_OVERRIDE
            yield _reviewed_own(review.closed_by, made, prevented=False)
    doers = {person for review in run.reviews for person in review.doers}
    for edge in edges:
        if edge.duty is Duty.REVIEWED and edge.denied and edge.person in doers:
            rolled = any(e.person == edge.person and e.duty is Duty.ROLLED_BACK for e in edges)
            made = Duty.ROLLED_BACK if rolled else Duty.ASKED_OVERRIDE
            yield _reviewed_own(edge.person, made, prevented=True)


def _reviewed_own(person: str, made: Duty, *, prevented: bool) -> DutyConflict:
    return DutyConflict(
        person=person,
        made=made,
        checked=Duty.REVIEWED,
        rule="What somebody did is reviewed by somebody else.",
        prevented=prevented,
    )
