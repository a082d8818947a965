"""What is known of a run at one moment: its state, as plain frozen values.

Nothing here changes a run; `engine.core.run` folds events into it, `.decide` says what people may
ask of it, `.effects` what the engine does next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.core.attestations import Attestation
from engine.core.back_events import RollbackReadiness
from engine.core.digest import Digest
from engine.core.errors import IllegalTransition
from engine.core.event_parts import NamedDigest, StageCohort, TargetFact
from engine.core.fact_events import EnvironmentGuarded, GateDecided, PolicyEvaluated
from engine.core.people_events import OverrideUsed, PauseCauseSeen
from engine.core.people_state import OverrideAsk, Review
from engine.core.queue_events import StartBarred
from engine.core.run_events import RunRequested
from engine.core.schedule_events import PreconditionsChecked
from engine.core.spec import StepKind, StepSpec
from engine.core.statemachine import (
    STEP_OPEN,
    TERMINAL,
    RunStatus,
    StepStatus,
)
from engine.core.step_time import StepTime
from engine.core.way_back import WayBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a step; every one is kept.

    Attributes:
        cause: of an ERRORED attempt: adapter, timeout or engine_lost; else empty.
        applied: deploy steps: all planned targets were answered for.
        evidence: names of the evidence items captured for this attempt.
    """

    number: int
    status: StepStatus
    op_id: str
    started_us: int
    ended_us: int | None = None
    result: str = ""
    reason: str = ""
    cause: str = ""
    transient: bool = False
    operator: str = "engine"
    applied: bool = False
    outputs: tuple[NamedDigest, ...] = ()
    evidence: tuple[str, ...] = ()
    evidence_missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """A step and its attempts, oldest first. `status` is that of the latest attempt, or
    PENDING, SKIPPED, CANCELLED, REVERTED where that says more. `time`: before which it may not
    begin; None = it begins when its turn comes."""

    spec: StepSpec
    status: StepStatus = StepStatus.PENDING
    attempts: tuple[Attempt, ...] = ()
    summary: str = ""
    retry_at_us: int | None = None
    gate: GateDecided | None = None
    time: StepTime | None = None

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def attempt(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def open(self) -> bool:
        return self.status in STEP_OPEN

    @property
    def errors_used(self) -> int:
        """ERRORED attempts in a row that count towards the retry limit."""
        used = 0
        for attempt in reversed(self.attempts):
            if attempt.status is not StepStatus.ERRORED:
                break
            used += attempt.cause != "engine_lost"
        return used

    @property
    def watch_from(self) -> int:
        """First attempt of the watch that the latest one carries on after a lost engine."""
        number = len(self.attempts)
        while number > 1 and self.attempts[number - 2].cause == "engine_lost":
            number -= 1
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """Attributes:
    baseline: bundle it ran before this run touched anything; None = was unknown.
    current: bundle it was last seen to run; None = unknown.
    """

    target: str
    baseline: Digest | None
    current: Digest | None
    healthy: bool | None
    reversible: bool
    note: str

    @property
    def changed(self) -> bool:
        return self.current != self.baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's decision, approved or rejected. `counts` is false once withdrawn or stale.

    `hand`: another person, who made the link or token that they decided with; empty for none.
    """

    person: str
    decided_us: int
    binding: Digest
    view: Digest
    nonce: str
    expires_us: int
    comment: str
    groups: tuple[str, ...]
    attempt: int
    decision: str = "approved"
    counts: bool = True
    hand: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Attributes:
    version: number of events folded; the stream's seq.
    outcome: how the run ends, from the moment that this is decided; None before.
    paused_from: the status in which a pause caught the run.
    resolved_inputs: blob of resolved-inputs.json.
    attestations: every imported attestation that ever belonged to the run, oldest first.
    pinned: those that the inputs name, and that the gate is asked about.
    authors: people whom a provenance calls authors of what is promoted.
    cohorts: which targets each stage sets, planned before anything is touched.
    readiness: whether the way back is open, as last looked at; None in runs of old.
    rollback_suppressed: why a rollback that was due did not begin by itself; empty when none.
    ways_back: every time that targets were sent back, oldest first.
    sent_back: targets that went back by name and were not set again since.
    pauses: how often it was paused so far.
    unsettled: a pause caught a stage's change; where its targets stand is still to be seen.
    pause_cause: what the gate says now of the stage that it paused; None = not seen yet.
    override: an override that waits for its second person.
    overrides: those that two people made use of, oldest first.
    approvers: who may approve here by their role, as last looked up; None = not looked up.
    approvers_fresh: nobody has decided anything since.
    guard: how the environment's budget was last found, since the run was last paused.
    guard_us: when that was recorded.
    guard_since_us: since when the environment has burnt too fast for the run to go on, without a
        good answer in between.
    due_us: when its window was found open; None = it was not, since it was last rescheduled.
    checked: its preconditions as last put on record; `checked_us`: when.
    held_by: the run whose rollback keeps this one queued, as last said, for its bundle is held.
    held_note: why that is, as a sentence.
    barred: what else keeps it queued, as last said; None = nothing.
    passed_freezes: keys of the freezes' windows that two people let it pass by.
    evidence_count: items in the proof chain so far; their `seq` runs from 1 to this.
    """

    run_id: str
    request: RunRequested
    requested_by: str
    requested_us: int
    status: RunStatus
    version: int
    steps: tuple[StepState, ...]
    targets: tuple[TargetState, ...]
    updated_us: int
    started_us: int | None = None
    ended_us: int | None = None
    epoch: int = 0
    started_by: str = ""
    outcome: RunStatus | None = None
    outcome_reason: str = ""
    failure_class: str = ""
    superseded_by: str = ""
    held_by: str = ""
    held_note: str = ""
    barred: StartBarred | None = None
    passed_freezes: frozenset[str] = frozenset()
    pause_reason: str = ""
    pause_note: str = ""
    paused_from: RunStatus | None = None
    paused_us: int | None = None
    cancelling_us: int | None = None
    seal_status: str = "NOT_STARTED"
    window_start_us: int | None = None
    window_end_us: int | None = None
    time_zone: str = ""
    due_us: int | None = None
    checked: PreconditionsChecked | None = None
    checked_us: int | None = None
    resolved_inputs: Digest | None = None
    inputs_count: int = 0
    attestations: tuple[Attestation, ...] = ()
    pinned: tuple[Attestation, ...] = ()
    authors: tuple[str, ...] = ()
    cohorts: tuple[StageCohort, ...] = ()
    plan: Digest | None = None
    rollback_plan: Digest | None = None
    irreversible: tuple[TargetFact, ...] = ()
    verdict: PolicyEvaluated | None = None
    guard: EnvironmentGuarded | None = None
    guard_us: int | None = None
    guard_since_us: int | None = None
    binding: Digest | None = None
    approval_expires_us: int | None = None
    approvals: tuple[Approval, ...] = ()
    rollback_reason: str = ""
    rollback_ticket: str = ""
    rollback_trigger: str = ""
    rollback_verified: bool = False
    rollback_by: str = ""
    rollback_suppressed: str = ""
    readiness: RollbackReadiness | None = None
    ways_back: tuple[WayBack, ...] = ()
    sent_back: tuple[str, ...] = ()
    pauses: int = 0
    unsettled: bool = False
    pause_cause: PauseCauseSeen | None = None
    override: OverrideAsk | None = None
    overrides: tuple[OverrideUsed, ...] = ()
    approvers: tuple[str, ...] | None = None
    approvers_fresh: bool = False
    reviews: tuple[Review, ...] = ()
    evidence_count: int = 0
    chain: Digest | None = None

    @property
    def number(self) -> int:
        return self.request.number

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def bundle(self) -> Digest:
        return self.request.bundle

    @property
    def label(self) -> str:
        return f"{self.request.bundle_name} {self.request.bundle_version}"

    @property
    def environment(self) -> str:
        return self.request.environment

    @property
    def changed_targets(self) -> tuple[str, ...]:
        """Targets off their recorded bundle, as last seen; no answer counts as changed.

        One whose bundle before this run was never known has changed only when it runs ours.
        """
        return tuple(
            t.target
            for t in self.targets
            if (t.current == self.bundle if t.baseline is None else t.changed)
        )

    @property
    def touched_targets(self) -> tuple[str, ...]:
        """Targets that a rollback answers for: every stage's that has begun, and the changed."""
        begun = {t for c in self.cohorts if self.step(c.step).attempts for t in c.targets}
        return tuple(sorted(begun | set(self.changed_targets)))

    @property
    def rollback_executable(self) -> bool:
        """No changed target is known to be irreversible, and a plan exists."""
        return self.plan is not None and not self.stuck_targets

    @property
    def stuck_targets(self) -> tuple[tuple[str, str], ...]:
        """Changed targets that cannot go back, as last looked at, each with the reason."""
        changed = set(self.changed_targets)
        stuck = self.irreversible if self.readiness is None else self.readiness.stuck
        return tuple((one.target, one.note) for one in stuck if one.target in changed)

    @property
    def way_back(self) -> WayBack | None:
        """The way back that is under way, full or by name; None when none is."""
        return self.ways_back[-1] if self.ways_back and self.ways_back[-1].open else None

    @property
    def current_step(self) -> StepState | None:
        """The first step that is not over; None when every one is."""
        over = {StepStatus.SUCCEEDED, StepStatus.SKIPPED, StepStatus.REVERTED}
        return next((step for step in self.steps if step.status not in over), None)

    @property
    def being_set(self) -> StepState | None:
        """The deploy stage that brings its targets to the bundle right now; None when none does.

        One that a pause has stopped may still be in the middle of a switch."""
        step = self.current_step
        setting = (
            (self.status is RunStatus.RUNNING or self.unsettled)
            and step is not None
            and step.spec.kind is StepKind.DEPLOY
            and step.open
            and step.attempt is not None
            and not step.attempt.applied
        )
        return step if setting else None

    def step(self, step_id: str) -> StepState:
        for step in self.steps:
            if step.id == step_id:
                return step
        raise IllegalTransition(f"run {self.run_id} has no step {step_id!r}")

    def step_of_kind(self, kind: StepKind) -> StepState | None:
        return next((step for step in self.steps if step.spec.kind is kind), None)

    def cohort(self, step_id: str) -> tuple[str, ...]:
        return next((c.targets for c in self.cohorts if c.step == step_id), ())

    @property
    def glass(self) -> OverrideUsed | None:
        """The newest break-glass that two people made use of; None when nobody did."""
        return next((one for one in reversed(self.overrides) if one.until_us), None)

    def glass_broken(self, now_us: int) -> bool:
        """Whether the glass is broken now: what it opens has to begin by then."""
        return self.glass is not None and now_us < self.glass.until_us

    @property
    def waived_by(self) -> tuple[str, ...]:
        """Who wrote the waivers that the newest verdict rests on."""
        return () if self.verdict is None else self.verdict.waived_by

    @property
    def counting_approvals(self) -> tuple[Approval, ...]:
        return tuple(a for a in self.approvals if a.counts and a.decision == "approved")


def with_step(run: Run, step: StepState) -> Run:
    return replace(run, steps=tuple(step if s.id == step.id else s for s in run.steps))


def with_seen(
    run: Run, target: str, *, digest: Digest | None, healthy: bool | None, note: str
) -> Run:
    """The run after somebody looked at a target. Raises `IllegalTransition` for an unknown one."""
    for known in run.targets:
        if known.target == target:
            return with_target(run, replace(known, current=digest, healthy=healthy, note=note))
    raise IllegalTransition(f"run {run.run_id} has no target {target!r}")


def with_target(run: Run, target: TargetState) -> Run:
    if all(t.target != target.target for t in run.targets):
        raise IllegalTransition(f"run {run.run_id} has no target {target.target!r}")
    return replace(
        run, targets=tuple(target if t.target == target.target else t for t in run.targets)
    )
