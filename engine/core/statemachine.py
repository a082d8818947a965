"""The state machine of a run and of a step, as tables. Nothing else may say what can follow.

Every status change of a run names the transition that it takes (`via`), and `next_status` looks
it up here; an event that names none cannot change a status. The diagram in ARCHITECTURE.md is
printed from these tables, and tests hold them against the published `statemachine.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from engine.core.errors import IllegalTransition


class RunStatus(StrEnum):
    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    SEALING = "SEALING"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    ROLLED_BACK = "ROLLED_BACK"
    SUCCEEDED = "SUCCEEDED"


TERMINAL: Final = frozenset(
    {
        RunStatus.CANCELLED,
        RunStatus.EXPIRED,
        RunStatus.FAILED,
        RunStatus.REJECTED,
        RunStatus.ROLLED_BACK,
        RunStatus.SUCCEEDED,
    }
)


class StepStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ERRORED = "ERRORED"
    INCONCLUSIVE = "INCONCLUSIVE"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"
    REVERTED = "REVERTED"


# An attempt in one of these is still being worked on or waited for.
STEP_OPEN: Final = frozenset({StepStatus.RUNNING, StepStatus.WAITING})


class Role(StrEnum):
    VIEWER = "viewer"
    RELEASE_MANAGER = "release_manager"
    APPROVER = "approver"
    SRE = "sre"
    POLICY_AUTHOR = "policy_author"
    AUDITOR = "auditor"
    ADMIN = "admin"
    CI = "ci"


@dataclass(frozen=True, slots=True)
class Transition:
    """Attributes:
    actors: `system`, or the roles whose holders may cause it.
    guard: what must hold, in words; `engine.core.decide` and `.effects` are where it is checked.
    """

    source: RunStatus
    event: str
    actors: tuple[str, ...]
    target: RunStatus
    guard: str
    note: str


def _t(source: str, event: str, actors: str, target: str, guard: str, note: str) -> Transition:
    return Transition(
        RunStatus(source), event, tuple(actors.split(",")), RunStatus(target), guard, note
    )


# fmt: off
TRANSITIONS: Final[tuple[Transition, ...]] = (
    _t("SCHEDULED", "window_open", "system", "QUEUED", "all ENFORCE preconditions true, no freeze, env not on hold", ""),
    _t("SCHEDULED", "window_closed", "system", "SEALING", "never started", "outcome EXPIRED, reason names the preconditions that never held"),
    _t("SCHEDULED", "start_now", "release_manager", "QUEUED", "same preconditions as window_open (or break_glass)", ""),
    _t("SCHEDULED", "reschedule", "release_manager", "SCHEDULED", "", ""),
    _t("SCHEDULED", "cancel", "release_manager", "SEALING", "reason", "outcome CANCELLED"),
    _t("QUEUED", "lock_acquired", "system", "RUNNING", "one active run per environment", "fencing token issued"),
    _t("QUEUED", "superseded", "system", "SEALING", "env policy queue=latest and a newer run was queued", "outcome CANCELLED, reason superseded_by"),
    _t("QUEUED", "freeze_started", "system", "PAUSED", "", "pause_reason freeze"),
    _t("QUEUED", "pause", "release_manager,sre", "PAUSED", "reason", "pause_reason manual"),
    _t("QUEUED", "cancel", "release_manager", "SEALING", "reason", "outcome CANCELLED"),
    _t("RUNNING", "gate_fail", "system", "SEALING", "verdict FAIL", "outcome REJECTED; no target touched"),
    _t("RUNNING", "approval_required", "system", "AWAITING_APPROVAL", "verdict PASS (with or without WARN) and rule needs people", ""),
    _t("RUNNING", "health_breach", "system", "ROLLING_BACK", "trigger latched and on_breach=rollback and rollback plan executable", "automatic"),
    _t("RUNNING", "health_breach_hold", "system", "PAUSED", "trigger latched and (on_breach=pause or plan not executable)", "pause_reason health_breach"),
    _t("RUNNING", "health_inconclusive", "system", "PAUSED", "NO_DATA or between thresholds past the limit", "pause_reason health_inconclusive"),
    _t("RUNNING", "step_failed", "system", "PAUSED", "attempt FAILED, or ERRORED with retries used up; on_failure=pause (default)", "pause_reason step_failed"),
    _t("RUNNING", "step_failed_end", "system", "SEALING", "step.on_failure=fail and not targets_changed", "outcome FAILED"),
    _t("RUNNING", "step_failed_rollback", "system", "ROLLING_BACK", "step.on_failure=rollback and targets_changed and plan executable", "default for Post-Deploy Verify"),
    _t("RUNNING", "freeze_started", "system", "PAUSED", "at the next step boundary only", "pause_reason freeze"),
    _t("RUNNING", "engine_lost", "system", "PAUSED", "lease expired, attempt marked ERRORED, step declared not idempotent", "pause_reason engine_restart"),
    _t("RUNNING", "all_steps_done", "system", "SEALING", "Post-Deploy Verify SUCCEEDED", "outcome SUCCEEDED"),
    _t("RUNNING", "pause", "release_manager,sre", "PAUSED", "reason", "pause_reason manual; takes effect at once for the gate clock, at next safe point for targets"),
    _t("RUNNING", "continue", "release_manager,sre", "RUNNING", "stage criteria met, or override with second person", ""),
    _t("RUNNING", "rerun_step", "release_manager,sre", "RUNNING", "step idempotent; reason", "open attempt CANCELLED, attempt n+1 opened"),
    _t("RUNNING", "mark_step_failed", "sre", "PAUSED", "reason", "pause_reason step_failed"),
    _t("RUNNING", "rollback", "release_manager,sre", "ROLLING_BACK", "targets_changed; reason", ""),
    _t("RUNNING", "cancel", "release_manager", "CANCELLING", "not targets_changed; reason", ""),
    _t("AWAITING_APPROVAL", "approve", "approver", "AWAITING_APPROVAL", "eligible, not conflicted, binding current", "below quorum"),
    _t("AWAITING_APPROVAL", "quorum_met", "system", "RUNNING", "min_approvals and every required group", ""),
    _t("AWAITING_APPROVAL", "reject", "approver", "SEALING", "reason", "outcome REJECTED"),
    _t("AWAITING_APPROVAL", "withdraw", "approver", "AWAITING_APPROVAL", "own approval, before quorum", ""),
    _t("AWAITING_APPROVAL", "approval_expired", "system", "SEALING", "", "outcome EXPIRED"),
    _t("AWAITING_APPROVAL", "binding_changed", "system", "RUNNING", "any bound digest changed", "approvals become STALE; Gate Eval runs again"),
    _t("AWAITING_APPROVAL", "cancel", "release_manager", "SEALING", "reason", "outcome CANCELLED"),
    _t("PAUSED", "resume", "release_manager,sre", "RUNNING", "cause cleared, or override with second person", ""),
    _t("PAUSED", "resume_queued", "release_manager,sre", "QUEUED", "paused from QUEUED, cause cleared", ""),
    _t("PAUSED", "retry_step", "release_manager,sre", "RUNNING", "attempt FAILED/ERRORED/INCONCLUSIVE; reason", "new attempt, old kept"),
    _t("PAUSED", "rollback", "release_manager,sre", "ROLLING_BACK", "targets_changed; reason", ""),
    _t("PAUSED", "cancel", "release_manager", "CANCELLING", "not targets_changed; reason", ""),
    _t("PAUSED", "close_failed", "release_manager", "SEALING", "reason + typed confirmation of target states", "outcome FAILED; targets left as they are"),
    _t("PAUSED", "pause_timeout", "system", "ROLLING_BACK", "on_pause_timeout=rollback and targets_changed", ""),
    _t("PAUSED", "pause_timeout_fail", "system", "SEALING", "on_pause_timeout=fail or nothing changed", "outcome FAILED"),
    _t("CANCELLING", "drained", "system", "SEALING", "no attempt open", "outcome CANCELLED"),
    _t("CANCELLING", "cancel_timeout", "system", "SEALING", "60 s", "outcome CANCELLED, forced=true"),
    _t("CANCELLING", "target_changed", "system", "PAUSED", "a target changed while draining", "pause_reason cancel_after_change"),
    _t("ROLLING_BACK", "reverted", "system", "SEALING", "every changed target back on its recorded digest and healthy", "outcome ROLLED_BACK"),
    _t("ROLLING_BACK", "revert_error", "system", "ROLLBACK_FAILED", "any target not back inside the limit", "page someone"),
    _t("ROLLBACK_FAILED", "retry_rollback", "release_manager,sre", "ROLLING_BACK", "", "only targets not yet back"),
    _t("ROLLBACK_FAILED", "close_failed", "release_manager", "SEALING", "reason + second person", "outcome FAILED"),
    _t("SEALING", "sealed", "system", "CANCELLED", "outcome=CANCELLED", "or seal attempts used up: same status, seal_status=UNSEALED"),
    _t("SEALING", "sealed", "system", "EXPIRED", "outcome=EXPIRED", "or seal attempts used up: same status, seal_status=UNSEALED"),
    _t("SEALING", "sealed", "system", "FAILED", "outcome=FAILED", "or seal attempts used up: same status, seal_status=UNSEALED"),
    _t("SEALING", "sealed", "system", "REJECTED", "outcome=REJECTED", "or seal attempts used up: same status, seal_status=UNSEALED"),
    _t("SEALING", "sealed", "system", "ROLLED_BACK", "outcome=ROLLED_BACK", "or seal attempts used up: same status, seal_status=UNSEALED"),
    _t("SEALING", "sealed", "system", "SUCCEEDED", "outcome=SUCCEEDED", "or seal attempts used up: same status, seal_status=UNSEALED"),
)
# fmt: on

STEP_NEXT: Final[Mapping[StepStatus, tuple[StepStatus, ...]]] = {
    StepStatus.PENDING: (
        StepStatus.RUNNING,
        StepStatus.SKIPPED,
        StepStatus.CANCELLED,
    ),
    StepStatus.RUNNING: (
        StepStatus.WAITING,
        StepStatus.SUCCEEDED,
        StepStatus.FAILED,
        StepStatus.ERRORED,
        StepStatus.INCONCLUSIVE,
        StepStatus.CANCELLED,
    ),
    StepStatus.WAITING: (
        StepStatus.RUNNING,
        StepStatus.SUCCEEDED,
        StepStatus.FAILED,
        StepStatus.ERRORED,
        StepStatus.INCONCLUSIVE,
        StepStatus.CANCELLED,
    ),
    StepStatus.FAILED: (
        StepStatus.RUNNING,
        StepStatus.REVERTED,
    ),
    StepStatus.ERRORED: (
        StepStatus.RUNNING,
        StepStatus.REVERTED,
    ),
    StepStatus.INCONCLUSIVE: (
        StepStatus.RUNNING,
        StepStatus.REVERTED,
    ),
    StepStatus.CANCELLED: (
        StepStatus.RUNNING,
        StepStatus.REVERTED,
    ),
    StepStatus.SUCCEEDED: (
        StepStatus.REVERTED,
        StepStatus.RUNNING,
    ),
}

_NEXT: Final[Mapping[tuple[RunStatus, str], tuple[Transition, ...]]] = {
    (t.source, t.event): tuple(u for u in TRANSITIONS if (u.source, u.event) == (t.source, t.event))
    for t in TRANSITIONS
}


def transition(source: RunStatus, via: str, *, outcome: RunStatus | None = None) -> Transition:
    """Return the transition `via` out of `source`.

    Args:
        outcome: for `sealed` only, which ends in the status that the run's outcome names.

    Raises:
        IllegalTransition: the table has no such row.
    """
    candidates = _NEXT.get((source, via), ())
    if len(candidates) > 1:
        candidates = tuple(t for t in candidates if t.target == outcome)
    if len(candidates) != 1:
        raise IllegalTransition(f"a run that is {source} cannot take {via!r}")
    return candidates[0]


def exists(source: RunStatus, via: str) -> bool:
    return (source, via) in _NEXT


def actors_of(via: str, source: RunStatus) -> tuple[str, ...]:
    """Who may take `via` from `source`; empty when the table has no such row."""
    rows = _NEXT.get((source, via), ())
    return rows[0].actors if rows else ()


def check_step(source: StepStatus, target: StepStatus, *, step: str) -> None:
    """Raise `IllegalTransition` unless a step may go from `source` to `target`."""
    if target not in STEP_NEXT.get(source, ()):
        raise IllegalTransition(f"step {step} cannot go from {source} to {target}")
