"""Replays in the store: recorded once, counted with the commit, brought back from the journal."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import queries_replays as queries
from data.database import Database
from data.replays import KEY, counted
from data.store import Store
from engine.core.errors import Conflict
from engine.core.replays import ReplayRequest, ReplayRow
from engine.core.retirement import DAY_US
from tests.data.kit import TestClock, everything, verdict_row
from tests.data.test_queries import promised

PARAMETERS: dict[str, dict[str, Any]] = {
    "replays": {
        **dict.fromkeys(
            ("run_id", "subject", "environment", "mode", "kind", "status", "result", "cause",
             "policy", "engine", "form", "crosscheck"),
            "",
        ),
        "since_us": 0, "decided_day": None, "replayed_day": None, "n": None, "limit": 50,
        "before": None,
    },
    "replay_requests": {"n": None, "limit": 10, "before": None},
    "replay_outcomes": {"n": 1, "changed": False},
    "verdicts": {
        **dict.fromkeys(
            ("verdict_id", "run_id", "environment", "policy", "decision", "bundle"), ""
        ),
        "since_us": 0, "limit": None, "before_us": None, "not_replayed_since_us": 0,
    },
    "replay_counts": {"environment": "", "since_day": 0},
    "replay_counts_run": {"run_id": "run-1"},
    "decided_environments": {},
    "watches": {"run_id": "", "step": "", "environment": "", "since_us": 0},
    "replays_open": {"run_id": "", "environment": "", "first_n": 0},
    "replay_coverage": {"decided_us": 0, "replayed_us": 0},
}  # fmt: skip


def request(
    n: int, *, total: int = 1, mode: str = "VERIFY", run_id: str = "run-1"
) -> ReplayRequest:
    return ReplayRequest(
        n=n,
        ts_us=10 * DAY_US + n,
        actor="dora",
        reason="audit",
        mode=mode,
        depth="SHALLOW",
        scope="verdict-1" if run_id else "all",
        run_id=run_id,
        environment="prod" if run_id else "",
        policy="",
        total=total,
    )


def outcome(n: int, idx: int = 1, *, result: str = "MATCH", cause: str = "") -> ReplayRow:
    return ReplayRow(
        n=n,
        idx=idx,
        ts_us=10 * DAY_US + n,
        status="COMPLETED" if result else "FAILED",
        kind="VERDICT",
        subject="verdict-1",
        run_id="run-1",
        environment="prod",
        mode="VERIFY",
        depth="SHALLOW",
        result=result,
        cause=cause,
        facet="",
        sentence="PASS again",
        decided_us=5,
        decision_then="PASS",
        decision_now="PASS",
        digest_then="v",
        digest_now="v",
        policy="p",
        policy_now="p",
        engine="cel-cpp/0.1.3",
        engine_now="cel-cpp/0.1.3",
        form="combined",
        crosscheck="",
        took_us=700,
        detail="",
    )


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
@pytest.mark.parametrize("name", sorted(queries.SQL))
def test_columns_are_those_of_the_header(store: Store, name: str, filled: bool) -> None:
    if filled:
        everything(store)
        store.record([request(1), outcome(1), request(2)])
    sql = queries.SQL[name]
    relation = store.cursor().sql(sql, params=PARAMETERS[name])
    found = list(zip(relation.columns, map(str, relation.types), strict=True))
    assert found == promised(sql)
    for word in ("takes:", "order:"):
        assert word in sql
    for taken in PARAMETERS[name]:
        assert f"${taken}" in sql.split("-- returns")[0], f"{taken} is not in the header"
    frame = getattr(queries, name)(store.cursor(), **PARAMETERS[name])
    assert isinstance(frame, pl.DataFrame)


def test_environments_are_those_of_the_verdicts_and_the_watches(store: Store) -> None:
    assert queries.decided_environments(store.cursor())["environment"].to_list() == []
    everything(store)
    frames = [queries.verdicts(store.cursor(), limit=None), queries.watches(store.cursor())]
    expected = {name for frame in frames for name in frame["environment"]}
    assert expected
    found = queries.decided_environments(store.cursor())["environment"].to_list()
    assert found == sorted(expected)


def test_a_request_runs_until_its_last_outcome(store: Store) -> None:
    everything(store)
    store.record([request(1, total=2)])
    (running,) = queries.replays(store.cursor()).to_dicts()
    assert (running["name"], running["status"], running["ended_us"]) == ("rr-001", "RUNNING", None)
    store.record([outcome(1, 2)])
    rows = queries.replays(store.cursor()).to_dicts()
    assert [(r["name"], r["status"], r["done"], r["total"]) for r in rows] == [
        ("rr-001", "RUNNING", 1, 2),
        ("rr-001.2", "COMPLETED", 1, 2),
    ]
    (open_now,) = queries.replays_open(store.cursor()).to_dicts()
    assert open_now == {"missing": 1, "requests": 1}
    store.record([outcome(1, 1, result="MISMATCH", cause="INPUT_MISSING")])
    (asked,) = queries.replay_requests(store.cursor()).to_dicts()
    assert (asked["status"], asked["matching"], asked["mismatching"]) == ("COMPLETED", 1, 1)
    assert "RUNNING" not in queries.replays(store.cursor())["status"]
    only = queries.replays(store.cursor(), cause="INPUT_MISSING")
    assert only["name"].to_list() == ["rr-001.1"]


def test_a_request_that_ended_early_is_not_running(store: Store) -> None:
    everything(store)
    store.record([request(1, total=3), outcome(1, 1)])
    store.record([replace(outcome(1, 0, result=""), subject="run-1", sentence="server stopped")])
    (asked,) = queries.replay_requests(store.cursor()).to_dicts()
    assert (asked["status"], asked["done"], asked["failed"]) == ("FAILED", 2, 1)
    assert queries.replays_open(store.cursor()).to_dicts() == [{"missing": 0, "requests": 0}]


def test_pages_follow_one_another_without_gap_or_double(store: Store) -> None:
    everything(store)
    store.record([request(n) for n in range(1, 8)])
    store.record([outcome(n) for n in (1, 2, 4, 7)])
    seen: list[int] = []
    before = None
    while True:
        page = queries.replays(store.cursor(), limit=2, before=before)
        if page.is_empty():
            break
        seen += page["n"].to_list()
        before = page["key"][-1]
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_numbers_and_places_are_taken_once(store: Store) -> None:
    store.record([request(1)])
    with pytest.raises(Conflict, match="replay request 3 follows 1"):
        store.record([request(3)])
    store.record([outcome(1)])
    with pytest.raises(Conflict, match="replay/1/1"):
        store.record([outcome(1)])
    assert store.last_replay() == 1


def test_a_verdict_shows_its_newest_replay(store: Store) -> None:
    everything(store)
    store.record([verdict_row(2), request(1), outcome(1), request(2)])
    store.record([outcome(2, result="MISMATCH", cause="VERDICT_TAMPERED")])
    rows = {r["verdict_id"]: r for r in queries.verdicts(store.cursor()).to_dicts()}
    assert (rows["verdict-1"]["replays"], rows["verdict-1"]["last_cause"]) == (
        2,
        "VERDICT_TAMPERED",
    )
    assert (rows["verdict-2"]["replays"], rows["verdict-2"]["last_result"]) == (0, "")
    assert rows["verdict-1"]["environment"] == "prod"
    (covered,) = queries.replay_coverage(store.cursor(), decided_us=0, replayed_us=0).to_dicts()
    assert covered == {"verdicts": 2, "replayed": 1}


_ROWS = st.builds(
    lambda n, day, result, cause, engine, form: replace(
        outcome(n, result=result, cause=cause),
        ts_us=day * DAY_US + n,
        engine=engine,
        form=form,
    ),
    n=st.just(1),
    day=st.integers(0, 3),
    result=st.sampled_from(["MATCH", "MISMATCH", ""]),
    cause=st.sampled_from(["", "INPUT_MISSING"]),
    engine=st.sampled_from(["a", "b"]),
    form=st.sampled_from(["combined", "per-rule"]),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(_ROWS, min_size=1, max_size=6), min_size=1, max_size=5))
def test_the_kept_counts_are_those_of_the_rows(groups: list[list[ReplayRow]]) -> None:
    connection = duckdb.connect()
    migrations = Path(queries.FOLDER).parent / "migrations"
    connection.execute("CREATE TABLE guard (never BOOLEAN)")
    connection.execute((migrations / "0004_replays.sql").read_text())
    from data.replays import count  # noqa: PLC0415 (the one under test)

    for group in groups:
        connection.begin()
        count(connection, group)
        connection.commit()
    found = Counter(
        {
            tuple(key): number
            for *key, number in connection.execute(
                f"SELECT {', '.join(KEY)}, count FROM replay_counts"
            ).fetchall()
        }
    )
    assert found == counted([one for group in groups for one in group])


def test_fsck_sees_a_count_that_is_wrong_and_a_rebuild_makes_it_right(
    tmp_path: Path, store: Store
) -> None:
    everything(store)
    store.record([request(1, total=2), outcome(1, 1), outcome(1, 2, result="MISMATCH")])
    assert store.fsck().ok
    store.cursor().execute("UPDATE replay_counts SET count = 9 WHERE result = 'MATCH'")
    (finding,) = store.fsck().findings
    assert finding.table == "replay_counts" and finding.problem == "expected 1, found 9"


def test_a_database_made_anew_has_the_same_replays(tmp_path: Path) -> None:
    home = tmp_path / "home"
    store = Store.open(home, clock=TestClock())
    everything(store)
    store.record([request(1, total=2), outcome(1, 1)])
    before = queries.replays(store.cursor()).rows()
    store.close()
    (home / "releaseline.duckdb").unlink()
    again = Store.open(home, clock=TestClock())
    try:
        assert queries.replays(again.cursor()).rows() == before
        assert again.fsck().ok and again.last_replay() == 1
        with pytest.raises(Conflict):
            again.record([outcome(1, 1)])
        again.record([outcome(1, 2)])
    finally:
        again.close()


def test_rows_are_append_only(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.duckdb")
    try:
        for table in ("replays", "replay_requests"):
            with pytest.raises(duckdb.Error, match="append-only"):
                database.cursor().execute(f"DELETE FROM {table}")
    finally:
        database.close()
