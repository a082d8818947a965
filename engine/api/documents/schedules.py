"""What the API tells of schedules and of their firings."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from data import queries
from engine.api.documents.base import DigestText, closed, row_of
from engine.core.preconditions import Mode, State

TickRowDoc = row_of(queries.SQL["scheduler_ticks"])


@closed
class PreconditionDoc(TypedDict):
    """One precondition as it was found. `source`: digest of what was read, of which the evidence
    holds the whole."""

    name: str
    mode: Mode
    state: State
    value: str
    threshold: str
    observed_us: int | None
    source: DigestText | None


@closed
class RunScheduleDoc(TypedDict):
    """Of a run that a schedule made: its window, and its preconditions as last put on record.

    `firing`: its local date; `due_us`: when its window was found open.
    """

    id: str
    firing: str
    time_zone: str
    window_start_us: int | None
    window_end_us: int | None
    due_us: int | None
    checked_us: int | None
    preconditions: list[PreconditionDoc]


@closed
class StepTimeDoc(TypedDict):
    """The step may begin in [opens_us, closes_us) alone; `local`: when it opens, by the clocks of
    its zone. `due_us`: when it was told that its time has come. `missed`: what kept it from
    beginning, once its window has closed."""

    opens_us: int
    closes_us: int
    time_zone: str
    local: str
    by: str
    set_us: int
    due_us: int | None
    missed: str


@closed
class WantedDoc(TypedDict):
    """`limit_s`: 0 for one that takes no duration, and for one that is OFF."""

    name: str
    mode: Mode
    limit_s: int


@closed
class FiringDoc(TypedDict):
    """[start_us, end_us) in UTC. `note`: what clocks do to its time; empty when nothing."""

    date: str
    start_us: int
    end_us: int
    note: str


@closed
class PreviewOfScheduleDoc(TypedDict):
    """The next firings of a timing, and the timing in words."""

    said: str
    items: list[FiringDoc]


@closed
class ScheduleDoc(TypedDict):
    """A schedule as it stands.

    `run`: of the firing `firing`, which came last; `waits`: nothing has become of that yet.
    `next`: the firings still to come, that one among them while it waits.
    """

    id: str
    status: Literal["ACTIVE", "DONE", "CANCELLED"]
    bundle: DigestText
    label: str
    environment: str
    time_zone: str
    at: str
    window_s: int
    rule: str
    said: str
    preconditions: list[WantedDoc]
    reason: str
    ticket: str
    created_by: str
    created_us: int
    cancelled_by: str
    run: str
    firing: str
    waits: bool
    next: list[FiringDoc]
