"""What pages ask about runs, computed from the folded run. Pure: a Run in, rows out.

Nothing here is a source of truth: every row can be dropped and made again from the events, and
`fsck` does just that and compares. A field that a page needs is added here and in the view of its
kind (data/sql/migrations); times are UTC epoch microseconds, digests `sha256:<hex>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from engine.core import queueing
from engine.core.digest import Digest
from engine.core.jcs import JsonValue, canonical
from engine.core.run import Run
from engine.core.state import Approval, Attempt, StepState, TargetState
from engine.core.statemachine import StepStatus

KINDS: Final = ("runs", "steps", "attempts", "targets", "approvals", "evidence_state")

_OVER: Final = frozenset({StepStatus.SUCCEEDED, StepStatus.SKIPPED, StepStatus.REVERTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Projected:
    """One row. `kind`, `name` and `idx` name it within its run.

    Attributes:
        idx: order within the kind: the run's number, a step's place, an attempt's number.
        name: environment, step id, target or person.
        state: the status word that lists are filtered by.
        body: all other fields, canonical JSON.
    """

    number: int
    kind: str
    idx: int
    name: str
    state: str
    body: str

    @property
    def key(self) -> str:
        """As `_DELETE_PROJECTED` in data/database.py puts it together."""
        return f"{self.number}/{self.kind}/{self.name}/{self.idx}"


# What a row is made of: (kind, idx, name) to the values that alone decide it.
_Key = tuple[str, int, str]
_Source = tuple[Any, ...]


def project(run: Run) -> list[Projected]:
    """Every row of the run."""
    return [_made(run.number, key, source) for key, source in _sources(run).items()]


def changes(before: Run | None, after: Run) -> tuple[list[Projected], list[Projected]]:
    """Rows to take away and rows to add, to come from one state of a run to a later one.

    Rows whose values are the same are not even written out: an event touches few of them.
    """
    old, new = {} if before is None else _sources(before), _sources(after)
    stale, fresh = [], []
    for key, source in new.items():
        was = old.pop(key, None)
        if was == source:
            continue
        made = _made(after.number, key, source)
        if was is not None:
            stale.append(_made(after.number, key, was))
        fresh.append(made)
    stale += [_made(after.number, key, source) for key, source in old.items()]
    return stale, fresh


def _sources(run: Run) -> dict[_Key, _Source]:
    found: dict[_Key, _Source] = {("runs", run.number, run.environment): (run,)}
    for place, step in enumerate(run.steps, start=1):
        found["steps", place, step.id] = (run.run_id, step)
        found["evidence_state", place, step.id] = (run.run_id, step)
        for attempt in step.attempts:
            found["attempts", attempt.number, step.id] = (run.run_id, attempt)
    stage_of = {t: c.step for c in reversed(run.cohorts) for t in c.targets}
    for place, target in enumerate(run.targets, start=1):
        stage = stage_of.get(target.target, "")
        found["targets", place, target.target] = (run.run_id, target, stage)
    for place, given in enumerate(run.approvals, start=1):
        found["approvals", place, given.person] = (run.run_id, given)
    return found


def _made(number: int, key: _Key, source: _Source) -> Projected:
    kind, idx, name = key
    match kind, source:
        case "runs", (Run() as run,):
            run_id, state, fields = run.run_id, run.status.value, _run(run)
        case "steps", (run_id, StepState() as step):
            state, fields = step.status.value, _step(step)
        case "evidence_state", (run_id, StepState() as step):
            state, fields = _evidence_word(step), _evidence(step)
        case "attempts", (run_id, Attempt() as attempt):
            state, fields = attempt.status.value, _attempt(attempt)
        case "targets", (run_id, TargetState() as target, stage):
            state, fields = _health_word(target.healthy), _target(target, stage)
        case "approvals", (run_id, Approval() as given):
            state, fields = given.decision, _approval(given)
        case _:
            raise AssertionError(kind)
    body = canonical({"run_id": run_id, **fields}).decode()
    return Projected(number=number, kind=kind, idx=idx, name=name, state=state, body=body)


def _run(run: Run) -> dict[str, JsonValue]:
    return _request(run) | _progress(run) | _ending(run)


def _request(run: Run) -> dict[str, JsonValue]:
    request = run.request
    return {
        "kind": request.kind,
        "bundle": str(request.bundle),
        "bundle_name": request.bundle_name,
        "bundle_version": request.bundle_version,
        "region": request.region,
        "promotes_from": request.promotes_from,
        "workflow": request.workflow,
        "workflow_digest": str(request.workflow_digest),
        "policy": request.policy,
        "policy_digest": str(request.policy_digest),
        "reason": request.reason,
        "ticket": request.ticket,
        "rerun_of": request.rerun_of,
        "rolls_back": request.rolls_back,
        "speed": request.speed,
        "requested_by": run.requested_by,
        "requested_us": run.requested_us,
        "window_start_us": run.window_start_us,
        "window_end_us": run.window_end_us,
    }


def _progress(run: Run) -> dict[str, JsonValue]:
    step = None if run.terminal else run.current_step
    verdict = run.verdict
    return {
        "version": run.version,
        "epoch": run.epoch,
        "started_by": run.started_by,
        "started_us": run.started_us,
        "updated_us": run.updated_us,
        "current_step": "" if step is None else step.id,
        "current_step_name": "" if step is None else step.spec.name,
        "current_step_status": "" if step is None else step.status.value,
        "current_step_summary": "" if step is None else queueing.waits_for(run) or step.summary,
        "steps_done": sum(s.status in _OVER for s in run.steps),
        "steps_total": len(run.steps),
        "verdict_id": "" if verdict is None else verdict.verdict_id,
        "verdict": "" if verdict is None else verdict.decision,
        "verdict_warn": 0 if verdict is None else verdict.warn,
        "verdict_fail": 0 if verdict is None else verdict.fail,
        "verdict_error": False if verdict is None else verdict.error,
        "approvals_given": len(run.counting_approvals),
        "approvals_required": run.request.approval.min_approvals,
        "targets_changed": len(run.changed_targets),
        "targets_total": len(run.targets),
        "pause_reason": run.pause_reason,
        "pause_note": run.pause_note,
        "paused_us": run.paused_us,
    }


def _ending(run: Run) -> dict[str, JsonValue]:
    return {
        "outcome": "" if run.outcome is None else run.outcome.value,
        "outcome_reason": run.outcome_reason,
        "failure_class": run.failure_class,
        "superseded_by": run.superseded_by,
        "rollback_reason": run.rollback_reason,
        "rollback_ticket": run.rollback_ticket,
        "rollback_trigger": run.rollback_trigger,
        "rollback_verified": run.rollback_verified,
        "seal_status": run.seal_status,
        "evidence_count": run.evidence_count,
        "chain": _text(run.chain),
        "ended_us": run.ended_us,
    }


def _step(step: StepState) -> dict[str, JsonValue]:
    latest, gate = step.attempt, step.gate
    return {
        "title": step.spec.name,
        "step_kind": step.spec.kind.value,
        "share_bp": step.spec.share_bp,
        "attempts": len(step.attempts),
        "summary": step.summary,
        "result": "" if latest is None else latest.result,
        "started_us": None if latest is None else step.attempts[0].started_us,
        "ended_us": None if latest is None else latest.ended_us,
        "retry_at_us": step.retry_at_us,
        "gate_action": "" if gate is None else gate.action,
        "gate_rule": None if gate is None else gate.rule,
        "gate_reason": "" if gate is None else gate.reason,
    }


def _attempt(attempt: Attempt) -> dict[str, JsonValue]:
    return {
        "op_id": attempt.op_id,
        "operator": attempt.operator,
        "started_us": attempt.started_us,
        "ended_us": attempt.ended_us,
        "result": attempt.result,
        "reason": attempt.reason,
        "cause": attempt.cause,
        "transient": attempt.transient,
        "applied": attempt.applied,
        "outputs": [{"name": o.name, "digest": str(o.digest)} for o in attempt.outputs],
    }


def _target(target: TargetState, stage: str) -> dict[str, JsonValue]:
    return {
        "baseline": _text(target.baseline),
        "current": _text(target.current),
        "healthy": target.healthy,
        "reversible": target.reversible,
        "changed": target.changed,
        "stage": stage,
        "note": target.note,
    }


def _approval(given: Approval) -> dict[str, JsonValue]:
    return {
        "decided_us": given.decided_us,
        "binding": str(given.binding),
        "view": str(given.view),
        "nonce": given.nonce,
        "expires_us": given.expires_us,
        "comment": given.comment,
        "groups": list(given.groups),
        "attempt": given.attempt,
        "counts": given.counts,
    }


def _evidence(step: StepState) -> dict[str, JsonValue]:
    return {
        "attempts": [
            {"attempt": a.number, "items": list(a.evidence), "missing": a.evidence_missing}
            for a in step.attempts
        ]
    }


def _evidence_word(step: StepState) -> str:
    """CAPTURED, MISSING or NONE, of the latest attempt."""
    latest = step.attempt
    if latest is not None and latest.evidence_missing:
        return "MISSING"
    return "CAPTURED" if latest is not None and latest.evidence else "NONE"


def _health_word(healthy: bool | None) -> str:
    return {True: "healthy", False: "unhealthy", None: "unknown"}[healthy]


def _text(digest: Digest | None) -> str | None:
    return None if digest is None else str(digest)
