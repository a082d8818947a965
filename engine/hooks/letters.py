"""From a message of the outbox to the bytes that go out: read from the log, worded, signed."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.adapters.references import secret_from
from engine.core.errors import NotFound
from engine.core.events import Recorded
from engine.core.hook_book import Hook
from engine.core.hook_events import NoticeRaised, WebhookSet
from engine.core.hook_rows import HookMessage
from engine.core.hook_waits import Holders, waited_for
from engine.core.run import Run, fold
from engine.core.webhook_signing import derived, headers, key_of
from engine.hooks import cdevents, words
from engine.ports import EventStore
from engine.ports_notified import Letter
from engine.redact import learn
from engine.settings import Settings

CDEVENTS: Final = "cdevents"
SLACK: Final = "slack"
FORMATS: Final = (CDEVENTS, SLACK)
MADE: Final = "made"
_LOGS_KEPT: Final = 16
_REFERENCES: Final = ("env:", "file:")


def is_reference(text: str) -> bool:
    return text.startswith(_REFERENCES)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSecrets:
    """Finds what a webhook names by reference, anew for each message: it may have been rotated.

    Args:
        home_key: what the secrets that we made are worked out from.
    """

    home: Path
    env: Mapping[str, str]
    home_key: bytes

    def url(self, asked: WebhookSet) -> str:
        """Raises `AdapterFailed`."""
        return self._text(asked.url) if is_reference(asked.url) else asked.url

    def keys(self, asked: WebhookSet, now_us: int) -> tuple[bytes, ...]:
        """The keys that sign now, the newest first; empty for a webhook without a secret.

        Raises:
            AdapterFailed: one of them cannot be read.
            Malformed: it is not written as a secret of Standard Webhooks.
        """
        references = [asked.secret] if asked.secret else []
        if asked.former and (not asked.former_until_us or now_us < asked.former_until_us):
            references.append(asked.former)
        return tuple(key_of(self.secret(one), where=_shown(one)) for one in references)

    def secret(self, reference: str) -> str:
        """The secret as it is written."""
        scheme, _, place = reference.partition(":")
        if scheme != MADE:
            return self._text(reference)
        made = derived(self.home_key, place)
        learn(made)
        return made

    def _text(self, reference: str) -> str:
        return secret_from(reference, self.home, self.env, what="secret")()


def _shown(reference: str) -> str:
    return "secret" if reference.startswith(MADE) else reference


class Letters:
    """Thread-safe. Writes the same message the same way whenever it is asked, but for its time.

    Args:
        holders: environment to the roles of everybody there.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        secrets: HookSecrets,
        base: str,
        holders: Callable[[str], Holders],
    ) -> None:
        self._store, self._secrets, self._base, self._holders = store, secrets, base, holders
        self._lock = threading.Lock()
        self._logs: OrderedDict[str, tuple[Recorded, ...]] = OrderedDict()

    def letter(self, hook: Hook, message: HookMessage, *, now_us: int) -> Letter:
        """Raises:
        AdapterFailed: its address or secret cannot be read now.
        Malformed: its address or secret is not written as it has to be.
        NotFound: its event is not in the log, which is damage.
        """
        recorded, run = self._fact(message)
        told = self._told(message, recorded, run)
        message_id = id_of(message, recorded)
        if hook.asked.format == SLACK:
            document, kind = words.slack(told), "application/json"
        else:
            document = cdevents.cloud_event(message_id, told, recorded, run, base=self._base)
            kind = cdevents.CONTENT_TYPE
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        keys = self._secrets.keys(hook.asked, now_us)
        signed = headers(keys, message_id, now_us // 1_000_000, body)
        return Letter(
            url=self._secrets.url(hook.asked),
            headers={"Content-Type": kind, "User-Agent": "releaseline-webhooks/1", **signed},
            body=body,
        )

    def told(self, message: HookMessage) -> words.Told:
        """What the message says, for lists of what was sent."""
        return self._told(message, *self._fact(message))

    def _told(self, message: HookMessage, recorded: Recorded, run: Run | None) -> words.Told:
        place = words.place_of(recorded, run)
        holders = self._holders(place) if place else {}
        people = waited_for(message.name, recorded.event, run, holders)
        return words.tell(message.name, recorded, run, people, base=self._base)

    def _fact(self, message: HookMessage) -> tuple[Recorded, Run | None]:
        """The event, and the run as it was right after it."""
        if message.stream.startswith("run-"):
            log = self._log(message.stream, message.seq)
            if len(log) == message.seq:
                return log[-1], fold(message.stream, log)
        else:
            found = next(iter(self._store.load(message.stream, message.seq - 1)), None)
            if found is not None:
                event = found.event
                about = event.run if isinstance(event, NoticeRaised) else ""
                return found, self._store.run(about) if about else None
        raise NotFound(f"There is no event {message.seq} of {message.stream}.")

    def _log(self, stream: str, end: int) -> tuple[Recorded, ...]:
        """The run's first `end` events; a log only grows, so what was read before is kept."""
        with self._lock:
            known = self._logs.pop(stream, ())
        if len(known) < end:
            known += self._store.load(stream, len(known))
        with self._lock:
            self._logs[stream] = known
            while len(self._logs) > _LOGS_KEPT:
                self._logs.popitem(last=False)
        return known[:end]


def id_of(message: HookMessage, recorded: Recorded) -> str:
    """The same for every try and every redelivery, and for no other message of any home."""
    return f"msg_{recorded.hash.hex[:32]}_{message.idx}"


def holders_in(settings: Settings, environment: str) -> Holders:
    """Everybody of the settings with the roles that they hold there."""
    return {user: settings.roles_of(user, environment) for user in settings.people}
