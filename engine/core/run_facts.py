"""How the facts of the checkpoints enter a run. One part of `engine.core.run.evolve`."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never, get_args

from engine.core import burn_guard, run_imports, statemachine, way_back
from engine.core.errors import IllegalTransition
from engine.core.event_parts import TargetFact
from engine.core.events import Recorded
from engine.core.fact_events import (
    ApprovalApproved,
    ApprovalRejected,
    ApprovalRequested,
    ApprovalsStale,
    ApprovalWithdrawn,
    Commented,
    EnvironmentGuarded,
    EvidenceAddendum,
    EvidenceCaptured,
    EvidenceExported,
    EvidenceMissing,
    EvidenceSealed,
    FactEvent,
    GateDecided,
    InputsMaterialized,
    PolicyEvaluated,
    RollbackVerified,
    RolloutPlanned,
    StageApplied,
    StartFreed,
    StartHeld,
    TargetReverted,
    TargetSet,
    TargetsObserved,
    VerifySnapshot,
)
from engine.core.run_people import no_longer_count
from engine.core.state import Approval, Attempt, Run, TargetState, with_seen, with_step, with_target

_FACTS = get_args(FactEvent)


def apply(run: Run, recorded: Recorded) -> Run | None:
    """Return the run after a fact; None when the event is of another family."""
    event = recorded.event
    if not isinstance(event, _FACTS):
        return None
    via = getattr(event, "via", None)
    if via is not None:
        run = replace(run, status=statemachine.transition(run.status, via).target)
    match event:
        case InputsMaterialized():
            return run_imports.pinned(run, event)
        case RolloutPlanned():
            return replace(
                run,
                cohorts=event.cohorts,
                plan=event.plan,
                rollback_plan=event.rollback,
                irreversible=event.irreversible,
            )
        case PolicyEvaluated():
            return replace(run, verdict=event)
        case (
            ApprovalRequested()
            | ApprovalApproved()
            | ApprovalWithdrawn()
            | ApprovalRejected()
            | ApprovalsStale()
        ):
            return _approval(run, event, recorded)
        case TargetsObserved() | TargetSet() | TargetReverted() | RollbackVerified():
            return _targets(run, event)
        case StageApplied(step=step_id, attempt=number):
            return _on_attempt(run, step_id, number, applied=True)
        case GateDecided(step=step_id):
            return with_step(run, replace(run.step(step_id), gate=event))
        case StartHeld(hold_run=hold_run):
            return replace(run, held_by=hold_run, held_note=event.reason)
        case StartFreed():
            return replace(run, held_by="", held_note="")
        case EnvironmentGuarded():
            return burn_guard.guarded(run, event, recorded.ts_us)
        case EvidenceCaptured() | EvidenceMissing() | EvidenceSealed():
            return _evidence(run, event)
        case VerifySnapshot() | EvidenceExported() | EvidenceAddendum() | Commented():
            return run
        case _:
            assert_never(event)


def _approval(
    run: Run,
    event: ApprovalRequested
    | ApprovalApproved
    | ApprovalWithdrawn
    | ApprovalRejected
    | ApprovalsStale,
    recorded: Recorded,
) -> Run:
    if not isinstance(event, ApprovalRequested):
        run = replace(run, approvers_fresh=False)  # what comes of it needs a new look at them
    match event:
        case ApprovalRequested():
            return replace(run, binding=event.binding, approval_expires_us=event.expires_us)
        case ApprovalApproved() | ApprovalRejected():
            approval = Approval(
                person=recorded.actor,
                decided_us=recorded.ts_us,
                binding=event.binding,
                view=event.view,
                nonce=event.nonce,
                expires_us=event.expires_us,
                comment=event.comment,
                groups=event.groups,
                attempt=event.attempt,
                decision="approved" if isinstance(event, ApprovalApproved) else "rejected",
                hand=event.hand,
            )
            return replace(run, approvals=(*run.approvals, approval))
        case ApprovalWithdrawn():
            return no_longer_count(run, {recorded.actor})
        case ApprovalsStale():
            run = no_longer_count(run, {a.person for a in run.approvals})
            return replace(run, binding=None, approval_expires_us=None)
        case _:
            assert_never(event)


def _targets(
    run: Run, event: TargetsObserved | TargetSet | TargetReverted | RollbackVerified
) -> Run:
    match event:
        case TargetsObserved(purpose="baseline", targets=facts):
            for fact in facts:
                run = with_target(
                    run,
                    TargetState(
                        target=fact.target,
                        baseline=fact.digest,
                        current=fact.digest,
                        healthy=fact.healthy,
                        reversible=fact.reversible,
                        note=fact.note,
                    ),
                )
            return run
        case TargetsObserved(targets=facts):
            if event.purpose == "pause":
                run = replace(run, unsettled=False)
            for fact in facts:
                run = _seen(run, fact)
            return run
        case TargetSet():
            run = _seen(run, event)
            if event.digest != event.to_digest:
                return run
            # On the bundle again: nobody has to be told any more that it was sent back. One that
            # goes back right now was set before that began, by the stage that it stopped.
            going = () if run.way_back is None else run.way_back.targets
            gone = event.target not in going
            return replace(
                run, sent_back=tuple(t for t in run.sent_back if t != event.target or not gone)
            )
        case TargetReverted():
            return _seen(run, event)
        case RollbackVerified():
            ways = way_back.ended(run.ways_back, "verified")
            return replace(run, rollback_verified=True, ways_back=ways)
        case _:
            assert_never(event)


def _seen(run: Run, fact: TargetFact | TargetSet | TargetReverted) -> Run:
    return with_seen(run, fact.target, digest=fact.digest, healthy=fact.healthy, note=fact.note)


def _evidence(run: Run, event: EvidenceCaptured | EvidenceMissing | EvidenceSealed) -> Run:
    match event:
        case EvidenceCaptured(seq=seq):
            if seq != run.evidence_count + 1:
                raise IllegalTransition(
                    f"{run.run_id}: evidence {seq} follows {run.evidence_count}"
                )
            run = replace(run, evidence_count=seq, seal_status="PARTIAL")
            number = way_back.number_of(event.name)
            if number is not None:
                run = replace(run, ways_back=way_back.sealed(run.ways_back, number))
            return _on_attempt(run, event.step, event.attempt, evidence=event.name)
        case EvidenceMissing(way_back=number) if number:
            return replace(run, ways_back=way_back.lost(run.ways_back, number))
        case EvidenceMissing():
            return _on_attempt(run, event.step, event.attempt, evidence_missing=True)
        case EvidenceSealed(chain=chain):
            return replace(run, chain=chain)
        case _:
            assert_never(event)


def _on_attempt(
    run: Run,
    step_id: str,
    number: int,
    *,
    applied: bool = False,
    evidence: str = "",
    evidence_missing: bool = False,
) -> Run:
    step = run.step(step_id)
    if not 1 <= number <= len(step.attempts):
        raise IllegalTransition(f"step {step_id} has no attempt {number}")

    def changed(attempt: Attempt) -> Attempt:
        return replace(
            attempt,
            applied=attempt.applied or applied,
            evidence=(*attempt.evidence, evidence) if evidence else attempt.evidence,
            evidence_missing=attempt.evidence_missing or evidence_missing,
        )

    attempts = tuple(changed(a) if a.number == number else a for a in step.attempts)
    return with_step(run, replace(step, attempts=attempts))
