"""Roll-ups of samples: one row per target and minute, whose sums are exactly those of the samples.

Computed by the database from raw rows, and compared with them before those may go.
"""

from __future__ import annotations

from typing import Final

import duckdb

from data.segments import Frame

MINUTE_US: Final = 60_000_000

# `{source}` is the table of samples, or a frame of them that was registered.
_MADE: Final = f"""
SELECT ts_us // {MINUTE_US} * {MINUTE_US} AS minute_us, run_id, step, attempt, target, arm,
       CAST(sum(requests) AS BIGINT) AS requests,
       CAST(sum(errors) AS BIGINT) AS errors,
       CAST(sum(slow) AS BIGINT) AS slow,
       count(*) FILTER (healthy) AS healthy_polls,
       count(*) FILTER (NOT healthy) AS unhealthy_polls,
       count(*) FILTER (healthy IS NULL) AS missing_polls,
       max(p95_ms) AS p95_ms_max,
       CASE WHEN min(digest) = max(digest) THEN min(digest) END AS digest
  FROM {{source}}
 WHERE run_id = $run_id AND step = $step AND attempt = $attempt
 GROUP BY ALL
"""  # noqa: S608 (constants)
_HELD: Final = """
SELECT * FROM sample_minutes WHERE run_id = $run_id AND step = $step AND attempt = $attempt
"""
_DIFFERENT: Final = f"""
WITH made AS ({_MADE.format(source="health_samples")}), held AS ({_HELD})
SELECT greatest((SELECT count(*) FROM (FROM made EXCEPT ALL FROM held)),
                (SELECT count(*) FROM (FROM held EXCEPT ALL FROM made)))
"""  # noqa: S608 (constants)


def roll_up(
    cursor: duckdb.DuckDBPyConnection,
    key: tuple[str, str, int],
    *,
    samples: Frame | None = None,
) -> None:
    """Make the minutes of an attempt anew, within the cursor's transaction.

    Args:
        key: run, step and attempt.
        samples: where they are, if not in the table.
    """
    named = _named(key)
    cursor.execute(
        "DELETE FROM sample_minutes WHERE run_id = $run_id AND step = $step AND attempt = $attempt",
        named,
    )
    if samples is None:
        cursor.execute(
            f"INSERT INTO sample_minutes {_MADE.format(source='health_samples')}",
            named,
        )
        return
    cursor.register("incoming", samples)
    try:
        cursor.execute(
            f"INSERT INTO sample_minutes {_MADE.format(source='incoming')}",
            named,
        )
    finally:
        cursor.unregister("incoming")


def differing(cursor: duckdb.DuckDBPyConnection, key: tuple[str, str, int]) -> int:
    """How many minutes are not what the raw samples of the attempt say; 0 = they are equal."""
    found = cursor.execute(_DIFFERENT, _named(key)).fetchone()
    assert found is not None  # the greater of two counts
    return int(found[0])


def counted(cursor: duckdb.DuckDBPyConnection, key: tuple[str, str, int]) -> tuple[int, int]:
    """(minutes, polls in them) that the roll-up of an attempt holds."""
    found = cursor.execute(
        "SELECT count(*), "
        "       CAST(coalesce(sum(healthy_polls + unhealthy_polls + missing_polls), 0) AS BIGINT) "
        "  FROM sample_minutes "
        " WHERE run_id = $run_id AND step = $step AND attempt = $attempt",
        _named(key),
    ).fetchone()
    assert found is not None  # an aggregate
    return int(found[0]), int(found[1])


def _named(key: tuple[str, str, int]) -> dict[str, object]:
    run_id, step, attempt = key
    return {"run_id": run_id, "step": step, "attempt": attempt}
