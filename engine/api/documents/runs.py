"""What the API says of a run. Times are UTC epoch microseconds (`_us`), digests `sha256:<hex>`."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from engine.api.documents.base import Anything, DigestText, Hex64, closed
from engine.api.documents.integrity import DamageDoc
from engine.api.documents.schedules import RunScheduleDoc, StepTimeDoc
from engine.core.commands import Action
from engine.core.statemachine import RunStatus, StepStatus

RunId = Annotated[str, Field(examples=["run-1"])]


@closed
class NamedDigestDoc(TypedDict):
    name: str
    digest: DigestText


@closed
class AttemptDoc(TypedDict):
    """`ended_us` is null while it is open."""

    number: int
    status: StepStatus
    operator: str
    started_us: int
    ended_us: int | None
    result: str
    reason: str
    cause: str
    outputs: list[NamedDigestDoc]
    evidence: list[str]


@closed
class StepDoc(TypedDict):
    """A step is what its latest attempt is; every attempt is kept."""

    id: str
    name: str
    kind: str
    status: StepStatus
    summary: str
    retry_at_us: int | None
    time: StepTimeDoc | None
    attempts: list[AttemptDoc]


@closed
class TargetDoc(TypedDict):
    """`healthy` null: nobody knows."""

    target: str
    baseline: DigestText | None
    current: DigestText | None
    healthy: bool | None
    changed: bool
    note: str


@closed
class DecisionDoc(TypedDict):
    """`counts`: it is bound to what would go out now, by somebody who may still approve. `view`:
    digest of what they were shown; null where that was the binding alone. `hand`: another person,
    who made the link or token that they decided with; empty for none."""

    person: str
    hand: str
    decision: str
    decided_us: int
    comment: str
    groups: list[str]
    counts: bool
    attempt: int
    view: DigestText | None


@closed
class ApprovalsDoc(TypedDict):
    """`missing`: what is still wanted, one phrase each. `may_approve`: who could give it.
    `shortage`: why these people are too few, as a sentence; empty when they are not."""

    required: int
    missing: list[str]
    may_approve: list[str]
    shortage: str
    binding: DigestText | None
    expires_us: int | None
    decisions: list[DecisionDoc]


@closed
class VerdictOfRunDoc(TypedDict):
    id: str
    decision: str
    warn: int
    fail: int
    error: bool
    digest: DigestText
    notes: list[str]


@closed
class BurnWindowDoc(TypedDict):
    window_s: int
    bad: int | None
    total: int | None


@closed
class BurnRuleDoc(TypedDict):
    burn_centi: int
    state: str
    windows: list[BurnWindowDoc]


@closed
class GuardDoc(TypedDict):
    """How fast the environment spent its error budget when that was last recorded."""

    state: str
    reason: str
    step: str
    recorded_us: int | None
    since_us: int | None
    slo_bp: int
    rules: list[BurnRuleDoc]
    source: str
    query: str
    at_us: int
    evidence: str


@closed
class ReadinessTargetDoc(TypedDict):
    target: str
    to: DigestText | None
    present: bool
    ready: bool
    note: str


@closed
class ReadinessDoc(TypedDict):
    """Whether every target could go back, as it was last looked at."""

    step: str
    plan: str
    observed_at_us: int
    ready: bool
    targets: list[ReadinessTargetDoc]


@closed
class WayBackDoc(TypedDict):
    number: int
    scope: str
    trigger: str
    targets: list[str]
    reason: str
    ticket: str
    by: str
    started_us: int
    outcome: str
    note: str
    sealed: bool
    evidence_missing: bool


@closed
class OverrideDoc(TypedDict):
    """An override that waits for its second person."""

    action: str
    step: str
    asked_by: str
    asked_us: int
    expires_us: int
    against: str
    missing: list[str]
    reason: str
    ticket: str


@closed
class OverrideUsedDoc(TypedDict):
    action: str
    step: str
    attempt: int
    asked_by: str
    confirmed_by: str
    asked_reason: str
    reason: str
    rule: int
    against: str
    missing: list[str]
    ticket: str
    until_us: int | None


@closed
class ReviewOfRunDoc(TypedDict):
    """`overdue` is told where a clock is at hand."""

    overdue: NotRequired[bool]
    number: int
    kind: str
    doers: list[str]
    what: str
    opened_us: int
    due_us: int
    closed_by: str
    closed_us: int | None
    verdict: str
    note: str
    ticket: str


@closed
class RunDoc(TypedDict):
    """A run as its log folds to, up to `version`."""

    id: RunId
    number: int
    kind: str
    status: RunStatus
    current_step: str | None
    outcome: RunStatus | None
    outcome_reason: str
    failure_class: str
    pause_reason: str
    pause_note: str
    waits_for: str
    seal_status: str
    bundle: DigestText
    bundle_name: str
    bundle_version: str
    region: str
    environment: str
    promotes_from: str
    workflow: str
    requested_by: str
    requested_us: int
    started_us: int | None
    ended_us: int | None
    version: int
    epoch: int
    speed: int
    rerun_of: str
    rolls_back: str
    takes_back: DigestText | None
    binding: DigestText | None
    verdict: VerdictOfRunDoc | None
    env_guard: GuardDoc | None
    schedule: RunScheduleDoc | None
    steps: list[StepDoc]
    targets: list[TargetDoc]
    approvals: ApprovalsDoc
    rollback_readiness: ReadinessDoc | None
    rollback_suppressed: str
    sent_back: list[str]
    ways_back: list[WayBackDoc]
    override: OverrideDoc | None
    overrides: list[OverrideUsedDoc]
    reviews: list[ReviewOfRunDoc]


@closed
class HoldDoc(TypedDict):
    """A bundle that was rolled back, and may not start there again until the hold is lifted."""

    environment: str
    bundle: DigestText
    label: str
    run: RunId
    trigger: str
    why: str
    by: str
    since_us: int
    sentence: str


@closed
class RunNowDoc(RunDoc):
    """A run, and what other runs, people and time made of it since."""

    hold: HoldDoc | None
    new_runs: list[RunId]
    damaged: list[DamageDoc]


@closed
class OfferDoc(TypedDict):
    """What an override takes now, for who asks. `turn`: ask, confirm or wait."""

    turn: Literal["ask", "confirm", "wait"]
    ok: bool
    why_not: str
    then: str
    missing: list[str]
    asked_by: str
    asked_us: int | None
    reason: str
    expires_us: int | None


@closed
class ActionDoc(TypedDict):
    """`ok`: may be done now by who asks; `reason` says why not, `opens_at_us` when it will."""

    action: Action
    ok: bool
    shown: bool
    reason: str
    opens_at_us: int | None
    override: OfferDoc | None


@closed
class ActionsDoc(TypedDict):
    """`version`: of the run that was looked at; the answer's ETag says it too."""

    run: RunId
    version: int
    items: list[ActionDoc]


@closed
class AuthDoc(TypedDict):
    """By what whoever asked was let in; ids that open nothing."""

    method: str
    credential: str
    request_id: str


@closed
class EventDoc(TypedDict):
    """One recorded fact; `body` is what its kind says, `hash` chains it to the one before."""

    gseq: int
    run: str
    seq: int
    ts_us: int
    actor: str
    command_id: str
    kind: str
    body: Anything
    auth: AuthDoc | None
    prev: Hex64
    hash: Hex64


@closed
class DoneDoc(TypedDict):
    """What an action caused: its events, the run right behind them, and a new run it made."""

    run: RunDoc
    events: list[EventDoc]
    new_run: RunDoc | None


@closed
class LineDoc(TypedDict):
    """A sentence of the story, and the event that it rests on."""

    ts_us: int
    actor: str
    text: str
    seq: int
    hash: Hex64


@closed
class StoryDoc(TypedDict):
    lines: list[LineDoc]
    next: str | None


@closed
class LogLineDoc(TypedDict):
    n: int
    ts_us: int
    level: str
    target: str
    text: str
