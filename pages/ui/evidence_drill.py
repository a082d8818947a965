"""View-model of the drill page: the result as rows, the odd ones first and loud. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from engine.core.run import Run
from pages.ui.drill_models import CAUGHT, DrillGroup, DrillRow, DrillView

COLUMNS: Final = (
    {"name": "What was broken", "width": "38%"},
    {"name": "Result"},
    {"name": "Caught by", "width": "25%"},
    {"name": "Why"},
)
_HEX: Final = re.compile(r"[0-9a-f]{40,64}", re.ASCII)
EMPTY: Final = "No run has a pack yet. A drill is made on the audit pack of a sealed run."


def rows(group: DrillGroup) -> list[dict[str, Any]]:
    """What was not caught comes first."""
    return [_row(row) for row in sorted(group.rows, key=lambda row: row.look is CAUGHT)]


def _row(row: DrillRow) -> dict[str, Any]:
    caught = row.look is CAUGHT
    more = f" {row.more}" if row.more else ""
    return {
        "tone": "" if caught else row.look.tone,
        "cells": [
            {"text": row.name, "sub": f"{row.what} {row.note}".strip()},
            {"look": row.look.document()},
            {
                "text": row.check or "no check saw it",
                "mono": caught,
                "sub": f"{_file(row.file)}{more}" if caught else "this copy was accepted",
            },
            {"text": _why("expected", row.expected), "sub": _why("found", row.found)},
        ],
    }


def _file(path: str) -> str:
    """The last two parts of it: enough to know which one is meant."""
    return "/".join(path.split("/")[-2:])


def _why(word: str, text: str) -> str:
    """`expected …`, with whole digests shortened as everywhere."""
    return f"{word} {_HEX.sub(lambda digest: f'{digest[0][:12]}…', text)}" if text else ""


def opened(view: DrillView, number: int) -> bool:
    """The first group is open, and every one with something that was not caught."""
    return number == 0 or any(row.look is not CAUGHT for row in view.groups[number].rows)


def missed(view: DrillView) -> tuple[str, ...]:
    """Cases that no check saw, by what was done; empty when all is well."""
    return tuple(
        f"{row.name}: {row.what}"
        for group in view.groups
        for row in group.rows
        if row.look is not CAUGHT
    )


def pack_text(run: Run) -> str:
    """Which pack a drill of this run is made on, said before it is made."""
    if run.seal_status == "SEALED":
        return "It is made on the run's audit pack, as the seal made it."
    return "The run is not sealed: it is made on the newest partial pack that somebody exported."
