"""JSON shapes of the API: what goes out for a run, a step, a bundle. Pure functions.

Times are UTC epoch microseconds in `_us` fields; digests are written `sha256:<hex>`.
"""

from __future__ import annotations

from typing import Any

from engine.core import approvals
from engine.core.bundle import Bundle, manifest_document
from engine.core.commands import ActionState
from engine.core.events import Recorded
from engine.core.plan import RollbackPlan
from engine.core.run import Run
from engine.core.state import Attempt, StepState


def run_shape(run: Run) -> dict[str, Any]:
    request = run.request
    current = run.current_step
    return {
        "id": run.run_id,
        "number": run.number,
        "kind": request.kind,
        "status": run.status.value,
        "current_step": None if current is None or run.terminal else current.id,
        "outcome": None if run.outcome is None else run.outcome.value,
        "outcome_reason": run.outcome_reason,
        "failure_class": run.failure_class,
        "pause_reason": run.pause_reason,
        "pause_note": run.pause_note,
        "seal_status": run.seal_status,
        "bundle": str(run.bundle),
        "bundle_name": request.bundle_name,
        "bundle_version": request.bundle_version,
        "region": request.region,
        "environment": request.environment,
        "promotes_from": request.promotes_from,
        "workflow": request.workflow,
        "requested_by": run.requested_by,
        "requested_us": run.requested_us,
        "started_us": run.started_us,
        "ended_us": run.ended_us,
        "version": run.version,
        "epoch": run.epoch,
        "speed": request.speed,
        "binding": None if run.binding is None else str(run.binding),
        "verdict": _verdict(run),
        "steps": [step_shape(step) for step in run.steps],
        "targets": [
            {
                "target": t.target,
                "baseline": None if t.baseline is None else str(t.baseline),
                "current": None if t.current is None else str(t.current),
                "healthy": t.healthy,
                "changed": t.changed,
                "note": t.note,
            }
            for t in run.targets
        ],
        "approvals": approvals_shape(run),
    }


def _verdict(run: Run) -> dict[str, Any] | None:
    verdict = run.verdict
    if verdict is None:
        return None
    return {
        "id": verdict.verdict_id,
        "decision": verdict.decision,
        "warn": verdict.warn,
        "fail": verdict.fail,
        "error": verdict.error,
        "digest": str(verdict.verdict),
        "notes": list(verdict.notes),
    }


def approvals_shape(run: Run) -> dict[str, Any]:
    return {
        "required": run.request.approval.min_approvals,
        "missing": list(approvals.missing(run)),
        "binding": None if run.binding is None else str(run.binding),
        "expires_us": run.approval_expires_us,
        "decisions": [
            {
                "person": a.person,
                "decision": a.decision,
                "decided_us": a.decided_us,
                "comment": a.comment,
                "groups": list(a.groups),
                "counts": a.counts,
                "attempt": a.attempt,
            }
            for a in run.approvals
        ],
    }


def step_shape(step: StepState) -> dict[str, Any]:
    return {
        "id": step.id,
        "name": step.spec.name,
        "kind": step.spec.kind.value,
        "status": step.status.value,
        "summary": step.summary,
        "retry_at_us": step.retry_at_us,
        "attempts": [_attempt(attempt) for attempt in step.attempts],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "status": attempt.status.value,
        "operator": attempt.operator,
        "started_us": attempt.started_us,
        "ended_us": attempt.ended_us,
        "result": attempt.result,
        "reason": attempt.reason,
        "cause": attempt.cause,
        "outputs": [{"name": o.name, "digest": str(o.digest)} for o in attempt.outputs],
        "evidence": list(attempt.evidence),
    }


def action_shape(state: ActionState) -> dict[str, Any]:
    return {
        "action": state.action.value,
        "ok": state.ok,
        "shown": state.shown,
        "reason": state.why_not,
        "opens_at_us": state.opens_at_us,
    }


def event_shape(recorded: Recorded, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "gseq": recorded.gseq,
        "run": recorded.stream,
        "seq": recorded.seq,
        "ts_us": recorded.ts_us,
        "actor": recorded.actor,
        "command_id": recorded.command_id,
        "kind": recorded.event.TYPE,
        "body": body,
        "prev": recorded.prev.hex,
        "hash": recorded.hash.hex,
    }


def bundle_shape(bundle: Bundle) -> dict[str, Any]:
    return {
        "digest": str(bundle.digest),
        "name": bundle.name,
        "version": bundle.version,
        "created_by": bundle.created_by,
        "manifest": manifest_document(bundle),
    }


def preview_shape(plan: RollbackPlan) -> dict[str, Any]:
    return {
        "digest": str(plan.digest),
        "executable": plan.executable,
        "reverts": [
            {
                "target": c.target,
                "from": None if c.from_digest is None else str(c.from_digest),
                "to": str(c.to_digest),
            }
            for c in plan.plan.changes
        ],
        "unchanged": list(plan.unchanged),
        "irreversible": [{"target": t, "reason": why} for t, why in plan.irreversible],
    }
