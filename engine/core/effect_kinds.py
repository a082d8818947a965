"""The things that the engine can do for a run, as values. `engine.core.effects` chooses one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from engine.core.events import RunEvent


@dataclass(frozen=True, slots=True)
class Record:
    """A consequence of what is known. Nothing outside is touched."""

    events: tuple[RunEvent, ...]


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """See whether a run whose window is open may start, and let it into the queue if so."""


@dataclass(frozen=True, slots=True)
class AcquireLock:
    """Take the environment for this run, if no other run holds it and none is before it."""


@dataclass(frozen=True, slots=True)
class MaterializeInputs:
    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class SeeApprovers:
    """Look up who may approve in the run's environment by their role, and record it."""

    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class EvaluateGate:
    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ApplyStage:
    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class VerifyTargets:
    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Read the metrics once per poll. `judge` False: only look, while the run is paused."""

    step: str
    attempt: int
    judge: bool


@dataclass(frozen=True, slots=True)
class Drain:
    """See whether any target changed before a cancelled run ends.

    `last`: its time is up; without an answer it ends unseen, and says so.
    """

    last: bool


@dataclass(frozen=True, slots=True)
class Revert:
    """Bring every changed target back to its recorded digest and verify it."""


@dataclass(frozen=True, slots=True)
class RevertTargets:
    """Bring the targets of this way back, named by people, back while the run stays paused."""

    number: int


@dataclass(frozen=True, slots=True)
class Settle:
    """See where the targets of a stage stand whose change a pause has stopped."""

    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CaptureEvidence:
    """Seal what a finished attempt, or an approval, left behind."""

    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CaptureRollback:
    """Seal what a way back did, whether it brought everything back or not.

    It lies where `evidence_due.way_back_step` says; `number` as in `WayBack`.
    """

    step: str
    attempt: int
    number: int


@dataclass(frozen=True, slots=True)
class Seal:
    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until_us`; None = only a person or a command changes it."""

    until_us: int | None
    why: str


Effect: TypeAlias = (
    Record
    | OpenWindow
    | AcquireLock
    | MaterializeInputs
    | SeeApprovers
    | EvaluateGate
    | ApplyStage
    | VerifyTargets
    | Watch
    | Drain
    | Revert
    | RevertTargets
    | Settle
    | CaptureEvidence
    | CaptureRollback
    | Seal
    | Wait
)
