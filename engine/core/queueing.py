"""What keeps a queued run from starting, beside a hold: a freeze, or a run ahead of it. Pure.

One run at a time holds an environment, first come first served; a rollback goes before promotions.
Where the queue is `latest`, a newer promotion takes the place of those that still wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine.core import burn_guard, freezes, starting, step_times
from engine.core.approvals import Actor
from engine.core.closing import closing
from engine.core.commands import Refusal
from engine.core.events import RunEvent
from engine.core.freezes import Bar
from engine.core.local_time import utc_text
from engine.core.queue_events import StartBarred
from engine.core.run_events import RunCancelled
from engine.core.spec import HOTFIX, ROLLBACK
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus

FIFO: Final = "fifo"
LATEST: Final = "latest"
FREEZE: Final = "freeze"
LOCK: Final = "lock"


def hotfix_refusal(actor: Actor, environment: str, reason: str) -> Refusal | None:
    """Why this person may not ask for a hotfix; None when they may."""
    if actor.service or Role.RELEASE_MANAGER not in actor.roles:
        return Refusal(
            sentence=f"A hotfix to {environment} is asked for by a release manager in person; "
            f"{actor.user} is none.",
            code="role",
        )
    if not reason.strip():
        return Refusal(sentence="A hotfix needs a reason; it goes on record.", code="reason")
    return None


def holder(others: Iterable[Run]) -> Run | None:
    """Of the open runs of an environment the one that holds it, from its start to its end."""
    return next((one for one in others if one.started_us is not None), None)


def goes_first(one: Run, other: Run) -> bool:
    """Of two runs that wait for an environment: a rollback before promotions, then the older."""
    return _place(one) < _place(other)


def in_line(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Those that wait for their environment, in the order in which they are to start."""
    return tuple(sorted((r for r in runs if r.status is RunStatus.QUEUED), key=_place))


def _place(run: Run) -> tuple[bool, int]:
    return (run.request.kind != ROLLBACK, run.number)


def barred(run: Run, bar: Bar | None, others: Iterable[Run]) -> StartBarred | None:
    """Why the run has to stay queued, as it goes on record; None when its way is free.

    Args:
        bar: of the freezes, for this run.
        others: the other open runs of its environment.
    """
    if bar is not None:
        return StartBarred(
            by=FREEZE,
            keys=bar.keys,
            reason=freezes.sentence(bar, run.environment),
            until_us=bar.until_us,
        )
    held = holder(others)
    if held is None or held.started_us is None:
        return None
    return StartBarred(
        by=LOCK,
        keys=(held.run_id,),
        reason=f"{run.environment} is held by {held.run_id} ({held.label}, requested by "
        f"{held.requested_by}) since {utc_text(held.started_us)}.",
    )


def waits_for(run: Run) -> str:
    """Why the run does not go on by itself, as last recorded; empty when nothing holds it up."""
    if run.status is RunStatus.SCHEDULED:
        return "; ".join(starting.lacking(run))
    said = run.barred.reason if run.barred is not None else ""
    return run.held_note or said or burn_guard.held_up(run) or step_times.waits_for(run)


def newer(run: Run, others: Iterable[Run]) -> Run | None:
    """The newest run that takes this queued one's place; None when it keeps it.

    A rollback is never superseded and supersedes nothing, and a hotfix gives way to a hotfix only:
    what is urgent is not lost to what is merely later.
    """
    if run.request.queue != LATEST or run.request.kind == ROLLBACK:
        return None
    after = [
        one
        for one in others
        if one.status is RunStatus.QUEUED
        and one.number > run.number
        and one.request.kind != ROLLBACK
        and (run.request.kind != HOTFIX or one.request.kind == HOTFIX)
    ]
    return max(after, key=lambda one: one.number, default=None)


def superseded(run: Run, by: Run) -> tuple[RunEvent, ...]:
    """What ends a queued run whose place a newer one takes."""
    reason = f"superseded by {by.run_id} ({by.label})"
    cancelled = RunCancelled(via="superseded", reason=reason, superseded_by=by.run_id)
    return (cancelled, *closing(run, reason))
