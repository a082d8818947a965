"""Small answers that the watch needs of a run and its history. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core import ticks
from engine.core.health import Criteria, Gate
from engine.core.health_evidence import History
from engine.core.jcs import JsonValue
from engine.core.metrics import Reading
from engine.core.rows import GateTick
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


def evidence_document(
    run: Run,
    gate: Gate,
    rows: Sequence[GateTick],
    *,
    poll_ms: int,
    cohort: Sequence[str],
    source: str,
    reading: Reading,
) -> dict[str, JsonValue]:
    """What a changed answer of the gate rests on, the newest of `rows` being its tick."""
    return {
        "schema": "releaseline.gate-evidence/1",
        "run": run.run_id,
        "environment": run.environment,
        "bundle": str(run.bundle),
        "step": rows[-1].step,
        "attempt": rows[-1].attempt,
        "speed": run.request.speed,
        "poll_ms": poll_ms,
        "cohort": list(cohort),
        "criteria_sentence": gate.criteria.sentence(),
        "decision": gate.evidence,
        "query": {"source": source, "text": reading.query, "at_us": reading.at_us},
        "history_note": ticks.decode(rows[0].tick).get("history_note", ""),
        "series": {"rows": len(rows), "digest": str(ticks.series_digest(rows))},
    }
