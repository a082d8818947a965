"""What the health gate's answer does to a stage and to its run. Pure."""

from __future__ import annotations

from engine.core.back_events import RollbackSuppressed
from engine.core.closing import rolling_back
from engine.core.events import RunEvent
from engine.core.fact_events import GateDecided
from engine.core.rollback_preview import not_by_itself, not_rolled_back
from engine.core.run_events import RunPaused
from engine.core.state import Run
from engine.core.step_events import StepFailed, StepSucceeded


def gate_decided(run: Run, decided: GateDecided) -> tuple[RunEvent, ...]:
    """What the health gate's answer does to the stage and to the run.

    The answer itself comes first, so that the log always tells cause before effect.
    """
    step = run.step(decided.step)
    reason, held = f"{step.spec.name}: {decided.reason}", not_by_itself(run)
    match decided.action:
        case "promote":
            done = StepSucceeded(
                step=step.id,
                attempt=decided.attempt,
                result="HEALTHY",
                summary=decided.reason,
            )
            return (decided, done)
        case "rollback" if not held:
            failed = StepFailed(
                step=step.id, attempt=decided.attempt, result="BREACHED", reason=decided.reason
            )
            started = rolling_back(run, via="health_breach", trigger="health", reason=reason)
            return (decided, failed, *(e for e in started if getattr(e, "step", "") != step.id))
        case "rollback":
            paused = RunPaused(
                via="health_breach_hold",
                pause_reason="health_breach",
                reason=not_rolled_back(reason, held),
            )
            suppressed = RollbackSuppressed(step=step.id, attempt=decided.attempt, reason=held)
            return (decided, suppressed, paused)
        case "pause":
            paused = RunPaused(
                via="health_inconclusive", pause_reason="health_inconclusive", reason=reason
            )
            return (decided, paused)
        case _:
            return (decided,)
