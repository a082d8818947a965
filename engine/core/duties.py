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

from engine.core.approvals import COMMIT_AUTHOR, GLASS_BREAKER, own_work, parts
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
    OWNED_TOKEN = "owned_token"  # noqa: S105 - a deed, no password
    CHANGED_POLICY = "changed_policy"
    WROTE_WAIVER = "wrote_waiver"
    BROKE_GLASS = "broke_glass"
    ROLLED_BACK = "rolled_back"
    ASKED_OVERRIDE = "asked_override"
    GRANTED_WAIVER = "granted_waiver"
    APPROVED = "approved"
    REJECTED = "rejected"
    CONFIRMED_OVERRIDE = "confirmed_override"
    REVIEWED = "reviewed"
    LET_IN = "let_in"


# In the order in which they are told.
MAKING: Final = (
    Duty.REQUESTED,
    Duty.STARTED,
    Duty.MADE_BUNDLE,
    Duty.AUTHORED_COMMITS,
    Duty.OWNED_TOKEN,
    Duty.CHANGED_POLICY,
    Duty.WROTE_WAIVER,
    Duty.BROKE_GLASS,
)
DOING: Final = (Duty.ASKED_OVERRIDE, Duty.ROLLED_BACK)
CHECKING: Final = (
    Duty.GRANTED_WAIVER,
    Duty.APPROVED,
    Duty.LET_IN,
    Duty.CONFIRMED_OVERRIDE,
    Duty.REVIEWED,
    Duty.REJECTED,
)

# Nobody lets through what they brought about. Saying no to it harms nobody, so it is not here.
_LETTING: Final = (Duty.APPROVED, Duty.LET_IN, Duty.CONFIRMED_OVERRIDE)
# What each part of a promotion (`engine.core.approvals.parts`) is called here.
_PARTS: Final = {
    "requester": Duty.REQUESTED,
    "starter": Duty.STARTED,
    "bundle_creator": Duty.MADE_BUNDLE,
    COMMIT_AUTHOR: Duty.AUTHORED_COMMITS,
    "token_owner": Duty.OWNED_TOKEN,
    "policy_author": Duty.CHANGED_POLICY,
    "waiver_author": Duty.WROTE_WAIVER,
    GLASS_BREAKER: Duty.BROKE_GLASS,
}
_DEED: Final = {
    Duty.APPROVED: "approve it",
    Duty.LET_IN: "make the link or token that it is approved with",
    Duty.CONFIRMED_OVERRIDE: "confirm an override of it",
}
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
    found = [*_both_sides(run, edges), *_same_person(run, edges)]
    return Duties(
        run=run.run_id,
        people=people,
        edges=tuple(edges),
        conflicts=tuple(dict.fromkeys(found)),
    )


def self_approval(run: Run, command: Command, user: str, hand: str = "") -> bool:
    """Whether the command would let through, or look at, what is the user's own work, or that of
    whoever made what they came in with.

    It says nothing of whether they could: who has no role to approve may try it all the same.
    """
    if hand and self_approval(run, command, hand):
        return True
    match command.action:
        case Action.APPROVE:
            return own_work(run, user, "", conflicts=run.request.approval.conflicts) is not None
        case Action.CONTINUE | Action.RESUME if command.override and run.override is not None:
            return run.override.by == user or own_work(run, user, "") is not None
        case Action.REVIEW:
            return any(user in review.doers for review in run.reviews if not review.closed_us)
        case _:
            return False


def _pinned(run: Run) -> Iterable[Edge]:
    """What stands in the request, or was found in what it rests on."""
    for part in parts(run):
        if part.name == GLASS_BREAKER:  # that is an event, with its time
            continue
        duty, at_us = _PARTS[part.name], run.requested_us
        people = set(part.people)
        if duty is Duty.STARTED:
            people -= {run.requested_by, ENGINE}
            at_us = run.started_us or at_us
        for person in sorted(people):
            note = _waivers(run, person) if duty is Duty.WROTE_WAIVER else ""
            yield Edge(person=person, duty=duty, ts_us=at_us, gseq=0, note=note)
    # Whoever granted one judged somebody else's wish, and may judge the run as well.
    waivers = () if run.verdict is None else run.verdict.waivers
    for person in sorted({used.granted_by for used in waivers}):
        note = _waivers(run, person)
        yield Edge(
            person=person, duty=Duty.GRANTED_WAIVER, ts_us=run.requested_us, gseq=0, note=note
        )


def _waivers(run: Run, person: str) -> str:
    """Those that the verdict rests on and that they wrote or granted."""
    waivers = () if run.verdict is None else run.verdict.waivers
    return "; ".join(
        f"{used.waiver}: {used.finding} in {used.purl}"
        for used in waivers
        if person in {used.author, used.granted_by}
    )


def _of(one: Recorded) -> Iterable[Edge]:
    found: Sequence[tuple[str, Duty, str]]
    match one.event:
        case ApprovalApproved(comment=comment, hand=hand):
            lent = ((hand, Duty.LET_IN, f"{one.actor} approved with it"),) if hand else ()
            found = ((one.actor, Duty.APPROVED, comment), *lent)
        case ApprovalRejected(comment=comment):
            found = ((one.actor, Duty.REJECTED, comment),)
        case OverrideRequested(reason=reason):
            found = ((one.actor, Duty.ASKED_OVERRIDE, reason),)
        case OverrideUsed(reason=reason):
            confirmed = (one.event.confirmed_by, Duty.CONFIRMED_OVERRIDE, reason)
            pair = (one.event.asked_by, one.event.confirmed_by)
            broke = tuple((person, Duty.BROKE_GLASS, reason) for person in pair)
            found = (confirmed, *(broke if one.event.until_us else ()))
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


def _both_sides(run: Run, edges: Sequence[Edge]) -> Iterable[DutyConflict]:
    for checked in edges:
        if checked.duty not in _LETTING:
            continue
        for part in parts(run):
            chosen = checked.duty is Duty.CONFIRMED_OVERRIDE
            counts = part.always or chosen or part.name in run.request.approval.conflicts
            # What was done afterwards, as breaking the glass may be, makes nothing of before wrong.
            if counts and any(
                (made.person, made.duty) == (checked.person, _PARTS[part.name])
                and made.gseq < checked.gseq
                for made in edges
            ):
                yield DutyConflict(
                    person=checked.person,
                    made=_PARTS[part.name],
                    checked=checked.duty,
                    rule=f"Who {part.did} may not {_DEED[checked.duty]}.",
                    prevented=checked.denied,
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
