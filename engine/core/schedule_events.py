"""Facts about schedules and their firings. Times are local intents, instants are UTC.

A schedule has a stream of its own (`schedule-<n>`). Each of its firings makes one run, whose log
holds the ticks of that firing, so that a tick and the move that it tells of are recorded at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final, TypeAlias

from engine.core.digest import Digest
from engine.core.preconditions import Precondition, Row

STREAM: Final = "schedule-"


class FiringWord(StrEnum):
    """What became of a firing at one moment.

    MISSED: its window closed before anybody looked. SKIPPED: it was passed over and made no run.
    FAILED_TO_START: whoever made the schedule may not start it now.
    """

    DUE = "DUE"
    WAITING_PRECONDITIONS = "WAITING_PRECONDITIONS"
    STARTED = "STARTED"
    SKIPPED = "SKIPPED"
    MISSED = "MISSED"
    EXPIRED = "EXPIRED"
    FAILED_TO_START = "FAILED_TO_START"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When something is to start, as people mean it.

    Attributes:
        zone: IANA name. first: local date from which it counts. time: local wall time.
        window_s: for so long after that it may start; rule: RRULE; empty = once.
    """

    zone: str
    first: str
    time: str
    window_s: int
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleCreated:
    """Attributes:
    number: the stream is `schedule-<number>`.
    token: id of the token by which it was asked for; empty = a person. service, owner: of it.
    """

    TYPE: ClassVar = "schedule.created/1"
    number: int
    bundle: Digest
    bundle_name: str
    bundle_version: str
    environment: str
    timing: Timing
    preconditions: tuple[Precondition, ...]
    reason: str = ""
    ticket: str = ""
    token: str = ""
    service: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleCancelled:
    """It makes no firing any more. The run of the next one is cancelled for itself."""

    TYPE: ClassVar = "schedule.cancelled/1"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringTicked:
    """One row of the scheduler's runs.

    Attributes:
        firing: local date of the firing; `due_us`: when its window opens.
        late_ms: since then; 0 for what is not late.
        environment: of a firing that has no run; empty where its run says it.
    """

    TYPE: ClassVar = "firing.ticked/1"
    schedule: str
    firing: str
    word: FiringWord
    why: str
    due_us: int
    late_ms: int = 0
    environment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreconditionsChecked:
    """What was found; told when an answer changes, and at the check that a start rests on.

    Attributes:
        evidence: blob with the same and with what was read, as the pack carries it.
    """

    TYPE: ClassVar = "preconditions.checked/1"
    at_us: int
    rows: tuple[Row, ...]
    evidence: Digest


FiringFact: TypeAlias = FiringTicked | PreconditionsChecked
ScheduleEvent: TypeAlias = ScheduleCreated | ScheduleCancelled | FiringTicked
