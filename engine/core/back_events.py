"""Facts about the way back: when it is needed, whether it is open, why it was not taken, and
targets sent back by name.

None of them changes a run's status. A rollback of everything that changed is a move of the run
(`engine.core.run_events.RollbackStarted`); targets by name go back while the run stays paused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from engine.core.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReadiness:
    """Whether one target could go back now.

    Attributes:
        to_digest: the bundle that it ran before this run; None = not known, it cannot go back.
        present: it holds that bundle's bytes itself, so that no artifact source is needed.
        note: why it cannot go back; empty when it can.
    """

    target: str
    to_digest: Digest | None
    present: bool
    note: str = ""

    @property
    def ready(self) -> bool:
        return self.to_digest is not None and self.present


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackReadiness:
    """The way back as looked at before a step touches anything; every stage looks again.

    Attributes:
        step: the step before which this was seen; the inputs step looks for the whole run.
        plan: digest of the rollback plan that holds once this step's targets are set.
        targets: every target that the run has set, or sets in this step.
    """

    TYPE: ClassVar = "rollback.readiness/1"
    step: str
    plan: Digest
    observed_at_us: int
    targets: tuple[TargetReadiness, ...]

    @property
    def stuck(self) -> tuple[TargetReadiness, ...]:
        return tuple(one for one in self.targets if not one.ready)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTouched:
    """A stage switches this target now. What it runs is not known before it has been seen again,
    and until then it counts as changed: a run that does something can be rolled back."""

    TYPE: ClassVar = "target.touched/1"
    step: str
    attempt: int
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackSuppressed:
    """A rollback was due by itself and was not begun; somebody has to look. The run pauses."""

    TYPE: ClassVar = "rollback.suppressed/1"
    step: str
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRollbackRequested:
    """Targets are to go back by name.

    Attributes:
        number: place among the run's ways back, full ones included; 1-based.
        plan: digest of the plan that whoever asked had seen; None when they had seen none.
    """

    TYPE: ClassVar = "rollback.targets_requested/1"
    number: int
    targets: tuple[str, ...]
    reason: str
    ticket: str = ""
    plan: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRollbackVerified:
    """Every named target was seen on its recorded bundle and healthy.

    Attributes:
        plan: digest of the plan that was carried out.
        op_id, epoch: under which it was.
    """

    TYPE: ClassVar = "rollback.targets_verified/1"
    number: int
    targets: tuple[str, ...]
    plan: Digest
    op_id: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRollbackFailed:
    """`targets`: those that are not seen back and healthy. The run stays paused."""

    TYPE: ClassVar = "rollback.targets_failed/1"
    number: int
    targets: tuple[str, ...]
    reason: str
    epoch: int


BackEvent: TypeAlias = (
    RollbackReadiness
    | TargetTouched
    | RollbackSuppressed
    | TargetRollbackRequested
    | TargetRollbackVerified
    | TargetRollbackFailed
)
