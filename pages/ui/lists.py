"""View-model of the promotions list: which runs are shown, by which words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.core.statemachine import TERMINAL, RunStatus
from engine.live_text import plural
from pages.ui import models

ALL: Final = "All"
ANY: Final = "Any environment"
_NEEDS_A_PERSON: Final = frozenset(
    {RunStatus.AWAITING_APPROVAL, RunStatus.PAUSED, RunStatus.ROLLBACK_FAILED}
)
# A filter is a question that somebody has, not a status word.
GROUPS: Final[Mapping[str, frozenset[RunStatus]]] = {
    ALL: frozenset(RunStatus),
    "In progress": frozenset(RunStatus) - TERMINAL,
    "Needs a person": _NEEDS_A_PERSON,
    "Succeeded": frozenset({RunStatus.SUCCEEDED}),
    "Rolled back": frozenset({RunStatus.ROLLED_BACK}),
    "Did not ship": TERMINAL - {RunStatus.SUCCEEDED, RunStatus.ROLLED_BACK},
}


def matching(rows: Sequence[Mapping[str, Any]], *, group: str, text: str) -> list[dict[str, Any]]:
    """The rows of `queries.runs_list` that match, as the list draws them."""
    wanted = GROUPS.get(group, GROUPS[ALL])
    needle = text.strip().lower()
    return models.list_rows(
        [row for row in rows if RunStatus(row["status"]) in wanted and _has(row, needle)]
    )


def _has(row: Mapping[str, Any], needle: str) -> bool:
    fields = ("run_id", "bundle_name", "bundle_version", "bundle", "requested_by", "environment")
    return not needle or needle in " ".join(str(row[field]) for field in fields).lower()


def newest_open(rows: Sequence[Mapping[str, Any]]) -> str:
    """The run whose stream the list follows; empty when every one has ended."""
    return next((str(row["id"]) for row in rows if row["ended"] is None), "")


def shape(rows: Sequence[Mapping[str, Any]]) -> str:
    return "|".join(f"{row['id']}:{row['status']}:{row['rail']}" for row in rows)


def empty_text(nothing_at_all: bool) -> str:
    if nothing_at_all:
        return "No promotion yet. Ask for one with `releaseline promote --bundle … --to …`."
    return "No promotion matches these filters."


def count_text(shown: int, known: int) -> str:
    return f"{shown} of {plural(known, 'promotion')}, newest first"
