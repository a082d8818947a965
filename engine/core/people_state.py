"""What a run knows of the people around it: an override that is asked for, and reviews. Values."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.people_events import OverrideRequested


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideAsk:
    """An override that waits for its second person."""

    by: str
    asked_us: int
    wish: OverrideRequested


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Attributes:
    number: of the run's reviews, from 1.
    kind: `rollback`, `override` or `break_glass`.
    doers: who did it, and so may not close it.
    closed_us: None while nobody has looked.
    verdict: `agreed` or `follow_up`; empty while it is open.
    """

    number: int
    kind: str
    doers: tuple[str, ...]
    what: str
    opened_us: int
    due_us: int
    closed_by: str = ""
    closed_us: int | None = None
    verdict: str = ""
    note: str = ""
    ticket: str = ""

    def overdue(self, now_us: int) -> bool:
        return self.closed_us is None and now_us >= self.due_us
