"""Facts about webhooks: who gets told what, what is sent once more, and what came in.

They live in the stream `hooks`. Addresses and secrets are references or salts, never secrets: a
secret that we made is worked out anew from its salt and a key of the home.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

HOOKS = "hooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSet:
    """Somebody, or a file of the home, wants to be told; also each change of that.

    Attributes:
        hook: its id, which stays when it is changed and is never given again.
        url: an address, or where it is found: `env:NAME` or `file:PATH`.
        secret: `env:NAME`, `file:PATH` or `made:SALT`; empty = what is sent is not signed.
        former: the secret before, which signs beside it; empty when there is none.
        former_until_us: from then on it does not; 0 = as long as it is named.
        events: stable names, `family.*`, `*` or `waiting` (`engine.core.hook_names`).
        environments: empty = every one.
        format: `cdevents` or `slack`.
        source: `api`, or `home`: found in the settings.
    """

    TYPE: ClassVar = "webhook.set/1"
    hook: str
    name: str
    url: str
    secret: str
    former: str
    former_until_us: int
    events: tuple[str, ...]
    environments: tuple[str, ...]
    format: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRemoved:
    """Nothing more is sent there, and what still waited is dropped."""

    TYPE: ClassVar = "webhook.removed/1"
    hook: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTested:
    """Somebody wants to see that a message arrives there."""

    TYPE: ClassVar = "webhook.tested/1"
    hook: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRef:
    """A message by its place: the event that it tells, and which of the event's names."""

    hook: str
    gseq: int
    idx: int
    name: str
    stream: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeliveryRequested:
    """These messages are to be sent once more, from the first try on."""

    TYPE: ClassVar = "webhook.redelivery_requested/1"
    messages: tuple[MessageRef, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRaised:
    """Something that no event of a run says, but time or a freeze; told once per occasion.

    Attributes:
        name: stable name of what is told, for example `review.overdue`.
        run: empty for what is about none.
        occasion: what makes it one occasion within the run, for example the review's number; of a
            freeze the keys of its windows.
        text: what waits, in one sentence.
        people: those who may act, by user name; may be empty.
        run, environment: that it is about; empty when it is about the house.
    """

    TYPE: ClassVar = "notice.raised/1"
    name: str
    run: str
    environment: str
    occasion: str
    text: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HookReceived:
    """A call from outside was proven and understood; what it asked for is done or under way.

    Attributes:
        hook: name of the inbound hook in the settings.
        delivery: what the sender calls this call, shortened; it is a label and proves nothing.
        what: what the sender said happened, for example `release published`.
        bundle: digest of the bundle that was made or named; empty when none was.
        run: the run that was requested; empty when none was.
    """

    TYPE: ClassVar = "hook.received/1"
    hook: str
    delivery: str
    what: str
    bundle: str
    run: str
