"""What an event is called towards the outside: stable names, and filters over them. Pure.

These names are a promise (vocabulary 7); events are our own and may change. One event may carry
several names, because a release that succeeded is also a service that was upgraded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine.core.back_events import TargetRollbackFailed
from engine.core.events import Event
from engine.core.fact_events import (
    ApprovalApproved,
    ApprovalRejected,
    ApprovalRequested,
    ApprovalsStale,
    EvidenceCaptured,
    EvidenceMissing,
    EvidenceSealed,
    GateDecided,
    StageApplied,
    StartHeld,
)
from engine.core.health import GateWord, word_of_row
from engine.core.hook_events import NoticeRaised, WebhookTested
from engine.core.house import ReplayFinished
from engine.core.people_events import OverrideRequested, OverrideUsed, ReviewOpened
from engine.core.run_events import (
    RollbackFailed,
    RollbackStarted,
    RunCancelled,
    RunExpired,
    RunFailed,
    RunPaused,
    RunQueued,
    RunRejected,
    RunRequested,
    RunResumed,
    RunRolledBack,
    RunScheduled,
    RunSealed,
    RunStarted,
    RunSucceeded,
)
from engine.core.schedule_events import FiringTicked, FiringWord
from engine.core.spec import ROLLBACK, StepKind
from engine.core.state import Run
from engine.core.step_events import (
    StepErrored,
    StepFailed,
    StepInconclusive,
    StepMarkedFailed,
    StepStarted,
    StepSucceeded,
)
from engine.core.step_time_events import StepTicked

# Somebody has to do something, or nothing goes on.
WAITING: Final = frozenset(
    {
        "approval.nobody_eligible",
        "approval.requested",
        "disk.low",
        "override.requested",
        "rescan.failed",
        "review.due",
        "review.overdue",
        "rollback.failed",
        "run.held",
        "run.paused",
        "run.stopped",
        "schedule.failed",
        "seal.failed",
        "store.damaged",
        "waiver.requested",
    }
)
NAMES: Final = WAITING | {
    "approval.approved",
    "approval.expired",
    "approval.rejected",
    "approval.stale",
    "environment.modified",
    "evidence.captured",
    "evidence.missing",
    "evidence.sealed",
    "freeze.ended",
    "freeze.started",
    "gate.breached",
    "gate.warned",
    "override.used",
    "replay.completed",
    "replay.mismatch",
    "rollback.started",
    "run.cancelled",
    "run.expired",
    "run.failed",
    "run.rejected",
    "run.requested",
    "run.resumed",
    "run.rolled_back",
    "run.scheduled",
    "run.sealed",
    "run.started",
    "run.succeeded",
    "schedule.missed",
    "service.deployed",
    "service.rolled_back",
    "service.upgraded",
    "step.errored",
    "step.failed",
    "step.inconclusive",
    "step.started",
    "step.succeeded",
    "verify.finished",
    "waiver.ending",
    "webhook.test",
}
EVERYTHING: Final = "*"
WAITS: Final = "waiting"
_FAMILIES: Final = frozenset(name.partition(".")[0] for name in NAMES)

_PLAIN: Final[dict[type, str]] = {
    RunRequested: "run.requested",
    RunScheduled: "run.scheduled",
    RunStarted: "run.started",
    RunPaused: "run.paused",
    RunResumed: "run.resumed",
    RunRejected: "run.rejected",
    RunFailed: "run.failed",
    RunCancelled: "run.cancelled",
    RollbackStarted: "rollback.started",
    RollbackFailed: "rollback.failed",
    TargetRollbackFailed: "rollback.failed",
    StepStarted: "step.started",
    StepErrored: "step.errored",
    StepInconclusive: "step.inconclusive",
    ApprovalRequested: "approval.requested",
    ApprovalApproved: "approval.approved",
    ApprovalRejected: "approval.rejected",
    ApprovalsStale: "approval.stale",
    StageApplied: "environment.modified",
    EvidenceCaptured: "evidence.captured",
    EvidenceMissing: "evidence.missing",
    EvidenceSealed: "evidence.sealed",
    StartHeld: "run.held",
    OverrideRequested: "override.requested",
    OverrideUsed: "override.used",
    ReviewOpened: "review.due",
    WebhookTested: "webhook.test",
}


def names_of(event: Event, run: Run | None) -> tuple[str, ...]:
    """The names under which an event is told; empty for one that concerns nobody outside.

    Args:
        run: as it is after the event; None for an event of the house.
    """
    match event:
        case NoticeRaised(name=name):
            return (name,)
        case ReplayFinished(mismatching=mismatching):
            return ("replay.completed", "replay.mismatch")[: 2 if mismatching else 1]
        case FiringTicked(word=FiringWord.MISSED | FiringWord.SKIPPED):
            return ("schedule.missed",)
        case StepTicked(word=FiringWord.MISSED | FiringWord.EXPIRED):
            return ("schedule.missed",)
        case FiringTicked(word=FiringWord.FAILED_TO_START):
            return ("schedule.failed",)
        case RunSealed(seal_status=status):
            return ("run.sealed",) if status == "SEALED" else ("run.sealed", "seal.failed")
        case RunExpired(via="approval_expired"):
            return ("run.expired", "approval.expired")
        case RunExpired():
            return ("run.expired",)
        case RunQueued(via="resume_queued"):
            return ("run.resumed",)
        case RunSucceeded() if run is not None:
            return ("run.succeeded", _service(run))
        case RunRolledBack():
            return ("run.rolled_back", "service.rolled_back")
        case GateDecided(rule=rule):
            return _gate(rule)
        case StepSucceeded(step=step) | StepFailed(step=step) | StepMarkedFailed(step=step):
            word = "step.succeeded" if isinstance(event, StepSucceeded) else "step.failed"
            verify = run is not None and run.step(step).spec.kind is StepKind.VERIFY
            return (word, "verify.finished") if verify else (word,)
        case _:
            plain = _PLAIN.get(type(event))
            return () if plain is None else (plain,)


def _service(run: Run) -> str:
    if run.request.kind == ROLLBACK:
        return "service.rolled_back"
    first = all(target.baseline is None for target in run.targets)
    return "service.deployed" if first else "service.upgraded"


def _gate(rule: int) -> tuple[str, ...]:
    match word_of_row(rule):
        case GateWord.BREACHED:
            return ("gate.breached",)
        case GateWord.AT_RISK:
            return ("gate.warned",)
        case _:
            return ()


def unknown(patterns: Iterable[str]) -> tuple[str, ...]:
    """Of some filters those that fit no name, in their order."""
    return tuple(one for one in patterns if not _known(one))


def _known(pattern: str) -> bool:
    if pattern in {EVERYTHING, WAITS} or pattern in NAMES:
        return True
    return pattern.endswith(".*") and pattern.removesuffix(".*") in _FAMILIES


def wanted(patterns: Iterable[str], name: str) -> bool:
    """Whether a name passes any of the filters."""
    family = f"{name.partition('.')[0]}.*"
    return any(
        one in {EVERYTHING, name, family} or (one == WAITS and name in WAITING) for one in patterns
    )
