"""The hold on a bundle that was rolled back: when it begins, what it forbids, who lifts it. Pure.

A hold has no event of its own. It begins with the event that begins the way back, so that no crash
can leave a bundle rolled back and free; it ends with `HoldLifted`. The same log gives the same
holds, in order, whoever folds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from engine.core.approvals import Actor
from engine.core.commands import Refusal
from engine.core.digest import Digest
from engine.core.errors import Refused
from engine.core.events import Recorded
from engine.core.house import HoldLifted
from engine.core.run_events import RollbackStarted, RunRequested, RunStarted
from engine.core.scopes import LIFT_HOLD
from engine.core.spec import ROLLBACK
from engine.core.standing import Hold
from engine.core.statemachine import Role

Key: TypeAlias = tuple[str, Digest]
Holds: TypeAlias = Mapping[Key, Hold]

MAY_LIFT: Final = frozenset({Role.RELEASE_MANAGER, Role.SRE})
# Kinds of event that a fold of the holds has to see, beside the request of a run's log.
FOLDED: Final = (RunStarted, RollbackStarted, HoldLifted)


def evolve(
    holds: Holds, recorded: Recorded, request: RunRequested | None, *, requested_by: str = ""
) -> Holds:
    """Return the holds after `recorded`, by (environment, bundle).

    Args:
        request: of the run in whose log the event stands; None for an event of the house.
        requested_by: who asked for that run.
    """
    event = recorded.event
    if isinstance(event, HoldLifted):
        key = (event.environment, event.bundle)
        known = holds.get(key)
        # It names the run whose hold was meant: a newer one is not lifted with it.
        if known is None or known.run != event.run:
            return holds
        return {k: hold for k, hold in holds.items() if k != key}
    if request is None:
        return holds
    begun = _begun(recorded, request, requested_by)
    if begun is None or (begun.environment, begun.bundle) in holds:
        return holds  # a rollback that is tried again keeps the first word on it
    return {**holds, (begun.environment, begun.bundle): begun}


def _begun(recorded: Recorded, request: RunRequested, requested_by: str) -> Hold | None:
    bundle, label = request.bundle, f"{request.bundle_name} {request.bundle_version}"
    match recorded.event:
        case RollbackStarted(trigger=trigger, reason=why):
            by = recorded.actor
        case RunStarted() if request.kind == ROLLBACK and request.takes_back is not None:
            # The lock is held from here on: no run that waits can slip in between.
            bundle, label = request.takes_back, request.takes_back_label
            trigger, why, by = "promotion", request.reason, requested_by
        case _:
            return None
    return Hold(
        environment=request.environment,
        bundle=bundle,
        label=label,
        run=recorded.stream,
        trigger=trigger,
        why=why,
        by=by,
        since_us=recorded.ts_us,
    )


def sentence(hold: Hold) -> str:
    """Why the bundle may not start, and how that ends."""
    return (
        f"{hold.label} ({hold.bundle.short}) is held in {hold.environment} since {hold.run} went "
        f"back from it: {hold.why.rstrip('.')}. A release manager or sre has to lift the hold, "
        "with a reason."
    )


def lifting(hold: Hold) -> str:
    """The command that lifts it."""
    return (
        f"releaseline hold lift --bundle {hold.bundle.short} --from {hold.environment} --reason WHY"
    )


def refusal(hold: Hold | None) -> Refusal | None:
    """Why a promotion of this bundle is not accepted; None when the bundle is free."""
    return None if hold is None else Refusal(sentence=sentence(hold), code="held")


def lift_refusal(
    hold: Hold | None, actor: Actor, *, environment: str, reason: str, ended: bool
) -> Refusal | None:
    """Say why the hold may not be lifted now; None when it may.

    Args:
        ended: the run that the hold is about is over.
    """
    beyond = actor.beyond_token(LIFT_HOLD, environment)
    if beyond is not None:
        return beyond
    if not actor.roles & MAY_LIFT:
        return Refusal(
            sentence=f"Lifting a hold needs the role release manager or sre in {environment}; "
            f"{actor.user} has none.",
            code="role",
        )
    if actor.service:
        return Refusal(
            sentence=f"{actor.user} is a service account; a hold is lifted by a person.",
            code="role",
        )
    if hold is None:
        return Refusal(sentence=f"This bundle is not held in {environment}.", code="state")
    if not ended:
        return Refusal(
            sentence=f"{hold.run} is not over yet: its hold can be lifted when it has ended.",
            code="state",
        )
    if not reason.strip():
        return Refusal(sentence="A reason is required; it goes on record.", code="reason")
    return None


def lifted(
    hold: Hold | None, actor: Actor, *, environment: str, reason: str, ended: bool
) -> HoldLifted:
    """The event that lifts it. Raises `Refused` with the sentence of `lift_refusal`."""
    why_not = lift_refusal(hold, actor, environment=environment, reason=reason, ended=ended)
    if why_not is not None:
        raise Refused(why_not.sentence, code=why_not.code)
    assert hold is not None  # refused above
    return HoldLifted(
        environment=hold.environment, bundle=hold.bundle, run=hold.run, reason=reason.strip()
    )
