"""Who is told what, and what still has to be told: folded from the log. Pure.

`outgoing` says which messages an event makes; the store writes them with the event. `Waiting` is a
message with its tries; `due` says what may be sent now, in an order that each receiver can rely on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from engine.core.events import Recorded
from engine.core.hook_events import (
    MessageRef,
    NoticeRaised,
    RedeliveryRequested,
    WebhookRemoved,
    WebhookSet,
    WebhookTested,
)
from engine.core.hook_names import names_of, wanted
from engine.core.hook_rows import DEAD, DELIVERED, FAILED, HookMessage, HookTry, Key
from engine.core.schedule_events import FiringTicked
from engine.core.state import Run

TRIES_MAX: Final = 5
FIRST_WAIT_US: Final = 10_000_000
WAIT_US_MAX: Final = 3_600_000_000
GONE: Final = 410
NOTE_MAX: Final = 300
# How long a secret that was replaced still signs beside the new one.
ROTATION_US: Final = 24 * 3_600_000_000
# Kinds of event that a fold of the webhooks has to see.
FOLDED: Final = (WebhookSet, WebhookRemoved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook in force. `since_us`: since when it has been as it is; `by`: who made it so."""

    asked: WebhookSet
    by: str
    since_us: int

    @property
    def id(self) -> str:
        return self.asked.hook

    @property
    def name(self) -> str:
        return self.asked.name


Hooks: TypeAlias = Mapping[str, Hook]


def evolve(hooks: Hooks, recorded: Recorded) -> Hooks:
    """Return the webhooks after `recorded`, by id."""
    match recorded.event:
        case WebhookSet() as asked:
            hook = Hook(asked=asked, by=recorded.actor, since_us=recorded.ts_us)
            return {**hooks, asked.hook: hook}
        case WebhookRemoved(hook=gone):
            return {id: hook for id, hook in hooks.items() if id != gone}
        case _:
            return hooks


def outgoing(hooks: Hooks, recorded: Recorded, run: Run | None) -> tuple[HookMessage, ...]:
    """The messages that an event makes, in the order in which a receiver gets them.

    Args:
        hooks: in force when the event is recorded.
        run: as it is after the event; None for an event of the house.
    """
    if not hooks:
        return ()
    event = recorded.event
    if isinstance(event, RedeliveryRequested):
        return tuple(_again(one, recorded) for one in event.messages if one.hook in hooks)
    return tuple(
        HookMessage(
            hook=hook.id,
            gseq=recorded.gseq,
            idx=idx,
            wave=0,
            name=name,
            stream=recorded.stream,
            seq=recorded.seq,
            ts_us=recorded.ts_us,
        )
        for idx, name in enumerate(names_of(event, run))
        for hook in hooks.values()
        if _concerns(hook.asked, recorded, run, name)
    )


def _again(one: MessageRef, recorded: Recorded) -> HookMessage:
    return HookMessage(
        hook=one.hook,
        gseq=one.gseq,
        idx=one.idx,
        wave=recorded.gseq,
        name=one.name,
        stream=one.stream,
        seq=one.seq,
        ts_us=recorded.ts_us,
    )


def _concerns(asked: WebhookSet, recorded: Recorded, run: Run | None, name: str) -> bool:
    match recorded.event:
        case WebhookTested(hook=hook):
            return hook == asked.hook
        case NoticeRaised(environment=place):
            environment = place
        case FiringTicked(environment=place) if run is None:
            environment = place
        case _:
            environment = "" if run is None else run.environment
    return wanted(asked.events, name) and (
        not asked.environments or environment in asked.environments
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message that is not settled. `tries` so far; `due_us`: when the next one is."""

    message: HookMessage
    tries: int = 0
    due_us: int = 0


# Of one webhook, by key.
Outbox: TypeAlias = Mapping[Key, Waiting]


def after_try(waiting: Waiting, tried: HookTry) -> Waiting | None:
    """The message after a try; None when it is settled."""
    if tried.outcome != FAILED:
        return None
    return replace(waiting, tries=tried.n, due_us=tried.next_us)


def due(outbox: Iterable[Waiting], now_us: int) -> tuple[tuple[Waiting, ...], int | None]:
    """What may be sent now, and when the next one may be that can't be yet (None: there is none).

    Of each run at most one, the oldest: what comes after it waits until it is delivered or dead.
    Other runs don't wait for it.
    """
    heads: dict[str, Waiting] = {}
    for one in outbox:
        head = heads.get(one.message.stream)
        if head is None or _order(one) < _order(head):
            heads[one.message.stream] = one
    ready = sorted((one for one in heads.values() if one.due_us <= now_us), key=_order)
    later = [one.due_us for one in heads.values() if one.due_us > now_us]
    return tuple(ready), min(later, default=None)


def _order(one: Waiting) -> tuple[int, int, int]:
    message = one.message
    return message.wave or message.gseq, message.gseq, message.idx


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back from a receiver.

    Attributes:
        status: as HTTP has it; 0 = no answer.
        note: the beginning of what it said, or why there was no answer.
        retry_after_s: how long it asked us to wait; 0 = it did not.
        final: asking again cannot help, for the address itself is refused.
    """

    status: int
    note: str = ""
    retry_after_s: int = 0
    final: bool = False


def judged(
    waiting: Waiting, answer: Answer, *, now_us: int, took_ms: int, jitter_bp: int
) -> HookTry:
    """The try on record: delivered, to be tried again, or dead after the fifth.

    Args:
        jitter_bp: 0 to 9,999, drawn by the shell: up to half of the wait is added to it, so that
            receivers that came back are not met by everybody at once.
    """
    n = waiting.tries + 1
    outcome, next_us = FAILED, 0
    if 200 <= answer.status < 300:
        outcome = DELIVERED
    elif n >= TRIES_MAX or answer.final or answer.status == GONE:
        outcome = DEAD
    else:
        wait_us = min(FIRST_WAIT_US << (n - 1), WAIT_US_MAX)
        wait_us += wait_us * jitter_bp // 20_000
        asked_us = answer.retry_after_s * 1_000_000
        next_us = now_us + min(max(wait_us, asked_us), WAIT_US_MAX)
    message = waiting.message
    return HookTry(
        hook=message.hook,
        gseq=message.gseq,
        idx=message.idx,
        wave=message.wave,
        n=n,
        ts_us=now_us,
        took_ms=took_ms,
        outcome=outcome,
        status=answer.status,
        note=answer.note[:NOTE_MAX],
        next_us=next_us,
    )
