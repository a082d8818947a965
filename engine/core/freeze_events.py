"""Facts about freeze windows: one was set, one was ended. Both stand in the stream `freezes`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

FREEZES: Final = "freezes"


class FreezeKind(StrEnum):
    """DENY: closed inside. ALLOW: closed outside of it, as far as it applies."""

    ALLOW = "ALLOW"
    DENY = "DENY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """When a window recurs, in local time.

    Attributes:
        days: on which weekdays it begins, 0 = Monday, sorted.
        begins_minute: of the day, 0 to 1,439.
        runs_days: how many midnights lie between its beginning and its end, 0 to 7.
        ends_minute: of the day on which it ends, 0 to 1,440.
    """

    days: tuple[int, ...]
    begins_minute: int
    runs_days: int
    ends_minute: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeAdded:
    """A window in which promotions may not start or go on (DENY), or may at all (ALLOW).

    Attributes:
        freeze: `freeze-<n>`, numbered in order.
        owner: who answers for it; a DENY without an end is stop-the-line, and theirs to end.
        environments, regions: where it applies; an empty one leaves nothing out.
        from_us, until_us: it lasts, or its weekly windows count, in between; None = no end.
        weekly: None = the whole time from `from_us` to `until_us`.
        time_zone: IANA name, in which `weekly` is meant.
        hotfix: a run of the kind HOTFIX may pass.
    """

    TYPE: ClassVar = "freeze.added/1"
    freeze: str
    kind: FreezeKind
    name: str
    owner: str
    reason: str
    environments: tuple[str, ...]
    regions: tuple[str, ...]
    from_us: int
    until_us: int | None
    weekly: Weekly | None
    time_zone: str
    hotfix: bool
    ticket: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeEnded:
    """Somebody ended it, whatever its window says."""

    TYPE: ClassVar = "freeze.ended/1"
    freeze: str
    reason: str
    ticket: str = ""
