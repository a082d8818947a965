"""What two people may pass by in an emergency, and how long that lasts. Pure.

Breaking the glass stands for missing approvals, or lets a run begin into an environment that burns
its error budget or is frozen, or before its preconditions hold. It never stands for the policy's
verdict: a FAIL has ended the run by then. Nor for a hold on the bundle, which somebody lifts with a
reason, nor for the health gate, which has an override of its own. How it is asked for, confirmed
and dropped is `engine.core.overrides`; the debt that it leaves is a review.
"""

from __future__ import annotations

from engine.core import approvals, burn_guard, queueing, starting
from engine.core.commands import Now
from engine.core.state import Run
from engine.core.statemachine import RunStatus


def lacks(run: Run, now: Now) -> tuple[str, ...]:
    """What stands against the run now and may be passed by, one phrase each."""
    match run.status:
        case RunStatus.AWAITING_APPROVAL:
            return approvals.missing(run)
        case RunStatus.SCHEDULED:
            return ("its preconditions are not known",) if now.start is None else now.start
        case RunStatus.QUEUED | RunStatus.RUNNING:
            frozen = run.barred.reason if run.barred and run.barred.by == queueing.FREEZE else ""
            found = tuple(why for why in (frozen, burn_guard.held_up(run)) if why)
            return (*found, *starting.held_up(run))
        case _:
            return ()


def stands_for_approvals(run: Run, now_us: int) -> bool:
    """Whether the glass was broken for exactly what would be approved now, and not too long ago."""
    glass = run.glass
    return (
        glass is not None
        and glass.binding is not None
        and glass.binding == run.binding
        and run.glass_broken(now_us)
    )


def offered(run: Run) -> bool:
    """Whether there is anything that it could be about. Of a schedule only the shell knows that."""
    return run.status is RunStatus.SCHEDULED or bool(lacks(run, Now()))
