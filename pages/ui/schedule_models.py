"""View-models of scheduling: what may be chosen, what comes of it, what became of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.core import preconditions
from engine.core.firings import Firing
from engine.core.forecast import DAYS_MIN, Forecast
from engine.core.local_time import OffsetAt, clock_text, day_text, local, minute_of
from engine.core.preconditions import (
    DEBT,
    FEEDS,
    INTEGRATIONS,
    KINDS,
    ON_CALL,
    ROLLBACK,
    SCANS,
    SOAKED,
    TITLES,
    Mode,
    Precondition,
    Row,
    State,
)
from engine.core.schedules import Schedule
from engine.core.spans import limit_text
from engine.live_text import day_time, plural, span
from pages.ui import words

_US: Final = 1_000_000
ONCE, DAILY, WEEKLY, OTHER = "Once", "Every day", "Every week", "Other (RRULE)"
REPEATS: Final = (ONCE, DAILY, WEEKLY, OTHER)
WINDOWS: Final[Mapping[str, int]] = {
    limit_text(s): s for s in (900, 1_800, 3_600, 7_200, 14_400, 28_800)
}
LIMITS: Final[Mapping[str, int]] = {
    limit_text(s): s for s in (900, 3_600, 7_200, 21_600, 43_200, 86_400, 259_200)
}
# What the form begins with; everything else is OFF.
DEFAULTS: Final[Mapping[str, tuple[Mode, int]]] = {
    FEEDS: (Mode.ENFORCE, 3_600),
    SCANS: (Mode.ENFORCE, 0),
    INTEGRATIONS: (Mode.WARN, 0),
    SOAKED: (Mode.OFF, 86_400),
}
ASKS: Final[Mapping[str, str]] = {
    FEEDS: "Every feed that the policy rests on is younger than this.",
    SCANS: "The SBOMs that matter here are matched against the newest feeds.",
    INTEGRATIONS: "Every server that the environment depends on works.",
    SOAKED: "The environment before has run this bundle for at least this long.",
    DEBT: "Nobody owes a review of an override there.",
    ROLLBACK: "Every target answers, and holds what it would go back to.",
    ON_CALL: "A server under integrations says that somebody is on call.",
}
ALWAYS: Final = (
    "Always asked: you may still promote there, the bundle is not held, no freeze is in force, the "
    "environment does not burn its error budget, and no other run has it."
)
EXPLAINED: Final = (
    "The run is there at once and waits. It starts inside its window as soon as everything that is "
    "enforced holds; if that never happens it EXPIRES, and nothing is deployed."
)
PREVIEW: Final = (
    {"name": "Day", "width": "16%"},
    {"name": "Opens", "width": "22%"},
    {"name": "Closes", "width": "22%"},
    {"name": "What clocks do", "width": "40%"},
)
NOW: Final = (
    {"name": "Precondition", "width": "26%"},
    {"name": "Now", "width": "18%"},
    {"name": "Found", "width": "36%"},
    {"name": "Asked for", "width": "20%"},
)
TICKS: Final = (
    {"name": "When", "width": "17%"},
    {"name": "Tick", "width": "14%"},
    {"name": "Why", "width": "31%"},
    {"name": "Late", "width": "9%"},
    {"name": "Schedule or step", "width": "17%"},
    {"name": "Run", "width": "12%"},
)
NO_SUCH_TICKS: Final = "No tick is as you ask."
NO_TICKS: Final = "Nothing has fired yet. What becomes of each firing is told here, row by row."


def rule_of(repeat: str, weekdays: Sequence[str], text: str) -> str:
    """The RRULE that the form stands for; empty for once."""
    match repeat:
        case "Every day":
            return "FREQ=DAILY"
        case "Every week":
            return f"FREQ=WEEKLY;BYDAY={','.join(weekdays)}" if weekdays else "FREQ=WEEKLY"
        case "Other (RRULE)":
            return text.strip()
        case _:
            return ""


def wanted(modes: Mapping[str, str], limits: Mapping[str, int]) -> tuple[Precondition, ...]:
    """What the form asks for, in the order of `KINDS`."""
    found = []
    for name, kind in KINDS.items():
        mode = Mode(modes.get(name, Mode.OFF))
        limited = kind.limited and mode is not Mode.OFF
        limit_s = limits.get(name, 0) if limited else 0
        found.append(Precondition(name=name, mode=mode, limit_s=limit_s))
    return tuple(found)


def moment(us: int, zone: str, offset_at: OffsetAt) -> dict[str, str]:
    """A moment by the clocks of its zone, with UTC below."""
    day, second = local(us, offset_at)
    return {"text": f"{day_text(day)} {clock_text(second // 60)}", "sub": _below(us, zone)}


def _below(us: int, zone: str) -> str:
    return zone if zone == "UTC" else f"{zone} · {day_time(us).replace(':00 UTC', ' UTC')}"


def preview(found: Sequence[Firing], zone: str, offset_at: OffsetAt) -> list[dict[str, Any]]:
    return [
        {
            "tone": "warn" if one.note else "",
            "cells": [
                {"text": one.date},
                moment(one.start_us, zone, offset_at),
                moment(one.end_us, zone, offset_at),
                {"text": one.note or "nothing"},
            ],
        }
        for one in found
    ]


def countdown(found: Sequence[Firing], now_us: int) -> str:
    """When the next window opens, or closes where it is open."""
    if not found:
        return "It fires no more."
    first = found[0]
    if now_us < first.start_us:
        return f"Next window opens in {span(first.start_us - now_us)}."
    if now_us < first.end_us:
        return f"The window is open and closes in {span(first.end_us - now_us)}."
    return "The window has closed."


def forecast(one: Forecast | None, time: str) -> str:
    """What past days say of a precondition, in one sentence."""
    if one is None:
        return "No history is kept of this."
    if not one.enough:
        return f"Not enough history: {one.days} of {DAYS_MIN} days."
    told = f"Held at {time} on {one.share_percent} % of the last {one.days} days"
    if one.usual_s is None:
        return f"{told}; on none of them within a day."
    if one.usual_s == 0:
        return f"{told}; the usual start is at the opening."
    usual = (minute_of(time, where="time") + one.usual_s // 60) % 1_440
    share = 100 * one.in_window // one.days
    told = f"{told}, and within the window on {share} %"
    return f"{told}; next feasible start {clock_text(usual)}."


def verdict(checked: Sequence[Row]) -> str:
    """Whether it could start now, in one sentence."""
    lacks = preconditions.unmet(checked)
    return f"It could not start now: {'; '.join(lacks)}." if lacks else "It could start now."


def now_rows(
    checked: Sequence[Row], known: Mapping[str, Forecast] = {}, time: str = ""
) -> list[dict[str, Any]]:
    """Every precondition as it is now, what keeps it from starting first.

    Args:
        known: what past days say of some of them, at this wall time.
    """
    ordered = sorted(checked, key=_order)
    return [
        _now_row(row, forecast(known[row.name], time) if row.name in known else "")
        for row in ordered
    ]


def _order(row: Row) -> int:
    if row.mode is Mode.OFF:
        return 3
    return 2 if row.state is State.MET else int(row.mode is Mode.WARN)


def _now_row(row: Row, past: str) -> dict[str, Any]:
    warns = row.mode is Mode.WARN and row.state is not State.MET
    look = words.PRECONDITION["WARNS" if warns else row.state.value]
    return {
        "tone": look.tone if look.tone in {"err", "warn"} else "",
        "cells": [
            {"text": TITLES.get(row.name, row.name), "sub": row.mode.value.lower()},
            {"look": look.document()},
            {"text": row.value, "sub": past} if past else {"text": row.value},
            {"text": row.threshold},
        ],
    }


def tick_rows(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `queries.scheduler_ticks`."""
    return [_tick_row(one) for one in found]


def _tick_row(one: Mapping[str, Any]) -> dict[str, Any]:
    look = words.FIRING[one["word"]]
    run, step = one["run"], one["step"]
    of = link(one["schedule"], "schedule", {"schedule": one["schedule"]})
    sub = f"{one['firing']} · {one['label']} to {one['environment']}"
    if step:
        of = link(step, "step", {"run": run, "step": step})
        sub = f"step · {one['label']} to {one['environment']}"
    shown = {"sub": "none"} if not run else link(run, "run", {"run": run})
    return {
        "tone": look.tone if look.tone in {"err", "warn"} else "",
        "cells": [
            {"text": day_time(one["ts_us"])},
            {"look": look.document()},
            {"text": one["why"]},
            {"text": span(one["late_ms"] * 1000) if one["late_ms"] else "–"},
            of | {"sub": sub},
            shown,
        ],
    }


def active_text(count: int) -> str:
    return f"{plural(count, 'schedule')} active." if count else "Nothing is scheduled."


def link(text: str, page: str, parameters: Mapping[str, str]) -> dict[str, str]:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return {
        "text": text,
        "href": f"/{page}?{query}",
        "open": json.dumps([page, dict(parameters)]),
    }


def facts(one: Schedule, said: str) -> list[tuple[str, str]]:
    """Everything about a schedule, as label and text."""
    made = one.made
    found = [
        ("Bundle", f"{made.bundle_name} {made.bundle_version} to {one.environment}"),
        ("When", said),
        ("By", f"{one.created_by}, {day_time(one.created_us)}"),
    ]
    if made.reason:
        found.append(("Why", made.reason))
    if one.cancelled_by:
        found.append(("Cancelled", f"by {one.cancelled_by}: {one.cancelled_why}"))
    return found
