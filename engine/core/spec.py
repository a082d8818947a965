"""What a run is asked to do: its steps and its approval rule, pinned when it is requested."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from engine.core.digest import Digest
from engine.core.jcs import canonical

# Kinds of run. A rollback of a finished promotion is a run of its own.
PROMOTE: Final = "PROMOTE"
ROLLBACK: Final = "ROLLBACK"
# Passes the freezes that let it, and takes one more approval.
HOTFIX: Final = "HOTFIX"


class StepKind(StrEnum):
    INPUTS = "inputs"
    GATE_EVAL = "gate_eval"
    APPROVAL = "approval"
    DEPLOY = "deploy"
    VERIFY = "verify"
    SEAL = "seal"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One step of a run.

    Attributes:
        id: unique in the run, for example `canary-10`.
        share_bp: deploy steps: basis points of the environment's targets; else 0.
        min_targets: deploy steps: never fewer than this; else 0.
        poll_ms: how often health is read while the step is watched; 0 = not watched.
        gate: canonical JSON of the health criteria; empty = no gate.
        on_failure: pause, fail or rollback.
        idempotent: may be started again by itself after the engine was lost.
    """

    id: str
    kind: StepKind
    name: str
    share_bp: int = 0
    min_targets: int = 0
    poll_ms: int = 0
    gate: str = ""
    on_failure: str = "pause"
    idempotent: bool = True


# Who is part of a promotion and so may not decide on it, as far as a rule may choose. Commit
# authors of the provenance, whoever broke the glass, and service accounts never decide.
CONFLICTS: Final = (
    "requester",
    "starter",
    "bundle_creator",
    "token_owner",
    "policy_author",
    "waiver_author",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalGroup:
    """At least one approval has to come from `members` when `required`."""

    name: str
    members: tuple[str, ...]
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRule:
    """Attributes:
    min_approvals: 0 = nobody is asked; the outcome is then NOT_REQUIRED under `rule_id`.
    expires_after_s: an approval, and the question for it, is good for so long.
    conflicts: of `CONFLICTS`, those that keep somebody from approving.
    """

    rule_id: str
    min_approvals: int
    groups: tuple[ApprovalGroup, ...] = ()
    expires_after_s: int = 86_400
    conflicts: tuple[str, ...] = CONFLICTS


def rollout_plan_digest(cohorts: tuple[tuple[str, tuple[str, ...]], ...], bundle: Digest) -> Digest:
    """The digest of which stage brings which targets to which bundle."""
    return Digest.of(
        canonical(
            {
                "schema": "releaseline.rollout-plan/1",
                "bundle": str(bundle),
                "stages": [{"step": step, "targets": list(targets)} for step, targets in cohorts],
            }
        )
    )
