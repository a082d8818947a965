"""The door for webhooks: who is told what, made, changed and ended on record, by admins.

What stands in the settings is taken up when the house starts, and changed there alone. A secret
that we make is shown once, and never kept: it is worked out from a salt in the log.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from engine.adapters.guarded_http import GuardedHttp
from engine.asker import Asker, refusal_of
from engine.core.commands import Refusal
from engine.core.errors import AdapterFailed, Conflict, Malformed, NotFound
from engine.core.events import Event, Recorded
from engine.core.hook_book import ROTATION_US, Hook
from engine.core.hook_events import (
    HOOKS,
    MessageRef,
    RedeliveryRequested,
    WebhookRemoved,
    WebhookSet,
    WebhookTested,
)
from engine.core.hook_names import EVERYTHING, NAMES, WAITS, unknown
from engine.core.scopes import REDELIVER, REMOVE_WEBHOOK, SET_WEBHOOK, TEST_WEBHOOK
from engine.core.statemachine import Role
from engine.hooks.letters import CDEVENTS, FORMATS, MADE, SLACK, HookSecrets, is_reference
from engine.ports import Clock, EventStore
from engine.recording import append_to
from engine.settings import Settings, WebhookConfig
from engine.trail.denials import admit

API: Final = "api"
HOME: Final = "home"
_ADMIN: Final = frozenset({Role.ADMIN})
HOOKS_MAX: Final = 50
REDELIVER_MAX: Final = 1_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_URL_MAX: Final = 2_000
SLACK_EVENTS: Final = (WAITS, "run.succeeded", "run.failed", "run.rejected", "run.rolled_back")


@dataclass(frozen=True, slots=True, kw_only=True)
class HookWish:
    """What is asked for at the door.

    Attributes:
        secret: `env:NAME` or `file:PATH`; empty = one is made, but for chats.
        events: empty = everything, and for chats what people wait for and how runs end.
    """

    name: str
    url: str
    secret: str = ""
    events: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    format: str = CDEVENTS


class WebhookDesk:
    """Thread-safe: what is in force is asked of the store at every call."""

    def __init__(
        self,
        *,
        store: EventStore,
        clock: Clock,
        settings: Settings,
        http: GuardedHttp,
        secrets: HookSecrets,
    ) -> None:
        self._store, self._clock, self._settings = store, clock, settings
        self._http, self._secrets = http, secrets
        # Between a look at what is in force and the change that rests on it.
        self._changing = threading.Lock()

    def hooks(self) -> tuple[Hook, ...]:
        """Every webhook in force, by name."""
        return self._store.hooks()

    def hook(self, name: str) -> Hook:
        """Raises `NotFound`."""
        for hook in self._store.hooks():
            if hook.name == name:
                return hook
        raise NotFound(f"There is no webhook {name!r}.")

    def why_not(self, asker: Asker) -> Refusal | None:
        """Why this person may not change or redeliver anything here; None when they may."""
        return refusal_of(self._settings, asker, SET_WEBHOOK, _ADMIN, what="change webhooks")

    def add(self, wish: HookWish, asker: Asker, *, command_id: str = "") -> tuple[Hook, str]:
        """Make a webhook. Returns it with the secret that was made; empty when none was, and when
        the same `command_id` made it before.

        Raises:
            Malformed: something of the wish is not as it has to be, or the address may not be
                asked, or cannot be looked up now.
            Refused: not an admin, or the name is taken. On record.
        """
        self._admit(SET_WEBHOOK, asker)
        earlier = self._store.by_command(command_id) if command_id else ()
        if earlier:
            return self._made(earlier, wish), ""
        self._check(wish)
        with self._changing:
            return self._add(wish, asker, command_id)

    def _add(self, wish: HookWish, asker: Asker, command_id: str) -> tuple[Hook, str]:
        if any(hook.name == wish.name for hook in self._store.hooks()):
            self._refuse(SET_WEBHOOK, asker, f"There is a webhook {wish.name!r} already.")
        if len(self._store.hooks()) >= HOOKS_MAX:
            self._refuse(SET_WEBHOOK, asker, f"There are {HOOKS_MAX} webhooks already.")
        made = not wish.secret and wish.format != SLACK
        event = WebhookSet(
            hook=_new_id(),
            name=wish.name,
            url=wish.url,
            secret=_salt() if made else wish.secret,
            former="",
            former_until_us=0,
            events=wish.events or _default_events(wish.format),
            environments=tuple(sorted(set(wish.environments))),
            format=wish.format,
            source=API,
        )
        recorded = self._append([event], asker.user, command_id)
        shown = self._secrets.secret(event.secret) if made else ""
        return self._made(recorded, wish), shown

    def remove(self, name: str, asker: Asker, *, reason: str = "") -> None:
        """End a webhook; what still waits for it is dropped.

        Raises:
            NotFound: no such webhook.
            Refused: not an admin, or it stands in the settings. On record.
        """
        with self._changing:
            hook = self._own(REMOVE_WEBHOOK, name, asker)
            event = WebhookRemoved(hook=hook.id, name=name, reason=reason.strip() or "removed")
            self._append([event], asker.user)

    def rotate(self, name: str, asker: Asker, *, command_id: str = "") -> str:
        """Make a new secret and return it; the one before signs beside it for a day. Empty when
        the same `command_id` made it before: it was shown then.

        Raises:
            NotFound, Refused: as `remove`; also when its secret is not one that we made.
        """
        with self._changing:
            return self._rotate(name, asker, command_id)

    def _rotate(self, name: str, asker: Asker, command_id: str) -> str:
        hook = self._own(SET_WEBHOOK, name, asker)
        if command_id and self._store.by_command(command_id):
            return ""
        if not hook.asked.secret.startswith(f"{MADE}:"):
            self._refuse(SET_WEBHOOK, asker, f"The secret of {name} is not kept by us.")
        event = replace(
            hook.asked,
            secret=_salt(),
            former=hook.asked.secret,
            former_until_us=self._clock.now_us() + ROTATION_US,
        )
        self._append([event], asker.user, command_id)
        return self._secrets.secret(event.secret)

    def test(self, name: str, asker: Asker, *, command_id: str = "") -> None:
        """Have a test message sent. Raises `NotFound`, `Refused`."""
        self._admit(TEST_WEBHOOK, asker)
        self._append([WebhookTested(hook=self.hook(name).id)], asker.user, command_id)

    def redeliver(
        self, messages: Sequence[MessageRef], asker: Asker, *, reason: str, command_id: str = ""
    ) -> int:
        """Send these messages once more, from the first try on. Returns how many.

        One that still waits is left out: it is being tried anyway. So is one of a webhook that was
        removed.

        Raises:
            Refused: not an admin, or nothing of it can be sent again. On record.
        """
        self._admit(REDELIVER, asker)
        if command_id and (earlier := self._store.by_command(command_id)):
            return _count(earlier)
        hooks = {hook.id for hook in self._store.hooks()}
        waiting = {
            (hook, one.message.gseq, one.message.idx)
            for hook in hooks
            for one in self._store.outbox(hook)
        }
        chosen = tuple(
            one
            for one in dict.fromkeys(messages)
            if one.hook in hooks and (one.hook, one.gseq, one.idx) not in waiting
        )[:REDELIVER_MAX]
        if not chosen:
            self._refuse(REDELIVER, asker, "Nothing of it can be sent again now.")
        event = RedeliveryRequested(messages=chosen, reason=reason.strip() or "asked for")
        self._append([event], asker.user, command_id)
        return len(chosen)

    def take_up_settings(self) -> None:
        """Record what the settings say otherwise than when they were last looked at."""
        known = {hook.name: hook for hook in self._store.hooks()}
        events: list[Event] = []
        for config in self._settings.webhooks:
            hook = known.get(config.name)
            event = _from_settings(config, _new_id() if hook is None else hook.id)
            if hook is None or hook.asked != event:
                events.append(event)
        named = {config.name for config in self._settings.webhooks}
        events += [
            WebhookRemoved(hook=hook.id, name=hook.name, reason="no longer in the settings")
            for hook in known.values()
            if hook.asked.source == HOME and hook.name not in named
        ]
        if events:
            self._append(events, "engine")

    def _check(self, wish: HookWish) -> None:
        if _NAME.fullmatch(wish.name) is None:
            raise Malformed(
                f"expected lower-case letters, digits, dot, dash, underscore, found {wish.name!r}",
                where="name",
            )
        if wish.format not in FORMATS:
            known = " or ".join(FORMATS)
            raise Malformed(f"expected {known}, found {wish.format!r}", where="format")
        strange = unknown(wish.events)
        if strange:
            names = ", ".join((EVERYTHING, WAITS, *sorted(NAMES)))
            raise Malformed(f"expected any of {names}, found {strange[0]!r}", where="events")
        for environment in wish.environments:
            self._settings.environment(environment)
        if wish.secret and not is_reference(wish.secret):
            raise Malformed(
                "expected env:NAME or file:PATH, found another text; left out, one is made",
                where="secret",
            )
        if is_reference(wish.url) or len(wish.url) > _URL_MAX:
            raise Malformed(
                "expected an address; env: and file: stand in the settings only", where="url"
            )
        try:
            self._http.check(wish.url, where="url")
        except AdapterFailed as failed:  # it is the address that is no good, not our server
            raise Malformed(str(failed), where="url") from None

    def _own(self, action: str, name: str, asker: Asker) -> Hook:
        self._admit(action, asker)
        hook = self.hook(name)
        if hook.asked.source == HOME:
            self._refuse(action, asker, f"{name} stands in releaseline.yaml and is changed there.")
        return hook

    def _made(self, recorded: Sequence[Recorded], wish: HookWish) -> Hook:
        first = recorded[0]
        if not isinstance(first.event, WebhookSet) or first.event.name != wish.name:
            raise Conflict("this command id was used for something else already")
        return Hook(asked=first.event, by=first.actor, since_us=first.ts_us)

    def _admit(self, action: str, asker: Asker) -> None:
        admit(self._store, self.why_not(asker), user=asker.user, action=action)

    def _refuse(self, action: str, asker: Asker, sentence: str) -> None:
        """Raises `Refused`."""
        why = Refusal(sentence=sentence, code="state")
        admit(self._store, why, user=asker.user, action=action)

    def _append(
        self, events: Sequence[Event], actor: str, command_id: str = ""
    ) -> tuple[Recorded, ...]:
        return append_to(self._store, HOOKS, *events, actor=actor, command_id=command_id)


def _from_settings(config: WebhookConfig, hook: str) -> WebhookSet:
    return WebhookSet(
        hook=hook,
        name=config.name,
        url=config.url,
        secret=config.secret,
        former=config.former_secret,
        former_until_us=0,
        events=config.events or _default_events(config.format),
        environments=config.environments,
        format=config.format,
        source=HOME,
    )


def _default_events(format: str) -> tuple[str, ...]:
    return SLACK_EVENTS if format == SLACK else (EVERYTHING,)


def _new_id() -> str:
    return f"wh_{secrets.token_hex(6)}"


def _salt() -> str:
    return f"{MADE}:{secrets.token_hex(16)}"


def _count(earlier: Sequence[Recorded]) -> int:
    return sum(
        len(one.event.messages) for one in earlier if isinstance(one.event, RedeliveryRequested)
    )
