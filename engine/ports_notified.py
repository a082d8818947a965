"""What the engine needs of those who take its messages to receivers, as a contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from engine.core.hook_book import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message as it goes out. `url` and `headers` may hold secrets: never log or record them."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Notifier(Protocol):
    """Takes messages to receivers elsewhere. Usable from several threads."""

    def deliver(self, letter: Letter, *, deadline_s: float) -> Answer:
        """POST the letter once. Comes back within `deadline_s`, whatever the receiver does.

        Never raises for the receiver's doing: no answer has status 0 and says why. An address
        that may not be asked is not asked, and the answer is `final`. No redirect is followed;
        nothing of the letter stands in the answer's note unless the receiver sent it back.
        """
        ...
