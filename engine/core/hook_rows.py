"""Rows of the outbox: what has to be told to whom, and every try at it. Values.

A message is a row of the same commit as the event that it tells, so that neither can be there
without the other. What it says is not kept: it is written anew from the log whenever it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

DELIVERED: Final = "DELIVERED"
# Of a message that was not tried yet.
WAITING: Final = "WAITING"
FAILED: Final = "FAILED"
DEAD: Final = "DEAD"

Key: TypeAlias = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class HookMessage:
    """Attributes:
    hook: id of the webhook that it is for.
    gseq: of the event that it tells; `stream` and `seq` are the event's place too.
    idx: which of the event's names it is, 0-based.
    wave: 0 = told when it happened, else gseq of the request to send it once more.
    name: the stable name that it carries.
    ts_us: when the event, or the request to send it once more, was recorded.
    """

    hook: str
    gseq: int
    idx: int
    wave: int
    name: str
    stream: str
    seq: int
    ts_us: int

    @property
    def key(self) -> Key:
        return self.hook, self.gseq, self.idx, self.wave


@dataclass(frozen=True, slots=True, kw_only=True)
class HookTry:
    """One try to deliver a message.

    Attributes:
        n: 1-based without gaps within (hook, gseq, idx, wave).
        ts_us: when the answer was there, or was given up on.
        outcome: DELIVERED, FAILED (there is another try) or DEAD (there is none).
        status: of the answer, as HTTP has it; 0 = there was no answer.
        note: what the receiver said, or why there was no answer; short.
        next_us: when the next try is due; 0 unless FAILED.
    """

    hook: str
    gseq: int
    idx: int
    wave: int
    n: int
    ts_us: int
    took_ms: int
    outcome: str
    status: int
    note: str
    next_us: int

    @property
    def key(self) -> Key:
        return self.hook, self.gseq, self.idx, self.wave
