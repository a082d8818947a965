"""View-model of the environments: what is live, who holds it, who is next, what bars it. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from engine.core import queueing
from engine.core.run import Run
from engine.environments import EnvironmentNow
from engine.live_text import day_time, plural, span
from pages.ui import words

COLUMNS: Final = (
    {"name": "Environment", "width": "13%"},
    {"name": "Live", "width": "21%"},
    {"name": "Held by", "width": "20%"},
    {"name": "Next in line", "width": "17%"},
    {"name": "Freezes", "width": "19%"},
    {"name": "Bundles held", "width": "10%"},
)
EXPLAINED: Final = (
    "One run at a time holds an environment. What is live is told from the log; what each target "
    "really runs is seen by the next run, or by a preview."
)


def summary(found: Sequence[EnvironmentNow]) -> str:
    """One sentence: how many are open, held and frozen."""
    frozen = [one.settings.name for one in found if one.bar is not None]
    held = sum(one.holder is not None for one in found)
    waiting = sum(len(one.queue) for one in found)
    head = f"{plural(len(found), 'environment')}, {held} held by a run, {waiting} waiting in line"
    return f"{head}; frozen now: {', '.join(frozen)}." if frozen else f"{head}; none frozen now."


def rows(found: Sequence[EnvironmentNow], now_us: int) -> list[dict[str, Any]]:
    return [_row(one, now_us) for one in found]


def _row(one: EnvironmentNow, now_us: int) -> dict[str, Any]:
    source = one.settings.promotes_from
    return {
        "tone": "warn" if one.bar is not None or one.left_by is not None else "",
        "cells": [
            {
                "text": one.settings.name,
                "sub": f"{one.settings.region}{f' · from {source}' if source else ''}",
            },
            _live(one, now_us),
            _holder(one, now_us),
            _next(one),
            freeze_cell(one, now_us),
            _holds(one),
        ],
    }


def _link(run: Run, text: str) -> dict[str, Any]:
    return {
        "text": text,
        "href": f"/run?run={run.run_id}",
        "open": json.dumps(["run", {"run": run.run_id}]),
    }


def _live(one: EnvironmentNow, now_us: int) -> dict[str, Any]:
    run = one.live
    if run is None:
        return {"text": "–", "sub": "nothing was brought here by a run yet"}
    since = "" if run.ended_us is None else f"{_since(run.ended_us, now_us)} · "
    told = f"{run.bundle.short} · {since}by {run.requested_by} ({run.run_id})"
    if one.left_by is not None:
        told = f"Not everywhere: {one.left_by.run_id} ended and left targets changed. {told}"
    return {**_link(run, run.label), "sub": told}


def _holder(one: EnvironmentNow, now_us: int) -> dict[str, Any]:
    run = one.holder
    if run is None or run.started_us is None:
        return {"text": "free"}
    step = run.current_step
    at = f" at {step.spec.name}" if step is not None and not run.terminal else ""
    told = f"{run.label}{at} · {_since(run.started_us, now_us)} · by {run.requested_by}"
    return {**_link(run, run.run_id), "look": words.RUN[run.status].document(), "sub": told}


def _next(one: EnvironmentNow) -> dict[str, Any]:
    if not one.queue:
        return {"text": "nobody"}
    first, more = one.queue[0], len(one.queue) - 1
    kind = "" if first.request.kind == "PROMOTE" else f"{first.request.kind} · "
    others = f" · {more} more behind it" if more else ""
    # A run that holds it and a freeze stand in columns of their own.
    why = "" if first.barred is not None else queueing.waits_for(first)
    told = f"{kind}by {first.requested_by}{others}{f'. {why}' if why else ''}"
    return {**_link(first, f"{first.run_id} · {first.label}"), "sub": told}


def freeze_cell(one: EnvironmentNow, now_us: int) -> dict[str, Any]:
    """Frozen or open, by what, and when that changes next."""
    if one.bar is None:
        told = "no window to come"
        if one.closes_us is not None:
            told = f"closes {day_time(one.closes_us)}, in {span(one.closes_us - now_us)}"
        return {"look": words.FREEZE["OPEN"].document(), "sub": told}
    by = ", ".join(f"{cause.name} ({cause.owner})" for cause in one.bar.causes)
    until = one.bar.until_us
    opens = (
        "opens when somebody ends it"
        if until is None
        else f"opens {day_time(until)}, in {span(until - now_us)}"
    )
    return {
        "look": words.FREEZE["FROZEN"].document(),
        "sub": f"{by} · {opens}",
        "title": "; ".join(cause.reason for cause in one.bar.causes),
    }


def _holds(one: EnvironmentNow) -> dict[str, Any]:
    if not one.holds:
        return {"text": "none"}
    first = one.holds[0]
    named = ", ".join(hold.label for hold in one.holds)
    return {
        "text": plural(len(one.holds), "bundle"),
        "href": f"/run?run={first.run}",
        "open": json.dumps(["run", {"run": first.run}]),
        "sub": named,
    }


def _since(us: int, now_us: int) -> str:
    return f"since {day_time(us)} ({span(max(0, now_us - us))})"
