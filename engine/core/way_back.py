"""The ways back that a run has taken, as values; each leaves evidence of its own.

Kept apart from `engine.core.state` because evidence, pages and the fold all name them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

FULL: Final = "full"
TARGET: Final = "target"

_STEM: Final = "rollback"
_NAME: Final = re.compile(r"(?:.*/)?rollback(?:-([1-9][0-9]*))?\.dsse")


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """One time that targets were sent back.

    Attributes:
        number: 1 for the run's first; a retry is a way back of its own.
        scope: `full` (every changed target) or `target` (those in `targets`).
        trigger: what began it, as in `RollbackStarted`.
        outcome: empty while it is under way; `verified`, `failed`, or `superseded` when a full
            rollback took over what was asked for by name.
        note: what `failed` means in one sentence.
        sealed: its evidence is captured.
        lost: its evidence could not be signed, and is recorded as missing.
    """

    number: int
    scope: str
    trigger: str
    targets: tuple[str, ...]
    reason: str
    ticket: str
    by: str
    started_us: int
    outcome: str = ""
    note: str = ""
    sealed: bool = False
    lost: bool = False

    @property
    def open(self) -> bool:
        return not self.outcome

    @property
    def stem(self) -> str:
        """Name of its evidence inside its step's folder, without the ending."""
        return _STEM if self.number == 1 else f"{_STEM}-{self.number}"


def begun(ways: tuple[WayBack, ...], way: WayBack) -> tuple[WayBack, ...]:
    """`way` begins; one that was still under way ends with it."""
    return (*ended(ways, "superseded"), way)


def ended(ways: tuple[WayBack, ...], outcome: str, note: str = "") -> tuple[WayBack, ...]:
    """The way back that is under way, if one is, has this outcome."""
    return tuple(replace(w, outcome=outcome, note=note) if w.open else w for w in ways)


def sealed(ways: tuple[WayBack, ...], number: int) -> tuple[WayBack, ...]:
    return tuple(replace(w, sealed=True) if w.number == number else w for w in ways)


def lost(ways: tuple[WayBack, ...], number: int) -> tuple[WayBack, ...]:
    return tuple(replace(w, lost=True) if w.number == number else w for w in ways)


def number_of(name: str) -> int | None:
    """Which way back an evidence item of this name tells of; None when of none."""
    found = _NAME.fullmatch(name)
    return None if found is None else int(found[1] or 1)
