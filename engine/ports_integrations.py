"""What the engine needs of the servers that it depends on: to be told whether they work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.core.data_health import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What one look at an integration found.

    Attributes:
        level: OK, WARN (it works, but) or FAIL (it answers that it does not work for us).
        reason: one sentence, without a secret.
        latency_ms: of the whole exchange.
    """

    level: Level
    reason: str
    latency_ms: int


class Probe(Protocol):
    """Looks whether one integration works, without changing anything there."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def address(self) -> str:
        """What is asked, without a secret: for people."""
        ...

    def probe(self, *, deadline_s: float) -> ProbeResult:
        """Look once.

        Raises:
            AdapterFailed: it gave no answer within `deadline_s`; nothing is known about it.
        """
        ...
