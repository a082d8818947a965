"""What happened while a stage was watched, as marks on its charts: when, what, who, why. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from engine.core import fact_events as fact
from engine.core import people_events as people
from engine.core import run_events as moved
from engine.core import step_events as stepped
from engine.core.events import Recorded
from engine.live_stage_course import Course
from engine.live_text import clock, plural


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Attributes:
    kind: a key of `pages.ui.charts.MARKS`, which gives its sign and colour.
    head: in a few words; `text`: who and why.
    at_us: where it is drawn: what happened long before stands in a row at the left edge.
    """

    ts_us: int
    kind: str
    head: str
    text: str
    at_us: int

    @property
    def early(self) -> bool:
        return self.at_us != self.ts_us


# What a stage rests on is shown though it happened before; of other old things there are too many.
_BEFORE: Final = frozenset({"approval", "applied"})
# Marks at the left edge stand this part of the whole span apart.
_EDGE_PART: Final = 40
_DECISIONS: Final = {
    "promote": "promote",
    "rollback": "rollback",
    "pause": "pause",
    "hold": "decision",
    "continue": "decision",
}


def marks(log: Iterable[Recorded], course: Course) -> tuple[Mark, ...]:
    """Oldest first.

    Args:
        log: the run's whole log, oldest first.
    """
    poll_us = course.poll_ms * 1000
    since_us, until_us = course.points[0].ts_us - poll_us, course.last.ts_us + 2 * poll_us
    first, last = course.attempts
    early: list[Mark] = []
    found: list[Mark] = []
    for recorded in log:
        mark = _mark(recorded, course.step, first, last)
        if mark is None or mark.ts_us > until_us:
            continue
        if mark.ts_us >= since_us:
            found.append(mark)
        elif mark.kind in _BEFORE:
            early.append(mark)
    step_us = max(1, (course.last.ts_us - since_us) // _EDGE_PART)
    found += [
        replace(mark, at_us=since_us - place * step_us)
        for place, mark in enumerate(reversed(early), 1)
    ]
    found += [
        Mark(
            ts_us=restart.ts_us,
            kind="restart",
            head=f"clock began again after {clock(restart.lost_ms)}",
            text=restart.reason,
            at_us=restart.ts_us,
        )
        for restart in course.restarts
    ]
    return tuple(sorted(found, key=lambda mark: mark.at_us))


def _mark(recorded: Recorded, step: str, first: int, last: int) -> Mark | None:
    event, who, at = recorded.event, recorded.actor, recorded.ts_us

    def mark(kind: str, head: str, text: str = "") -> Mark:
        return Mark(ts_us=at, kind=kind, head=head, text=text, at_us=at)

    match event:
        case fact.ApprovalApproved():
            return mark("approval", f"approved by {who}", event.comment)
        case fact.StageApplied() if event.step == step and first <= event.attempt <= last:
            return mark("applied", "stage applied", f"{plural(event.changed, 'target')} changed")
        case fact.GateDecided() if event.step == step and first <= event.attempt <= last:
            kind = _DECISIONS.get(event.action, "decision")
            return mark(kind, f"gate: {event.action}, rule {event.rule}", event.reason)
        case moved.RunPaused():
            return mark("pause", f"paused by {who}", event.reason)
        case moved.RunResumed() if event.via not in {"quorum_met", "binding_changed"}:
            return mark("resume", f"went on, by {who}", event.reason)
        case moved.RunContinued() if event.step == step:
            return mark("resume", f"continued by {who}", event.reason)
        case people.OverrideUsed() if event.step == step:
            both = f"{event.asked_by} and {event.confirmed_by}"
            return mark("override", f"{event.action} by an override of {both}", event.reason)
        case moved.RollbackStarted():
            return mark("rollback", f"rollback began, by {who}", event.reason)
        case stepped.StepRetryScheduled() if event.step == step:
            return mark("decision", "will be tried again", event.reason)
        case _:
            return None
