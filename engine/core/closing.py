"""What becomes of a run's steps when it ends, or begins to go back. Pure."""

from __future__ import annotations

from engine.core import step_times
from engine.core.digest import Digest
from engine.core.events import RunEvent
from engine.core.run_events import RollbackStarted
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import StepCancelled, StepInconclusive, StepSkipped


def closing(run: Run, reason: str) -> tuple[RunEvent, ...]:
    """What becomes of the steps when a run goes to its seal: open ones end, later ones never begin.

    A deploy stage that its gate had paused ends INCONCLUSIVE: nobody said yes, nobody said no.
    """
    events: list[RunEvent] = [*step_times.ended(run, reason)]
    for step in run.steps:
        if step.spec.kind is StepKind.SEAL:
            continue
        if step.status is StepStatus.PENDING:
            # The whole reason stands at the run's end; here its first words are enough.
            events.append(StepSkipped(step=step.id, reason=reason.partition(":")[0]))
        elif step.open and step.attempt is not None:
            number = step.attempt.number
            if run.status is RunStatus.PAUSED and run.pause_reason.startswith("health"):
                events.append(StepInconclusive(step=step.id, attempt=number, reason=reason))
            else:
                events.append(StepCancelled(step=step.id, attempt=number, reason=reason))
    return tuple(events)


def rolling_back(
    run: Run, *, via: str, trigger: str, reason: str, ticket: str = "", plan: Digest | None = None
) -> tuple[RunEvent, ...]:
    """Start the way back: the open attempt ends, the rollback begins."""
    ended: tuple[RunEvent, ...] = tuple(
        StepCancelled(step=step.id, attempt=step.attempt.number, reason=f"rolled back: {reason}")
        for step in run.steps
        if step.open and step.attempt is not None
    )
    return (
        *step_times.ended(run, f"rolled back: {reason}"),
        *ended,
        RollbackStarted(
            via=via,
            trigger=trigger,
            reason=reason,
            ticket=ticket,
            targets=run.changed_targets,
            plan=plan,
        ),
    )
