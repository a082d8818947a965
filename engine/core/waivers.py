"""The waiver register: what each waiver is now, and which of them a promotion may use. Pure.

A waiver accepts one flaw in one package, where it says and until it ends. It takes two people: it
holds from the moment at which somebody other than its author has granted it. What it is at a moment
follows from its facts and that moment alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeAlias

from engine.core.digest import Digest
from engine.core.event_parts import UsedWaiver
from engine.core.events import Recorded
from engine.core.local_time import utc_text
from engine.core.waiver_events import (
    WaiverGranted,
    WaiverRefused,
    WaiverRequested,
    WaiverRevoked,
)

# Kinds of event that a fold of the register has to see.
FOLDED: Final = (WaiverRequested, WaiverGranted, WaiverRefused, WaiverRevoked)
Waivers: TypeAlias = Mapping[str, "Waiver"]
SOON_US: Final = 7 * 24 * 3600 * 1_000_000


class WaiverState(StrEnum):
    REQUESTED = "REQUESTED"
    GRANTED = "GRANTED"
    REFUSED = "REFUSED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What somebody did with a waiver, when, and why in their words."""

    by: str
    at_us: int
    reason: str
    ticket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """`by` wrote it; `fact` is what they asked for."""

    fact: WaiverRequested
    by: str
    asked_us: int
    granted: Deed | None = None
    refused: Deed | None = None
    revoked: Deed | None = None

    @property
    def id(self) -> str:
        return self.fact.waiver

    @property
    def authors(self) -> tuple[str, ...]:
        """Who wrote it, and who made the link or token that they came in with."""
        return (self.by, self.fact.hand) if self.fact.hand else (self.by,)

    @property
    def number(self) -> int:
        return int(self.id.rpartition("-")[2])

    def state(self, now_us: int) -> WaiverState:
        if self.revoked is not None:
            return WaiverState.REVOKED
        if self.refused is not None:
            return WaiverState.REFUSED
        if now_us >= self.fact.expires_us:
            return WaiverState.EXPIRED
        return WaiverState.REQUESTED if self.granted is None else WaiverState.GRANTED

    def covers(self, environment: str, bundle: Digest) -> bool:
        """Whether it was asked for there, and for this bundle; whatever its state."""
        return environment in self.fact.environments and self.fact.bundle in {None, bundle}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A waiver that holds for a promotion, as the policy gate is told of it."""

    waiver: str
    finding: str
    purl: str
    requested_by: str
    approved_by: str
    expires_at_s: int
    reason: str


def evolve(waivers: Waivers, recorded: Recorded) -> Waivers:
    """Return the register after `recorded`, by id in the order of asking."""
    event = recorded.event
    if isinstance(event, WaiverRequested):
        made = Waiver(fact=event, by=recorded.actor, asked_us=recorded.ts_us)
        return {**waivers, event.waiver: made}
    if not isinstance(event, FOLDED) or event.waiver not in waivers:
        return waivers
    one = waivers[event.waiver]
    deed = Deed(by=recorded.actor, at_us=recorded.ts_us, reason=event.reason, ticket=event.ticket)
    match event:
        # Nobody's own word stands for a second person's, whatever a log holds.
        case WaiverGranted(hand=hand) if not {deed.by, hand} & set(one.authors):
            one = replace(one, granted=deed)
        case WaiverRefused():
            one = replace(one, refused=deed)
        case WaiverRevoked():
            one = replace(one, revoked=deed)
        case _:
            return waivers
    return {**waivers, event.waiver: one}


def fold(events: Iterable[Recorded]) -> Waivers:
    waivers: Waivers = {}
    for recorded in events:
        waivers = evolve(waivers, recorded)
    return waivers


def holding(waivers: Waivers, environment: str, bundle: Digest, now_us: int) -> tuple[Holding, ...]:
    """What holds for this bundle in this environment at `now_us`, the oldest first."""
    return tuple(
        Holding(
            waiver=one.id,
            finding=one.fact.finding,
            purl=one.fact.purl,
            requested_by=one.by,
            approved_by=one.granted.by,
            expires_at_s=one.fact.expires_us // 1_000_000,
            reason=one.fact.reason,
        )
        for one in sorted(waivers.values(), key=lambda one: one.number)
        if one.granted is not None
        and one.state(now_us) is WaiverState.GRANTED
        and one.covers(environment, bundle)
    )


def lost(waivers: Waivers, used: Sequence[UsedWaiver], now_us: int) -> str:
    """Why a verdict that rests on `used` can rest on them no more, as a sentence; empty: it can."""
    return "; ".join(
        _end(waivers.get(one.waiver), one)
        for one in used
        if (known := waivers.get(one.waiver)) is None
        or known.state(now_us) is not WaiverState.GRANTED
    )


def _end(known: Waiver | None, used: UsedWaiver) -> str:
    what = f"{used.waiver} ({used.finding} in {used.purl})"
    if known is None:
        return f"{what} is not on record"
    if known.revoked is not None:
        return f"{what} was revoked by {known.revoked.by}: {known.revoked.reason.rstrip('.')}"
    return f"{what} ended at {utc_text(known.fact.expires_us)}"


def ends_soon(one: Waiver, now_us: int) -> bool:
    """Whether it ends within a week, or within the last third of the time it was asked for."""
    expires_us = one.fact.expires_us
    return expires_us - now_us <= min(SOON_US, (expires_us - one.asked_us) // 3)


def note(used: UsedWaiver) -> str:
    """How a verdict tells that it rests on a waiver."""
    return (
        f"waived: {used.finding} in {used.purl} until {utc_text(used.expires_us)}, by "
        f"{used.author}, granted by {used.granted_by} ({used.waiver})"
    )


def sentence(one: Waiver, now_us: int) -> str:
    """What became of it."""
    until = utc_text(one.fact.expires_us)
    match one.state(now_us):
        case WaiverState.REVOKED if one.revoked is not None:
            return f"revoked by {one.revoked.by}: {one.revoked.reason}"
        case WaiverState.REFUSED if one.refused is not None:
            return f"refused by {one.refused.by}: {one.refused.reason}"
        case WaiverState.EXPIRED if one.granted is None:
            return f"nobody had granted it when it ended at {until}"
        case WaiverState.EXPIRED:
            return f"ended at {until}"
        case WaiverState.GRANTED if one.granted is not None:
            return f"granted by {one.granted.by}, until {until}"
        case _:
            return f"waits for a second person, until {until}"
