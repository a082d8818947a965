"""Samples at scale: how fast they come in, and how fast a stage's page finds its own among all.

    python benchmarks/store.py [--rows N] [--home FOLDER]

A fresh home's database is filled with realistic rows inside DuckDB (20 targets, polls of 5 s,
three stages of 300 polls a run, in the order in which they would have come), rolled up, and asked
what the stage pages ask. Beside every number stands a bare one of the same run: a count by run for
the queries, one `executemany` and one bare appender for the intake. The processor's time is that of
all threads, which a busy machine changes less. `--rows 50000000` takes some minutes and 0.4 GB; a
home that is named with `--home` and was filled before is only measured.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import duckdb

from data import queries
from data.database import Database, columns
from data.shelf import DATABASE
from engine.core.rows import Sample

TARGETS: Final = 20
POLLS: Final = 300
STAGES: Final = ("canary-10", "canary-50", "full-100")
PER_RUN: Final = TARGETS * POLLS * len(STAGES)
CHUNK: Final = 4_500_000
BEGAN_US: Final = 1_700_000_000_000_000

FILL: Final = f"""
INSERT INTO health_samples
SELECT {BEGAN_US} + (i // {TARGETS}) * 5000000, 'run-' || (1 + i // {PER_RUN}),
       ['canary-10', 'canary-50', 'full-100'][1 + (i // {TARGETS * POLLS}) % 3], 1,
       'eu-prod-' || lpad(CAST(i % {TARGETS} AS VARCHAR), 2, '0'),
       CASE WHEN i % {TARGETS} < 2 THEN 'canary' ELSE 'baseline' END,
       40 + CAST(hash(i) % 20 AS BIGINT),
       CASE WHEN hash(i + 7) % 50 = 0 THEN CAST(hash(i) % 5 AS BIGINT) ELSE 0 END,
       CAST(hash(i + 3) % 3 AS BIGINT),
       [10, 25, 50, 100][1 + CAST(hash(i + 5) % 4 AS INTEGER)],
       CASE WHEN hash(i + 11) % 500 = 0 THEN NULL ELSE hash(i + 9) % 200 > 0 END,
       'sha256:' || sha256(CAST(i // {PER_RUN} - (i % {TARGETS} >= 2)::INTEGER AS VARCHAR))
  FROM range($first, $end) r(i)
"""  # noqa: S608 (constants)
TICKS: Final = f"""
INSERT INTO gate_ticks
SELECT 'run-' || (1 + i // {POLLS * 3}),
       ['canary-10', 'canary-50', 'full-100'][1 + i // {POLLS} % 3], 1,
       1 + i % {POLLS}, (i % {POLLS}) * 5000, {BEGAN_US} + i * 5000000,
       '{{"status":"ok","canary":{{"requests":90,"errors":1,"slow":2}},"baseline":null}}',
       'hold', 9, 'warming up'
  FROM range($first, $end) r(i)
"""  # noqa: S608 (constants)
ROLLED: Final = """
INSERT INTO sample_minutes
SELECT ts_us // 60000000 * 60000000, run_id, step, attempt, target, arm, sum(requests), sum(errors),
       sum(slow), count(*) FILTER (healthy), count(*) FILTER (NOT healthy),
       count(*) FILTER (healthy IS NULL), max(p95_ms), min(digest)
  FROM health_samples
 WHERE ts_us >= $first_us AND ts_us < $end_us
 GROUP BY ts_us // 60000000 * 60000000, run_id, step, attempt, target, arm
 ORDER BY 2, 3, 1
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Samples at scale.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--asks", type=int, default=60, help="how often each query is asked")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rl-bench-store-") as folder:
        home = given.home or Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        database = Database(home / DATABASE)
        try:
            fill(database, given.rows)
            ask(database, given.asks)
        finally:
            database.close()
        intake(Path(folder))


def fill(database: Database, rows: int) -> None:
    """Up to `rows` samples, with the ticks of the newest runs and every roll-up."""
    ((have,),) = database.rows("SELECT count(*) FROM health_samples")
    began_s = time.perf_counter()
    for first in range(have, rows, CHUNK):
        end = min(rows, first + CHUNK)
        with database.transaction() as cursor:
            cursor.execute(FILL, {"first": first, "end": end})
        span = {"first_us": _at_us(first), "end_us": _at_us(end)}
        with database.transaction() as cursor:
            cursor.execute(ROLLED, span)
        print(f"  filled {end:,} rows", file=sys.stderr)
    if have < rows:
        ticks = rows // TARGETS
        with database.transaction() as cursor:  # the primary key is what costs: not all of them
            cursor.execute(TICKS, {"first": max(0, ticks - 900_000), "end": ticks})
        database.cursor().execute("CHECKPOINT")
        ((used,),) = database.rows("SELECT used_blocks * block_size FROM pragma_database_size()")
        print(
            f"{max(have, rows):,} samples filled in {time.perf_counter() - began_s:.0f} s; "
            f"{used / 1e6:.0f} MB with roll-ups"
        )


def _at_us(index: int) -> int:
    return BEGAN_US + (index // TARGETS) * 5_000_000


def ask(database: Database, times: int) -> None:
    ((rows,),) = database.rows("SELECT count(*) FROM health_samples")
    runs = max(1, rows // PER_RUN)
    rng = random.Random(1)  # noqa: S311 (which runs are asked for)

    def some() -> dict[str, Any]:
        return {"run_id": f"run-{rng.randint(max(1, runs - 900), runs)}", "step": STAGES[1]}

    def bare() -> int:
        counted = database.cursor().execute(
            "SELECT count(*) FROM health_samples WHERE run_id = $run_id",
            {"run_id": some()["run_id"]},
        )
        ((count,),) = counted.fetchall()
        return int(count)

    asked: dict[str, Callable[[], int]] = {
        "bare count by run": bare,
        "stage_p95": lambda: len(queries.stage_p95(database.cursor(), **some())),
        "stage_samples": lambda: len(queries.stage_samples(database.cursor(), **some())),
        "stage_minutes": lambda: len(queries.stage_minutes(database.cursor(), **some())),
        "stage_ticks": lambda: len(queries.stage_ticks(database.cursor(), **some())),
        "step_logs": lambda: len(queries.step_logs(database.cursor(), **some(), attempt=1)),
    }
    print(f"\n{rows:,} samples, {runs:,} runs; {times} asks each, in turns")
    print(f"{'query':<20}{'rows':>8}{'p50 ms':>10}{'p95 ms':>10}{'cpu ms':>10}{'x bare p50':>12}")
    taken: dict[str, list[float]] = {name: [] for name in asked}
    spent: dict[str, list[float]] = {name: [] for name in asked}
    found = dict.fromkeys(asked, 0)
    for _ in range(times):  # in turns, so that a busy moment of the machine meets all alike
        for name, call in asked.items():
            began_s, cpu_s = time.perf_counter(), time.process_time()
            found[name] = call()
            taken[name].append((time.perf_counter() - began_s) * 1000)
            spent[name].append((time.process_time() - cpu_s) * 1000)
    base_ms = statistics.median(taken["bare count by run"])
    for name, times_ms in taken.items():
        p50, p95 = statistics.median(times_ms), sorted(times_ms)[int(len(times_ms) * 0.95) - 1]
        cpu = statistics.median(spent[name])
        print(
            f"{name:<20}{found[name]:>8}{p50:>10.1f}{p95:>10.1f}{cpu:>10.1f}{p50 / base_ms:>12.1f}"
        )


def intake(folder: Path) -> None:
    """Rows a second through the store's way in, beside the bare ways of DuckDB."""
    print(f"\n{'intake':<26}{'rows a poll':>12}{'rows/s':>10}{'x executemany':>15}")
    database = Database(folder / "intake.duckdb")
    bare = duckdb.connect(str(folder / "bare.duckdb"))
    names = columns(Sample)
    ((ddl,),) = database.rows("SELECT sql FROM duckdb_tables() WHERE table_name = 'health_samples'")
    bare.execute(ddl)
    marks = ", ".join("?" * len(names))

    def one_by_one(samples: list[Sample]) -> None:
        bare.executemany(
            f"INSERT INTO health_samples VALUES ({marks})",  # noqa: S608 (constants)
            [[getattr(one, name) for name in names] for one in samples],
        )

    def appender(samples: list[Sample]) -> None:
        made = bare.appender("health_samples")
        made.append_rows([[getattr(one, name) for name in names] for one in samples])
        made.flush()

    try:
        for count in (100, 1000):
            samples = [_sample(n) for n in range(count)]
            base = _rate(one_by_one, samples)
            print(f"{'bare executemany':<26}{count:>12}{base:>10,.0f}{1.0:>15.1f}")
            for name, call in (
                ("bare appender", appender),
                ("store", lambda given: database.add_volume(given, ())),
            ):
                rate = _rate(call, samples)
                print(f"{name:<26}{count:>12}{rate:>10,.0f}{rate / base:>15.1f}")
    finally:
        database.close()
        bare.close()


def _rate(call: Callable[[list[Sample]], None], samples: list[Sample]) -> float:
    done, began_s = 0, time.perf_counter()
    while time.perf_counter() - began_s < 1.5:
        call(samples)
        done += len(samples)
    return done / (time.perf_counter() - began_s)


def _sample(n: int) -> Sample:
    return Sample(
        ts_us=BEGAN_US,
        run_id="run-12",
        step="canary-10",
        attempt=1,
        target=f"eu-prod-{n:03d}",
        arm="canary" if n % 10 == 0 else "baseline",
        requests=100,
        errors=1,
        slow=2,
        p95_ms=30,
        healthy=True,
        digest="sha256:" + "a" * 64,
    )


if __name__ == "__main__":
    main()
