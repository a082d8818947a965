"""Facts of the checkpoints: what was resolved, judged, approved, set, observed and sealed.

They change no status by themselves, except the three approval events that carry `via`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from engine.core.attestations import Attestation
from engine.core.burn import BurnState, RuleBurn
from engine.core.digest import Digest
from engine.core.event_parts import InputFact, NamedDigest, StageCohort, TargetFact, UsedWaiver


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsMaterialized:
    """`resolved` is the blob of resolved-inputs.json; `components` were re-hashed and match.
    `attestations`: imports that the run rests on; `authors`: our people whom a provenance names.
    """

    TYPE: ClassVar = "inputs.materialized/1"
    step: str
    attempt: int
    inputs: tuple[InputFact, ...]
    components: int
    resolved: Digest
    attestations: tuple[Attestation, ...] = ()
    authors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsObserved:
    """`purpose`: baseline (before anything is touched), pause, resume, verify, drain, rollback."""

    TYPE: ClassVar = "target.observed/1"
    purpose: str
    targets: tuple[TargetFact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlanned:
    """What each stage will touch and the way back, hashed before anything is touched.

    Attributes:
        plan: digest of the rollout plan's canonical document.
        rollback: digest of the rollback plan for the whole cohort.
        irreversible: targets that cannot go back; not empty = automatic rollback becomes a pause.
    """

    TYPE: ClassVar = "rollback.planned/1"
    cohorts: tuple[StageCohort, ...]
    plan: Digest
    rollback: Digest
    irreversible: tuple[TargetFact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEvaluated:
    """Attributes:
    verdict_id: `verdict-<n>`.
    decision: PASS or FAIL; `error`: a rule could not be evaluated, which is a FAIL.
    verdict: digest of the verdict, the same whoever evaluates it and when.
    capsule: blob with everything frozen that the verdict rests on.
    replays: the earlier verdict that was asked again and decided; empty when none was.
    waivers: those that it rests on, the oldest first; waived_by: who wrote them, sorted.
    """

    TYPE: ClassVar = "policy.evaluated/1"
    step: str
    attempt: int
    verdict_id: str
    decision: str
    warn: int
    fail: int
    error: bool
    verdict: Digest
    policy: Digest
    policy_input: Digest
    capsule: Digest
    notes: tuple[str, ...]
    replays: str = ""
    waived_by: tuple[str, ...] = ()
    waivers: tuple[UsedWaiver, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested:
    """Attributes:
    binding: digest over everything an approval is bound to (engine.core.approvals).
    expires_us: the request ends unanswered then.
    """

    TYPE: ClassVar = "approval.requested/1"
    via: str
    step: str
    attempt: int
    binding: Digest
    expires_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalApproved:
    """Attributes:
    view: blob of what the approver saw, else the binding again.
    nonce: makes it unique.
    hand: another person, who made the link or token that the approver came in with.
    """

    TYPE: ClassVar = "approval.approved/1"
    via: str
    step: str
    attempt: int
    binding: Digest
    view: Digest
    nonce: str
    expires_us: int
    comment: str
    groups: tuple[str, ...]
    hand: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalWithdrawn:
    TYPE: ClassVar = "approval.withdrawn/1"
    via: str
    step: str
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRejected:
    """Fields as in `ApprovalApproved`; `comment` is the reason."""

    TYPE: ClassVar = "approval.rejected/1"
    step: str
    attempt: int
    binding: Digest
    view: Digest
    nonce: str
    expires_us: int
    comment: str
    groups: tuple[str, ...]
    hand: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalsStale:
    """A bound digest changed: what was given counts no more."""

    TYPE: ClassVar = "approval.stale/1"
    step: str
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSet:
    """One target after a stage's change; `digest` is what it was seen to run afterwards."""

    TYPE: ClassVar = "target.set/1"
    step: str
    attempt: int
    target: str
    outcome: str
    from_digest: Digest | None
    to_digest: Digest
    digest: Digest | None
    healthy: bool | None
    note: str
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageApplied:
    """All planned targets were answered for. Health is watched from here."""

    TYPE: ClassVar = "stage.applied/1"
    step: str
    attempt: int
    plan: Digest
    changed: int
    noop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDecided:
    """The gate's action or rule changed, or its clock restarted (not one per tick).

    Attributes:
        action: continue, hold, promote, rollback or pause.
        rule: row of the gate's table that decided.
        t_ms: since the stage's watch began.
        ticks: how many ticks the decision rests on.
        evidence: blob with counts, thresholds and evidence values.
    """

    TYPE: ClassVar = "gate.evaluated/1"
    step: str
    attempt: int
    action: str
    rule: int
    reason: str
    t_ms: int
    ticks: int
    evidence: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentGuarded:
    """How fast the environment spends its error budget, read before something is begun in it.

    Told when the answer differs from the one before, not at every look.

    Attributes:
        step, attempt: the stage that was to begin; empty and 0 before the run's own start.
        query: what was asked of `source` at `at_us`.
        evidence: blob with the same, as the pack carries it.
    """

    TYPE: ClassVar = "environment.guarded/1"
    step: str
    attempt: int
    state: BurnState
    reason: str
    slo_bp: int
    rules: tuple[RuleBurn, ...]
    source: str
    query: str
    at_us: int
    evidence: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class StartHeld:
    """The run stays queued, because its bundle is held. `hold_run`: whose rollback that was."""

    TYPE: ClassVar = "run.start_held/1"
    hold_run: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFreed:
    """The hold that kept the run in the queue was lifted; it starts when its turn comes."""

    TYPE: ClassVar = "run.start_freed/1"
    hold_run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifySnapshot:
    """What runs where after the deploy, read from the targets."""

    TYPE: ClassVar = "verify.snapshot/1"
    step: str
    attempt: int
    on_bundle: int
    healthy: int
    total: int
    observed_components: int
    components: int
    snapshot: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReverted:
    """One target after its change back; `op_id` and `epoch` are those it was asked under."""

    TYPE: ClassVar = "rollback.target_reverted/1"
    target: str
    outcome: str
    to_digest: Digest
    digest: Digest | None
    healthy: bool | None
    note: str
    duration_ms: int
    op_id: str = ""
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackVerified:
    """Every target of the scope was seen on its recorded digest and healthy."""

    TYPE: ClassVar = "rollback.verified/1"
    targets: tuple[str, ...]
    plan: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceCaptured:
    """A signed statement exists for a checkpoint.

    Attributes:
        seq: place in the run's proof chain, 1-based without gaps.
        name: path inside a pack, for example `steps/02-gate-eval/policy-decision.dsse`.
        envelope: blob of the DSSE envelope; `payload` its statement's digest.
        log_index: leaf of the transparency log.
        files: every file written for this item, the envelope included.
    """

    TYPE: ClassVar = "evidence.captured/1"
    step: str
    attempt: int
    seq: int
    name: str
    envelope: Digest
    payload: Digest
    log_index: int
    files: tuple[NamedDigest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceMissing:
    """An item could not be sealed; the run ends UNSEALED. `way_back`: its number; 0 = no such."""

    TYPE: ClassVar = "evidence.missing/1"
    step: str
    attempt: int
    reason: str
    way_back: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSealed:
    """The proof chain over all items. `files` as in `EvidenceCaptured`."""

    TYPE: ClassVar = "evidence.sealed/1"
    count: int
    chain: Digest
    log_index: int
    files: tuple[NamedDigest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceExported:
    TYPE: ClassVar = "evidence.exported/1"
    kind: str
    digest: Digest
    size: int
    partial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceAddendum:
    """Something was added after the seal, signed by whoever wrote it; nothing sealed changes.

    Attributes:
        number: 1-based without gaps among the run's addenda.
        text: in their words, as it stands in the signed statement.
        name, envelope, payload, log_index, files: as in `EvidenceCaptured`, of a pack of addenda.
    """

    TYPE: ClassVar = "evidence.addendum/1"
    number: int
    text: str
    name: str
    envelope: Digest
    payload: Digest
    log_index: int
    files: tuple[NamedDigest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commented:
    TYPE: ClassVar = "run.commented/1"
    text: str


FactEvent: TypeAlias = (
    InputsMaterialized
    | TargetsObserved
    | RolloutPlanned
    | PolicyEvaluated
    | ApprovalRequested
    | ApprovalApproved
    | ApprovalWithdrawn
    | ApprovalRejected
    | ApprovalsStale
    | TargetSet
    | StageApplied
    | GateDecided
    | EnvironmentGuarded
    | StartHeld
    | StartFreed
    | VerifySnapshot
    | TargetReverted
    | RollbackVerified
    | EvidenceCaptured
    | EvidenceMissing
    | EvidenceSealed
    | EvidenceExported
    | EvidenceAddendum
    | Commented
)
