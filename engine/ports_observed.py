"""What an environment shows of itself: what its users got, and what its targets have loaded.

Ports like those of `engine.ports`, with the same manner of promise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.core.digest import Digest


class BurnSource(Protocol):
    """What ONE environment's users got, over windows that end now: for the error budget."""

    @property
    def kind(self) -> str: ...

    def burn_query(self, *, windows_s: Sequence[int]) -> str:
        """What `bad_and_total` asks, as text: with a time and a window it can be asked again."""
        ...

    def bad_and_total(
        self, *, windows_s: Sequence[int], deadline_s: float
    ) -> Mapping[int, tuple[int, int] | None]:
        """(bad, total) requests of all targets together, by window in seconds.

        None = the source does not reach back that far, or has gaps there. No traffic is (0, 0).

        Raises:
            AdapterFailed: no answer, or one that cannot be read; never a wrong "nothing is bad".
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFacts:
    """What a running target reports of itself: package URLs, sorted.

    Attributes:
        components: those that its bundle says it ships.
        observed: those of them that are really loaded in the running process.
    """

    digest: Digest
    components: tuple[str, ...]
    observed: tuple[str, ...]


class RuntimeSource(Protocol):
    """Runtime observations of ONE environment's targets."""

    def observe(self, *, deadline_s: float) -> Mapping[str, RuntimeFacts]:
        """By target; one that gives no answer is missing. Never raises for an absent target."""
        ...
