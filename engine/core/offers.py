"""Which actions a page shows in which phase of a run, possible or not: the button matrix. Pure.

Whether a shown action may be taken now, and why not, is said by `engine.core.decide` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from engine.core import break_glass, reviews, step_times, step_wishes
from engine.core.commands import Action
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.core.statemachine import RunStatus


class Phase(StrEnum):
    """A column of the matrix: a status, with RUNNING cut where targets begin to be touched."""

    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    BEFORE_DEPLOY = "RUNNING pre-deploy"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    DEPLOY = "RUNNING deploy"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    SEALING = "SEALING"
    TERMINAL = "terminal"


_BEFORE: Final = frozenset({StepKind.INPUTS, StepKind.GATE_EVAL, StepKind.APPROVAL})

_P = Phase
_RUNNING: Final = frozenset({_P.BEFORE_DEPLOY, _P.DEPLOY})
_LIVE: Final = _RUNNING | {_P.SCHEDULED, _P.QUEUED, _P.AWAITING_APPROVAL, _P.PAUSED}

SHOWN: Final[Mapping[Action, frozenset[Phase]]] = {
    Action.PAUSE: _RUNNING | {_P.QUEUED, _P.AWAITING_APPROVAL, _P.ROLLING_BACK, _P.SEALING},
    Action.RESUME: frozenset({_P.PAUSED}),
    Action.CONTINUE: frozenset({_P.DEPLOY, _P.PAUSED}),
    Action.RETRY_STEP: _RUNNING | {_P.PAUSED, _P.SEALING},
    Action.RERUN_STEP: _RUNNING,
    Action.MARK_STEP_FAILED: _RUNNING,
    Action.ROLLBACK: _RUNNING
    | {_P.SCHEDULED, _P.QUEUED, _P.AWAITING_APPROVAL, _P.PAUSED, _P.SEALING},
    # From ROLLBACK_FAILED the way back is tried again; one button says so, not two.
    Action.RETRY_ROLLBACK: frozenset({_P.ROLLBACK_FAILED}),
    Action.CANCEL: _RUNNING | {_P.SCHEDULED, _P.QUEUED, _P.AWAITING_APPROVAL, _P.PAUSED},
    Action.CLOSE_FAILED: frozenset({_P.PAUSED, _P.ROLLBACK_FAILED}),
    Action.START_NOW: frozenset({_P.SCHEDULED}),
    Action.RESCHEDULE: frozenset({_P.SCHEDULED}),
    # Shown when there is a step that could be given a time, or one that has a time.
    Action.SCHEDULE_STEP: _LIVE,
    Action.UNSCHEDULE_STEP: _LIVE,
    # Shown when there is something that two people may pass by.
    Action.BREAK_GLASS: _RUNNING | {_P.SCHEDULED, _P.QUEUED, _P.AWAITING_APPROVAL},
    Action.APPROVE: frozenset({_P.BEFORE_DEPLOY, _P.AWAITING_APPROVAL}),
    Action.REJECT: frozenset({_P.BEFORE_DEPLOY, _P.AWAITING_APPROVAL}),
    Action.WITHDRAW: frozenset({_P.BEFORE_DEPLOY, _P.AWAITING_APPROVAL}),
    Action.COMMENT: frozenset(Phase),
    # Shown when there is something to close or to take back.
    Action.REVIEW: frozenset(Phase),
    Action.DROP_OVERRIDE: _RUNNING | {_P.SCHEDULED, _P.QUEUED, _P.AWAITING_APPROVAL, _P.PAUSED},
    Action.RERUN: frozenset({_P.TERMINAL}),
    Action.ROLLBACK_PROMOTION: frozenset({_P.TERMINAL}),
}


def phase(run: Run) -> Phase:
    if run.terminal:
        return Phase.TERMINAL
    if run.status is not RunStatus.RUNNING:
        return Phase(run.status.value)
    step = run.current_step
    before = step is not None and step.spec.kind in _BEFORE
    return Phase.BEFORE_DEPLOY if before else Phase.DEPLOY


def offered(run: Run, action: Action) -> bool:
    if action is Action.REVIEW and not reviews.due(run):
        return False
    if action is Action.BREAK_GLASS and not break_glass.offered(run):
        return False
    if action is Action.DROP_OVERRIDE and run.override is None:
        return False
    if action is Action.SCHEDULE_STEP and not step_wishes.schedulable(run):
        return False
    if action is Action.UNSCHEDULE_STEP and not any(map(step_times.wish, run.steps)):
        return False
    return phase(run) in SHOWN[action]
