"""fsck finds whatever the tables say that the journal does not; and damage in the journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from data.project import KINDS
from data.store import Store
from tests.data.kit import TestClock, history, play

APPEND_ONLY = (
    "events",
    "gate_ticks",
    "tlog_entries",
    "tlog_heads",
    "verdicts",
    "commands",
    "journal_marks",
    "health_samples",
    "step_logs",
    "segments",
    "retired",
)
# A column to change and the key under which the finding must name the row.
CHANGED = {
    "events": "actor",
    "gate_ticks": "reason",
    "tlog_entries": "leaf_hash",
    "tlog_heads": "note",
    "verdicts": "decision",
    "commands": "response",
}


@pytest.fixture
def full(filled: Path) -> Iterator[Store]:
    store = Store.open(filled, clock=TestClock())
    yield store
    store.close()


def tamper(store: Store, *statements: str) -> None:
    """What somebody with the file and an SQL prompt could do."""
    cursor = store.cursor()
    for table in APPEND_ONLY:
        for verb in ("update", "delete"):
            cursor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{verb} ON {table}")
    for statement in statements:
        cursor.execute(statement)


def findings(store: Store) -> list[tuple[str, str, str]]:
    report = store.fsck()
    assert report.ok == (not report.findings)
    return [(f.table, f.key, f.problem) for f in report.findings]


@pytest.mark.parametrize("verb", ["UPDATE", "DELETE"])
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_append_only_tables_are_guarded(full: Store, table: str, verb: str) -> None:
    cursor = full.cursor()
    column = cursor.execute(f"SELECT * FROM {table} LIMIT 0").description[0][0]
    statement = {
        "UPDATE": f"UPDATE {table} SET {column} = {column}",
        "DELETE": f"DELETE FROM {table}",
    }[verb]
    with pytest.raises(duckdb.Error, match=f"{table} is append-only"):
        cursor.execute(statement)


@pytest.mark.parametrize("table", sorted(CHANGED))
def test_a_changed_row(full: Store, table: str) -> None:
    column = CHANGED[table]
    tamper(
        full,
        f"UPDATE {table} SET {column} = 'forged' WHERE rowid = (SELECT max(rowid) FROM {table})",
    )
    found = findings(full)
    assert {f[0] for f in found} == {table}
    if table == "tlog_heads":  # its fields are its key: one is missing, one is too many
        assert sorted(f[2] for f in found) == ["is missing", "is not in the journal"]
    else:
        assert [f[2] for f in found] == [f"differs in {column}"]


@pytest.mark.parametrize("table", sorted(CHANGED))
def test_a_missing_row(full: Store, table: str) -> None:
    tamper(full, f"DELETE FROM {table} WHERE rowid = (SELECT min(rowid) FROM {table})")
    ((where, _, problem),) = findings(full)
    assert (where, problem) == (table, "is missing")


@pytest.mark.parametrize("table", sorted(CHANGED))
def test_an_added_row(full: Store, table: str) -> None:
    key = {
        "events": "seq + 100000 AS seq",
        "gate_ticks": "n + 100000 AS n",
        "tlog_entries": "idx + 100000 AS idx",
        "tlog_heads": "size + 100000 AS size",
        "verdicts": "'forged' AS verdict_id",
        "commands": "'forged' AS command_id",
    }[table]
    tamper(full, f"INSERT INTO {table} SELECT * REPLACE ({key}) FROM {table} LIMIT 1")
    ((where, _, problem),) = findings(full)
    assert (where, problem) == (table, "is not in the journal")


def test_an_event_is_named_by_stream_and_seq(full: Store) -> None:
    tamper(full, "UPDATE events SET body = '{}' WHERE stream = 'run-1' AND seq = 4")
    assert findings(full) == [("events", "run-1 4", "differs in body")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["changed", "missing", "added", "doubled"])
def test_projections(full: Store, kind: str, how: str) -> None:
    where = (
        f"kind = '{kind}' AND rowid = (SELECT max(rowid) FROM projections WHERE kind = '{kind}')"
    )
    statement, problem = {
        "changed": (f"UPDATE projections SET state = 'forged' WHERE {where}", "differs in state"),
        "missing": (f"DELETE FROM projections WHERE {where}", "is missing"),
        "added": (
            "INSERT INTO projections SELECT * REPLACE (idx + 500 AS idx) "
            f"FROM projections WHERE {where}",
            "is not in the journal",
        ),
        "doubled": (
            f"INSERT INTO projections SELECT * FROM projections WHERE {where}",
            "is there twice",
        ),
    }[how]
    tamper(full, statement)
    ((table, key, said),) = findings(full)
    assert (table, said) == (kind, problem)
    assert key.startswith("run-")


def test_a_forged_body_of_a_projection(full: Store) -> None:
    tamper(
        full,
        "UPDATE projections SET body = replace(body, 'NOT_STARTED', 'SEALED')"
        " || ' ' WHERE kind = 'runs'",
    )
    assert findings(full) == [
        ("runs", f"run-{number} prod {number}", "differs in body") for number in (1, 2)
    ]


def test_a_database_that_is_behind_says_so(full: Store) -> None:
    tamper(full, "DELETE FROM journal_marks WHERE line = (SELECT max(line) FROM journal_marks)")
    ((table, _, problem),) = findings(full)
    assert table == "journal_marks"
    assert "expected the journal's end" in problem


@pytest.mark.parametrize("place", [40, -200])
def test_a_flipped_byte_in_the_journal(full: Store, home: Path, place: int) -> None:
    (path,) = (home / "journal").glob("*.jsonl")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))
    ((table, _, problem),) = findings(full)
    assert table == "journal"
    assert f"journal/{path.name}, line " in problem


def test_a_journal_that_lost_its_end(full: Store, home: Path) -> None:
    (path,) = (home / "journal").glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    ((table, _, problem),) = findings(full)
    assert table == "journal"
    assert "lines are missing" in problem


def test_samples_that_are_gone_are_reported_as_lost_and_nothing_is_wrong(full: Store) -> None:
    tamper(full, "DELETE FROM health_samples")
    report = full.fsck()
    assert report.ok
    (finding,) = report.findings
    assert finding.lost
    assert str(finding).startswith(
        "health_samples run-1 canary 1: samples of 2 of 2 polls were lost"
    )


def test_a_home_in_order_has_no_findings(full: Store) -> None:
    assert full.fsck().findings == ()


def test_fsck_says_how_much_it_read(store: Store) -> None:
    play(store, history(2))
    report = store.fsck()
    assert (report.ok, report.events) == (True, store.version("run-1"))
    assert report.lines == len(history(2))
