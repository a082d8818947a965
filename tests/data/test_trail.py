"""The chain of events: whatever is done to a record is named by its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from data.store import Store
from engine.core.auth import AuthContext
from engine.core.house import ADMIN, CommandRejected
from tests.data.kit import TestClock, everything, history, play

GUARDS = ("events_no_update", "events_no_delete")


def rejected(n: int) -> CommandRejected:
    return CommandRejected(action="approve", run="run-1", code="role", reason=f"no {n}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A closed home with some hundred events of people and of the engine."""
    auth = AuthContext(method="token", credential="0123abcd", request_id="req_1")
    store = Store.open(tmp_path, clock=TestClock(), auth=lambda: auth)
    for number in range(1, 5):
        play(store, history(number, number))
        store.append(ADMIN, (rejected(number),), after=number - 1, actor="bob")
    store.close()
    return tmp_path


def report(home: Path) -> tuple[bool, int, str]:
    store = Store.open(home, clock=TestClock())
    try:
        found = store.check_trail()
    finally:
        store.close()
    return found.ok, found.broken_at, found.problem


def tamper(home: Path, *statements: str) -> None:
    """As somebody would who has the file and a copy of DuckDB."""
    with duckdb.connect(str(home / "releaseline.duckdb")) as connection:
        for guard in GUARDS:
            connection.execute(f"DROP TRIGGER {guard} ON events")
        for statement in statements:
            connection.execute(statement)


def test_an_untouched_chain_holds_up_to_its_newest_event(home: Path) -> None:
    store = Store.open(home, clock=TestClock())
    try:
        found = store.check_trail()
        ((gseq, digest),) = (
            store.cursor()
            .execute("SELECT gseq, hash FROM events ORDER BY gseq DESC LIMIT 1")
            .fetchall()
        )
    finally:
        store.close()
    assert (found.ok, found.events, found.gseq, found.hash) == (True, gseq, gseq, digest)
    assert found.lines > 10


def test_an_empty_home_holds(tmp_path: Path) -> None:
    assert report(tmp_path) == (True, 0, "")


def test_heads_of_the_log_anchor_the_chain(tmp_path: Path) -> None:
    store = Store.open(tmp_path, clock=TestClock())
    everything(store)  # its head names an event by a hash that no event has
    found = store.check_trail()
    store.close()
    assert (found.ok, found.broken_at) == (False, 1)
    assert "signed head" in found.problem


@pytest.mark.parametrize("gseq", [1, 7, 40])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM events WHERE gseq = {n}", "gone"),
        (
            "UPDATE events SET actor = 'mallory' WHERE gseq = {n}",
            "differs from the journal in act",
        ),
        ("UPDATE events SET auth = '' WHERE gseq = {n}", "differs from the journal in auth"),
        (
            "INSERT INTO events SELECT gseq, stream || 'x', seq, ts_us, actor, command_id, kind, "
            "body, prev, hash, auth FROM events WHERE gseq = {n}",
            "twice",
        ),
    ],
    ids=["deleted", "changed", "proof-taken", "added"],
)
def test_the_table_is_compared_row_by_row(home: Path, gseq: int, change: str, said: str) -> None:
    tamper(home, change.format(n=gseq))
    store = Store.open(home, clock=TestClock())
    found = store.check_trail()
    store.close()
    place = gseq + 1 if said == "twice" else gseq
    assert (found.ok, found.broken_at) == (False, place), found.problem
    assert said in found.problem


@pytest.mark.parametrize("place", [10**12, -5])
def test_a_row_beyond_the_journal_is_named(home: Path, place: int) -> None:
    tamper(
        home,
        f"INSERT INTO events SELECT {place}, 'admin', 900, ts_us, actor, command_id, kind, body, "
        "prev, hash, auth FROM events WHERE gseq = 2",
    )
    ok, _, problem = report(home)
    assert not ok
    assert str(place) in problem


def edited(home: Path, change: Callable[[list[str]], None]) -> None:
    (path,) = (home / "journal").glob("*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    change(lines)
    path.write_text("".join(lines))


def first_event(line: str) -> int:
    return next(r["gseq"] for r in json.loads(line)["records"] if r["type"] == "event")


@pytest.mark.parametrize("damage", ["deleted", "changed", "added"])
def test_the_journal_is_read_from_its_first_line(home: Path, damage: str) -> None:
    """While the house is open, so that nothing but the check can see it."""
    store = Store.open(home, clock=TestClock())
    expected: list[int] = []

    def change(lines: list[str]) -> None:
        expected.append(first_event(lines[5]))
        match damage:
            case "deleted":
                del lines[5]
            case "changed":
                lines[5] = lines[5].replace('"actor":"', '"actor":"x', 1)
            case _:
                lines.insert(5, lines[4])

    try:
        edited(home, change)
        found = store.check_trail()
    finally:
        store.close()
    assert (found.ok, found.broken_at) == (False, expected[0])
    assert "journal/" in found.problem


def test_appends_go_on_while_the_chain_is_read(home: Path) -> None:
    store = Store.open(home, clock=TestClock())
    try:
        before = store.check_trail()
        store.append(ADMIN, (rejected(9),), after=store.version(ADMIN), actor="eve")
        after = store.check_trail()
    finally:
        store.close()
    assert (before.ok, after.ok) == (True, True)
    assert after.gseq == before.gseq + 1
