"""Who may ask for, grant, refuse and revoke a waiver, and what a wish for one has to say. Pure.

Its author is a policy author wherever it is to hold. The second person has the role approver there,
stands among the `exception_approvers` of the policy in force there, and is not the author.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from engine.core.approvals import Actor, let_in
from engine.core.commands import Refusal
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.scopes import GRANT_WAIVER, REFUSE_WAIVER, REQUEST_WAIVER, REVOKE_WAIVER
from engine.core.statemachine import Role
from engine.core.waiver_events import (
    WaiverGranted,
    WaiverRefused,
    WaiverRequested,
    WaiverRevoked,
)
from engine.core.waivers import Waiver, WaiverState, sentence

DAY_US: Final = 24 * 3600 * 1_000_000
_SECOND_US: Final = 1_000_000
_REASON_MAX: Final = 400
_FINDING: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{2,99}", re.ASCII)
_WORDS: Final = {GRANT_WAIVER: "grant", REFUSE_WAIVER: "refuse", REVOKE_WAIVER: "revoke"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverWish:
    """What somebody asks for.

    Attributes:
        purl: in its canonical form.
        environments: empty = every one that there is now.
        bundle: None = every one.
        days: how long it is to hold at most, from now on.
    """

    finding: str
    purl: str
    reason: str
    days: int
    environments: tuple[str, ...] = ()
    bundle: Digest | None = None
    ticket: str = ""


def covered(environments: Collection[str], known: Collection[str]) -> tuple[str, ...]:
    """The environments that a wish is about, by name. Raises `NotFound` for an unknown one."""
    unknown = sorted(set(environments) - set(known))
    if unknown:
        raise NotFound(f"There is no environment {', '.join(unknown)}.")
    return tuple(sorted(set(environments) or set(known)))


def may_not_request(actors: Mapping[str, Actor]) -> Refusal | None:
    """Why somebody may not ask for a waiver; None when they may.

    Args:
        actors: the asker in each environment that it is to cover.
    """
    for environment, actor in actors.items():
        beyond = actor.beyond_token(REQUEST_WAIVER, environment)
        if beyond is not None:
            return beyond
        if actor.service:
            return _service(actor, "ask for waivers")
        if Role.POLICY_AUTHOR not in actor.roles:
            said = f"{actor.user} may not ask for a waiver in {environment}"
            return Refusal(sentence=f"{said}: this needs the role policy author.", code="role")
    return None


def may_not_judge(
    one: Waiver, actors: Mapping[str, Actor], trusted: Mapping[str, Collection[str]], verb: str
) -> Refusal | None:
    """Why somebody may not grant or refuse it as its second person; None when they may.

    Args:
        actors: the asker in each environment that it covers.
        trusted: whom the policy in force in each of them names as `exception_approvers`.
        verb: GRANT_WAIVER or REFUSE_WAIVER.
    """
    word = _WORDS[verb]
    for environment, actor in actors.items():
        beyond = actor.beyond_token(verb, environment)
        if beyond is not None:
            return beyond
        if actor.service:
            return _service(actor, f"{word} waivers")
        said = f"{actor.user} may not {word} {one.id}"
        if Role.APPROVER not in actor.roles:
            return Refusal(
                sentence=f"{said}: this needs the role approver in {environment}.", code="role"
            )
        if actor.user not in trusted.get(environment, ()):
            why = f"the policy of {environment} does not name them in exception_approvers"
            return Refusal(sentence=f"{said}: {why}.", code="role")
        own = _own(one, actor, word)
        if own:
            return Refusal(sentence=own, code="conflict_of_interest")
    return None


def _own(one: Waiver, actor: Actor, word: str) -> str:
    """Why they are no second person; empty when they are. Nobody is two people."""
    if actor.user == one.by:
        return f"{actor.user} wrote {one.id}; somebody else has to {word} it."
    if actor.user == one.fact.hand:
        return (
            f"{actor.user} made the link or token that {one.by} wrote {one.id} with; somebody else "
            f"has to {word} it."
        )
    if actor.hand and actor.provider:
        return f"{let_in(actor)}; sign in through {actor.provider} to {word} it."
    if actor.hand and actor.hand == one.fact.hand:
        return f"{let_in(actor)}, and the one that {one.by} wrote {one.id} with; nobody is two."
    if actor.hand in one.authors:
        return f"{let_in(actor)}, and wrote {one.id}; somebody else has to {word} it."
    return ""


def may_not_revoke(one: Waiver, actors: Mapping[str, Actor]) -> Refusal | None:
    """Why somebody may not take it back. Undoing it is the safe direction, so that a role of those
    who ask or judge is enough in any one of the environments."""
    beyond = None
    for environment, actor in actors.items():
        beyond = beyond or actor.beyond_token(REVOKE_WAIVER, environment)
        if actor.service:
            return _service(actor, "revoke waivers")
    if beyond is not None:
        return beyond
    roles = {Role.POLICY_AUTHOR, Role.APPROVER}
    if any(actor.roles & roles for actor in actors.values()):
        return None
    user = next(iter(actors.values())).user
    return Refusal(
        sentence=f"{user} may not revoke {one.id}: this needs the role approver or policy author "
        f"in {' or '.join(actors)}.",
        code="role",
    )


def _service(actor: Actor, what: str) -> Refusal:
    return Refusal(sentence=f"{actor.user} is a service account; people {what}.", code="role")


def requested(
    wish: WaiverWish,
    *,
    number: int,
    environments: tuple[str, ...],
    now_us: int,
    days_max: int,
    hand: str = "",
) -> WaiverRequested:
    """The event that asks for it, once its author may.

    Args:
        environments: all that it is to cover.
        hand: who made the link or token that its author came in with.

    Raises:
        Malformed: a field says nothing that can be meant.
        Refused: no reason is given.
    """
    finding = wish.finding.strip()
    if not _FINDING.fullmatch(finding):
        raise Malformed(f"expected a name like CVE-2024-3651, found {finding[:60]!r}",
                        where="finding")  # fmt: skip
    if not 1 <= wish.days <= days_max:
        raise Malformed(f"expected 1 to {days_max} (waivers.longest), found {wish.days}",
                        where="days")  # fmt: skip
    return WaiverRequested(
        waiver=f"waiver-{number}",
        finding=finding,
        purl=wish.purl,
        environments=environments,
        bundle=wish.bundle,
        expires_us=(now_us // _SECOND_US) * _SECOND_US + wish.days * DAY_US,
        reason=said(wish.reason),
        ticket=wish.ticket.strip(),
        hand=hand,
    )


def granted(one: Waiver, now_us: int, *, reason: str, ticket: str) -> WaiverGranted:
    """Raises `Refused`: it does not wait for anybody, or no reason is given."""
    _open(one, now_us, {WaiverState.REQUESTED}, "granted")
    return WaiverGranted(waiver=one.id, reason=said(reason), ticket=ticket.strip())


def refused(one: Waiver, now_us: int, *, reason: str, ticket: str) -> WaiverRefused:
    """Raises as `granted`."""
    _open(one, now_us, {WaiverState.REQUESTED}, "refused")
    return WaiverRefused(waiver=one.id, reason=said(reason), ticket=ticket.strip())


def revoked(one: Waiver, now_us: int, *, reason: str, ticket: str) -> WaiverRevoked:
    """Raises `Refused`: it holds no more anyway, or no reason is given."""
    _open(one, now_us, {WaiverState.REQUESTED, WaiverState.GRANTED}, "revoked")
    return WaiverRevoked(waiver=one.id, reason=said(reason), ticket=ticket.strip())


def _open(one: Waiver, now_us: int, states: Collection[WaiverState], word: str) -> None:
    state = one.state(now_us)
    if state not in states:
        raise Refused(
            f"{one.id} is {state.value} and can't be {word}: {sentence(one, now_us)}.",
            code="state",
        )


def said(reason: str) -> str:
    """Raises `Refused` without a reason, or with one that is no single line."""
    text = reason.strip()
    if not text:
        raise Refused("A reason is required; it goes on record.", code="reason")
    if len(text) > _REASON_MAX or not text.isprintable():
        raise Refused(f"Give the reason in one line of at most {_REASON_MAX} characters.",
                      code="reason")  # fmt: skip
    return text
