"""Going on although something stands against it: one person asks, a second one confirms. Pure.

What is asked for lasts an hour and dies with its situation: any move of the run or of a step ends
it. Without a clock at hand nothing can be confirmed, because nobody could say that it is in time.
"""

from __future__ import annotations

from typing import Final

from engine.core import break_glass, reviews
from engine.core.approvals import Actor, lent, let_in, own_work
from engine.core.commands import Action, Command, Now, OverrideOffer, Refusal
from engine.core.digest import Digest
from engine.core.events import RunEvent
from engine.core.people_events import (
    OverrideDeclined,
    OverrideExpired,
    OverrideRequested,
    OverrideUsed,
    OverrideWithdrawn,
)
from engine.core.people_state import OverrideAsk
from engine.core.scopes import OVERRIDE
from engine.core.state import Run, StepState
from engine.core.statemachine import Role, RunStatus, actors_of

OVERRIDABLE: Final = frozenset({Action.CONTINUE, Action.RESUME})
LASTS_US: Final = 3_600_000_000
GLASS_BREAKERS: Final = frozenset({Role.RELEASE_MANAGER, Role.SRE})


def standing(run: Run, now: Now) -> OverrideAsk | None:
    """What was asked for and may still be confirmed; None without a clock."""
    ask = run.override
    if ask is None or now.now_us is None or now.now_us >= ask.wish.expires_us:
        return None
    return ask


def missing(run: Run, step: StepState, now: Now) -> tuple[str, ...]:
    """The criteria of the stage at hand that are not met. What is not known is not met."""
    if now.unmet is not None:
        return now.unmet
    return ("health is not judged",) if step.gate is None else (step.gate.reason,)


def refusal(run: Run, command: Command, actor: Actor, now: Now) -> Refusal | None:
    """Why this person may neither ask for the override nor confirm it; None when they may."""
    if actor.service:
        return Refusal(
            sentence=f"{actor.user} is a service account; an override takes two people.",
            code="conflict_of_interest",
        )
    beyond = actor.beyond_token(OVERRIDE, run.environment)
    if beyond is not None:
        return beyond
    if now.now_us is None:
        return Refusal(
            sentence="The time is not known, so an override cannot be limited.", code="state"
        )
    ask = standing(run, now)
    if ask is not None:
        why = _may_not_confirm(run, ask, actor)
        if why:
            return Refusal(sentence=why, code="conflict_of_interest")
    if not command.reason.strip():
        return Refusal(sentence="An override needs a reason; it goes on record.", code="reason")
    if command.action is Action.BREAK_GLASS and ask is None and not command.ticket.strip():
        return Refusal(
            sentence="Breaking the glass needs an incident id; it goes on record.", code="ticket"
        )
    return None


def glass_refusal(run: Run, command: Command, actor: Actor, now: Now) -> Refusal | None:
    """Why this person may neither ask to break the glass nor confirm it; None when they may."""
    glass = run.glass
    if not break_glass.lacks(run, now):
        return Refusal(
            sentence="Nothing stands against this run that breaking the glass could pass by.",
            code="state",
        )
    if glass is not None and break_glass.stands_for_approvals(run, now.now_us or 0):
        return Refusal(sentence="The glass is broken already.", code="state")
    if not actor.roles & GLASS_BREAKERS:
        return Refusal(
            sentence=f"This needs the role release manager or sre in {run.environment}; "
            f"{actor.user} has none.",
            code="role",
        )
    return refusal(run, command, actor, now)


def _may_not_confirm(run: Run, ask: OverrideAsk, actor: Actor) -> str:
    if actor.user == ask.by:
        return f"{actor.user} asked for this override; a second person has to confirm it."
    deed = "confirm the override"
    why = own_work(run, actor.user, deed) or lent(run, actor, deed)
    if why is not None:
        return why
    if actor.hand and actor.hand in {ask.by, ask.wish.hand}:
        did = "asked for" if actor.hand == ask.by else f"the one that {ask.by} asked with for"
        return f"{let_in(actor)}, and {did} this override; it takes two hands."
    if actor.user == ask.wish.hand:
        return (
            f"{actor.user} made the link or token that {ask.by} asked with for this override; it "
            "takes two hands."
        )
    return ""


def asked(
    run: Run, command: Command, against: Refusal, now: Now, *, hand: str = ""
) -> OverrideRequested:
    """The wish of the first person, with what stood against it then."""
    step = _step(run)
    assert now.now_us is not None  # `refusal`
    return OverrideRequested(
        action=command.action.value,
        step=step.id,
        attempt=len(step.attempts),
        rule=0 if step.gate is None else step.gate.rule,
        against=against.sentence,
        missing=_lacks(run, command.action, step, now),
        reason=command.reason.strip(),
        ticket=command.ticket.strip(),
        expires_us=now.now_us + LASTS_US,
        evidence=None if step.gate is None else step.gate.evidence,
        binding=_glass_binding(run, command.action),
        hand=hand,
    )


def used(
    run: Run, ask: OverrideAsk, command: Command, actor: Actor, against: Refusal, now: Now
) -> tuple[RunEvent, ...]:
    """The confirmation: both names on record, and a debt that a third person looks at."""
    step, glass = _step(run), command.action is Action.BREAK_GLASS
    assert now.now_us is not None  # `refusal`
    fact = OverrideUsed(
        action=command.action.value,
        step=step.id,
        attempt=len(step.attempts),
        asked_by=ask.by,
        confirmed_by=actor.user,
        asked_reason=ask.wish.reason,
        reason=command.reason.strip(),
        rule=0 if step.gate is None else step.gate.rule,
        against=against.sentence,
        missing=_lacks(run, command.action, step, now),
        ticket=command.ticket.strip() or ask.wish.ticket,
        evidence=None if step.gate is None else step.gate.evidence,
        until_us=now.now_us + LASTS_US if glass else 0,
        binding=ask.wish.binding,
    )
    people = (ask.by, actor.user)
    if glass:
        what = f"glass broken ({fact.ticket}) past: {against.sentence}"
        return (fact, reviews.opened("break_glass", people, what))
    what = f"{command.action.value} of {step.spec.name} although: {against.sentence}"
    return (fact, reviews.opened("override", people, what))


def glass_against(run: Run, now: Now) -> Refusal:
    """What would be passed by, worded as the other overrides word what stands against them."""
    return Refusal(sentence="; ".join(break_glass.lacks(run, now)), code="state", overridable=True)


def _glass_binding(run: Run, action: Action) -> Digest | None:
    """What the approvals that are passed by would have been bound to; None when none are."""
    asked = run.status is RunStatus.AWAITING_APPROVAL
    return run.binding if asked and action is Action.BREAK_GLASS else None


def drop_refusal(run: Run, command: Command, actor: Actor, now: Now) -> Refusal | None:
    """Taking back, or declining, an override that was asked for."""
    ask = run.override
    if ask is None:
        return Refusal(sentence="No override is being asked for.", code="state")
    actors = actors_of(ask.wish.action, run.status)
    if ask.wish.action == Action.BREAK_GLASS:
        actors = tuple(sorted(GLASS_BREAKERS))
    if not any(role in actors for role in actor.roles):
        who = " or ".join(role.replace("_", " ") for role in actors)
        return Refusal(
            sentence=f"This needs the role {who} in {run.environment}; {actor.user} has none.",
            code="role",
        )
    if standing(run, now) is None and now.now_us is not None:
        return Refusal(sentence="The override that was asked for has expired.", code="state")
    if not command.reason.strip():
        return Refusal(sentence="A reason is required; it goes on record.", code="reason")
    return None


def dropped(run: Run, command: Command, actor: Actor) -> OverrideWithdrawn | OverrideDeclined:
    ask, reason = run.override, command.reason.strip()
    assert ask is not None  # `drop_refusal`
    wish = ask.wish
    if actor.user == ask.by:
        return OverrideWithdrawn(step=wish.step, attempt=wish.attempt, reason=reason)
    return OverrideDeclined(step=wish.step, attempt=wish.attempt, asked_by=ask.by, reason=reason)


def expired(run: Run, now_us: int) -> OverrideExpired | None:
    """The fact that nobody confirmed in time, when that is so."""
    ask = run.override
    if ask is None or now_us < ask.wish.expires_us:
        return None
    return OverrideExpired(step=ask.wish.step, attempt=ask.wish.attempt, asked_by=ask.by)


def offer(run: Run, action: Action, actor: Actor, now: Now) -> OverrideOffer:
    """What an override would take from this person now, for the page beside the refused action."""
    ask, anew = standing(run, now), overruled(run, action)
    probe = Command(action=action, reason="-", ticket="-", override=True)
    ask_of = glass_refusal if action is Action.BREAK_GLASS else refusal
    refused = ask_of(run, probe, actor, now)
    sentence = "" if refused is None else refused.sentence
    step = _step(run)
    then = ""
    if anew is not None:
        then = (
            f"{anew.spec.name} is then judged anew, as attempt {len(anew.attempts) + 1}; what its "
            f"gate found stays on record with attempt {len(anew.attempts)}."
        )
    if ask is None:
        return OverrideOffer(
            turn="ask",
            ok=refused is None,
            why_not=sentence,
            missing=_lacks(run, action, step, now),
            then=then,
        )
    return OverrideOffer(
        turn="wait" if actor.user == ask.by else "confirm",
        ok=refused is None,
        why_not=sentence,
        asked_by=ask.by,
        asked_us=ask.asked_us,
        reason=ask.wish.reason,
        expires_us=ask.wish.expires_us,
        missing=_lacks(run, action, step, now),
        then=then,
    )


def overruled(run: Run, action: Action) -> StepState | None:
    """The stage whose gate asked for a rollback that this override sets aside; None when none.

    ROLLBACK is final for a gate, as a proof is, so that no later tick can take it back.
    """
    step = run.current_step
    if action is not Action.RESUME or step is None or not step.open or step.gate is None:
        return None
    return step if step.gate.action == "rollback" else None


def suppressed(run: Run, step_id: str, attempt: int, evidence: Digest | None = None) -> str:
    """`by an override of ana and sam` for an attempt whose gate two people overruled; else empty.

    Newest first: of several overrides the last one is named.

    Args:
        evidence: of one of the gate's decisions, which has to be the one that was overruled.
    """
    for one in reversed(run.overrides):
        if (one.step, one.attempt) == (step_id, attempt) and evidence in {None, one.evidence}:
            return f"by an override of {one.asked_by} and {one.confirmed_by}"
    return ""


def _lacks(run: Run, action: Action, step: StepState, now: Now) -> tuple[str, ...]:
    if action is Action.CONTINUE:
        return missing(run, step, now)
    if action is Action.BREAK_GLASS:
        return break_glass.lacks(run, now)
    seen = run.pause_cause
    if now.frozen is not None and now.frozen.keys:
        return (now.frozen.sentence,)
    if run.status is RunStatus.PAUSED and seen is not None:
        return (seen.reason,)
    return (run.pause_note,) if run.pause_note else ()


def _step(run: Run) -> StepState:
    step = run.current_step
    assert step is not None  # the guards found something against it
    return step
