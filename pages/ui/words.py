"""One status, one word, one icon, one colour: the only place where a page gets them from.

`shape` names a drawing in assets/icons.js, `material` the same sign in Streamlit's own icon font.
Colour never stands alone: every look carries its word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.core.commands import Action
from engine.core.statemachine import RunStatus, StepStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Attributes:
    tone: ok, warn, run, wait, err or idle; the stylesheet knows these six.
    colour: the tone in Streamlit's own words.
    """

    word: str
    shape: str
    tone: str
    material: str

    @property
    def colour(self) -> str:
        return _COLOURS[self.tone]

    @property
    def badge(self) -> str:
        """The look as inline Markdown."""
        return f":{self.colour}-badge[:material/{self.material}: {self.word}]"

    def document(self) -> dict[str, str]:
        return {"word": self.word, "shape": self.shape, "tone": self.tone}


_COLOURS: Final = {
    "ok": "green",
    "warn": "orange",
    "run": "blue",
    "wait": "violet",
    "err": "red",
    "idle": "gray",
}


def _look(word: str, shape: str, tone: str, material: str) -> Look:
    return Look(word=word, shape=shape, tone=tone, material=material)


RUN: Final[Mapping[RunStatus, Look]] = {
    RunStatus.SCHEDULED: _look("SCHEDULED", "clock", "idle", "event"),
    RunStatus.QUEUED: _look("QUEUED", "clock", "idle", "hourglass_empty"),
    RunStatus.RUNNING: _look("RUNNING", "play", "run", "play_circle"),
    RunStatus.AWAITING_APPROVAL: _look("AWAITING APPROVAL", "person", "wait", "how_to_reg"),
    RunStatus.PAUSED: _look("PAUSED", "pause", "warn", "pause_circle"),
    RunStatus.CANCELLING: _look("CANCELLING", "stop", "idle", "cancel"),
    RunStatus.ROLLING_BACK: _look("ROLLING BACK", "undo", "warn", "undo"),
    RunStatus.ROLLBACK_FAILED: _look("ROLLBACK FAILED", "cross", "err", "error"),
    RunStatus.SEALING: _look("SEALING", "seal", "run", "verified_user"),
    RunStatus.CANCELLED: _look("CANCELLED", "stop", "idle", "cancel"),
    RunStatus.EXPIRED: _look("EXPIRED", "clock", "err", "timer_off"),
    RunStatus.FAILED: _look("FAILED", "cross", "err", "cancel"),
    RunStatus.REJECTED: _look("REJECTED", "block", "err", "block"),
    RunStatus.ROLLED_BACK: _look("ROLLED BACK", "undo", "warn", "settings_backup_restore"),
    RunStatus.SUCCEEDED: _look("SUCCEEDED", "check", "ok", "check_circle"),
}

STEP: Final[Mapping[StepStatus, Look]] = {
    StepStatus.PENDING: _look("PENDING", "ring", "idle", "radio_button_unchecked"),
    StepStatus.RUNNING: _look("RUNNING", "play", "run", "play_circle"),
    StepStatus.WAITING: _look("WAITING", "clock", "wait", "schedule"),
    StepStatus.SUCCEEDED: _look("SUCCEEDED", "check", "ok", "check_circle"),
    StepStatus.FAILED: _look("FAILED", "cross", "err", "cancel"),
    StepStatus.ERRORED: _look("ERRORED", "bang", "err", "error"),
    StepStatus.INCONCLUSIVE: _look("INCONCLUSIVE", "question", "warn", "help"),
    StepStatus.SKIPPED: _look("SKIPPED", "dash", "idle", "remove_circle_outline"),
    StepStatus.CANCELLED: _look("CANCELLED", "stop", "idle", "cancel"),
    StepStatus.REVERTED: _look("REVERTED", "undo", "warn", "settings_backup_restore"),
}
# A policy verdict of PASS with warnings: done, and not to be overlooked.
PASSED_WITH_WARNINGS: Final = _look("SUCCEEDED", "warn", "warn", "warning")
PAUSED_STEP: Final = _look("PAUSED", "pause", "warn", "pause_circle")

# What the gate says of a stage (vocabulary 2, decisions 20).
GATE: Final[Mapping[str, Look]] = {
    "WARMING_UP": _look("WARMING UP", "clock", "idle", "hourglass_top"),
    "OK": _look("OK", "check", "ok", "check_circle"),
    "AT_RISK": _look("AT RISK", "warn", "warn", "warning"),
    "BREACHED": _look("BREACHED", "cross", "err", "cancel"),
    "NO_DATA": _look("NO DATA", "question", "warn", "help"),
}
TRIGGER: Final[Mapping[str, Look]] = {
    "NOT_TRIGGERED": _look("NOT TRIGGERED", "shield", "ok", "shield"),
    "ARMED": _look("ARMED", "warn", "warn", "gpp_maybe"),
    "TRIGGERED": _look("TRIGGERED", "undo", "err", "gpp_bad"),
    "SUPPRESSED": _look("SUPPRESSED", "pause", "idle", "remove_moderator"),
}
# One letter per target travels with every live snapshot (engine.live_view.target_letter).
TARGET: Final[Mapping[str, Look]] = {
    "O": _look("OLD", "ring", "idle", "radio_button_unchecked"),
    "U": _look("UPDATING", "play", "run", "sync"),
    "H": _look("HEALTHY", "check", "ok", "check_circle"),
    "X": _look("UNHEALTHY", "cross", "err", "cancel"),
    "Q": _look("UNKNOWN", "question", "warn", "help"),
    "V": _look("REVERTING", "undo", "warn", "undo"),
    "R": _look("REVERTED", "undo", "idle", "settings_backup_restore"),
}
# An environment, or a freeze window, at this moment.
FREEZE: Final[Mapping[str, Look]] = {
    "OPEN": _look("OPEN", "check", "ok", "check_circle"),
    "FROZEN": _look("FROZEN", "block", "warn", "ac_unit"),
}
FREEZE_KIND: Final[Mapping[str, str]] = {
    "DENY": "DENY: no promotion inside of it",
    "ALLOW": "ALLOW: promotions only inside of it",
}
DATA_HEALTH: Final[Mapping[str, Look]] = {
    "OK": _look("OK", "check", "ok", "check_circle"),
    "WARN": _look("WARN", "warn", "warn", "warning"),
    "FAIL": _look("FAIL", "cross", "err", "error"),
    "UNKNOWN": _look("UNKNOWN", "question", "warn", "help"),
}
# An evidence item (vocabulary 2).
EVIDENCE: Final[Mapping[str, Look]] = {
    "EXPECTED": _look("EXPECTED", "ring", "idle", "radio_button_unchecked"),
    "CAPTURED": _look("CAPTURED", "play", "run", "inventory_2"),
    "SIGNED": _look("SIGNED", "person", "run", "draw"),
    "LOGGED": _look("LOGGED", "clock", "run", "receipt_long"),
    "SEALED": _look("SEALED", "seal", "ok", "verified_user"),
    "MISSING": _look("MISSING", "cross", "err", "error"),
    "CANNOT_ARRIVE": _look("CANNOT ARRIVE", "dash", "idle", "remove_circle_outline"),
    "INVALID": _look("INVALID", "cross", "err", "gpp_bad"),
    "SUPERSEDED": _look("SUPERSEDED", "undo", "idle", "history"),
    "ADDENDUM": _look("ADDENDUM", "next", "wait", "note_add"),
}
# A replay (vocabulary 2): how far it has come, and what came of it.
REPLAY: Final[Mapping[str, Look]] = {
    "QUEUED": _look("QUEUED", "clock", "idle", "hourglass_empty"),
    "RUNNING": _look("RUNNING", "play", "run", "play_circle"),
    "COMPLETED": _look("COMPLETED", "check", "idle", "task_alt"),
    "FAILED": _look("FAILED", "bang", "err", "error"),
    "CANCELLED": _look("CANCELLED", "stop", "idle", "cancel"),
}
REPLAY_RESULT: Final[Mapping[str, Look]] = {
    "MATCH": _look("MATCH", "check", "ok", "check_circle"),
    "MISMATCH": _look("MISMATCH", "cross", "err", "cancel"),
    "SAME": _look("SAME", "check", "ok", "check_circle"),
    "FLIPPED": _look("FLIPPED", "warn", "warn", "warning"),
    "UNPROVEN": _look("UNPROVEN", "question", "warn", "help"),
}
# An attempt of the audit trail, and how its chain was last found.
AUDIT: Final[Mapping[str, Look]] = {
    "allowed": _look("ALLOWED", "check", "ok", "check_circle"),
    "denied": _look("DENIED", "block", "err", "block"),
}
CHAIN: Final[Mapping[str, Look]] = {
    "HOLDS": _look("HOLDS", "seal", "ok", "verified_user"),
    "BROKEN": _look("BROKEN", "cross", "err", "link_off"),
    "UNCHECKED": _look("UNCHECKED", "question", "warn", "help"),
}
DUTIES: Final[Mapping[str, Look]] = {
    "SEPARATE": _look("SEPARATE", "check", "ok", "diversity_3"),
    "PREVENTED": _look("PREVENTED", "shield", "warn", "shield"),
    "CONFLICT": _look("CONFLICT", "cross", "err", "group_off"),
}
# A feed against its limits (engine.core.feeds.Freshness), and what came of a sync.
FEED: Final[Mapping[str, Look]] = {
    "FRESH": _look("FRESH", "check", "ok", "check_circle"),
    "STALE": _look("STALE", "warn", "warn", "warning"),
    "CRITICAL": _look("TOO OLD", "cross", "err", "error"),
    "FUTURE": _look("FUTURE DATE", "cross", "err", "error"),
    "MISSING": _look("MISSING", "question", "warn", "help"),
    "NO_LIMIT": _look("NO LIMIT", "question", "idle", "help"),
}
FEED_TRY: Final[Mapping[str, Look]] = {
    "NEW DATA": _look("NEW DATA", "check", "ok", "check_circle"),
    "NOTHING NEW": _look("NOTHING NEW", "check", "idle", "task_alt"),
    "FAILED": _look("FAILED", "cross", "err", "cancel"),
    "UNDER WAY": _look("UNDER WAY", "play", "run", "sync"),
    "INTERRUPTED": _look("INTERRUPTED", "bang", "err", "error"),
}
# A job of the house (engine.orchestrator), and one try at a rescan (engine.core.rescans).
JOB: Final[Mapping[str, Look]] = {
    "IDLE": _look("IDLE", "check", "ok", "check_circle"),
    "WORKING": _look("WORKING", "play", "run", "play_circle"),
    "FAILED": _look("FAILED", "cross", "err", "cancel"),
    "STUCK": _look("STUCK", "bang", "err", "error"),
}
RESCAN_TRY: Final[Mapping[str, Look]] = {
    "FINISHED": _look("FINISHED", "check", "ok", "check_circle"),
    "FAILED": _look("FAILED", "cross", "err", "cancel"),
    "UNDER WAY": _look("UNDER WAY", "play", "run", "play_circle"),
    "INTERRUPTED": _look("INTERRUPTED", "bang", "warn", "warning"),
}

# A message to a webhook (engine.core.hook_rows).
DELIVERY: Final[Mapping[str, Look]] = {
    "WAITING": _look("ON THE WAY", "clock", "wait", "schedule_send"),
    "FAILED": _look("TRYING AGAIN", "warn", "warn", "autorenew"),
    "DELIVERED": _look("DELIVERED", "check", "ok", "check_circle"),
    "DEAD": _look("DEAD", "cross", "err", "error"),
    "DROPPED": _look("DROPPED", "dash", "idle", "remove_circle_outline"),
}
FIRING: Final[Mapping[str, Look]] = {
    "DUE": _look("DUE", "clock", "run", "alarm"),
    "WAITING_PRECONDITIONS": _look("WAITING", "clock", "wait", "hourglass_top"),
    "STARTED": _look("STARTED", "check", "ok", "check_circle"),
    "SKIPPED": _look("SKIPPED", "dash", "warn", "skip_next"),
    "MISSED": _look("MISSED", "cross", "err", "alarm_off"),
    "EXPIRED": _look("EXPIRED", "cross", "err", "timer_off"),
    "FAILED_TO_START": _look("FAILED TO START", "cross", "err", "error"),
    "CANCELLED": _look("CANCELLED", "dash", "idle", "cancel"),
}
SCHEDULE: Final[Mapping[str, Look]] = {
    "ACTIVE": _look("ACTIVE", "clock", "run", "event_repeat"),
    "DONE": _look("DONE", "check", "idle", "event_available"),
    "CANCELLED": _look("CANCELLED", "dash", "idle", "event_busy"),
}
# What a precondition is worth, by its state; an unmet WARN is a warning and no more.
PRECONDITION: Final[Mapping[str, Look]] = {
    "MET": _look("MET", "check", "ok", "check_circle"),
    "UNMET": _look("NOT MET", "cross", "err", "cancel"),
    "WARNS": _look("WARNS", "warn", "warn", "warning"),
    "UNKNOWN": _look("NOT KNOWN", "question", "warn", "help"),
    "NOT_CHECKED": _look("NOT CHECKED", "dash", "idle", "remove_circle_outline"),
}
NO_ANSWER: Final = _look("NO ANSWER", "question", "warn", "help")
TRY_FAILED: Final = _look("FAILED", "cross", "warn", "cancel")
# What somebody decided about a promotion, by (decision, still counts).
DECISION: Final[Mapping[tuple[str, bool], Look]] = {
    ("approved", True): _look("APPROVED", "check", "ok", "check_circle"),
    ("approved", False): _look("NO LONGER COUNTS", "undo", "idle", "history"),
    ("rejected", True): _look("REJECTED", "block", "err", "block"),
    ("rejected", False): _look("REJECTED", "block", "err", "block"),
}
# A policy decision, by (decision, has warnings).
VERDICT: Final[Mapping[tuple[str, bool], Look]] = {
    ("PASS", False): _look("PASS", "check", "ok", "check_circle"),
    ("PASS", True): _look("PASS", "warn", "warn", "warning"),
    ("FAIL", False): _look("FAIL", "cross", "err", "cancel"),
    ("FAIL", True): _look("FAIL", "cross", "err", "cancel"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """How an action is offered. `done` is what its recorded event amounts to."""

    label: str
    icon: str
    done: str
    primary: bool = False


ACTION: Final[Mapping[Action, Button]] = {
    Action.PAUSE: Button(label="Pause", icon="pause", done="Paused"),
    Action.RESUME: Button(label="Resume", icon="play_arrow", done="Resumed", primary=True),
    Action.CONTINUE: Button(label="Continue", icon="arrow_forward", done="Continued"),
    Action.RETRY_STEP: Button(label="Retry step", icon="refresh", done="Retried", primary=True),
    Action.RERUN_STEP: Button(label="Run step again", icon="restart_alt", done="Run again"),
    Action.MARK_STEP_FAILED: Button(label="Mark failed", icon="dangerous", done="Marked failed"),
    Action.ROLLBACK: Button(label="Roll back", icon="undo", done="Rollback started"),
    Action.RETRY_ROLLBACK: Button(
        label="Retry rollback", icon="undo", done="Rollback started", primary=True
    ),
    Action.CANCEL: Button(label="Cancel run", icon="close", done="Cancelled"),
    Action.CLOSE_FAILED: Button(label="Close as failed", icon="block", done="Closed as failed"),
    Action.START_NOW: Button(label="Start now", icon="play_arrow", done="Started"),
    Action.RESCHEDULE: Button(label="Reschedule", icon="update", done="Rescheduled"),
    Action.SCHEDULE_STEP: Button(label="Schedule step", icon="schedule", done="Scheduled"),
    Action.UNSCHEDULE_STEP: Button(
        label="Take step's time away", icon="timer_off", done="Taken away"
    ),
    Action.BREAK_GLASS: Button(label="Break glass", icon="emergency_home", done="Asked for"),
    Action.APPROVE: Button(label="Approve", icon="check", done="Approved", primary=True),
    Action.REJECT: Button(label="Reject", icon="close", done="Rejected"),
    Action.WITHDRAW: Button(label="Withdraw approval", icon="undo", done="Withdrawn"),
    Action.REVIEW: Button(label="Review", icon="rate_review", done="Reviewed", primary=True),
    Action.DROP_OVERRIDE: Button(label="Drop override", icon="undo", done="Override dropped"),
    Action.RERUN: Button(label="Run again as a new run", icon="restart_alt", done="Requested"),
    Action.ROLLBACK_PROMOTION: Button(
        label="Roll back this promotion", icon="undo", done="Requested"
    ),
    Action.COMMENT: Button(label="Comment", icon="chat_bubble", done="Noted"),
}

# Of findings. A flaw of which nobody says how bad it is may be the worst of them.
SEVERITY: Final = {
    "CRITICAL": _look("CRITICAL", "cross", "err", "dangerous"),
    "HIGH": _look("HIGH", "cross", "err", "priority_high"),
    "MEDIUM": _look("MEDIUM", "bang", "warn", "warning"),
    "LOW": _look("LOW", "ring", "idle", "low_priority"),
    "UNKNOWN": _look("UNKNOWN", "question", "wait", "help"),
    "NONE": _look("NONE", "ring", "idle", "remove"),
}
KEV: Final = _look("KEV", "bang", "err", "local_fire_department")
REACH: Final = {
    "CONFIRMED_REACHABLE": _look("CONFIRMED", "bang", "err", "route"),
    "RUNTIME_OBSERVED": _look("IN USE", "bang", "err", "play_circle"),
    "STATIC_REACHABLE": _look("REACHABLE", "bang", "warn", "route"),
    "CONTESTED": _look("CONTESTED", "question", "wait", "rule"),
    "UNKNOWN": _look("UNKNOWN", "question", "wait", "help"),
    "RUNTIME_UNOBSERVED": _look("NOT SEEN", "ring", "idle", "visibility_off"),
    "STATIC_UNREACHABLE": _look("NOT CALLED", "ring", "idle", "block"),
    "UNREACHABLE": _look("UNREACHABLE", "check", "ok", "verified"),
}
REACH_TOLD: Final = {
    "CONFIRMED_REACHABLE": "called in the code and seen in use",
    "RUNTIME_OBSERVED": "its package is in use on a target",
    "STATIC_REACHABLE": "the code has a way of calls to it",
    "CONTESTED": "not called in the code, yet its package is in use",
    "UNKNOWN": "nobody looked",
    "RUNTIME_UNOBSERVED": "deployed, not seen in use; proves nothing",
    "STATIC_UNREACHABLE": "the code has no way of calls to it",
    "UNREACHABLE": "not called in the code and not seen in use",
}
VEX: Final = {
    "not_affected": _look("NOT AFFECTED", "check", "ok", "verified"),
    "fixed": _look("FIXED", "check", "ok", "build_circle"),
    "under_investigation": _look("INVESTIGATING", "clock", "wait", "search"),
    "affected": _look("AFFECTED", "cross", "err", "report"),
}
WAIVED: Final = _look("WAIVED", "check", "warn", "rule")
WAIVER: Final[Mapping[str, Look]] = {
    "REQUESTED": _look("REQUESTED", "clock", "wait", "hourglass_top"),
    "GRANTED": _look("GRANTED", "check", "warn", "rule"),
    "REFUSED": _look("REFUSED", "cross", "err", "block"),
    "REVOKED": _look("REVOKED", "cross", "idle", "undo"),
    "EXPIRED": _look("EXPIRED", "clock", "idle", "event_busy"),
}
FINDINGS_PASS: Final = _look("PASS", "check", "ok", "check_circle")
FINDINGS_WARN: Final = _look("WARN", "bang", "warn", "warning")
FINDINGS_FAIL: Final = _look("FAIL", "cross", "err", "cancel")


def document() -> dict[str, dict[str, dict[str, str]]]:
    """Every table that a live component needs, as it travels to the browser."""
    return {
        "run": {status.value: look.document() for status, look in RUN.items()},
        "step": {status.value: look.document() for status, look in STEP.items()}
        | {
            "WARNED": PASSED_WITH_WARNINGS.document(),
            "PAUSED": PAUSED_STEP.document(),
        },
        "gate": {word: look.document() for word, look in GATE.items()},
        "trigger": {word: look.document() for word, look in TRIGGER.items()},
        "target": {letter: look.document() for letter, look in TARGET.items()},
        "evidence": {word: look.document() for word, look in EVIDENCE.items()},
    }


_VERDICT: Final = re.compile(r"\bverdict-((\d+)(?:\.\d+)?)\b", re.ASCII)


def verdict_address(verdict_id: str) -> str:
    """The page on which a verdict is explained and asked again; its id names its run."""
    number = verdict_id.removeprefix("verdict-").partition(".")[0]
    return f"/replay-run?run=run-{number}&verdict={verdict_id}"


def with_verdicts(markdown: str) -> str:
    """The same text in which every verdict is a link; `markdown` went through `plain`."""
    return _VERDICT.sub(lambda found: f"[{found[0]}]({verdict_address(found[0])})", markdown)


# What remark-gfm links by itself; no sign that would end a code span or a label around it.
_ADDRESS: Final = re.compile(
    r"([-.\w+]+@[-\w]+(?:\.[-\w]+)+|(?:[a-z][a-z0-9+]*://|www\.)[^\s`\[\]]*[^\s`\[\].,;:!?)'\"])",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """Somebody's text, for a place that reads Markdown: nothing in it is markup of ours.

    An address of a person or a page is shown as code, exactly as it is written: Markdown makes a
    link of it behind any escape, and nobody here wrote a link.
    """
    found = []
    for at, part in enumerate(_ADDRESS.split(text)):
        found.append(f"`{part}`" if at % 2 else _escaped(part))
    return "".join(found)


def _escaped(text: str) -> str:
    for sign in "\\`*_{}[]<>#|$~:!":
        text = text.replace(sign, f"\\{sign}")
    return text
