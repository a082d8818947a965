"""What people can ask of a run, and how a refusal reads. Values only; `decide` thinks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from engine.core.digest import Digest
from engine.core.standing import Frozen, Standing


class Action(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    CONTINUE = "continue"
    RETRY_STEP = "retry_step"
    RERUN_STEP = "rerun_step"
    MARK_STEP_FAILED = "mark_step_failed"
    ROLLBACK = "rollback"
    RETRY_ROLLBACK = "retry_rollback"
    CANCEL = "cancel"
    CLOSE_FAILED = "close_failed"
    START_NOW = "start_now"
    RESCHEDULE = "reschedule"
    SCHEDULE_STEP = "schedule_step"
    UNSCHEDULE_STEP = "unschedule_step"
    BREAK_GLASS = "break_glass"
    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    COMMENT = "comment"
    REVIEW = "review"
    DROP_OVERRIDE = "drop_override"
    RERUN = "rerun"
    ROLLBACK_PROMOTION = "rollback_promotion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """[start, end) in UTC, and the zone in which people named it.

    Attributes:
        local: when it starts, by the clocks of that zone: `2026-12-01 06:00`.
        note: what clocks do to the time that was asked for; empty when nothing.
    """

    start_us: int
    end_us: int
    time_zone: str
    local: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What somebody asks of a run.

    Attributes:
        reason: why, in their words; for approve it is the comment.
        binding: for approve and reject: the binding that they saw and mean.
        view: digest of the document that they were shown; None where nothing but the binding was.
        view_now: digest of what would be shown now; made by the shell for `view`.
        nonce: makes an approval unique; made by the shell.
        confirm: for close_failed: the run id, typed once more.
        override: for continue and resume: although something stands against it.
        lift_hold: for rerun and rollback_promotion: lift the hold on the bundle with it.
        review: for review: its number; 0 = the oldest open one that they may close.
        targets: for rollback: those to send back by name; empty = full, every changed one.
        plan: for rollback: digest of the plan that they were shown; None = do not compare.
        window: for reschedule and schedule_step: when it may start.
        step: for schedule_step and unschedule_step: which one.
        version: of the run that they looked at; None = whichever it is.
        plan_now: digest of the plan as the targets are seen now; made by the shell for `plan`.
    """

    action: Action
    reason: str = ""
    ticket: str = ""
    binding: Digest | None = None
    view: Digest | None = None
    view_now: Digest | None = None
    nonce: str = ""
    confirm: str = ""
    targets: tuple[str, ...] = ()
    plan: Digest | None = None
    plan_now: Digest | None = None
    override: bool = False
    review: int = 0
    lift_hold: bool = False
    window: Window | None = None
    step: str = ""
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What no log tells, as known at the moment of deciding.

    Attributes:
        now_us: UTC; None = no clock at hand, and what has a time limit counts as run out.
        unmet: criteria that the stage at hand does not meet (`engine.core.health_unmet`);
            None = not known, which is never the same as none.
        unhealthy: what of the data's health is not OK, one phrase each; None = not known.
        start: what stands against starting a scheduled run, one phrase each; None = not known.
        standing: of a finished run: where it stands among the others; None = not looked at.
        frozen: of a run that a freeze has paused: what still bars it; None = not known.
    """

    now_us: int | None = None
    unmet: tuple[str, ...] | None = None
    unhealthy: tuple[str, ...] | None = None
    start: tuple[str, ...] | None = None
    standing: Standing | None = None
    frozen: Frozen | None = None


UNKNOWN: Final = Now()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """`overridable`: two people may do it nevertheless."""

    sentence: str
    code: str
    opens_at_us: int | None = None
    overridable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideOffer:
    """What an override takes now, for one person.

    Attributes:
        turn: `ask` (nobody has yet), `confirm` (somebody else has), `wait` (this person has).
        ok: this person may ask, or confirm, now.
        why_not: one sentence; empty when ok.
        missing: what is not met now, one phrase each.
        reason: in the words of whoever asked.
        then: what comes of it, where that is more than going on; a sentence.
    """

    turn: str
    ok: bool
    why_not: str
    missing: tuple[str, ...]
    asked_by: str = ""
    asked_us: int | None = None
    reason: str = ""
    expires_us: int | None = None
    then: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionState:
    """Attributes:
    ok: may be done now by this person (a reason may still be asked for).
    shown: whether a page offers it in this status at all, enabled or not.
    why_not: one sentence; empty when ok.
    override: how two people may do it although it is not ok; None = they may not, or need not.
    """

    action: Action
    ok: bool
    shown: bool
    why_not: str
    opens_at_us: int | None = None
    override: OverrideOffer | None = None
