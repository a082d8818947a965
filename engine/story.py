"""A run told in sentences, each citing the event that it rests on. Pure.

The story is the same text on the page, in the terminal and inside the audit pack. It adds nothing
to the facts: what no event says is not told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from engine.core import back_events as back
from engine.core import fact_events as fact
from engine.core import people_events as people
from engine.core import preconditions
from engine.core import queue_events as queue
from engine.core import run_events as moved
from engine.core import schedule_events as timed
from engine.core import step_events as stepped
from engine.core import step_time_events as step_timed
from engine.core.attestations import AttestationImported
from engine.core.events import Event, Recorded
from engine.core.spec import PROMOTE, ROLLBACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One sentence. `seq` and `hash` name the event behind it."""

    ts_us: int
    actor: str
    text: str
    seq: int
    hash: str

    def document(self) -> dict[str, Any]:
        return {
            "ts_us": self.ts_us,
            "actor": self.actor,
            "text": self.text,
            "seq": self.seq,
            "hash": self.hash,
        }

    def __str__(self) -> str:
        moment = datetime.fromtimestamp(self.ts_us / 1_000_000, UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S}Z  [{self.seq:>3} {self.hash[:8]}]  {self.text}"


def tell(log: Iterable[Recorded]) -> list[Line]:
    """The sentences of a run, in order. Events that only repeat another are left out."""
    lines = []
    for recorded in log:
        text = sentence(recorded.event, recorded.actor)
        if text:
            lines.append(
                Line(
                    ts_us=recorded.ts_us,
                    actor=recorded.actor,
                    text=text,
                    seq=recorded.seq,
                    hash=recorded.hash.hex,
                )
            )
    return lines


_GLASS: Final = "break_glass"
_DOUBLE_STOP: Final = re.compile(r"(?<!\.)\.\.(?=\s|$)")


def sentence(event: Event, actor: str) -> str:
    """What happened, in one sentence; empty for an event that only repeats another."""
    teller = _TELLERS.get(type(event))
    # A reason that people ended with a full stop must not get a second one.
    return "" if teller is None else _DOUBLE_STOP.sub(".", teller(event, actor))


def _requested(e: moved.RunRequested, actor: str) -> str:
    held = f" Waiting times are divided by {e.speed}." if e.speed > 1 else ""
    why = f" Reason: {e.reason}." if e.reason else ""
    bundle = f"{e.bundle_name} {e.bundle_version} ({e.bundle})"
    place = f"{e.region} / {e.environment}"
    by = f"by workflow {e.workflow}, {len(e.targets)} targets.{_made_from(e)}{why}{held}"
    if e.kind == ROLLBACK:
        left = f"from {e.takes_back_label} back to {bundle}"
        return f"{actor} asked to roll {e.rolls_back} back: {place} {left} {by}"
    verb = "promote" if e.kind == PROMOTE else f"promote as {e.kind}"
    return f"{actor} asked to {verb} {bundle} from {e.promotes_from or 'nowhere'} to {place} {by}"


def _made_from(e: moved.RunRequested) -> str:
    """What a run that is tried again rests on otherwise than before, as far as known by then."""
    if not e.rerun_of:
        return ""
    same = "the same workflow, policy and settings"
    other = ", ".join(f"{one.name} {_short(one.before)} → {_short(one.after)}" for one in e.differs)
    return f" It tries {e.rerun_of} again, with {f'other {other}' if other else same}."


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12] or "nothing"


def _observed(e: fact.TargetsObserved, _: str) -> str:
    healthy = sum(t.healthy is True for t in e.targets)
    digests = sorted({t.digest.short for t in e.targets if t.digest is not None})
    return (
        f"Targets observed ({e.purpose}): {healthy} of {len(e.targets)} healthy, "
        f"running {', '.join(digests) or 'nothing known'}."
    )


def _planned(e: fact.RolloutPlanned, _: str) -> str:
    stages = ", ".join(f"{c.step}: {len(c.targets)}" for c in e.cohorts)
    way = (
        "the way back is complete"
        if not e.irreversible
        else f"{len(e.irreversible)} targets cannot go back"
    )
    return f"Rollout planned ({stages} targets), plan {e.plan.short}; {way}."


def _policy(e: fact.PolicyEvaluated, _: str) -> str:
    word = f"{e.decision} ({e.warn} WARN, {e.fail} FAIL)"
    notes = f" {'; '.join(e.notes)}." if e.notes else ""
    return f"The policy gate said {word}: {e.verdict_id}, decision digest {e.verdict}.{notes}"


def _approved(e: fact.ApprovalApproved, actor: str) -> str:
    comment = f', saying "{e.comment}"' if e.comment else ""
    hand = f" with a link or token that {e.hand} made" if e.hand else ""
    return f"{actor} approved{hand}{comment} (bound to {e.binding.short})."


def _target(e: fact.TargetSet, _: str) -> str:
    now = "unknown" if e.digest is None else e.digest.short
    note = f", {e.note}" if e.note else ""
    return f"{e.target}: {e.outcome}, runs {now} after {e.duration_ms} ms{note}."


def _reverted(e: fact.TargetReverted, _: str) -> str:
    now = "unknown" if e.digest is None else e.digest.short
    return f"{e.target} went back: {e.outcome}, runs {now} after {e.duration_ms} ms."


def _gate(e: fact.GateDecided, _: str) -> str:
    return (
        f"Health gate of {e.step} at {e.t_ms // 60_000}:{e.t_ms // 1000 % 60:02d}: {e.action} "
        f"(rule {e.rule}) — {e.reason}."
    )


def _guarded(e: fact.EnvironmentGuarded, _: str) -> str:
    before = f"before {e.step}" if e.step else "before the start"
    word = e.state.value.replace("_", " ")
    told = e.reason if e.reason.startswith(word) else f"{word}, {e.reason}"
    return f"Error budget of the environment {before}: {told}."


def _imported(e: AttestationImported, actor: str) -> str:
    one = e.attestation
    says = f", which says {one.says}," if one.says else ""
    return (
        f"{actor} imported an attestation ({one.title}) about {', '.join(one.about)}{says} signed "
        f"by {one.signer}, trusted as {one.trust}: {one.envelope}."
    )


def _ended(word: str) -> Callable[[Any, str], str]:
    def teller(e: Any, _: str) -> str:
        result = getattr(e, "result", "")
        text = getattr(e, "summary", "") or getattr(e, "reason", "")
        parts = ", ".join(part for part in (result, text) if part)
        return f"{e.step} (attempt {e.attempt}) {word}: {parts}."

    return teller


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _paused(e: moved.RunPaused, actor: str) -> str:
    return f"{actor} paused the run ({e.pause_reason.replace('_', ' ')}): {e.reason}."


def _rollback(e: moved.RollbackStarted, actor: str) -> str:
    who = "The engine" if actor == "engine" else actor
    ticket = f" Ticket {e.ticket}." if e.ticket else ""
    return f"{who} began to roll back {len(e.targets)} targets: {e.reason}.{ticket}"


def _readiness(e: back.RollbackReadiness, _: str) -> str:
    if not e.stuck:
        return f"The way back is open for {len(e.targets)} targets ({e.step}), plan {e.plan.short}."
    named = "; ".join(f"{one.target}: {one.note}" for one in e.stuck)
    return f"{len(e.stuck)} of {len(e.targets)} targets could not go back ({e.step}): {named}."


def _back_by_name(e: back.TargetRollbackRequested, actor: str) -> str:
    ticket = f" Ticket {e.ticket}." if e.ticket else ""
    return f"{actor} sent {', '.join(e.targets)} back: {e.reason}.{ticket}"


def _override_asked(e: people.OverrideRequested, actor: str) -> str:
    if e.action == _GLASS:
        return (
            f"{actor} asked to break the glass ({e.ticket}), because: {e.reason}. Against it "
            f"stands: {e.against}."
        )
    lacks = f" Missing: {'; '.join(e.missing)}." if e.missing else ""
    return (
        f"{actor} asked for an override to {e.action} {e.step}, because: {e.reason}. Against it "
        f"stands: {e.against}{lacks}"
    )


def _override_used(e: people.OverrideUsed, _: str) -> str:
    if e.action == _GLASS:
        until = datetime.fromtimestamp(e.until_us / 1_000_000, UTC)
        return (
            f'GLASS BROKEN ({e.ticket}): {e.asked_by} ("{e.asked_reason}") and {e.confirmed_by} '
            f'("{e.reason}") let the run go on past: {e.against}. What it opens has to begin by '
            f"{until:%H:%M:%S}Z."
        )
    return (
        f'OVERRIDE: {e.asked_by} ("{e.asked_reason}") and {e.confirmed_by} ("{e.reason}") let '
        f"{e.step} {e.action} although: {e.against}"
    )


def _review_closed(e: people.ReviewClosed, actor: str) -> str:
    word = "agreed" if e.verdict == "agreed" else f"wants a follow-up ({e.ticket})"
    return f'{actor} looked at review {e.number} and {word}: "{e.note}".'


def _scheduled(e: moved.RunScheduled, actor: str) -> str:
    window = f"{_utc(e.start_us)} and closes at {_utc(e.window_end_us)} ({e.time_zone})"
    said = f": {e.reason}" if e.reason else ""
    head = "Its window opens" if e.via == "request" else f"{actor} moved its window, which opens"
    return f"{head} at {window}{said}".rstrip(".") + "."


def _step_scheduled(e: step_timed.StepScheduled, actor: str) -> str:
    window = f"{e.local} {e.time_zone} ({_utc(e.opens_us)}) and {_utc(e.closes_us)}"
    told = " ".join(part for part in (e.note, f"Reason: {e.reason}." if e.reason else "") if part)
    return f"{actor} scheduled {e.step}: it may begin between {window}. {told}".strip()


def _queued(e: moved.RunQueued, actor: str) -> str:
    if e.via in {"window_open", "start_now"}:
        return f"The run left its schedule for the queue{_because(e.reason)}."
    return f"{actor} let the run queue again{_because(e.reason)}."


def _checked(e: timed.PreconditionsChecked, _: str) -> str:
    lacks, warns = preconditions.unmet(e.rows), preconditions.warnings(e.rows)
    told = "Its preconditions hold" if not lacks else f"It may not start: {'; '.join(lacks)}"
    return f"{told}; warning: {'; '.join(warns)}." if warns else f"{told}."


def _utc(us: int) -> str:
    return f"{datetime.fromtimestamp(us / 1_000_000, UTC):%Y-%m-%d %H:%M}Z"


_TELLERS: Final[dict[type, Callable[[Any, str], str]]] = {
    moved.RunRequested: _requested,
    moved.RunScheduled: _scheduled,
    moved.RunStarted: lambda e, _: f"The environment lock was taken, epoch {e.epoch}.",
    moved.RunPaused: _paused,
    moved.RunQueued: _queued,
    moved.RunResumed: lambda e, a: f"{a} let the run go on: {e.reason or e.via}.",
    moved.RunContinued: lambda e, a: f"{a} continued past {e.step}{_because(e.reason)}.",
    moved.StepRerunRequested: lambda e, a: f"{a} had {e.step} run again: {e.reason}.",
    moved.RunCancelling: lambda e, a: f"{a} cancelled the run: {e.reason}.",
    moved.RollbackStarted: _rollback,
    moved.RollbackFailed: lambda e, _: f"The rollback did not get everything back: {e.reason}.",
    moved.RunRejected: lambda e, _: f"Outcome REJECTED: {e.reason}.",
    moved.RunFailed: lambda e, _: f"Outcome FAILED: {e.reason}.",
    moved.RunExpired: lambda e, _: f"Outcome EXPIRED: {e.reason}.",
    moved.RunCancelled: lambda e, _: f"Outcome CANCELLED: {e.reason}.",
    moved.RunRolledBack: lambda e, _: f"Outcome ROLLED_BACK: {e.reason}.",
    moved.RunSucceeded: lambda _e, _a: "Outcome SUCCEEDED: every step is done.",
    moved.RunSealed: lambda e, _: f"The run is {e.seal_status.lower()}{_because(e.reason)}.",
    stepped.StepStarted: lambda e, _: f"{e.step} began (attempt {e.attempt}).",
    stepped.StepWentOn: lambda e, _: f"{e.step} (attempt {e.attempt}) waits no more: {e.reason}.",
    stepped.StepSucceeded: _ended("succeeded"),
    stepped.StepFailed: _ended("failed"),
    stepped.StepErrored: _ended("got no answer"),
    stepped.StepInconclusive: _ended("ended without an answer"),
    stepped.StepCancelled: _ended("was cancelled"),
    stepped.StepMarkedFailed: lambda e, a: f"{a} marked {e.step} as failed: {e.reason}.",
    stepped.StepRetryScheduled: lambda e, _: f"{e.step} will be tried again: {e.reason}.",
    stepped.StepReverted: lambda e, _: f"{e.step} was reverted.",
    stepped.StepSkipped: lambda e, _: f"{e.step} never began: {e.reason}.",
    fact.TargetsObserved: _observed,
    fact.RolloutPlanned: _planned,
    fact.PolicyEvaluated: _policy,
    fact.ApprovalRequested: lambda e, _: f"Approval is asked for, bound to {e.binding.short}.",
    fact.ApprovalApproved: _approved,
    fact.ApprovalRejected: lambda e, a: f'{a} rejected: "{e.comment}".',
    fact.ApprovalWithdrawn: lambda e, a: f"{a} withdrew their approval: {e.reason or '-'}.",
    people.ApprovalsLapsed: lambda e, _: (
        f"Approvals that count no more: {', '.join(e.people)} ({e.reason})."
    ),
    fact.ApprovalsStale: lambda e, _: f"The approvals no longer count: {e.reason}.",
    fact.TargetSet: _target,
    fact.TargetReverted: _reverted,
    fact.GateDecided: _gate,
    fact.EnvironmentGuarded: _guarded,
    fact.StartHeld: lambda e, _: f"The run stays queued: {e.reason}",
    fact.StartFreed: lambda e, _: f"The hold by {e.hold_run} was lifted; the run may start.",
    queue.StartBarred: lambda e, _: f"The run stays queued: {e.reason}",
    queue.StartUnbarred: lambda e, _: "Nothing bars the run any more; it starts in its turn.",
    fact.VerifySnapshot: lambda e, _: (
        f"Verified: {e.on_bundle}/{e.total} targets on the bundle, {e.healthy}/{e.total} healthy, "
        f"{e.observed_components}/{e.components} components seen loaded."
    ),
    back.RollbackReadiness: _readiness,
    back.RollbackSuppressed: lambda e, _: f"No rollback by itself: {e.reason}.",
    back.TargetTouched: lambda e, _: f"{e.target}: {e.step} switches it now.",
    back.TargetRollbackRequested: _back_by_name,
    back.TargetRollbackVerified: lambda e, _: (
        f"Back and healthy on their recorded bundle: {', '.join(e.targets)}."
    ),
    back.TargetRollbackFailed: lambda e, _: f"Sending targets back failed: {e.reason}.",
    fact.RollbackVerified: lambda e, _: (
        f"Rollback verified on {len(e.targets)} targets: recorded bundle, healthy."
    ),
    fact.EvidenceCaptured: lambda e, _: (
        f"Evidence {e.seq} signed: {e.name} ({e.envelope}), log index {e.log_index}."
    ),
    fact.EvidenceMissing: lambda e, _: (
        f"Evidence of {f'way back {e.way_back}' if e.way_back else e.step} is missing: {e.reason}."
    ),
    fact.EvidenceSealed: lambda e, _: (
        f"Proof chain over {e.count} items sealed: {e.chain}, log index {e.log_index}."
    ),
    fact.EvidenceExported: lambda e, a: f"{a} exported {e.kind} ({e.digest}, {e.size} bytes).",
    fact.EvidenceAddendum: lambda e, a: (
        f"{a} added after the seal (addendum {e.number}, {e.envelope}, log index {e.log_index}): "
        f'"{e.text}".'
    ),
    people.OverrideRequested: _override_asked,
    people.OverrideWithdrawn: lambda e, a: f"{a} took the override back: {e.reason}.",
    people.OverrideDeclined: lambda e, a: (
        f"{a} declined the override that {e.asked_by} asked for: {e.reason}."
    ),
    people.OverrideExpired: lambda e, _: (
        f"The override that {e.asked_by} asked for expired: no second person confirmed it."
    ),
    people.OverrideUsed: _override_used,
    people.PauseCauseSeen: lambda e, _: (
        f"What paused {e.step} {'has cleared' if e.cleared else 'still stands'}: {e.reason}."
    ),
    people.ReviewOpened: lambda e, _: (
        f"Review due within {e.due_after_s // 3600} h by somebody other than "
        f"{' and '.join(e.doers)}: {e.what}."
    ),
    people.ReviewClosed: _review_closed,
    step_timed.StepScheduled: _step_scheduled,
    step_timed.StepUnscheduled: lambda e, a: (
        f"{a} took the time of {e.step} away{_because(e.reason)}."
    ),
    step_timed.StepTicked: lambda e, _: f"{e.step} {e.word.value.replace('_', ' ')}: {e.why}.",
    timed.FiringTicked: lambda e, _: f"{e.word.value.replace('_', ' ')}: {e.why}.",
    timed.PreconditionsChecked: _checked,
    AttestationImported: _imported,
    fact.Commented: lambda e, a: f'{a} noted: "{e.text}".',
}
