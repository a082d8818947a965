"""What a message says to a person: what happened, what waits for whom, and where to look. Pure.

The sentence is the one of the run's story, so that a chat, a page and the audit pack agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from engine.core import approvals
from engine.core.events import Recorded
from engine.core.fact_events import ApprovalRequested
from engine.core.hook_events import NoticeRaised, WebhookTested
from engine.core.hook_names import WAITING
from engine.core.house import ReplayFinished
from engine.core.schedule_events import FiringTicked
from engine.core.state import Run
from engine.story import sentence

HEADS: Final = {
    "approval.approved": "Approved",
    "approval.expired": "Approval expired",
    "approval.nobody_eligible": "Nobody can approve",
    "approval.rejected": "Approval rejected",
    "approval.requested": "Approval wanted",
    "approval.stale": "Approvals no longer count",
    "disk.low": "Disk low",
    "environment.modified": "Targets changed",
    "evidence.captured": "Evidence signed",
    "evidence.missing": "Evidence missing",
    "evidence.sealed": "Evidence sealed",
    "freeze.ended": "Freeze ended",
    "freeze.started": "Frozen",
    "gate.breached": "Health gate breached",
    "gate.warned": "Health gate warns",
    "override.requested": "Override wanted",
    "override.used": "Override used",
    "replay.completed": "Replay completed",
    "replay.mismatch": "Replay does not match",
    "rescan.failed": "SBOM rescan failed",
    "review.due": "Review wanted",
    "review.overdue": "Review overdue",
    "rollback.failed": "Rollback failed",
    "rollback.started": "Rolling back",
    "run.cancelled": "Cancelled",
    "run.expired": "Expired",
    "run.failed": "Failed",
    "run.held": "Held in the queue",
    "run.paused": "Paused",
    "run.rejected": "Rejected",
    "run.requested": "Requested",
    "run.resumed": "Resumed",
    "run.rolled_back": "Rolled back",
    "run.scheduled": "Scheduled",
    "run.sealed": "Sealed",
    "run.started": "Started",
    "run.stopped": "Stopped by a defect",
    "run.succeeded": "Succeeded",
    "schedule.failed": "Schedule cannot start",
    "schedule.missed": "Schedule missed",
    "seal.failed": "Not sealed",
    "service.deployed": "Deployed",
    "service.rolled_back": "Service rolled back",
    "service.upgraded": "Upgraded",
    "step.errored": "Step got no answer",
    "step.failed": "Step failed",
    "step.inconclusive": "Step without an answer",
    "step.started": "Step started",
    "step.succeeded": "Step succeeded",
    "store.damaged": "Stored bytes damaged",
    "verify.finished": "Verification finished",
    "waiver.ending": "Waiver ends soon",
    "waiver.requested": "Waiver wanted",
    "webhook.test": "Test message",
}
# What those who are waited for may do.
DEEDS: Final = {
    "approval.nobody_eligible": "an admin has to give somebody the role approver",
    "approval.requested": "approve or reject",
    "disk.low": "free space, or keep samples for a shorter time",
    "override.requested": "confirm or decline within the hour",
    "rescan.failed": "look at the reason, and rescan",
    "review.due": "look at what was done, and close the review",
    "review.overdue": "look at what was done, and close the review",
    "rollback.failed": "retry the rollback, or close the run",
    "run.held": "lift the hold, or cancel the run",
    "run.paused": "resume, retry or roll back",
    "run.stopped": "look at the sentence, and have it tried again",
    "schedule.failed": "look at the reason, and schedule it anew or cancel it",
    "seal.failed": "find out why it could not be sealed",
    "store.damaged": "put the same bytes back from a backup or a pack, and run fsck",
    "waiver.requested": "grant or refuse it",
}
_BAD: Final = frozenset(
    {
        "approval.expired",
        "approval.rejected",
        "evidence.missing",
        "gate.breached",
        "replay.mismatch",
        "run.expired",
        "run.failed",
        "run.rejected",
        "schedule.missed",
        "step.errored",
        "step.failed",
    }
)
_GOOD: Final = frozenset(
    {"approval.approved", "run.succeeded", "service.deployed", "service.upgraded"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Attributes:
    head: two or three words.
    label: what it is about: bundle and environment; empty for what is about no run.
    text: the sentence.
    deed: what somebody has to do; empty when nobody has to.
    people: users who may do it, sorted.
    url: the page to look at.
    """

    name: str
    head: str
    label: str
    text: str
    deed: str
    people: tuple[str, ...]
    run: str
    url: str

    @property
    def sign(self) -> str:
        if self.name in WAITING:
            return "🟠"
        if self.name in _BAD:
            return "🔴"
        return "🟢" if self.name in _GOOD else "🔵"

    @property
    def waits(self) -> str:
        """`Waits for bob.smith, carol.wu: approve or reject.`; empty when nothing waits."""
        if not self.deed:
            return ""
        if not self.people:
            return f"Waits for somebody: {self.deed}."
        return f"Waits for {', '.join(self.people)}: {self.deed}."

    def line(self) -> str:
        """All of it on one line, for lists."""
        about = f" · {self.label}" if self.label else ""
        return f"{self.head}{about}"


def tell(
    name: str, recorded: Recorded, run: Run | None, people: tuple[str, ...], *, base: str
) -> Told:
    """Args:
    run: as it was after the event; None for what is about no run.
    people: who may do what is waited for.
    base: address of the console, without a last slash.
    """
    run_id = "" if run is None else run.run_id
    return Told(
        name=name,
        head=HEADS[name],
        label=_label(recorded, run),
        text=_text(recorded, run),
        deed=DEEDS.get(name, ""),
        people=people,
        run=run_id,
        url=f"{base}{_page(name, recorded, run_id)}",
    )


# Where it is explained, and mended.
_PAGES: Final = {
    "disk.low": "/platform-health",
    "rescan.failed": "/feeds?job=rescans",
    "run.stopped": "/orchestrator",
    "store.damaged": "/platform-health",
    "waiver.ending": "/waivers",
    "waiver.requested": "/waivers",
}


def place_of(recorded: Recorded, run: Run | None) -> str:
    """The environment that it is about; empty when it is about none."""
    if run is not None:
        return run.environment
    return recorded.event.environment if isinstance(recorded.event, FiringTicked) else ""


def _label(recorded: Recorded, run: Run | None) -> str:
    place = place_of(recorded, run)
    if not place:
        return ""
    return f"{recorded.stream if run is None else run.label} → {place}"


def _page(name: str, recorded: Recorded, run_id: str) -> str:
    if name.startswith("replay."):
        return "/replay"
    if name in _PAGES:
        return _PAGES[name]
    if not run_id:
        scheduled = isinstance(recorded.event, FiringTicked)
        return f"/schedule?schedule={recorded.stream}" if scheduled else "/"
    return f"/run?run={run_id}"


def _text(recorded: Recorded, run: Run | None) -> str:
    match recorded.event:
        case NoticeRaised(text=text):
            return text
        case WebhookTested():
            return f"{recorded.actor} wants to see that a message arrives here."
        case ReplayFinished() as e:
            proven = e.matching + e.mismatching
            return f"{e.replay} {e.status.lower()}: {e.matching} of {proven} decisions match."
        case ApprovalRequested(expires_us=expires_us) if run is not None:
            return _asked(run, expires_us)
        case event:
            return sentence(event, recorded.actor) or f"{recorded.stream} goes on."


def _asked(run: Run, expires_us: int) -> str:
    lacks = "; ".join(approvals.missing(run)) or "nothing"
    until = f"{datetime.fromtimestamp(expires_us / 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"
    verdict = run.verdict
    said = ""
    if verdict is not None:
        warn = f" with {verdict.warn} warnings" if verdict.warn else ""
        said = f" The policy gate said {verdict.decision}{warn}."
    return f"{run.requested_by} asked for it. So far: {lacks}.{said} It expires at {until}."


def slack(told: Told) -> dict[str, str]:
    """The body that Slack, and chats that take the same, show as a message."""
    about = f" {_safe(told.label)}" if told.label else ""
    link = f"<{told.url}|{_safe(told.run or 'Releaseline')}>"
    lines = [f"{told.sign} *{_safe(told.head)}*{about} ({link})", _safe(told.text)]
    if told.waits:
        lines.append(f"*{_safe(told.waits)}*")
    return {"text": "\n".join(lines)}


def _safe(text: str) -> str:
    """Nothing in it can mention a channel or make a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("*", "∗")
