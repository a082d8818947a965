"""What somebody who decides about a promotion is shown, as one canonical document. Pure.

The same facts give the same bytes whoever asks and in whatever order the facts come, so that the
digest can be signed with the decision and the document opened again later. It names nobody who
looks, and holds no age: a page works those out from the moments that stand here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core import approvals, preconditions, step_times
from engine.core.approval_facts import (
    Frozen,
    PolicyChange,
    RuleResult,
    SeenFinding,
    SourceHealth,
    ViewFacts,
    compare,
    unhealthy,
)
from engine.core.commands import Now
from engine.core.digest import Digest
from engine.core.event_parts import UsedWaiver
from engine.core.jcs import canonical
from engine.core.spec import StepKind
from engine.core.state import Approval, Run, StepState, TargetState

SCHEMA: Final = "releaseline.approval-view/1"
# The worst first; what nobody could look at is worse than what is only old.
_LEVELS: Final = ("FAIL", "UNKNOWN", "WARN", "OK")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """`content`: the canonical bytes of `document`; `digest` is theirs."""

    document: dict[str, Any]
    content: bytes
    digest: Digest


def view(facts: ViewFacts) -> View:
    """Raises:
    Refused: inputs, verdict or plan are not there yet, so there is nothing to decide about.
    """
    made = document(facts)
    content = canonical(made)
    return View(document=json.loads(content), content=content, digest=Digest.of(content))


def document(facts: ViewFacts) -> dict[str, Any]:
    """The document; plain JSON values without floats. Raises as `view`."""
    run = facts.run
    bound = approvals.binding_document(run)
    return _started_by_schedule(run) | {
        "schema": SCHEMA,
        "run": run.run_id,
        "kind": run.request.kind,
        "attempt": len(run.step(approvals.approval_step(run)).attempts),
        "bound": bound,
        "binding": str(Digest.of(canonical(bound))),
        "bundle": {
            "digest": str(run.bundle),
            "name": run.request.bundle_name,
            "version": run.request.bundle_version,
        },
        "target": {
            "region": run.request.region,
            "environment": run.environment,
            "promotesFrom": run.request.promotes_from,
        },
        "asked": {
            "reason": run.request.reason,
            "ticket": run.request.ticket,
            "requestedUs": run.requested_us,
        },
        "verdict": _verdict(run, facts.frozen),
        "dataHealth": _health(facts.health),
        "findings": _findings(facts),
        "plan": _plan(run),
        "targets": [_target(run, one) for one in sorted(run.targets, key=lambda t: t.target)],
        "rollback": _rollback(run),
        "policy": _policy(facts),
        "people": _people(facts),
        "quorum": _quorum(facts),
    }


def _started_by_schedule(run: Run) -> dict[str, Any]:
    """Of a run that a schedule made: what did not hold when it started, and was a warning only."""
    if run.checked is None:
        return {}
    warned = preconditions.warnings(run.checked.rows)
    return {"schedule": {"id": run.request.schedule, "warnings": list(warned)}}


def _verdict(run: Run, frozen: Frozen | None) -> dict[str, Any]:
    verdict = run.verdict
    assert verdict is not None  # the binding names it
    results = None if frozen is None else sorted(frozen.results, key=_result_key)
    return _waivers(verdict.waivers) | {
        "id": verdict.verdict_id,
        "digest": str(verdict.verdict),
        "decision": verdict.decision,
        "warn": verdict.warn,
        "fail": verdict.fail,
        "error": verdict.error,
        "notes": list(verdict.notes),
        "results": None
        if results is None
        else [
            {"level": r.level, "rule": r.rule, "subject": r.subject, "detail": r.detail}
            for r in results
        ],
    }


def _waivers(waivers: Sequence[UsedWaiver]) -> dict[str, Any]:
    """Of a verdict that rests on some: which, and whose."""
    told = [
        {
            "id": one.waiver,
            "finding": one.finding,
            "purl": one.purl,
            "by": one.author,
            "grantedBy": one.granted_by,
            "expiresUs": one.expires_us,
        }
        for one in sorted(waivers, key=lambda one: (one.finding, one.purl, one.waiver))
    ]
    return {"waivers": told} if told else {}


def _result_key(result: RuleResult) -> tuple[str, str, str, str]:
    return result.level, result.rule, result.subject, result.detail


def _health(sources: Iterable[SourceHealth]) -> dict[str, Any]:
    """A source in order is told without its date: that grows with each sync and changes nothing."""
    found = sorted(sources, key=lambda one: (one.name, one.level, one.state))
    worst = min((_LEVELS.index(one.level) for one in found), default=_LEVELS.index("UNKNOWN"))
    return {
        "level": _LEVELS[worst],
        "sources": [
            {
                "name": one.name,
                "level": one.level,
                "state": one.state,
                "asOfS": None if one.level == "OK" else one.as_of_s,
            }
            for one in found
        ],
    }


def _findings(facts: ViewFacts) -> dict[str, Any]:
    live, frozen = facts.live, facts.frozen
    against = None
    if live is not None:
        against = {
            "run": live.run,
            "bundle": str(live.bundle),
            "label": live.label,
            "verdict": live.verdict_id,
            "decidedS": None if live.frozen is None else live.frozen.decided_s,
        }
    why = facts.why_not
    if frozen is not None and live is not None and live.frozen is None:
        why = f"what the verdict of {live.run} rested on can't be read"
    told: dict[str, Any] = {
        "known": not why,
        "why": why,
        "against": against,
        "decidedS": None if frozen is None else frozen.decided_s,
        "total": None if frozen is None else len(frozen.findings),
        "gaps": []
        if frozen is None
        else [
            {"source": source, "status": status, "detail": detail}
            for source, status, detail in sorted(frozen.gaps)
        ],
        "added": None,
        "gone": None,
        "unchanged": None,
    }
    if why or frozen is None:
        return told
    before = () if live is None or live.frozen is None else live.frozen.findings
    added, gone, unchanged = compare(frozen.findings, before)
    return told | {
        "added": _listed(added),
        "gone": _listed(gone),
        "unchanged": unchanged,
    }


def _listed(found: Iterable[SeenFinding]) -> list[dict[str, Any]]:
    listed = [
        {
            "id": one.id,
            "aliases": sorted(one.aliases),
            "purl": one.purl,
            "severity": one.severity,
            "cvssDt": one.cvss_dt,
            "kev": one.kev,
            "reach": one.reach,
            "foundIn": sorted(one.found_in),
            "suppressed": one.suppressed,
            "rules": sorted(one.rules),
        }
        | ({"waivers": sorted(one.waivers)} if one.waivers else {})
        for one in found
    ]
    return sorted(listed, key=lambda one: (one["id"], one["purl"], canonical(one)))


def _plan(run: Run) -> dict[str, Any]:
    """In the order in which the stages come; each sets the targets of those before it too."""
    return {
        "digest": str(run.plan),
        "workflow": run.request.workflow,
        "workflowDigest": str(run.request.workflow_digest),
        "onBreach": run.request.on_breach,
        "speed": run.request.speed,
        "stages": [
            {
                "step": step.id,
                "name": step.spec.name,
                "shareBp": step.spec.share_bp,
                "targets": sorted(run.cohort(step.id)),
                "gate": json.loads(step.spec.gate) if step.spec.gate else None,
            }
            | _time(step)
            for step in run.steps
            if step.spec.kind in {StepKind.DEPLOY, StepKind.VERIFY}
        ],
    }


def _time(step: StepState) -> dict[str, Any]:
    """Before which a step may not begin, where somebody wished that before the decision."""
    time = step_times.wish(step)
    if time is None:
        return {}
    return {
        "time": {"at": time.at, "opensUs": time.opens_us, "closesUs": time.closes_us, "by": time.by}
    }


def _target(run: Run, target: TargetState) -> dict[str, Any]:
    """What it runs before and afterwards, and why it could not go back; empty when it could."""
    stuck = {one.target: one.note or "cannot go back" for one in run.irreversible}
    if run.readiness is not None:
        stuck |= {one.target: one.note for one in run.readiness.stuck}
    if not target.reversible:
        stuck.setdefault(target.target, target.note or "cannot go back")
    return {
        "target": target.target,
        "before": None if target.baseline is None else str(target.baseline),
        "after": str(run.bundle),
        "irreversible": stuck.get(target.target, ""),
    }


def _rollback(run: Run) -> dict[str, Any]:
    ready = run.readiness
    return {
        "plan": None if run.rollback_plan is None else str(run.rollback_plan),
        "readiness": None
        if ready is None
        else {
            "plan": str(ready.plan),
            "observedAtUs": ready.observed_at_us,
            "ready": sum(one.ready for one in ready.targets),
            "targets": len(ready.targets),
        },
    }


def _policy(facts: ViewFacts) -> dict[str, Any]:
    request, live = facts.run.request, facts.live
    changes = facts.policy_changes
    return {
        "name": request.policy,
        "digest": str(request.policy_digest),
        "version": facts.policy_version,
        "live": None if live is None else {"run": live.run, "digest": str(live.policy)},
        "changes": None
        if changes is None
        else [
            {
                "kind": one.kind,
                "what": one.what,
                "name": one.name,
                "before": one.before,
                "after": one.after,
                "stricter": one.stricter,
            }
            for one in sorted(changes, key=_change_key)
        ],
    }


def _change_key(one: PolicyChange) -> tuple[str, ...]:
    return one.what, one.name, one.kind, one.before, one.after


def _people(facts: ViewFacts) -> dict[str, Any]:
    run = facts.run
    return {
        "requestedBy": run.requested_by,
        "startedBy": run.started_by,
        "bundleAuthors": sorted(run.request.bundle_authors),
        "commitAuthors": sorted(run.authors),
        "policyAuthors": sorted(run.request.policy_authors),
        "may": sorted(facts.may),
        "mayNot": [{"person": who, "why": why} for who, why in sorted(facts.may_not)],
    }


def _quorum(facts: ViewFacts) -> dict[str, Any]:
    run, rule = facts.run, facts.run.request.approval
    now = Now(unhealthy=unhealthy(facts.health))
    return {
        "rule": rule.rule_id,
        "minApprovals": rule.min_approvals,
        "groups": [
            {"name": group.name, "members": sorted(group.members), "required": group.required}
            for group in sorted(rule.groups, key=lambda group: group.name)
        ],
        "missing": sorted(approvals.missing(run)),
        "commentRequired": bool(approvals.comment_reasons(run, now)),
        "expiresUs": run.approval_expires_us,
        "decisions": _decisions(run.approvals),
    }


def _decisions(given: Sequence[Approval]) -> list[dict[str, Any]]:
    """In the order in which they were made."""
    return [
        {
            "person": one.person,
            "decision": one.decision,
            "decidedUs": one.decided_us,
            "comment": one.comment,
            "groups": sorted(one.groups),
            "counts": one.counts,
            **({"letInBy": one.hand} if one.hand else {}),
        }
        for one in given
    ]
