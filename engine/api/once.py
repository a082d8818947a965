"""Idempotency-Key: what was asked for under a key is done once, and told again for a day.

The key is a command id of its caller. What was asked goes on record in the very append that does
it, so a crash leaves both or neither; the answer is told again from what that append recorded. A
refusal had no effect and is not kept: the same key may ask again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request

from data import queries
from engine.api.gate import principal_of
from engine.core.digest import Digest
from engine.core.errors import Conflict
from engine.core.events import Recorded
from engine.core.jcs import JsonValue, canonical
from engine.core.rows import CommandRow
from engine.core.run import Run, fold
from engine.services import Services

KEPT_S: Final = 24 * 3600
REPLAYED: Final = "rl_replayed"
_PATIENCE_S: Final = 20.0

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern=r"^[!-~]*$",
        description="Made by the client. For 24 hours the same key does nothing twice and gets "
        "the same answer; with another request it is a 409.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request under a key.

    Attributes:
        id: the command id to append under; empty without a key.
        again: it was done before. `earlier` is what was recorded then.
        answer: the answer of then, where it was kept as such.
    """

    id: str = ""
    again: bool = False
    earlier: tuple[Recorded, ...] = ()
    answer: Any = None


class Keys:
    """The keys of a house. Thread-safe."""

    def __init__(self, services: Services) -> None:
        self._store, self._clock = services.store, services.clock
        self._lock = threading.Condition()
        self._busy: set[str] = set()

    @contextmanager
    def once(
        self, request: Request, key: str, *what: JsonValue, answer: JsonValue = None
    ) -> Iterator[Asked]:
        """What is done inside is done once. Waits while the same key is being worked on.

        Args:
            what: everything that the request asks for, beside its address.
            answer: what it will be answered, where the events of the command do not tell it.

        Raises:
            Conflict: the key was used for another request, or is being worked on for too long.
        """
        if not key:
            yield Asked()
            return
        user = principal_of(request).user
        asked = Digest.of(canonical([request.method, request.url.path, *what])).hex
        with self._alone(f"{user}/{key}") as command_id:
            known = self._known(command_id)
            if known is not None and self._clock.now_us() - known.ts_us < KEPT_S * 1_000_000:
                if known.request_hash != asked:
                    raise Conflict(f"Idempotency-Key {key!r} was used for another request.")
                request.scope[REPLAYED] = True
                yield Asked(
                    id=known.command_id,
                    again=True,
                    earlier=self._store.by_command(known.command_id),
                    answer=json.loads(known.response) if known.response else None,
                )
                return
            row = CommandRow(
                command_id=command_id if known is None else _later(command_id, known.command_id),
                ts_us=self._clock.now_us(),
                actor=user,
                request_hash=asked,
                status=request.scope["route"].status_code or 200,
                response="" if answer is None else canonical(answer).decode(),
            )
            with self._store.once(row):
                yield Asked(id=row.command_id)

    def _known(self, command_id: str) -> CommandRow | None:
        rows = queries.command(self._store.cursor(), command_id=command_id).to_dicts()
        return CommandRow(**rows[0]) if rows else None

    @contextmanager
    def _alone(self, command_id: str) -> Iterator[str]:
        with self._lock:
            if not self._lock.wait_for(lambda: command_id not in self._busy, _PATIENCE_S):
                raise Conflict(
                    "The same Idempotency-Key is being worked on.", hint="Ask again in a moment."
                )
            self._busy.add(command_id)
        try:
            yield command_id
        finally:
            with self._lock:
                self._busy.discard(command_id)
                self._lock.notify_all()


class Once:
    """The key of one request; see `Keys.once`."""

    def __init__(self, keys: Keys, request: Request, key: str) -> None:
        self._keys, self._request, self._key = keys, request, key

    def doing(self, *what: JsonValue, answer: JsonValue = None) -> AbstractContextManager[Asked]:
        return self._keys.once(self._request, self._key, *what, answer=answer)


async def _once(request: Request, key: IdempotencyKey = "") -> Once:
    """Waits for nothing; a plain function would cost a thread."""
    return Once(request.app.state.keys, request, key)


OnceOnly = Annotated[Once, Depends(_once)]


def run_then(services: Services, run_id: str, recorded: tuple[Recorded, ...]) -> Run:
    """The run as it was right behind these events, whatever came after."""
    last, now = recorded[-1].gseq, services.store.run(run_id)
    if recorded[-1].stream == run_id and recorded[-1].seq == now.version:
        return now  # nothing came after, so its whole log need not be read
    log = services.store.load(run_id)
    return fold(run_id, tuple(one for one in log if one.gseq <= last))


def _later(command_id: str, former: str) -> str:
    """The id of the next use of a key whose last use is too old to count; no key has a space."""
    number = former.removeprefix(command_id).strip() or "1"
    return f"{command_id} {int(number) + 1}"
