"""What pages and the API ask, one function per question; the SQL lies in `sql/queries`.

The header of each file is its contract: what it takes and returns, units and order. Nothing here
writes. A cursor is used for one call (`Store.cursor()`).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl

from data.arms import with_arms

FOLDER: Final = Path(__file__).parent / "sql" / "queries"
KINDS: Final = {
    "VARCHAR": pl.String, "INTEGER": pl.Int32, "BIGINT": pl.Int64, "BOOLEAN": pl.Boolean,
}  # fmt: skip
SQL: Final = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.sql"))}


def columns(sql: str) -> list[tuple[str, str]]:
    """(column, type) of a query's contract, as its header promises them."""
    header = "\n".join(line[2:].strip() for line in sql.splitlines() if line.startswith("--"))
    match = re.search(r"returns: (.*?)\n(?:units|order):", header, re.DOTALL)
    assert match is not None, "the header names no columns"
    parts = re.split(r",\s*(?![^(]*\))", " ".join(match[1].split()))
    return [(name, kind) for name, _, kind in (part.partition(" ") for part in parts)]


# Columns of `runs_list`, in the words of a query's header. _us = UTC epoch microseconds; words that
# do not apply are ''.
RUNS: Final = """
-- returns: number INTEGER, run_id VARCHAR, kind VARCHAR, status VARCHAR, outcome VARCHAR,
-- outcome_reason VARCHAR, failure_class VARCHAR, bundle VARCHAR, bundle_name VARCHAR,
-- bundle_version VARCHAR, environment VARCHAR, region VARCHAR, promotes_from VARCHAR, workflow
-- VARCHAR, requested_by VARCHAR, requested_us BIGINT, started_by VARCHAR, started_us BIGINT,
-- updated_us BIGINT, ended_us BIGINT, window_start_us BIGINT, window_end_us BIGINT,
-- current_step VARCHAR, current_step_name VARCHAR, current_step_status VARCHAR,
-- current_step_summary VARCHAR, steps_done INTEGER, steps_total INTEGER, verdict_id VARCHAR,
-- verdict VARCHAR, verdict_warn INTEGER, verdict_fail INTEGER, verdict_error BOOLEAN,
-- approvals_given INTEGER, approvals_required INTEGER, targets_changed INTEGER, targets_total
-- INTEGER, pause_reason VARCHAR, pause_note VARCHAR, paused_us BIGINT, rollback_reason
-- VARCHAR, rollback_ticket VARCHAR, rollback_trigger VARCHAR, seal_status VARCHAR,
-- evidence_count INTEGER, superseded_by VARCHAR, rerun_of VARCHAR, rolls_back VARCHAR, reason
-- VARCHAR, ticket VARCHAR, speed INTEGER, version INTEGER
-- units:
"""
_RUNS: Final = {name: KINDS[kind] for name, kind in columns(RUNS)}


def runs_rows(
    cursor: duckdb.DuckDBPyConnection,
    *,
    environment: str = "",
    status: str = "",
    limit: int = 50,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """Runs, the newest first; members as in `RUNS`.

    Args:
        before: a run number: the page behind it.
    """
    asked = {"environment": environment, "status": status, "limit": limit, "before": before}
    found = cursor.execute(SQL["runs_list"], asked).fetchall()
    rows = []
    for number, place, state, body in found:
        row = json.loads(body) | {"number": number, "environment": place, "status": state}
        rows.append({name: row.get(name) for name in _RUNS})
    return rows


def runs_list(
    cursor: duckdb.DuckDBPyConnection,
    *,
    environment: str = "",
    status: str = "",
    limit: int = 50,
    before: int | None = None,
) -> pl.DataFrame:
    """`runs_rows` as a table."""
    rows = runs_rows(cursor, environment=environment, status=status, limit=limit, before=before)
    return pl.DataFrame(rows, schema=_RUNS)


def watched_runs(
    cursor: duckdb.DuckDBPyConnection, *, environment: str = "", limit: int = 50
) -> pl.DataFrame:
    """Runs that a health gate has judged, the newest first."""
    return _read(cursor, "watched_runs", environment=environment, limit=limit)


def bundles_list(cursor: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    return _read(cursor, "bundles_list")


def verdict(cursor: duckdb.DuckDBPyConnection, *, verdict_id: str) -> pl.DataFrame:
    """At most one row."""
    return _read(cursor, "verdict", verdict_id=verdict_id)


def step_logs(
    cursor: duckdb.DuckDBPyConnection,
    *,
    run_id: str,
    step: str,
    attempt: int,
    limit: int = 10_000,
) -> pl.DataFrame:
    """The newest `limit` lines, oldest first."""
    return _read(cursor, "step_logs", run_id=run_id, step=step, attempt=attempt, limit=limit)


def logs_as_text(frame: pl.DataFrame) -> str:
    """Lines of `step_logs` for people and downloads; times are UTC."""
    lines = []
    for row in frame.iter_rows(named=True):
        moment = datetime.fromtimestamp(row["ts_us"] / 1_000_000, UTC)
        target = f" {row['target']}:" if row["target"] else ""
        stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{row['ts_us'] % 1_000_000 // 1000:03d}Z"
        lines.append(f"{stamp} {row['level']:<5}{target} {row['text']}\n")
    return "".join(lines)


def stage_samples(cursor: duckdb.DuckDBPyConnection, *, run_id: str, step: str) -> pl.DataFrame:
    """Per poll a row for each arm (`target` is empty) and one for each target, the arm first.

    Raw rows, gone when they are older than the home keeps them: `stage_minutes` then still answers.
    """
    return with_arms(_read(cursor, "stage_samples", run_id=run_id, step=step))


def stage_p95(cursor: duckdb.DuckDBPyConnection, *, run_id: str, step: str) -> pl.DataFrame:
    """Per poll and arm the slowest target's p95: all that a stage's chart wants of the samples."""
    rows = _read(cursor, "stage_p95", run_id=run_id, step=step)
    return rows.group_by("ts_us", "arm").agg(pl.col("p95_ms").max()).sort("ts_us", "arm")


def stage_minutes(cursor: duckdb.DuckDBPyConnection, *, run_id: str, step: str) -> pl.DataFrame:
    """Like `stage_samples`, with a minute for each poll; of attempts that have ended."""
    return with_arms(_read(cursor, "stage_minutes", run_id=run_id, step=step))


def stage_kept(
    cursor: duckdb.DuckDBPyConnection, *, run_id: str, step: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`stage_samples`, and `stage_minutes` of those attempts whose single polls are gone."""
    polls = stage_samples(cursor, run_id=run_id, step=step)
    minutes = stage_minutes(cursor, run_id=run_id, step=step)
    return polls, minutes.join(polls.select("attempt").unique(), on="attempt", how="anti")


def stage_ticks(cursor: duckdb.DuckDBPyConnection, *, run_id: str, step: str) -> pl.DataFrame:
    return _read(cursor, "stage_ticks", run_id=run_id, step=step)


def run_evidence(cursor: duckdb.DuckDBPyConnection, *, run_id: str) -> pl.DataFrame:
    return _read(cursor, "run_evidence", run_id=run_id)


def evidence_items(
    cursor: duckdb.DuckDBPyConnection, *, run_id: str = "", limit: int = 2_000
) -> pl.DataFrame:
    """What was signed, newest first, of one run or of all."""
    return _read(cursor, "evidence_items", run_id=run_id, limit=limit)


def imported_items(
    cursor: duckdb.DuckDBPyConnection, *, run_id: str = "", limit: int = 2_000
) -> pl.DataFrame:
    """Attestations that others made, newest first, of one run or of all."""
    return _read(cursor, "imported_items", run_id=run_id, limit=limit)


def exports(cursor: duckdb.DuckDBPyConnection, *, limit: int = 1_000) -> pl.DataFrame:
    """Packs handed out, and packs that seals made; newest first."""
    return _read(cursor, "exports", limit=limit)


def digest_uses(cursor: duckdb.DuckDBPyConnection, *, hex: str, limit: int = 50) -> pl.DataFrame:
    """Events that name a SHA-256, oldest first."""
    return _read(cursor, "digest_uses", hex=hex, limit=limit)


def run_events(cursor: duckdb.DuckDBPyConnection, *, run_id: str) -> pl.DataFrame:
    return _read(cursor, "run_events", run_id=run_id)


def targets_of(cursor: duckdb.DuckDBPyConnection, *, run_id: str) -> pl.DataFrame:
    return _read(cursor, "targets_of", run_id=run_id)


def reviews(cursor: duckdb.DuckDBPyConnection, *, open_only: bool) -> pl.DataFrame:
    """What people look at after a rollback or an override; the one that is due first, first."""
    return _read(cursor, "reviews", open_only=open_only)


def scheduler_ticks(
    cursor: duckdb.DuckDBPyConnection,
    *,
    schedule: str = "",
    run: str = "",
    word: str = "",
    limit: int = 100,
    before: int | None = None,
) -> pl.DataFrame:
    """What became of firings and of steps' times, the newest first.

    Args:
        schedule, run: of this one only.
        before: a gseq, the page behind it.
    """
    return _read(
        cursor,
        "scheduler_ticks",
        schedule=schedule,
        run=run,
        word=word,
        limit=limit,
        before=before,
    )


def command(cursor: duckdb.DuckDBPyConnection, *, command_id: str) -> pl.DataFrame:
    """At most one row."""
    return _read(cursor, "command", command_id=command_id)


def deliveries(
    cursor: duckdb.DuckDBPyConnection,
    *,
    hook: str = "",
    outcome: str = "",
    dead: bool = False,
    limit: int = 100,
    before: int | None = None,
    gseq: int = 0,
    idx: int = 0,
) -> pl.DataFrame:
    """Messages to webhooks, the newest first.

    Args:
        before: a `place`: the page behind it.
        gseq, idx: of one message, in all its waves; 0 = of every one.
    """
    return _read(
        cursor,
        "deliveries",
        hook=hook,
        outcome=outcome,
        dead=dead,
        limit=limit,
        before=before,
        gseq=gseq,
        idx=idx,
    )


def webhook_counts(cursor: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Per webhook that was ever told something: how many messages wait, arrived, are dead."""
    return _read(cursor, "webhook_counts")


def delivery_tries(
    cursor: duckdb.DuckDBPyConnection, *, hook: str, gseq: int, idx: int
) -> pl.DataFrame:
    """Every try at one message."""
    return _read(cursor, "delivery_tries", hook=hook, gseq=gseq, idx=idx)


def decisions_of(
    cursor: duckdb.DuckDBPyConnection, *, person: str, limit: int = 20
) -> pl.DataFrame:
    """What a person decided about promotions, newest first."""
    return _read(cursor, "decisions_of", person=person, limit=limit)


def audit_head(cursor: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The newest event; at most one row."""
    return _read(cursor, "audit_head")


def log_signed(cursor: duckdb.DuckDBPyConnection, *, origin: str) -> pl.DataFrame:
    """The newest signed head of a transparency log; at most one row."""
    return _read(cursor, "log_signed", origin=origin)


def run_archives(cursor: duckdb.DuckDBPyConnection, *, run_id: str) -> pl.DataFrame:
    """Archived samples and log lines of a run."""
    return _read(cursor, "run_archives", run_id=run_id)


def _read(cursor: duckdb.DuckDBPyConnection, name: str, **params: object) -> pl.DataFrame:
    frame: pl.DataFrame = cursor.sql(SQL[name], params=params).pl()
    return frame
