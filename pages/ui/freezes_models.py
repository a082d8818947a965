"""View-model of the freezes: each window, and when each environment is closed. Pure.

Times are those of whoever looks: a zone comes in as its name and its offsets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.freeze_events import FreezeKind
from engine.core.freeze_rules import weekly_text
from engine.core.freezes import Cause, Closure, Freeze, Span, headline
from engine.core.local_time import OffsetAt, clock_text, day_text, local, weekday
from engine.live_text import plural, span
from pages.ui import words

DAYS: Final = 14
COLUMNS: Final = (
    {"name": "Freeze", "width": "22%"},
    {"name": "Now", "width": "16%"},
    {"name": "Where", "width": "16%"},
    {"name": "Window", "width": "26%"},
    {"name": "Owner", "width": "20%"},
)
CLOSED: Final = (
    {"name": "Environment", "width": "18%"},
    {"name": "Closed from", "width": "22%"},
    {"name": "Until", "width": "22%"},
    {"name": "By", "width": "38%"},
)
EXPLAINED: Final = (
    "Inside of a DENY no promotion starts; where an ALLOW applies, none starts outside of it. A "
    "run under way ends its step and pauses. Rolling back is always possible."
)
EMPTY: Final = "No freeze is set. Promotions may start at any time."
OPEN: Final = "No environment is closed within these days."
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """Of whoever looks at the page."""

    name: str
    offset_at: OffsetAt


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """An environment's row of the calendar."""

    environment: str
    closed: tuple[Closure, ...]


def wall(us: int, zone: Zone) -> str:
    """`Fri 27 Mar, 18:00`, as the clocks there show it."""
    day, second = local(us, zone.offset_at)
    _, month, of_month = day_text(day).split("-")
    date = f"{_WEEKDAYS[weekday(day)]} {int(of_month)} {_MONTHS[int(month) - 1]}"
    return f"{date}, {clock_text(second // 60)}"


def summary(lanes: Sequence[Lane], now_us: int, zone: Zone) -> str:
    """One sentence on what is closed now, and whose time the page shows."""
    shut = [lane.environment for lane in lanes if _now(lane, now_us)]
    if not shut:
        head = f"Nothing is frozen now ({plural(len(lanes), 'environment')})"
    else:
        head = f"Frozen now: {', '.join(shut)} ({len(shut)} of {len(lanes)})"
    return f"{head}. Times are those of {zone.name}."


def _now(lane: Lane, now_us: int) -> bool:
    return any(one.start_us <= now_us < one.end_us for one in lane.closed)


def row(
    freeze: Freeze, covers: Sequence[str], window: Span | None, now_us: int, zone: Zone
) -> dict[str, Any]:
    fact = freeze.fact
    inside = window is not None and window.start_us <= now_us
    bars = inside == (fact.kind is FreezeKind.DENY)
    hotfix = "; hotfixes may pass" if fact.hotfix else ""
    does = f"{freeze.id} · {fact.kind.value}: {headline(freeze)}{hotfix}"
    return {
        "tone": "warn" if bars else "",
        "cells": [
            {"text": fact.name, "sub": does},
            _state(fact.kind, window, now_us, zone, inside=inside),
            {
                "text": ", ".join(covers) or "nowhere",
                "sub": "" if fact.environments or fact.regions else "every environment",
            },
            {"text": _when(freeze, zone), "sub": _bounds(freeze, zone)},
            {"text": fact.owner, "sub": f"{fact.reason} · set by {freeze.by}"},
        ],
    }


def _state(
    kind: FreezeKind, window: Span | None, now_us: int, zone: Zone, *, inside: bool
) -> dict[str, Any]:
    shut = inside == (kind is FreezeKind.DENY)
    look = words.FREEZE["FROZEN" if shut else "OPEN"].document()
    if window is None:
        return {"look": look, "sub": "its time is over; somebody has to end it"}
    if not inside:
        return {
            "look": look,
            "sub": f"next {wall(window.start_us, zone)}, in {span(window.start_us - now_us)}",
        }
    if window.end_us is None:
        return {"look": look, "sub": "until somebody ends it"}
    return {
        "look": look,
        "sub": f"until {wall(window.end_us, zone)}, for {span(window.end_us - now_us)} more",
    }


def _when(freeze: Freeze, zone: Zone) -> str:
    fact = freeze.fact
    if fact.weekly is not None:
        return f"{weekly_text(fact.weekly)} {fact.time_zone}"
    return f"from {wall(fact.from_us, zone)}"


def _bounds(freeze: Freeze, zone: Zone) -> str:
    fact = freeze.fact
    until = "no end" if fact.until_us is None else f"until {wall(fact.until_us, zone)}"
    if fact.weekly is None:
        return until
    return f"every week, {until}"


def closed_rows(lanes: Sequence[Lane], zone: Zone, end_us: int) -> list[dict[str, Any]]:
    """Every closure, environment by environment, in order."""
    found = []
    for lane in lanes:
        for one in lane.closed:
            until = "beyond these days" if one.end_us >= end_us else wall(one.end_us, zone)
            found.append(
                {
                    "cells": [
                        {"text": lane.environment},
                        {"text": wall(one.start_us, zone)},
                        {"text": until, "sub": f"for {span(one.end_us - one.start_us)}"},
                        {"text": names(one.causes), "sub": owners(one.causes)},
                    ]
                }
            )
    return found


def names(causes: Sequence[Cause]) -> str:
    return ", ".join(cause.name for cause in causes)


def owners(causes: Sequence[Cause]) -> str:
    return "; ".join(f"{cause.owner}: {cause.reason}" for cause in causes)


def label(freeze: Freeze) -> str:
    """In the list of what can be ended."""
    return f"{freeze.fact.name} ({freeze.id}, {freeze.fact.kind.value}, owner {freeze.fact.owner})"


def picture_text(lanes: Sequence[Lane], zone: Zone) -> str:
    """The calendar in words."""
    said = [
        f"{lane.environment}: "
        + "; ".join(
            f"closed {wall(one.start_us, zone)} to {wall(one.end_us, zone)} by {names(one.causes)}"
            for one in lane.closed
        )
        for lane in lanes
        if lane.closed
    ]
    return " ".join(said) if said else OPEN


def may_in(refused: Mapping[str, object]) -> tuple[str, ...]:
    """Environments in which this person may set or end a freeze. `refused`: by name, None = may."""
    return tuple(name for name, why_not in refused.items() if why_not is None)
