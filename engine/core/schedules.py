"""A schedule as the fold of its facts, and who may end it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from engine.core.approvals import Actor
from engine.core.commands import Action, Refusal
from engine.core.events import Recorded
from engine.core.schedule_events import (
    FiringTicked,
    FiringWord,
    ScheduleCancelled,
    ScheduleCreated,
)
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus

MAY_CANCEL: Final = frozenset({Role.RELEASE_MANAGER})
# With one of these something has become of a firing.
OVER: Final = frozenset(
    {FiringWord.STARTED, FiringWord.MISSED, FiringWord.EXPIRED, FiringWord.CANCELLED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule as it stands.

    Attributes:
        run: of the firing that came last; empty before the first one, and where that made none.
        firing: its local date.
        waits: nothing has become of that firing yet.
        cancelled_by: empty while it makes firings.
        over: there is no further firing to make.
    """

    id: str
    made: ScheduleCreated
    created_by: str
    created_us: int
    run: str = ""
    firing: str = ""
    waits: bool = False
    cancelled_by: str = ""
    cancelled_why: str = ""
    over: bool = False

    @property
    def environment(self) -> str:
        return self.made.environment

    @property
    def status(self) -> str:
        """ACTIVE, CANCELLED, or DONE: its last firing is behind it."""
        if self.cancelled_by:
            return "CANCELLED"
        return "DONE" if self.over and not self.waits else "ACTIVE"


def begun(recorded: Recorded, made: ScheduleCreated) -> Schedule:
    return Schedule(
        id=recorded.stream, made=made, created_by=recorded.actor, created_us=recorded.ts_us
    )


def evolve(known: Schedule, recorded: Recorded) -> Schedule:
    """The schedule after a fact of it, or after a tick in the log of one of its runs.

    An older firing's tick, and one that was taken in before, change nothing.
    """
    match recorded.event:
        case ScheduleCancelled(reason=reason):
            return replace(known, cancelled_by=recorded.actor, cancelled_why=reason)
        case FiringTicked(firing=firing, word=word) if firing >= known.firing:
            if word is FiringWord.SKIPPED:
                return replace(known, run="", firing=firing, waits=False)
            if not recorded.stream.startswith("run-"):
                return known  # told of a run that could not be made
            again = known.run == recorded.stream and not known.waits
            waits = word not in OVER and not again
            return replace(known, run=recorded.stream, firing=firing, waits=waits)
        case _:
            return known


def made_run(known: Schedule, run: Run) -> Schedule:
    """The schedule with the run of its newest firing."""
    if run.request.firing < known.firing:
        return known
    waits = run.status is RunStatus.SCHEDULED
    return replace(known, run=run.run_id, firing=run.request.firing, waits=waits)


def cancel_refusal(known: Schedule, actor: Actor, reason: str) -> Refusal | None:
    """Why this person may not cancel it now; None when they may."""
    beyond = actor.beyond_token(Action.CANCEL, known.environment)
    if beyond is not None:
        return beyond
    if not actor.roles & MAY_CANCEL:
        sentence = (
            f"This needs the role release manager in {known.environment}; {actor.user} has none."
        )
        return Refusal(sentence=sentence, code="role")
    if known.cancelled_by:
        return Refusal(sentence=f"{known.id} is cancelled already.", code="state")
    if known.status == "DONE":
        return Refusal(sentence=f"{known.id} has made its last firing.", code="state")
    if not reason.strip():
        return Refusal(sentence="A reason is required; it goes on record.", code="reason")
    return None
