"""What is said at each checkpoint of a run, as in-toto predicates. Pure: facts in, JSON out.

Vetted types are used where one fits (reference, verification summary, provenance, test result,
runtime trace, OpenVEX); approval, deployment, rollback, run record, proof chain, export and
addendum have none and are named under our own base URI. Approvals, runtime, provenance, ways back,
the record and addenda are in files of their own, `predicate_*`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from engine.core.back_events import RollbackReadiness
from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.fact_events import (
    GateDecided,
    InputsMaterialized,
    PolicyEvaluated,
    TargetSet,
)
from engine.core.people_events import OverrideUsed
from engine.core.state import Attempt, Run, StepState
from engine.evidence.statement import resource

REFERENCE: Final = "https://in-toto.io/attestation/reference/v0.1"
SUMMARY: Final = "https://slsa.dev/verification_summary/v1"
TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"


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
            f"{base}/run/v1": made_as(run),
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
                "run": made_as(run),
            },
        },
        files=files,
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
    readiness: Sequence[RollbackReadiness],
    at_us: int,
) -> Draft:
    """Args:
    basis: the statements on which the stage was begun.
    readiness: whether the way back was open, as looked at before anything was touched.
    """
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
            "run": made_as(run),
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
            "wayBack": [_readiness(one) for one in readiness],
            **course(attempt),
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
    suppressed: Sequence[str] = (),
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
                "overrides": [override(one) for one in overrides],
                "rollbackSuppressed": list(suppressed),
                **course(attempt),
            },
        },
        files=tuple(files),
    )


def override(one: OverrideUsed) -> dict[str, Any]:
    """Who let a stage go on against its gate, and what stood against it."""
    return {
        "action": one.action,
        "step": one.step,
        "attempt": one.attempt,
        "askedBy": one.asked_by,
        "askedReason": one.asked_reason,
        "confirmedBy": one.confirmed_by,
        "reason": one.reason,
        "ticket": one.ticket,
        "rule": one.rule,
        "against": one.against,
        "missing": list(one.missing),
        "evidence": digest_set(one.evidence),
        **({"until": rfc3339(one.until_us)} if one.until_us else {}),
    }


def _readiness(seen: RollbackReadiness) -> dict[str, Any]:
    return {
        "before": seen.step,
        "plan": {"sha256": seen.plan.hex},
        "observedAt": rfc3339(seen.observed_at_us),
        "targets": [
            {
                "target": one.target,
                "to": digest_set(one.to_digest),
                "ready": one.ready,
                "note": one.note,
            }
            for one in seen.targets
        ],
    }


def step_result(step: StepState, attempt: Attempt, *, base: str) -> Draft:
    """An attempt that left no fact of its own kind: it failed, erred or was cancelled first."""
    return Draft(
        stem="step-result",
        predicate_type=f"{base}/step-result/v1",
        predicate={
            "step": {"id": step.id, "name": step.spec.name, "kind": step.spec.kind.value},
            **course(attempt),
        },
    )


def rfc3339(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def made_as(run: Run) -> dict[str, Any]:
    """What kind of run this is, and of which other one it was made."""
    request = run.request
    return {
        "kind": request.kind,
        "rerunOf": request.rerun_of or None,
        "rollsBack": request.rolls_back or None,
        "takesBack": digest_set(request.takes_back),
        "vouchedBy": request.vouched_by or None,
    }


def course(attempt: Attempt) -> dict[str, Any]:
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
