"""What the API says of freeze windows."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from engine.api.documents.base import closed


@closed
class FreezeDoc(TypedDict):
    """A window that nobody has ended.

    `covers`: the environments that it applies to as the settings are now. `window_from_us`,
    `window_until_us`: its window of now, else the next one; null where there is none any more, or
    it has no end. `active`: that window has begun.
    """

    id: str
    kind: Literal["ALLOW", "DENY"]
    name: str
    owner: str
    reason: str
    ticket: str
    by: str
    added_us: int
    environments: list[str]
    regions: list[str]
    covers: list[str]
    from_us: int
    until_us: int | None
    weekly: str
    time_zone: str
    hotfix: bool
    stops_the_line: bool
    does: str
    active: bool
    window_from_us: int | None
    window_until_us: int | None


@closed
class FreezeMadeDoc(FreezeDoc):
    """`notes`: what a clock change makes of the times that were asked for."""

    notes: list[str]


@closed
class FreezeEndedDoc(TypedDict):
    ended: str
    name: str


@closed
class CauseDoc(TypedDict):
    """`freeze`: id of a DENY; empty for being outside of every ALLOW window."""

    freeze: str
    name: str
    owner: str
    reason: str
    since_us: int
    until_us: int | None


@closed
class ClosureDoc(TypedDict):
    from_us: int
    until_us: int
    causes: list[CauseDoc]


@closed
class CalendarRowDoc(TypedDict):
    """When an environment is closed, in order, cut off at the ends of what was asked for."""

    environment: str
    region: str
    closed: list[ClosureDoc]
