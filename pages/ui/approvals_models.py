"""View-model of the approvals page: what waits for me, for others, and what I decided. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from engine.approving.inbox import Waiting
from engine.core import approvals
from engine.core.run import Run
from engine.core.statemachine import RunStatus
from engine.live_text import day_time, plural, span
from pages.ui import models, words
from pages.ui.words import Look

MINE: Final = (
    {"name": "Promotion"},
    {"name": "Target"},
    {"name": "Policy verdict", "cls": "nowrap"},
    {"name": "Still missing"},
    {"name": "Waits since", "cls": "nowrap"},
    {"name": "Expires", "cls": "nowrap"},
)
OTHERS: Final = (*MINE, {"name": "Why not you", "cls": "wide"})
DECIDED: Final = (
    {"name": "Promotion"},
    {"name": "Target"},
    {"name": "You"},
    {"name": "When", "cls": "nowrap"},
    {"name": "Run now"},
    {"name": "Your comment", "cls": "wide"},
)
NOTHING_MINE: Final = "Nothing waits for you."
NO_ROLE: Final = (
    "You have no approver role in any environment, so nothing waits for you here. You see what "
    "waits for others."
)
NOTHING_DECIDED: Final = "You have not decided about any promotion yet."


def headline(found: Sequence[Waiting]) -> str:
    """`2 promotions wait for you, 1 waits for others.`"""
    mine = sum(one.mine for one in found)
    others = len(found) - mine
    if not found:
        return "No promotion waits for approval."
    wait = "waits" if mine == 1 else "wait"
    told = f"{plural(mine, 'promotion')} {wait} for you" if mine else "Nothing waits for you"
    return (
        f"{told}, {others} {'waits' if others == 1 else 'wait'} for others."
        if others
        else (f"{told}.")
    )


def menu_label(count: int) -> str:
    return f"Approvals ({count} for you)" if count else "Approvals"


def still_missing(run: Run) -> tuple[str, str]:
    """`1 more of 2`, and from which groups one has to be; both empty when nothing is missing."""
    lacks, least = approvals.lack(run), run.request.approval.min_approvals
    number = f"{lacks.approvals} more of {least}" if lacks.approvals else ""
    return number, f"one from {', one from '.join(lacks.groups)}" if lacks.groups else ""


def waiting_rows(
    found: Iterable[Waiting], now_us: int, *, why: bool = False
) -> list[dict[str, Any]]:
    """Args:
    why: with the sentence that says why it does not wait for this person.
    """
    return [{"cells": [*_waiting(one, now_us), *_why(one, why)]} for one in found]


def _why(one: Waiting, wanted: bool) -> list[dict[str, Any]]:
    return [{"text": one.why_not}] if wanted else []


def _waiting(one: Waiting, now_us: int) -> list[dict[str, Any]]:
    run = one.run
    number, groups = still_missing(run)
    expires = run.approval_expires_us
    return [
        _promotion(run.label, run.run_id, f"requested by {run.requested_by}"),
        {"text": run.environment, "sub": run.request.region},
        _verdict(run),
        {"text": number or groups or "nothing", "sub": groups if number else ""},
        {"text": f"{span(now_us - one.since_us)}", "sub": day_time(one.since_us)},
        {
            "text": "–" if expires is None else f"in {span(expires - now_us)}",
            "sub": "" if expires is None else day_time(expires),
        },
    ]


def _promotion(label: str, run_id: str, sub: str, **more: str) -> dict[str, Any]:
    parameters = {"run": run_id, **more}
    address = "&".join(f"{key}={value}" for key, value in parameters.items())
    return {
        "text": label,
        "sub": f"{run_id}, {sub}",
        "href": f"/approval?{address}",
        "open": json.dumps(["approval", parameters]),
    }


def _verdict(run: Run) -> dict[str, Any]:
    verdict = run.verdict
    if verdict is None:
        return {"text": "–"}
    look = words.VERDICT[(verdict.decision, verdict.warn > 0)]
    text = models.verdict_text(verdict.decision, verdict.warn, verdict.fail, verdict.error)
    return {"look": {**look.document(), "word": text}, "sub": verdict.verdict_id}


def decided_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `queries.decisions_of`; each opens what was shown then, where something was."""
    return [
        {
            "cells": [
                _promotion(
                    f"{row['bundle_name']} {row['bundle_version']}",
                    row["run_id"],
                    "as you saw it" if row["shown"] else "bound to its digests alone",
                    decision=str(row["place"]),
                ),
                {"text": row["environment"], "sub": row["region"]},
                {"look": decision_look(row["decision"], counts=row["counts"]).document()},
                {"text": day_time(row["decided_us"])},
                {"look": words.RUN[RunStatus(row["status"])].document()},
                {"text": row["comment"] or "–"},
            ]
        }
        for row in rows
    ]


def decision_look(decision: str, *, counts: bool) -> Look:
    return words.DECISION[(decision, counts)]
