"""Events that move a run from one status to another, and the wish it begins with.

Each carries `via`, the transition that it takes in `engine.core.statemachine`; one that names none
cannot change a status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from engine.core.digest import Digest
from engine.core.event_parts import PinnedChange
from engine.core.preconditions import Precondition
from engine.core.spec import ApprovalRule, StepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequested:
    """The wish, with everything pinned that the run will be judged by.

    Attributes:
        number: order of request; the run's id is `run-<number>`.
        kind: PROMOTE, ROLLBACK or HOTFIX.
        bundle_authors: everyone who counts as an author of what is promoted.
        steps: in execution order; the last one seals.
        targets: every target of the environment, sorted.
        speed: the divisor that was applied to waiting times (1 = as configured).
        initial: SCHEDULED or QUEUED.
        rerun_of: the finished run that is tried again; `differs` is what was pinned otherwise then.
        rolls_back: of a ROLLBACK: the promotion that it takes back.
        takes_back: of a ROLLBACK: the bundle that the targets leave; `bundle` is what they go to.
        vouched_by: of a ROLLBACK: the run whose verdict let `bundle` in before; empty when none.
        ticket_pattern: what a rollback's ticket has to match; empty = none is needed.
        policy_authors: people who changed this environment's policy in the 14 days before.
        queue: `fifo`, or `latest` when a newer promotion takes the place of one that still waits.
        token_owner: who made the token, or for somebody else the link, that asked for this run;
            empty where a person asked with what nobody else could have used.
        schedule, firing: the schedule that made the run, and for which local date; else empty.
        preconditions: what has to hold before it starts; empty for a run that no schedule made.
    """

    TYPE: ClassVar = "run.requested/1"
    number: int
    kind: str
    bundle: Digest
    bundle_name: str
    bundle_version: str
    bundle_authors: tuple[str, ...]
    region: str
    environment: str
    promotes_from: str
    workflow: str
    workflow_digest: Digest
    policy: str
    policy_digest: Digest
    config_digest: Digest
    steps: tuple[StepSpec, ...]
    targets: tuple[str, ...]
    approval: ApprovalRule
    on_breach: str
    speed: int
    initial: str
    reason: str = ""
    ticket: str = ""
    rerun_of: str = ""
    differs: tuple[PinnedChange, ...] = ()
    rolls_back: str = ""
    takes_back: Digest | None = None
    takes_back_label: str = ""
    vouched_by: str = ""
    ticket_pattern: str = ""
    policy_authors: tuple[str, ...] = ()
    token_owner: str = ""
    queue: str = "fifo"
    schedule: str = ""
    firing: str = ""
    preconditions: tuple[Precondition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScheduled:
    """The window in which the run has to start; also each change of it (via `reschedule`).

    `reason`: what clocks do to its time, or why it was changed.
    """

    TYPE: ClassVar = "run.scheduled/1"
    via: str
    start_us: int
    window_end_us: int
    time_zone: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQueued:
    TYPE: ClassVar = "run.queued/1"
    via: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The environment lock is held. `epoch` fences every write to the environment's targets."""

    TYPE: ClassVar = "run.started/1"
    via: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused:
    TYPE: ClassVar = "run.paused/1"
    via: str
    pause_reason: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """The run goes on.

    Attributes:
        override_by: the second person where the cause had not cleared.
        freezes: keys of the freezes' windows that two people let it pass by.
    """

    TYPE: ClassVar = "run.resumed/1"
    via: str
    reason: str = ""
    override_by: str = ""
    freezes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContinued:
    """A person let the stage pass before its clock; counts as the stage's success."""

    TYPE: ClassVar = "run.continued/1"
    via: str
    step: str
    reason: str
    override_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRerunRequested:
    TYPE: ClassVar = "step.rerun_requested/1"
    via: str
    step: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelling:
    TYPE: ClassVar = "run.cancelling/1"
    via: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackStarted:
    """Attributes:
    trigger: `health`, `step_failed`, `operator`, `pause_timeout` or `retry`.
    targets: those that were off their recorded digest when this was decided.
    plan: digest of the plan that whoever asked had seen; None when they had seen none.
    """

    TYPE: ClassVar = "run.rollback_started/1"
    via: str
    trigger: str
    reason: str
    ticket: str = ""
    targets: tuple[str, ...] = ()
    plan: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackFailed:
    """`plan`: digest of what was tried; None when nothing could be tried at all."""

    TYPE: ClassVar = "run.rollback_failed/1"
    via: str
    reason: str
    targets: tuple[str, ...]
    plan: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRejected:
    """Outcome decided: the policy or an approver said no. Sealing follows."""

    TYPE: ClassVar = "run.rejected/1"
    via: str
    failure_class: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    TYPE: ClassVar = "run.failed/1"
    via: str
    failure_class: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunExpired:
    TYPE: ClassVar = "run.expired/1"
    via: str
    failure_class: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelled:
    TYPE: ClassVar = "run.cancelled/1"
    via: str
    reason: str
    forced: bool = False
    superseded_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRolledBack:
    TYPE: ClassVar = "run.rolled_back/1"
    via: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSucceeded:
    TYPE: ClassVar = "run.succeeded/1"
    via: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSealed:
    """The end. `seal_status` SEALED, or UNSEALED when every attempt to seal was used up."""

    TYPE: ClassVar = "run.sealed/1"
    via: str
    seal_status: str
    reason: str = ""


RunMoved: TypeAlias = (
    RunScheduled
    | RunQueued
    | RunStarted
    | RunPaused
    | RunResumed
    | RunContinued
    | StepRerunRequested
    | RunCancelling
    | RollbackStarted
    | RollbackFailed
    | RunRejected
    | RunFailed
    | RunExpired
    | RunCancelled
    | RunRolledBack
    | RunSucceeded
    | RunSealed
)
