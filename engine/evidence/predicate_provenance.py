"""The SLSA provenance of what a promotion does: by which workflow, from what, begun when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.core.event_parts import NamedDigest
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.evidence.predicates import Draft, digest_set, made_as, rfc3339
from engine.evidence.statement import MANIFEST_NAME, resource

PROVENANCE: Final = "https://slsa.dev/provenance/v1"


def provenance(
    run: Run, *, base: str, engine: str, began_us: int, basis: Sequence[NamedDigest]
) -> Draft:
    """SLSA provenance v1 of the deploy workflow, as of its first stage's begin.

    How the deploy went is said by the stages; this says nothing of it.

    Args:
        engine: identity of what carries the workflow out.
        basis: the statements that it was started on.
    """
    request = run.request
    stages = [step.spec for step in run.steps if step.spec.kind is StepKind.DEPLOY]
    pinned = (
        (MANIFEST_NAME, run.bundle),
        ("resolved-inputs.json", run.resolved_inputs),
        (f"workflow/{request.workflow}", request.workflow_digest),
        (f"policy/{request.policy}", request.policy_digest),
        ("rollout-plan", run.plan),
        ("rollback-plan", run.rollback_plan),
    )
    return Draft(
        stem="provenance",
        predicate_type=PROVENANCE,
        predicate={
            "buildDefinition": {
                "buildType": f"{base}/buildtypes/promotion/v1",
                "externalParameters": {
                    "environment": f"{request.region}/{run.environment}",
                    "promotesFrom": request.promotes_from,
                    "workflow": request.workflow,
                    "run": made_as(run),
                    "stages": [{"id": one.id, "shareBp": one.share_bp} for one in stages],
                    "targets": list(request.targets),
                },
                "internalParameters": {
                    "onBreach": request.on_breach,
                    "speed": request.speed,
                    "configuration": digest_set(request.config_digest),
                },
                "resolvedDependencies": [
                    resource(NamedDigest(name=name, digest=digest))
                    for name, digest in pinned
                    if digest is not None
                ],
            },
            "runDetails": {
                "builder": {"id": engine},
                "metadata": {"invocationId": run.run_id, "startedOn": rfc3339(began_us)},
                "byproducts": [resource(one) for one in basis],
            },
        },
    )
