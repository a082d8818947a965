"""Events of a step's life: intent, waiting, and how an attempt ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from engine.core.event_parts import NamedDigest


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """The intent, recorded before the deed. The same `op_id` means the same deed."""

    TYPE: ClassVar = "step.started/1"
    step: str
    attempt: int
    op_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWaiting:
    TYPE: ClassVar = "step.waiting/1"
    step: str
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWentOn:
    """What the attempt waited for is no more; the same attempt goes on."""

    TYPE: ClassVar = "step.went_on/1"
    step: str
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSucceeded:
    """`result` is the step's own judgement in its own words, for example `PASS (2 WARN)`."""

    TYPE: ClassVar = "step.succeeded/1"
    step: str
    attempt: int
    result: str
    summary: str
    outputs: tuple[NamedDigest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """The step worked and its answer is no: a gate said FAIL, an input is missing."""

    TYPE: ClassVar = "step.failed/1"
    step: str
    attempt: int
    result: str
    reason: str
    outputs: tuple[NamedDigest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepErrored:
    """The step could not work: the answer is unknown.

    Attributes:
        cause: `adapter`, `timeout` or `engine_lost`; the last does not use up a retry.
    """

    TYPE: ClassVar = "step.errored/1"
    step: str
    attempt: int
    cause: str
    reason: str
    transient: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInconclusive:
    TYPE: ClassVar = "step.inconclusive/1"
    step: str
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRetryScheduled:
    TYPE: ClassVar = "step.retry_scheduled/1"
    step: str
    attempt: int
    at_us: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped:
    TYPE: ClassVar = "step.skipped/1"
    step: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCancelled:
    """`attempt` is 0 for a step that had not begun."""

    TYPE: ClassVar = "step.cancelled/1"
    step: str
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMarkedFailed:
    TYPE: ClassVar = "step.marked_failed/1"
    step: str
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReverted:
    TYPE: ClassVar = "step.reverted/1"
    step: str
    reason: str


StepEvent: TypeAlias = (
    StepStarted
    | StepWaiting
    | StepWentOn
    | StepSucceeded
    | StepFailed
    | StepErrored
    | StepInconclusive
    | StepRetryScheduled
    | StepSkipped
    | StepCancelled
    | StepMarkedFailed
    | StepReverted
)
