"""Each query's header is its contract; here the contract is held against the query."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data import queries
from data.queries_audit import records
from data.store import Store
from engine.core.digest import Digest
from engine.core.house import BUNDLES, BundleCreated
from tests.core.simulated import NEW, TARGETS
from tests.data.kit import everything, history, log_line, play, sample

PARAMETERS: dict[str, dict[str, Any]] = {
    "runs_list": {"environment": "", "status": "", "limit": 50, "before": None},
    "watched_runs": {"environment": "", "limit": 10},
    "bundles_list": {},
    "verdict": {"verdict_id": "verdict-1"},
    "step_logs": {"run_id": "run-1", "step": "canary", "attempt": 1, "limit": 10},
    "stage_samples": {"run_id": "run-1", "step": "canary"},
    "stage_p95": {"run_id": "run-1", "step": "canary"},
    "stage_minutes": {"run_id": "run-1", "step": "canary"},
    "stage_ticks": {"run_id": "run-1", "step": "canary"},
    "run_evidence": {"run_id": "run-1"},
    "evidence_items": {"run_id": "", "limit": 10},
    "imported_items": {"run_id": "", "limit": 10},
    "exports": {"limit": 10},
    "digest_uses": {"hex": "0" * 64, "limit": 10},
    "run_events": {"run_id": "run-1"},
    "targets_of": {"run_id": "run-1"},
    "reviews": {"open_only": False},
    "scheduler_ticks": {"schedule": "", "run": "", "word": "", "limit": 10, "before": None},
    "decisions_of": {"person": "bob", "limit": 10},
    "command": {"command_id": "ana/1"},
    "deliveries": {
        "hook": "", "outcome": "", "dead": False, "limit": 10, "before": None, "gseq": 0, "idx": 0,
    },
    "webhook_counts": {},
    "delivery_tries": {"hook": "wh_1", "gseq": 1, "idx": 0},
    "audit_head": {},
    "log_signed": {"origin": "log"},
    "run_archives": {"run_id": "run-1"},
}  # fmt: skip


def promised(sql: str) -> list[tuple[str, str]]:
    """(column, type) of the header's `returns:` lines."""
    header = "\n".join(line[2:].strip() for line in sql.splitlines() if line.startswith("--"))
    match = re.search(r"returns: (.*?)\n(?:units|order):", header, re.DOTALL)
    assert match, "the header names no columns"
    columns = re.split(r",\s*(?![^(]*\))", " ".join(match[1].split()))
    return [(name, kind) for name, _, kind in (column.partition(" ") for column in columns)]


def test_every_query_has_a_case() -> None:
    assert set(PARAMETERS) == set(queries.SQL)


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_columns_are_those_of_the_header(store: Store, name: str, filled: bool) -> None:
    if filled:
        everything(store)
    sql = queries.SQL[name]
    relation = store.cursor().sql(sql, params=PARAMETERS[name])
    found = list(zip(relation.columns, map(str, relation.types), strict=True))
    assert [(n, k.replace('"', "")) for n, k in found] == [
        (n, k.replace('"', "")) for n, k in promised(sql)
    ]
    for word in ("takes:", "order:"):
        assert word in sql
    for taken in PARAMETERS[name]:
        assert f"${taken}" in sql.split("-- returns")[0], f"{taken} is not in the header"
    frame = getattr(queries, name)(store.cursor(), **PARAMETERS[name])
    assert isinstance(frame, pl.DataFrame)
    if not filled:
        assert frame.is_empty()


def test_runs_are_listed_by_page_environment_and_status(store: Store) -> None:
    for number in (1, 2, 3):
        play(store, history(number, number)[:1])
    rows = queries.runs_list(store.cursor(), limit=2).to_dicts()
    assert [row["number"] for row in rows] == [3, 2]
    assert rows[0]["run_id"] == "run-3"
    assert rows[0]["bundle"] == str(NEW)
    assert rows[0]["current_step"] == "inputs"
    assert rows[0]["steps_total"] == 7
    rest = queries.runs_list(store.cursor(), limit=2, before=2).to_dicts()
    assert [row["number"] for row in rest] == [1]
    assert queries.runs_list(store.cursor(), environment="nowhere").is_empty()
    assert len(queries.runs_list(store.cursor(), environment="prod", status="OPEN")) == 3
    status = store.run("run-1").status.value
    assert 1 in queries.runs_list(store.cursor(), status=status)["number"]
    assert queries.runs_list(store.cursor(), status="SUCCEEDED").is_empty()


def test_a_whole_run_is_answered_as_it_was_folded(store: Store) -> None:
    everything(store)
    run = store.run("run-1")
    (row,) = queries.runs_list(store.cursor()).to_dicts()
    assert (row["status"], row["version"]) == (run.status.value, run.version)
    assert row["evidence_count"] == run.evidence_count
    targets = queries.targets_of(store.cursor(), run_id="run-1")
    assert targets["target"].to_list() == list(TARGETS)
    assert targets["current"].to_list() == [
        None if t.current is None else str(t.current) for t in run.targets
    ]
    events = queries.run_events(store.cursor(), run_id="run-1")
    assert events["hash"].to_list() == [r.hash.hex for r in store.load("run-1")]
    items = queries.run_evidence(store.cursor(), run_id="run-1")
    captured = items.filter(pl.col("what") == "captured")
    assert captured["item"].to_list() == list(range(1, run.evidence_count + 1))
    assert all(file["digest"].startswith("sha256:") for row in captured["files"] for file in row)
    assert len(records(store.cursor(), limit=3)) == 3


def test_bundles_say_where_they_were_promoted(store: Store) -> None:
    for n, digest in enumerate((NEW, Digest.of(b"never"))):
        created = BundleCreated(digest=digest, name="app", version=str(n), authors=("eve", "bob"))
        store.append(BUNDLES, (created,), after=n, actor="eve")
    play(store, history(1)[:1])
    newest, first = queries.bundles_list(store.cursor()).to_dicts()
    assert (newest["runs"], newest["last_run"]) == (0, None)
    assert (first["runs"], first["last_run"], first["authors"]) == (1, "run-1", ["eve", "bob"])


def wait_for(store: Store, table: str, count: int) -> None:
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        ((found,),) = store.cursor().execute(f"SELECT count(*) FROM {table}").fetchall()
        if found >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{table} never had {count} rows")


def test_samples_are_summed_per_arm_and_shown_per_target(store: Store) -> None:
    store.samples([sample(7, "t-01"), sample(7, "t-02", requests=300)])
    store.samples([sample(7, "t-03", arm="baseline", requests=0)])
    wait_for(store, "health_samples", 3)
    rows = queries.stage_samples(store.cursor(), run_id="run-1", step="canary").to_dicts()
    assert [(r["arm"], r["target"]) for r in rows] == [
        ("baseline", ""),
        ("baseline", "t-03"),
        ("canary", ""),
        ("canary", "t-01"),
        ("canary", "t-02"),
    ]
    whole = rows[2]
    assert (whole["targets"], whole["requests"], whole["errors"], whole["healthy"]) == (
        2,
        400,
        8,
        2,
    )
    assert whole["error_rate_bp"] == 200
    assert (rows[0]["error_rate_bp"], rows[0]["p95_ms"], rows[0]["unknown"]) == (None, None, 1)
    chart = queries.stage_p95(store.cursor(), run_id="run-1", step="canary").rows()
    assert chart == [(r["ts_us"], r["arm"], r["p95_ms"]) for r in rows if not r["target"]]


def test_logs_come_in_order_and_as_text(store: Store) -> None:
    for n in range(20):
        store.logs([log_line(f"line {n}", target="t-01" if n % 2 else "")])
    store.logs([log_line("other attempt", attempt=2)])
    wait_for(store, "step_logs", 21)
    frame = queries.step_logs(store.cursor(), run_id="run-1", step="canary", attempt=1, limit=3)
    assert frame["text"].to_list() == ["line 17", "line 18", "line 19"]
    assert queries.logs_as_text(frame).splitlines()[0] == (
        "2027-01-15T08:00:00.123Z info  t-01: line 17"
    )


def test_the_folder_holds_nothing_else() -> None:
    assert {path.suffix for path in Path(queries.FOLDER).iterdir()} == {".sql"}
