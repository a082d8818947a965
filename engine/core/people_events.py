"""Facts about people: who may approve, overrides that take two, and reviews that follow.

None of them changes a status. What an override lets happen is an event of its own behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from engine.core.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideRequested:
    """Somebody asks to go on although something stands against it. Nothing moves yet.

    Attributes:
        action: `continue`, `resume` or `break_glass`.
        rule: row of the gate's table that answered last; 0 = none.
        against: what stands against it at this moment, as a sentence.
        missing: the criteria that are not met, one phrase each.
        expires_us: a confirmation after this moment counts no more.
        evidence: blob of the gate's evidence that `against` rests on.
        binding: for break_glass: what the approvals that are passed by would have been bound to.
        hand: another person, who made the link or token that they came in with.
    """

    TYPE: ClassVar = "override.requested/1"
    action: str
    step: str
    attempt: int
    rule: int
    against: str
    missing: tuple[str, ...]
    reason: str
    ticket: str
    expires_us: int
    evidence: Digest | None = None
    binding: Digest | None = None
    hand: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideWithdrawn:
    """Whoever asked for the override does not want it any more."""

    TYPE: ClassVar = "override.withdrawn/1"
    step: str
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideDeclined:
    """Another person said no to the override that was asked for."""

    TYPE: ClassVar = "override.declined/1"
    step: str
    attempt: int
    asked_by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideExpired:
    """Nobody confirmed the override in time."""

    TYPE: ClassVar = "override.expired/1"
    step: str
    attempt: int
    asked_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideUsed:
    """Two people let it happen. `against` and `missing` are those of the confirmation.

    Attributes:
        until_us: of break_glass: what it opens has to have begun by then; else 0.
        binding: of break_glass: the one whose approvals it stands for; None = for none.
    """

    TYPE: ClassVar = "override.used/1"
    action: str
    step: str
    attempt: int
    asked_by: str
    confirmed_by: str
    asked_reason: str
    reason: str
    rule: int
    against: str
    missing: tuple[str, ...]
    ticket: str = ""
    evidence: Digest | None = None
    until_us: int = 0
    binding: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproversSeen:
    """Who holds the approver role in the environment, looked up before it is decided by."""

    TYPE: ClassVar = "approval.approvers_seen/1"
    step: str
    attempt: int
    approvers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalsLapsed:
    """Approvals that count no more: `people` lost the role, or theirs grew too old."""

    TYPE: ClassVar = "approval.lapsed/1"
    step: str
    attempt: int
    people: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseCauseSeen:
    """What the gate would say now of the stage that it paused; written when that changes.

    Attributes:
        cleared: nothing stands against going on any more.
        reason: the sentence behind it.
    """

    TYPE: ClassVar = "pause.cause_seen/1"
    step: str
    attempt: int
    cleared: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOpened:
    """Something was done that somebody else has to look at afterwards.

    Attributes:
        kind: `rollback`, `override` or `break_glass`.
        doers: the people who did it; none of them closes it.
        due_after_s: counted from the moment of this event.
    """

    TYPE: ClassVar = "review.opened/1"
    kind: str
    doers: tuple[str, ...]
    what: str
    due_after_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewClosed:
    """Attributes:
    number: of the run's reviews, from 1 in the order of opening.
    verdict: `agreed`, or `follow_up` with the ticket under which it goes on.
    """

    TYPE: ClassVar = "review.closed/1"
    number: int
    verdict: str
    note: str
    ticket: str = ""


PeopleEvent: TypeAlias = (
    OverrideRequested
    | OverrideWithdrawn
    | OverrideDeclined
    | OverrideExpired
    | OverrideUsed
    | ApproversSeen
    | ApprovalsLapsed
    | PauseCauseSeen
    | ReviewOpened
    | ReviewClosed
)
