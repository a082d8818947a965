"""Who may approve, what an approval is bound to, and when there are enough of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.commands import Refusal
from engine.core.digest import Digest
from engine.core.errors import Refused
from engine.core.jcs import canonical
from engine.core.scopes import UNLIMITED, Limits, refusal
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.core.statemachine import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks. `roles` are those held in the run's environment, never more.

    Attributes:
        service: a token of a machine; may request, never approve.
        limits: of the token that is shown; a session has none.
    """

    user: str
    roles: frozenset[Role]
    service: bool = False
    limits: Limits = UNLIMITED

    def beyond_token(self, verb: str, environment: str = "") -> Refusal | None:
        """Why the token that is shown is not for this deed; None when the roles decide."""
        return refusal(self.limits, self.user, verb, environment)


def binding(run: Run) -> Digest:
    """Digest of everything that an approval of this run is about.

    Should any of it change, the digest changes with it and the approval counts no more.

    Raises:
        Refused: inputs, verdict or plan are not there yet, so nothing can be approved.
    """
    return Digest.of(canonical(binding_document(run)))


def binding_document(run: Run) -> dict[str, str | int]:
    """What `binding` is the digest of, so that others can work it out again.

    Raises:
        Refused: as `binding`.
    """
    if run.verdict is None or run.plan is None or run.resolved_inputs is None:
        raise Refused("Inputs, verdict and rollout plan must exist before anyone can approve.")
    return {
        "schema": "releaseline.approval-binding/1",
        "run": run.run_id,
        "gateAttempt": len(run.step(run.verdict.step).attempts),
        "environment": run.environment,
        "bundle": str(run.bundle),
        "inputs": str(run.resolved_inputs),
        "policy": str(run.verdict.policy),
        "verdict": str(run.verdict.verdict),
        "plan": str(run.plan),
    }


def own_work(run: Run, user: str, deed: str) -> str | None:
    """Say why `user`, being part of this promotion, may not do `deed` (`approve it`); else None."""
    if user == run.requested_by:
        return f"{user} requested this promotion; somebody else has to {deed}."
    if user == run.started_by:
        return f"{user} started this promotion; somebody else has to {deed}."
    if user in run.request.bundle_authors:
        return f"{user} made this bundle; an author cannot {deed}."
    if user in run.authors:
        return f"{user} is a commit author by this bundle's provenance; an author cannot {deed}."
    if user in run.request.policy_authors:
        return (
            f"{user} changed this environment's policy less than 14 days before this run; "
            f"somebody else has to {deed}."
        )
    return None


def conflict(run: Run, actor: Actor) -> str | None:
    """Say why `actor` may not decide on this run, in one sentence; None when they may.

    The same sentence stands on the page, so that a person knows before asking.
    """
    if actor.service:
        return f"{actor.user} is a service account; approvals come from people."
    if Role.APPROVER not in actor.roles:
        return f"{actor.user} has no approver role in {run.environment}."
    involved = own_work(run, actor.user, "approve it")
    if involved is not None:
        return involved
    if any(a.person == actor.user for a in run.counting_approvals):
        return f"{actor.user} has approved already; each approval needs another person."
    return None


def groups_of(run: Run, user: str) -> tuple[str, ...]:
    return tuple(g.name for g in run.request.approval.groups if user in g.members)


def missing(run: Run) -> tuple[str, ...]:
    """What the quorum still lacks, in words; empty when it is met."""
    rule = run.request.approval
    given = run.counting_approvals
    lacks = []
    if len(given) < rule.min_approvals:
        lacks.append(f"{len(given)} of {rule.min_approvals} approvals")
    for group in rule.groups:
        if group.required and not any(group.name in a.groups for a in given):
            lacks.append(f"one from {group.name}")
    return tuple(lacks)


def comment_required(run: Run) -> bool:
    """A verdict with warnings is approved with a comment, so that it was seen."""
    return run.verdict is not None and run.verdict.warn > 0


def approval_step(run: Run) -> str:
    step = run.step_of_kind(StepKind.APPROVAL)
    if step is None:
        raise Refused("This run has no approval step.")
    return step.id
