"""What still has to be told to webhooks: kept by heart beside the ledger, read from the database.

A message comes into being with the event that it tells, in the same journal line. Which messages
that are is decided by `engine.core.hook_book`; here they are only carried along.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

from data.chain import row_record
from data.codec import canonical_body, kind_of
from engine.core.errors import Conflict
from engine.core.events import Recorded
from engine.core.hook_book import Hooks, Waiting, after_try, evolve, outgoing
from engine.core.hook_rows import HookMessage, HookTry, Key
from engine.core.rows import Row
from engine.core.run import Run

if TYPE_CHECKING:
    from data.database import Database

Box = dict[str, dict[Key, Waiting]]

_UNSETTLED: Final = """
SELECT hook, gseq, idx, wave, name, stream, seq, ts_us, tries, next_us
  FROM deliveries
 WHERE outcome IN ('WAITING', 'FAILED')
 ORDER BY ts_us
"""


class Outgoing:
    """What one append makes for webhooks, event by event.

    Attributes:
        hooks: in force behind the events taken so far.
        messages: rows to be written with these events.
    """

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks
        self.messages: list[HookMessage] = []

    def take(self, recorded: Recorded, run: Run | None) -> None:
        """`run` as it is after the event; None for an event of the house."""
        self.messages += outgoing(self.hooks, recorded, run)
        self.hooks = evolve(self.hooks, recorded)

    def records(self) -> tuple[str, ...]:
        """The messages as records of a journal line."""
        return tuple(row_record(kind_of(one), canonical_body(one)) for one in self.messages)


def check_try(box: Box, row: HookTry, under_way: AbstractSet[Key]) -> None:
    """Raise `Conflict` unless the try follows those before of a message that still waits."""
    waiting = box.get(row.hook, {}).get(row.key)
    if waiting is None or row.n != waiting.tries + 1 or row.key in under_way:
        raise Conflict(f"try {row.n} of {'/'.join(map(str, row.key))} does not follow.")


def note(box: Box, rows: Iterable[Row], hooks: Hooks) -> None:
    """Take in what was recorded. Messages of a webhook that is gone are dropped."""
    for row in rows:
        match row:
            case HookMessage():
                box.setdefault(row.hook, {})[row.key] = Waiting(message=row)
            case HookTry():
                waits = box.get(row.hook, {})
                after = after_try(waits[row.key], row)
                if after is None:
                    del waits[row.key]
                else:
                    waits[row.key] = after
            case _:
                pass
    for gone in [hook for hook in box if hook not in hooks]:
        del box[gone]


def unsettled(database: Database, hooks: Hooks) -> Box:
    """What waits by the database; of webhooks in force."""
    box: Box = {}
    for *fields, tries, next_us in database.rows(_UNSETTLED):
        hook, gseq, idx, wave, name, stream, seq, ts_us = fields
        if hook in hooks:
            message = HookMessage(
                hook=hook, gseq=gseq, idx=idx, wave=wave,
                name=name, stream=stream, seq=seq, ts_us=ts_us,
            )  # fmt: skip
            box.setdefault(hook, {})[message.key] = Waiting(
                message=message, tries=tries, due_us=next_us
            )
    return box
