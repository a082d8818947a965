"""What is said about the decisions of people, and about what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.digest import Digest
from engine.core.eligibility import BREAK_GLASS
from engine.core.event_parts import NamedDigest
from engine.core.state import Approval, Attempt, Run
from engine.evidence.predicates import Draft, course, override, rfc3339
from engine.evidence.statement import resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """Why decisions count no more. `by`: who took theirs back; `engine` when all went stale."""

    by: str
    at_us: int
    reason: str
    event: Digest


def approval(
    run: Run,
    given: Approval,
    *,
    number: int,
    base: str,
    approver: str,
    basis: Sequence[NamedDigest],
    bound: Mapping[str, str | int],
    saw: bytes | None = None,
) -> Draft:
    """One person's decision, bound to everything that they decided about.

    Args:
        bound: the document that `binding` is the SHA-256 of (RFC 8785), as it was then.
        saw: the document that they were shown, whose SHA-256 is `view`; None when they were shown
            nothing but the binding, which is the view then.
    """
    stem = _numbered("approval", number)
    file = NamedDigest(name=f"{stem}-view.json", digest=given.view)
    return Draft(
        stem=stem,
        predicate_type=f"{base}/approval/v1",
        predicate={
            "decision": given.decision,
            "approver": {
                "id": approver,
                "user": given.person,
                "groups": list(given.groups),
                **({"letInBy": given.hand} if given.hand else {}),
            },
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
                "bound": dict(bound),
                "view": {"sha256": given.view.hex},
            },
            "basis": [resource(one) for one in basis],
            **({} if saw is None else {"saw": resource(file)}),
        },
        files=() if saw is None else ((file.name, saw),),
        person=given.person,
    )


def approval_outcome(
    run: Run,
    attempt: Attempt,
    *,
    base: str,
    given: Sequence[Approval] = (),
    withdrawals: Sequence[Withdrawal] = (),
) -> Draft:
    """How an approval step ended that nobody decided, or where a decision counts no more.

    Args:
        given: the decisions of this attempt, in the order of their evidence.
        withdrawals: why some of them do not count at the end.
    """
    rule = run.request.approval
    return Draft(
        stem="approval-outcome" if given else "approval",
        predicate_type=f"{base}/approval-outcome/v1",
        predicate={
            "outcome": attempt.result or attempt.status.value,
            "rule": rule.rule_id,
            "minApprovals": rule.min_approvals,
            "decisions": [
                {
                    "person": one.person,
                    "decision": one.decision,
                    "nonce": one.nonce,
                    "decidedAt": rfc3339(one.decided_us),
                    "counts": one.counts,
                }
                for one in given
            ],
            "noLongerCounting": [
                {
                    "by": one.by,
                    "at": rfc3339(one.at_us),
                    "reason": one.reason,
                    "event": {"sha256": one.event.hex},
                }
                for one in withdrawals
            ],
            **_broken_glass(run, attempt),
            **course(attempt),
        },
    )


def _broken_glass(run: Run, attempt: Attempt) -> dict[str, Any]:
    """Who let the run go on without the approvals, and past what; nothing where nobody did."""
    glass = run.glass
    if attempt.result != BREAK_GLASS or glass is None:
        return {}
    return {"brokenGlass": override(glass)}


def _numbered(stem: str, number: int) -> str:
    return stem if number == 1 else f"{stem}-{number}"
