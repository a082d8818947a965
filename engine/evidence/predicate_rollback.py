"""What is said about one way back: who sent which targets where, and what state that left."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.digest import Digest
from engine.core.fact_events import TargetReverted
from engine.core.run import Run
from engine.core.way_back import WayBack
from engine.evidence.predicates import Draft, digest_set, rfc3339


def rollback(
    run: Run,
    way: WayBack,
    *,
    base: str,
    plan: Digest | None,
    reverted: Sequence[TargetReverted],
    at_us: int,
) -> Draft:
    """One way back. `plan`: what was carried out; None when nothing could be."""
    touched = {one.target for one in reverted}
    return Draft(
        stem=way.stem,
        predicate_type=f"{base}/rollback/v1",
        predicate={
            "creationTime": rfc3339(at_us),
            "environment": f"{run.request.region}/{run.environment}",
            "number": way.number,
            "scope": way.scope,
            "asked": list(way.targets),
            "trigger": way.trigger,
            "startedBy": way.by,
            "startedAt": rfc3339(way.started_us),
            "reason": way.reason,
            "ticket": way.ticket,
            "from": {"sha256": run.bundle.hex},
            "plan": digest_set(run.rollback_plan),
            "executedPlan": digest_set(plan),
            "verified": way.outcome == "verified",
            "failure": way.note,
            "reverted": [
                {
                    "target": one.target,
                    "outcome": one.outcome,
                    "to": digest_set(one.to_digest),
                    "current": digest_set(one.digest),
                    "healthy": one.healthy,
                    "note": one.note,
                    "durationMs": one.duration_ms,
                    "operation": one.op_id,
                    "epoch": one.epoch,
                }
                for one in reverted
            ],
            "unchanged": [t.target for t in run.targets if t.target not in touched],
            "resultingState": [
                {
                    "target": t.target,
                    "recorded": digest_set(t.baseline),
                    "current": digest_set(t.current),
                    "healthy": t.healthy,
                }
                for t in run.targets
            ],
        },
    )
