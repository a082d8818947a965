"""Small answers that the watch needs of a run and its history. Pure."""

from __future__ import annotations

from engine.core.health import Criteria
from engine.core.health_evidence import History
from engine.core.run import Run


def expected_targets(run: Run, step: str) -> tuple[str, ...]:
    """The targets that must run the new bundle; after the deploy, those of its last stage."""
    return run.cohort(step) or (run.cohorts[-1].targets if run.cohorts else ())


def old_version(run: Run, rows: History) -> History:
    """The columns of targets that this run has not changed; rows hold all targets by id."""
    names = sorted(run.request.targets)
    old = {target.target for target in run.targets if not target.changed}
    return [
        [cell for name, cell in zip(names, row, strict=True) if name in old]
        for row in rows
        if len(row) == len(names) and old
    ]


def history_note(used_ms: int, criteria: Criteria, which: str) -> str:
    """For the record: how much history there was, and how much was asked for."""
    asked = f", {criteria.history_ms // 1000} s were asked for"
    return f"{used_ms // 1000} s {which}{asked if used_ms < criteria.history_ms else ''}"
