"""What is said of a run as a whole before its proof chain closes: every event, and what people did.

The other statements speak of one checkpoint each. This one carries the run's events as they were
recorded, each with its hash over the one before, so that the story can be checked against them and
nothing of weight stays outside the seal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.people_state import Review
from engine.core.state import Run
from engine.evidence.predicates import Draft, made_as, override, rfc3339
from engine.evidence.run_events import FILE

STEM: Final = "run-record"


def run_record(run: Run, events: Sequence[str], *, base: str) -> Draft:
    """The end of a run in one statement.

    Args:
        events: the texts of the run's journal records, oldest first.
    """
    content = "".join(f"{line}\n" for line in events).encode()
    assert run.outcome is not None  # decided before a run goes to its seal
    return Draft(
        stem=STEM,
        predicate_type=f"{base}/run-record/v1",
        predicate={
            "outcome": run.outcome.value,
            "outcomeReason": run.outcome_reason,
            "failureClass": run.failure_class,
            "environment": f"{run.request.region}/{run.environment}",
            "run": made_as(run),
            "requestedBy": run.requested_by,
            "requestedAt": rfc3339(run.requested_us),
            "reason": run.request.reason,
            "ticket": run.request.ticket,
            "startedAt": None if run.started_us is None else rfc3339(run.started_us),
            "pauses": run.pauses,
            "attempts": {step.id: len(step.attempts) for step in run.steps},
            "overrides": [override(one) for one in run.overrides],
            "reviews": [_review(one) for one in run.reviews],
            "rollbackSuppressed": run.rollback_suppressed,
            "events": {"name": FILE, "digest": {"sha256": Digest.of(content).hex}},
            "eventCount": len(events),
        },
        files=((FILE, content),),
    )


def _review(one: Review) -> dict[str, Any]:
    """A review that is still open at the seal says so; it is closed by an event of later on."""
    return {
        "number": one.number,
        "kind": one.kind,
        "doers": list(one.doers),
        "what": one.what,
        "openedAt": rfc3339(one.opened_us),
        "dueAt": rfc3339(one.due_us),
        "closedBy": one.closed_by or None,
        "closedAt": None if one.closed_us is None else rfc3339(one.closed_us),
        "verdict": one.verdict,
        "note": one.note,
        "ticket": one.ticket,
    }
