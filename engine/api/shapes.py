"""JSON shapes of the API: what goes out for a run, a step, a bundle. Pure functions.

Times are UTC epoch microseconds in `_us` fields; digests are written `sha256:<hex>`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.api.back_shapes import back_shape
from engine.core import approvals, eligibility, holds, queueing
from engine.core.bundle import Bundle, manifest_document
from engine.core.commands import ActionState, OverrideOffer
from engine.core.events import Recorded
from engine.core.freezes import Cause
from engine.core.people_events import OverrideUsed
from engine.core.people_state import Review
from engine.core.preconditions import Row
from engine.core.run import Run
from engine.core.standing import Hold
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
        "waits_for": queueing.waits_for(run),
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
        "rerun_of": request.rerun_of,
        "rolls_back": request.rolls_back,
        "takes_back": None if request.takes_back is None else str(request.takes_back),
        "binding": None if run.binding is None else str(run.binding),
        "verdict": _verdict(run),
        "env_guard": _guard(run),
        "schedule": _schedule(run),
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
        **back_shape(run),
        "override": _asked(run),
        "overrides": [_used(one) for one in run.overrides],
        "reviews": [review_shape(one) for one in run.reviews],
    }


def _asked(run: Run) -> dict[str, Any] | None:
    """An override that waits for its second person."""
    ask = run.override
    if ask is None:
        return None
    return {
        "action": ask.wish.action,
        "step": ask.wish.step,
        "asked_by": ask.by,
        "asked_us": ask.asked_us,
        "expires_us": ask.wish.expires_us,
        "against": ask.wish.against,
        "missing": list(ask.wish.missing),
        "reason": ask.wish.reason,
        "ticket": ask.wish.ticket,
    }


def _used(one: OverrideUsed) -> dict[str, Any]:
    return {
        "action": one.action,
        "step": one.step,
        "attempt": one.attempt,
        "asked_by": one.asked_by,
        "confirmed_by": one.confirmed_by,
        "asked_reason": one.asked_reason,
        "reason": one.reason,
        "rule": one.rule,
        "against": one.against,
        "missing": list(one.missing),
        "ticket": one.ticket,
        "until_us": one.until_us or None,
    }


def review_shape(review: Review, now_us: int | None = None) -> dict[str, Any]:
    """`overdue` is told where a clock is at hand."""
    told = {} if now_us is None else {"overdue": review.overdue(now_us)}
    return told | {
        "number": review.number,
        "kind": review.kind,
        "doers": list(review.doers),
        "what": review.what,
        "opened_us": review.opened_us,
        "due_us": review.due_us,
        "closed_by": review.closed_by,
        "closed_us": review.closed_us,
        "verdict": review.verdict,
        "note": review.note,
        "ticket": review.ticket,
    }


def _schedule(run: Run) -> dict[str, Any] | None:
    """Of a run that a schedule made: its window, and its preconditions as last put on record."""
    if not run.request.schedule:
        return None
    return {
        "id": run.request.schedule,
        "firing": run.request.firing,
        "time_zone": run.time_zone,
        "window_start_us": run.window_start_us,
        "window_end_us": run.window_end_us,
        "due_us": run.due_us,
        "checked_us": run.checked_us,
        "preconditions": [
            precondition_shape(row) for row in (() if run.checked is None else run.checked.rows)
        ],
    }


def precondition_shape(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "mode": row.mode.value,
        "state": row.state.value,
        "value": row.value,
        "threshold": row.threshold,
        "observed_us": row.observed_us or None,
        "source": row.source or None,
    }


def _guard(run: Run) -> dict[str, Any] | None:
    """How fast the environment spent its error budget when that was last recorded."""
    guard = run.guard
    if guard is None:
        return None
    return {
        "state": guard.state.value,
        "reason": guard.reason,
        "step": guard.step,
        "recorded_us": run.guard_us,
        "since_us": run.guard_since_us,
        "slo_bp": guard.slo_bp,
        "rules": [
            {
                "burn_centi": rule.burn_centi,
                "state": rule.state.value,
                "windows": [
                    {"window_s": w.window_s, "bad": w.bad, "total": w.total} for w in rule.windows
                ],
            }
            for rule in guard.rules
        ],
        "source": guard.source,
        "query": guard.query,
        "at_us": guard.at_us,
        "evidence": str(guard.evidence),
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
        "may_approve": list(eligibility.may_approve(run)),
        "shortage": eligibility.shortage(run),
        "binding": None if run.binding is None else str(run.binding),
        "expires_us": run.approval_expires_us,
        "decisions": [
            {
                "person": a.person,
                "hand": a.hand,
                "decision": a.decision,
                "decided_us": a.decided_us,
                "comment": a.comment,
                "groups": list(a.groups),
                "counts": a.counts,
                "attempt": a.attempt,
                "view": None if a.view == a.binding else str(a.view),
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
        "time": _time(step),
        "attempts": [_attempt(attempt) for attempt in step.attempts],
    }


def _time(step: StepState) -> dict[str, Any] | None:
    time = step.time
    if time is None:
        return None
    return {
        "opens_us": time.opens_us,
        "closes_us": time.closes_us,
        "time_zone": time.time_zone,
        "local": time.local,
        "by": time.by,
        "set_us": time.set_us,
        "due_us": time.due_us,
        "missed": time.missed,
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
        "override": None if state.override is None else _offer(state.override),
    }


def _offer(offer: OverrideOffer) -> dict[str, Any]:
    return {
        "turn": offer.turn,
        "ok": offer.ok,
        "why_not": offer.why_not,
        "then": offer.then,
        "missing": list(offer.missing),
        "asked_by": offer.asked_by,
        "asked_us": offer.asked_us,
        "reason": offer.reason,
        "expires_us": offer.expires_us,
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
        "auth": None if recorded.auth is None else asdict(recorded.auth),
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


def hold_shape(hold: Hold) -> dict[str, Any]:
    return {
        "environment": hold.environment,
        "bundle": str(hold.bundle),
        "label": hold.label,
        "run": hold.run,
        "trigger": hold.trigger,
        "why": hold.why,
        "by": hold.by,
        "since_us": hold.since_us,
        "sentence": holds.sentence(hold),
    }


def cause_shape(cause: Cause) -> dict[str, Any]:
    return {
        "freeze": cause.freeze,
        "name": cause.name,
        "owner": cause.owner,
        "reason": cause.reason,
        "since_us": cause.since_us,
        "until_us": cause.until_us,
    }
