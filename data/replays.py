"""Counts of replays by everything that the determinism page asks about, kept with every commit.

A count that is worked out when it is asked for would read every replay there ever was. The counts
belong to no truth of their own: `fsck` makes them again from the journal's rows and compares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import duckdb

from engine.core.replays import ReplayRow
from engine.core.retirement import DAY_US

TABLE: Final = "replay_counts"
KEY: Final = (
    "kind",
    "mode",
    "status",
    "result",
    "cause",
    "environment",
    "policy",
    "engine",
    "form",
    "crosscheck",
    "decided_day",
    "replayed_day",
)
_UPSERT: Final = (
    f"INSERT INTO {TABLE} ({', '.join(KEY)}, count) "
    f"SELECT {', '.join(f'unnest(${n})' for n in range(1, len(KEY) + 2))} "
    "ON CONFLICT DO UPDATE SET count = count + excluded.count"
)


def counted(rows: Iterable[ReplayRow]) -> Counter[tuple[Any, ...]]:
    """How many rows have each key, its fields in the order of `KEY`."""
    return Counter(
        (
            one.kind,
            one.mode,
            one.status,
            one.result,
            one.cause,
            one.environment,
            one.policy,
            one.engine,
            one.form,
            one.crosscheck,
            one.decided_us // DAY_US,
            one.ts_us // DAY_US,
        )
        for one in rows
    )


def count(writing: duckdb.DuckDBPyConnection, rows: Iterable[ReplayRow]) -> None:
    """Add the rows to the counts, within the transaction that adds them to their table."""
    found = counted(rows)
    writing.execute(
        _UPSERT, [*([key[place] for key in found] for place in range(len(KEY))), [*found.values()]]
    )
