"""From rows of targets to rows of arms beside them: sums, worst latencies, counts. Pure.

In frames and not in SQL: for a page's few thousand rows DuckDB's parallel grouping takes longer
than finding them among fifty million.
"""

from __future__ import annotations

from typing import Final

import polars as pl

_MOMENT: Final = ("ts_us", "attempt", "arm")
_SUMMED: Final = ("targets", "requests", "errors", "slow", "healthy", "unknown")
_POLLS: Final = ("healthy_polls", "unhealthy_polls", "missing_polls")


def with_arms(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows and, before those of each moment, one per arm with an empty `target`.

    An arm's `digest` is null when its targets differ. Order: ts_us, arm, target, attempt.
    """
    summed = [name for name in (*_SUMMED, *_POLLS) if name in rows.columns]
    digest = pl.col("digest")
    arms = (
        rows.group_by(_MOMENT)
        .agg(
            pl.col(summed).sum(),
            pl.col("p95_ms").max(),
            pl.when(digest.min() == digest.max()).then(digest.min()).alias("digest"),
        )
        .with_columns(
            pl.lit("").alias("target"),
            pl.when(pl.col("requests") > 0)
            .then(pl.col("errors") * 10_000 // pl.col("requests"))
            .alias("error_rate_bp"),
        )
        .select(rows.columns)
    )
    return pl.concat([arms, rows]).sort("ts_us", "arm", "target", "attempt")
