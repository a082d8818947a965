"""Facts about waiting for an environment. They change no status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class StartBarred:
    """The run stays queued. Recorded again when something else bars it.

    Attributes:
        by: `freeze`, or `lock` when another run holds the environment.
        keys: of the freeze's windows, or the id of the run that holds the environment.
        reason: as a sentence.
        until_us: when the freeze's windows let it start; None = nobody can say.
    """

    TYPE: ClassVar = "run.start_barred/1"
    by: str
    keys: tuple[str, ...]
    reason: str
    until_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUnbarred:
    """Nothing of that bars the run any more; it starts when its turn comes."""

    TYPE: ClassVar = "run.start_unbarred/1"


QueueEvent: TypeAlias = StartBarred | StartUnbarred
