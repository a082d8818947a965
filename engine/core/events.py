"""What can happen to a run. Events are facts in the past tense; they are never edited.

Each class carries `TYPE`, the name under which it is stored: class names may change, stored types
never do, and a changed shape becomes `/2` beside `/1`. Time and actor belong to an event's place
in the log (`Recorded`), not to the event. To add one: a dataclass in the file of its family, a
line in that family's union, a `case` in `engine.core.run` (the type checker leads you there).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, get_args

from engine.core.attestations import AttestationImported
from engine.core.auth import AuthContext
from engine.core.back_events import BackEvent
from engine.core.digest import Digest
from engine.core.fact_events import FactEvent
from engine.core.house import HouseEvent
from engine.core.people_events import PeopleEvent
from engine.core.queue_events import QueueEvent
from engine.core.run_events import RunMoved, RunRequested
from engine.core.schedule_events import FiringFact
from engine.core.step_events import StepEvent
from engine.core.step_time_events import StepTimeEvent

RunEvent: TypeAlias = (
    RunRequested
    | RunMoved
    | StepEvent
    | FactEvent
    | BackEvent
    | PeopleEvent
    | QueueEvent
    | FiringFact
    | StepTimeEvent
    | AttestationImported
)
Event: TypeAlias = RunEvent | HouseEvent

EVENT_TYPES: Final[dict[str, type[Event]]] = {cls.TYPE: cls for cls in get_args(Event)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An event at its place in the log.

    Attributes:
        gseq: 1-based place among all events of the home, without gaps.
        stream: a run id, `schedule-<n>`, `bundles`, `admin`, `feeds`, `rescans`, `freezes`,
            `integrity`, `waivers`, `data-health` or `engine:<id>`.
        seq: 1-based and without gaps within the stream.
        ts_us: UTC microseconds from the shell's clock. Decisions never look at it; it is shown.
        actor: a person's or token's user name, or `engine`.
        command_id: the client-made id of the command that caused it; empty for the engine.
        prev: hash of the stream's event before, 64 zeros for the first.
        hash: SHA-256 hex of the canonical JSON of all other fields.
        auth: by what whoever asked was let in; None where nobody asked.
    """

    gseq: int
    stream: str
    seq: int
    ts_us: int
    actor: str
    command_id: str
    event: Event
    prev: Digest
    hash: Digest
    auth: AuthContext | None = None
