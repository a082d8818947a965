"""What is said at each checkpoint of a run, as in-toto predicates. Pure: facts in, JSON out.

Vetted types are used where one fits (reference, verification summary, test result, runtime
trace); approval, deployment, rollback, proof chain and export have none and are named under our
own base URI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.fact_events import (
    GateDecided,
    InputsMaterialized,
    PolicyEvaluated,
    TargetSet,
    VerifySnapshot,
)
from engine.core.people_events import OverrideUsed
from engine.core.state import Approval, Attempt, Run, StepState
from engine.evidence.statement import resource

REFERENCE: Final = "https://in-toto.io/attestation/reference/v0.1"
SUMMARY: Final = "https://slsa.dev/verification_summary/v1"
TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
RUNTIME_TRACE: Final = "https://in-toto.io/attestation/runtime-trace/v0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A statement about to be signed.

    Attributes:
        stem: name of its files inside the packet, without an ending.
        files: what lies beside the envelope, as (name, bytes).
        person: user whose act this is; empty = the engine's.
    """

    stem: str
    predicate_type: str
    predicate: Mapping[str, Any]
    files: tuple[tuple[str, bytes], ...] = ()
    person: str = ""


def inputs(run: Run, fact: InputsMaterialized, resolved: bytes, *, base: str) -> Draft:
    """The reference to resolved-inputs.json: paths, versions and keyed digests, never values."""
    name = "resolved-inputs.json"
    return Draft(
        stem="resolved-inputs",
        predicate_type=REFERENCE,
        predicate={
            "attester": {"id": "releaseline:inputs/v1"},
            "references": [
                {
                    "name": name,
                    "digest": {"sha256": fact.resolved.hex},
                    "mediaType": "application/json",
                }
            ],
            "inputs": len(fact.inputs),
            "artifactsChecked": fact.components,
            f"{base}/run/v1": _wish(run),
        },
        files=((name, resolved),),
    )


def policy_decision(
    run: Run,
    fact: PolicyEvaluated,
    *,
    base: str,
    at_us: int,
    basis: Sequence[NamedDigest],
    files: tuple[tuple[str, bytes], ...],
) -> Draft:
    """A SLSA verification summary. It knows no warning: that stands in our extension."""
    passed = fact.decision == "PASS"
    return Draft(
        stem="policy-decision",
        predicate_type=SUMMARY,
        predicate={
            "verifier": {"id": f"{base}/policy-engine/v1"},
            "timeVerified": rfc3339(at_us),
            "resourceUri": f"releaseline:promotion/{run.environment}/{run.bundle.hex}",
            "policy": {
                "uri": f"releaseline:policy/{run.request.policy}",
                "digest": {"sha256": fact.policy.hex},
            },
            "inputAttestations": [
                {"uri": one.name, "digest": {"sha256": one.digest.hex}} for one in basis
            ],
            "verificationResult": "PASSED" if passed else "FAILED",
            "verifiedLevels": [f"RELEASELINE_{_level(run.request.policy)}" if passed else "FAILED"],
            "slsaVersion": "1.2",
            f"{base}/policy-decision/v1": {
                "verdictId": fact.verdict_id,
                "decision": fact.decision,
                "warn": fact.warn,
                "fail": fact.fail,
                "error": fact.error,
                "decisionDigest": {"sha256": fact.verdict.hex},
                "inputDigest": {"sha256": fact.policy_input.hex},
                "capsuleDigest": {"sha256": fact.capsule.hex},
                "notes": list(fact.notes),
                "replays": fact.replays,
                "run": _wish(run),
            },
        },
        files=files,
    )


def approval(
    run: Run,
    given: Approval,
    *,
    number: int,
    base: str,
    approver: str,
    basis: Sequence[NamedDigest],
) -> Draft:
    """One person's decision, bound to everything that they decided about."""
    return Draft(
        stem=_numbered("approval", number),
        predicate_type=f"{base}/approval/v1",
        predicate={
            "decision": given.decision,
            "approver": {"id": approver, "user": given.person, "groups": list(given.groups)},
            "decidedAt": rfc3339(given.decided_us),
            "expiresAt": rfc3339(given.expires_us),
            "nonce": given.nonce,
            "comment": given.comment,
            "requestedBy": run.requested_by,
            "scope": {
                "environment": f"{run.request.region}/{run.environment}",
                "bundle": {"sha256": run.bundle.hex},
                "runId": run.run_id,
                "attempt": given.attempt,
                "binding": {"sha256": given.binding.hex},
                "view": {"sha256": given.view.hex},
            },
            "basis": [resource(one) for one in basis],
        },
        person=given.person,
    )


def approval_outcome(run: Run, attempt: Attempt, *, base: str) -> Draft:
    """An approval step that ended without anybody's decision: not required, expired, cancelled."""
    return Draft(
        stem="approval",
        predicate_type=f"{base}/approval-outcome/v1",
        predicate={
            "outcome": attempt.result or attempt.status.value,
            "rule": run.request.approval.rule_id,
            "minApprovals": run.request.approval.min_approvals,
            **_course(attempt),
        },
    )


def deployment(
    run: Run,
    step: StepState,
    attempt: Attempt,
    *,
    base: str,
    sets: Sequence[TargetSet],
    plan: Digest | None,
    basis: Sequence[NamedDigest],
    at_us: int,
) -> Draft:
    return Draft(
        stem="deploy-attestation",
        predicate_type=f"{base}/deployment/v1",
        predicate={
            "creationTime": rfc3339(at_us),
            "decisionDetails": {
                "evidence": [resource(one) for one in basis],
                "policy": [
                    {
                        "uri": f"releaseline:policy/{run.request.policy}",
                        "digest": {"sha256": run.request.policy_digest.hex},
                    }
                ],
            },
            "environment": f"{run.request.region}/{run.environment}",
            "run": _wish(run),
            "stage": {
                "id": step.id,
                "name": step.spec.name,
                "shareBp": step.spec.share_bp,
                "cohort": list(run.cohort(step.id)),
                "applied": attempt.applied,
                "plan": digest_set(plan),
                "workflow": {"sha256": run.request.workflow_digest.hex},
                "epoch": run.epoch,
            },
            **_course(attempt),
            "targets": [
                {
                    "target": one.target,
                    "outcome": one.outcome,
                    "previous": digest_set(one.from_digest),
                    "wanted": digest_set(one.to_digest),
                    "current": digest_set(one.digest),
                    "healthy": one.healthy,
                    "note": one.note,
                    "durationMs": one.duration_ms,
                }
                for one in sets
            ],
        },
    )


def health_gate(
    step: StepState,
    attempt: Attempt,
    *,
    base: str,
    decisions: Sequence[GateDecided],
    ticks: bytes,
    tick_count: int,
    last_evidence: bytes | None,
    overrides: Sequence[OverrideUsed] = (),
) -> Draft:
    """A test result over every tick that the gate saw; the ticks lie beside it, to be replayed."""
    last = decisions[-1].action if decisions else "none"
    passed = attempt.status.value == "SUCCEEDED"
    result = "FAILED" if not passed else "PASSED" if last == "promote" else "WARNED"
    test = f"{step.id}/health-gate"
    criteria = step.spec.gate.encode()
    files = [("gate-criteria.json", criteria), ("ticks.ndjson", ticks)]
    if last_evidence is not None:
        files.append(("gate-decision.json", last_evidence))
    return Draft(
        stem="health-gate",
        predicate_type=TEST_RESULT,
        predicate={
            "result": result,
            "configuration": [
                {"name": "gate-criteria.json", "digest": {"sha256": Digest.of(criteria).hex}}
            ],
            "passedTests": [test] if result == "PASSED" else [],
            "warnedTests": [test] if result == "WARNED" else [],
            "failedTests": [test] if result == "FAILED" else [],
            f"{base}/health-gate/v1": {
                "stage": step.id,
                "ticks": {
                    "name": "ticks.ndjson",
                    "digest": {"sha256": Digest.of(ticks).hex},
                    "count": tick_count,
                },
                "decisions": [
                    {
                        "action": one.action,
                        "rule": one.rule,
                        "reason": one.reason,
                        "tMs": one.t_ms,
                        "ticks": one.ticks,
                        "evidence": digest_set(one.evidence),
                    }
                    for one in decisions
                ],
                **_overruled(overrides),
                **_course(attempt),
            },
        },
        files=tuple(files),
    )


def _overruled(overrides: Sequence[OverrideUsed]) -> dict[str, Any]:
    """Who let the stage go on against its gate; nothing is said where nobody did."""
    if not overrides:
        return {}
    return {
        "overrides": [
            {
                "action": one.action,
                "askedBy": one.asked_by,
                "askedReason": one.asked_reason,
                "confirmedBy": one.confirmed_by,
                "reason": one.reason,
                "ticket": one.ticket,
                "rule": one.rule,
                "against": one.against,
                "missing": list(one.missing),
                "evidence": digest_set(one.evidence),
            }
            for one in overrides
        ]
    }


def runtime(
    run: Run, attempt: Attempt, fact: VerifySnapshot, snapshot: bytes, *, base: str
) -> Draft:
    """What runs where after the deploy, and which shipped components are really loaded."""
    name = "runtime-snapshot.json"
    return Draft(
        stem="runtime-reachability",
        predicate_type=RUNTIME_TRACE,
        predicate={
            "monitor": {"type": f"{base}/monitors/target-report/v1"},
            "monitoredProcess": {
                "hostID": f"{run.request.region}/{run.environment}",
                "type": f"{base}/processes/release-target/v1",
                "event": run.run_id,
            },
            "monitorLog": {
                "process": [{"name": name, "digest": {"sha256": fact.snapshot.hex}}],
                "network": [],
                "fileAccess": [],
            },
            "metadata": {"buildFinishedOn": rfc3339(attempt.ended_us or attempt.started_us)},
            f"{base}/runtime-summary/v1": {
                "onBundle": fact.on_bundle,
                "healthy": fact.healthy,
                "total": fact.total,
                "componentsObserved": fact.observed_components,
                "components": fact.components,
            },
        },
        files=((name, snapshot),),
    )


def step_result(step: StepState, attempt: Attempt, *, base: str) -> Draft:
    """An attempt that left no fact of its own kind: it failed, erred or was cancelled first."""
    return Draft(
        stem="step-result",
        predicate_type=f"{base}/step-result/v1",
        predicate={
            "step": {"id": step.id, "name": step.spec.name, "kind": step.spec.kind.value},
            **_course(attempt),
        },
    )


def rfc3339(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _wish(run: Run) -> dict[str, Any]:
    """What kind of run this is, and of which other one it was made."""
    request = run.request
    return {
        "kind": request.kind,
        "rerunOf": request.rerun_of or None,
        "rollsBack": request.rolls_back or None,
        "takesBack": digest_set(request.takes_back),
        "vouchedBy": request.vouched_by or None,
    }


def _course(attempt: Attempt) -> dict[str, Any]:
    """How an attempt went, in the same words in every predicate of ours."""
    return {
        "status": attempt.status.value,
        "result": attempt.result,
        "reason": attempt.reason,
        "cause": attempt.cause,
        "operator": attempt.operator,
        "startedAt": rfc3339(attempt.started_us),
        "endedAt": None if attempt.ended_us is None else rfc3339(attempt.ended_us),
        "supersedes": attempt.number - 1 or None,
        "outputs": [resource(one) for one in attempt.outputs],
    }


def digest_set(digest: Digest | None) -> dict[str, str] | None:
    return None if digest is None else {"sha256": digest.hex}


def _level(policy: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in policy.upper())


def _numbered(stem: str, number: int) -> str:
    return stem if number == 1 else f"{stem}-{number}"
