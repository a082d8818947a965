"""What pages and the API ask about replays and verdicts; a further room of `data.queries`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import polars as pl

FOLDER: Final = Path(__file__).parent / "sql" / "queries_replays"
SQL: Final = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.sql"))}


def replays(
    cursor: duckdb.DuckDBPyConnection,
    *,
    run_id: str = "",
    subject: str = "",
    environment: str = "",
    mode: str = "",
    kind: str = "",
    status: str = "",
    result: str = "",
    cause: str = "",
    policy: str = "",
    engine: str = "",
    form: str = "",
    crosscheck: str = "",
    since_us: int = 0,
    decided_day: int | None = None,
    replayed_day: int | None = None,
    n: int | None = None,
    limit: int = 50,
    before: int | None = None,
) -> pl.DataFrame:
    """Outcomes and requests under way, the newest first. `before` is a `key`."""
    return _read(
        cursor,
        "replays",
        run_id=run_id,
        subject=subject,
        environment=environment,
        mode=mode,
        kind=kind,
        status=status,
        result=result,
        cause=cause,
        policy=policy,
        engine=engine,
        form=form,
        crosscheck=crosscheck,
        since_us=since_us,
        decided_day=decided_day,
        replayed_day=replayed_day,
        n=n,
        limit=limit,
        before=before,
    )


def replay_requests(
    cursor: duckdb.DuckDBPyConnection,
    *,
    n: int | None = None,
    limit: int = 50,
    before: int | None = None,
) -> pl.DataFrame:
    """Requests, the newest first. `before` is the `n` of one: the page behind it."""
    return _read(cursor, "replay_requests", n=n, limit=limit, before=before)


def replay_outcomes(
    cursor: duckdb.DuckDBPyConnection, *, n: int, changed: bool = False
) -> pl.DataFrame:
    """Every outcome of one request; or only those that differ or could not be carried out."""
    return _read(cursor, "replay_outcomes", n=n, changed=changed)


def verdicts(
    cursor: duckdb.DuckDBPyConnection,
    *,
    verdict_id: str = "",
    run_id: str = "",
    environment: str = "",
    policy: str = "",
    decision: str = "",
    bundle: str = "",
    not_replayed_since_us: int = 0,
    since_us: int = 0,
    limit: int | None = 50,
    before_us: int | None = None,
) -> pl.DataFrame:
    """Recorded verdicts, the newest first."""
    return _read(
        cursor,
        "verdicts",
        verdict_id=verdict_id,
        run_id=run_id,
        environment=environment,
        policy=policy,
        decision=decision,
        bundle=bundle,
        not_replayed_since_us=not_replayed_since_us,
        since_us=since_us,
        limit=limit,
        before_us=before_us,
    )


def watches(
    cursor: duckdb.DuckDBPyConnection,
    *,
    run_id: str = "",
    step: str = "",
    environment: str = "",
    since_us: int = 0,
) -> pl.DataFrame:
    """Every time that a health gate watched a stage, by run and time."""
    return _read(
        cursor, "watches", run_id=run_id, step=step, environment=environment, since_us=since_us
    )


def decided_environments(cursor: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Environments with at least one decision that can be replayed."""
    return _read(cursor, "decided_environments")


def replay_counts(
    cursor: duckdb.DuckDBPyConnection, *, environment: str = "", since_day: int = 0
) -> pl.DataFrame:
    return _read(cursor, "replay_counts", environment=environment, since_day=since_day)


def replay_counts_run(cursor: duckdb.DuckDBPyConnection, *, run_id: str) -> pl.DataFrame:
    return _read(cursor, "replay_counts_run", run_id=run_id)


def replays_open(
    cursor: duckdb.DuckDBPyConnection,
    *,
    run_id: str = "",
    environment: str = "",
    first_n: int = 0,
) -> pl.DataFrame:
    """One row. `first_n`: no request before this one is under way."""
    return _read(cursor, "replays_open", run_id=run_id, environment=environment, first_n=first_n)


def replay_coverage(
    cursor: duckdb.DuckDBPyConnection, *, decided_us: int, replayed_us: int
) -> pl.DataFrame:
    """One row."""
    return _read(cursor, "replay_coverage", decided_us=decided_us, replayed_us=replayed_us)


def _read(cursor: duckdb.DuckDBPyConnection, name: str, **params: object) -> pl.DataFrame:
    frame: pl.DataFrame = cursor.sql(SQL[name], params=params).pl()
    return frame
