"""What a paused run still has to do: let a change come to rest, and look on. Pure.

A pause stops the gate's clock at once; a stage that sets its targets finishes the switch under
way and begins no further one. Where its targets stand then is seen and recorded before anything
goes on.
"""

from __future__ import annotations

from engine.core.effect_kinds import Effect, Settle, Wait, Watch
from engine.core.state import Run


def paused(run: Run) -> Effect:
    """The one thing to do with a paused run."""
    step = run.current_step
    if step is None or step.attempt is None or not step.open:
        return Wait(_until(run), "paused")
    if run.unsettled:
        return Settle(step.id, step.attempt.number)
    if not step.attempt.applied:
        return Wait(_until(run), "paused")
    return Watch(step.id, step.attempt.number, judge=False)


def _until(run: Run) -> int | None:
    """An override that nobody confirms ends by itself."""
    return None if run.override is None else run.override.wish.expires_us
