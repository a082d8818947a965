"""View-model of the orchestrator: what is worked on, who waits for whom, which jobs run. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from engine.live_text import day_time, plural, span
from engine.orchestrator import FAILED, STUCK, JobRow, OrchestratorNow, PlaceRow, RunRow
from pages.ui import words

EXPLAINED: Final = (
    "What the engine works on at this moment. A run that nobody looks at for 10 minutes, or an "
    "effect that takes as long, is called stuck."
)
NO_RUNS: Final = "No run is open."
RUNS: Final = (
    {"name": "Run", "width": "22%"},
    {"name": "Status", "width": "17%"},
    {"name": "Step", "width": "22%"},
    {"name": "Since", "width": "17%"},
    {"name": "Engine", "width": "22%"},
)
PLACES: Final = (
    {"name": "Environment", "width": "25%"},
    {"name": "Holds it", "width": "25%"},
    {"name": "Next in line", "width": "50%"},
)
JOBS: Final = (
    {"name": "Job", "width": "20%"},
    {"name": "State", "width": "14%"},
    {"name": "Last run", "width": "19%"},
    {"name": "Next run", "width": "15%"},
    {"name": "What came of it", "width": "32%"},
)
# What the engine's own chores are for.
_CHORES: Final = {
    "retention": "takes old raw samples away",
    "last used": "keeps when sessions were last used",
    "integrations": "looks at every server",
    "audit trail": "checks the record once a day",
    "rescans": "begins a rescan when one is due",
    "vitals": "measures sizes and queues",
    "feed syncs": "syncs feeds when it is time to",
    "firings": "starts what is scheduled",
    "lost alarms": "finds schedules that nobody woke",
}
_JOB_PAGES: Final = {
    "feed": ("feeds", {}),
    "rescan": ("feeds", {"job": "rescans"}),
    "replay": ("replay", {}),
}


def summary(now: OrchestratorNow) -> str:
    """Threads, queue, and what needs somebody, in one line."""
    health = now.health
    waiting = max(0, health.busy - len(health.working))
    parts = [
        f"{len(health.working)} of {plural(health.threads, 'thread')} busy",
        f"{plural(waiting, 'run')} waiting for one",
        f"{plural(len(now.runs), 'open run')}",
    ]
    if not health.running:
        parts.insert(0, "The engine is not stepping")
    return ", ".join(parts) + "."


def trouble(now: OrchestratorNow) -> str:
    """What is stopped or stuck, by name; empty when nothing is."""
    parts = []
    if now.stopped:
        names = ", ".join(one.run_id for one in now.stopped)
        parts.append(f"Stopped by a defect: {names}.")
    if now.stuck:
        parts.append(f"Stuck: {', '.join(now.stuck)}.")
    return " ".join(parts)


def runs(now: OrchestratorNow, now_us: int) -> list[dict[str, Any]]:
    return [_run(one, now_us) for one in now.runs]


def _run(one: RunRow, now_us: int) -> dict[str, Any]:
    step: dict[str, Any] = {"text": "–", "sub": "not begun"}
    if one.step:
        attempt = f"attempt {one.attempt}" if one.attempt else "not begun"
        step = {
            "text": one.step_name,
            "sub": attempt,
            "href": f"/step?run={one.run_id}&step={one.step}",
            "open": json.dumps(["step", {"run": one.run_id, "step": one.step}]),
        }
    bad = one.defect or one.stuck
    return {
        "tone": "err" if bad else "",
        "cells": [
            {
                "text": one.run_id,
                "sub": f"{one.label} to {one.environment}",
                "href": f"/run?run={one.run_id}",
                "open": json.dumps(["run", {"run": one.run_id}]),
            },
            {"look": words.RUN[one.status].document()},
            step,
            {"text": f"for {span(max(0, now_us - one.since_us))}", "sub": day_time(one.since_us)},
            {"text": "stopped" if one.defect else one.serving, "sub": bad},
        ],
    }


def places(rows: Sequence[PlaceRow]) -> list[dict[str, Any]]:
    return [
        {
            "tone": "",
            "cells": [
                {"text": one.environment},
                _run_cell(one.holder) if one.holder else {"sub": "nobody"},
                {"text": ", ".join(one.queued)} if one.queued else {"sub": "nobody"},
            ],
        }
        for one in rows
    ]


def _run_cell(run_id: str) -> dict[str, Any]:
    return {
        "text": run_id,
        "href": f"/run?run={run_id}",
        "open": json.dumps(["run", {"run": run_id}]),
    }


def jobs(rows: Sequence[JobRow], now_us: int) -> list[dict[str, Any]]:
    return [_job(one, now_us) for one in rows]


def _job(one: JobRow, now_us: int) -> dict[str, Any]:
    look = words.JOB[one.word]
    name: dict[str, Any] = {"text": one.name, "sub": _CHORES.get(one.name, "")}
    if one.kind in _JOB_PAGES:
        page, parameters = _JOB_PAGES[one.kind]
        query = "".join(f"?{key}={value}" for key, value in parameters.items())
        name |= {"href": f"/{page}{query}", "open": json.dumps([page, parameters])}
    took = "" if one.took_ms is None else f"took {span(one.took_ms * 1000)}"
    last: dict[str, Any] = {"text": "never", "sub": ""}
    if one.last_us is not None:
        last = {"text": f"{span(max(0, now_us - one.last_us))} ago", "sub": took}
    following: dict[str, Any] = {"sub": "when it is asked for"}
    if one.next_us is not None:
        following = {"text": f"in {span(max(0, one.next_us - now_us))}"}
    return {
        "tone": "err" if one.word in {FAILED, STUCK} else "",
        "cells": [name, {"look": look.document()}, last, following, {"text": one.text}],
    }
