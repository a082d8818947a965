"""What people can ask of a run, and how a refusal reads. Values only; `decide` thinks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.core.digest import Digest


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
    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What somebody asks of a run.

    Attributes:
        reason: why, in their words; for approve it is the comment.
        binding: for approve and reject: the binding that they saw and mean.
        view: digest of what they were shown; the binding again where nothing more was shown.
        nonce: makes an approval unique; made by the shell.
        confirm: for close_failed: the run id, typed once more.
    """

    action: Action
    reason: str = ""
    ticket: str = ""
    binding: Digest | None = None
    view: Digest | None = None
    nonce: str = ""
    confirm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    sentence: str
    code: str
    opens_at_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionState:
    """Attributes:
    ok: may be done now by this person (a reason may still be asked for).
    shown: whether a page offers it in this status at all, enabled or not.
    why_not: one sentence; empty when ok.
    """

    action: Action
    ok: bool
    shown: bool
    why_not: str
    opens_at_us: int | None = None
