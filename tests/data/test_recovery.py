"""What a start finds and mends: a database behind, damaged or gone; and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data.migrate import Migration, migrate, migrations
from data.store import Store
from engine.core.errors import Malformed
from engine.core.house import ADMIN, SessionRevoked, StoreRebuilt
from engine.core.run import fold
from tests.data.kit import TestClock, gate_tick, history, leaf, play

pytestmark = pytest.mark.house

STATE = ("events", "gate_ticks", "tlog_entries", "tlog_heads", "verdicts", "commands")


def opened(home: Path) -> Store:
    return Store.open(home, clock=TestClock())


def content(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """What the journal carries, as the tables show it; not what the store says of itself."""
    tables = {
        t: store.cursor().execute(f"SELECT * FROM {t} ORDER BY ALL").fetchall() for t in STATE
    }
    tables["events"] = [row for row in tables["events"] if row[1] != "engine:store"]
    tables["projections"] = (
        store.cursor().execute("SELECT * FROM projections ORDER BY ALL").fetchall()
    )
    return tables


def rebuilt(store: Store) -> StoreRebuilt:
    (recorded,) = store.load("engine:store")
    assert isinstance(recorded.event, StoreRebuilt)
    return recorded.event


@pytest.fixture
def before(filled: Path) -> dict[str, list[tuple[object, ...]]]:
    store = opened(filled)
    found = content(store)
    store.close()
    return found


def test_a_deleted_database_is_rebuilt(home: Path, before: dict[str, object]) -> None:
    for path in home.glob("releaseline.duckdb*"):
        path.unlink()
    store = opened(home)
    assert content(store) == before
    assert rebuilt(store).reason == "the database was missing"
    assert rebuilt(store).events == len(before["events"])  # type: ignore[arg-type]
    report = store.fsck()
    assert report.ok
    assert all(f.lost for f in report.findings)
    (samples,) = [f for f in report.findings if f.table == "health_samples"]
    assert "samples of 2 of 2 polls were lost" in samples.problem
    lines = {f.key for f in report.findings if f.table == "step_logs"}
    assert lines == {  # nothing was put away yet
        f"{run_id} {step.id} {attempt.number}"
        for run_id in ("run-1", "run-2")
        for step in store.run(run_id).steps
        for attempt in step.attempts
    }
    store.close()
    store = opened(home)  # and once is enough
    assert rebuilt(store).quarantined == ""
    store.close()


@pytest.mark.parametrize("damage", ["header", "all", "short", "empty"])
def test_a_damaged_database_is_set_aside_and_rebuilt(
    home: Path, before: dict[str, object], damage: str
) -> None:
    path = home / "releaseline.duckdb"
    good = path.read_bytes()
    bad = {
        "header": b"\0" * 64 + good[64:],
        "all": bytes(b ^ 0x55 for b in good),
        "short": good[: len(good) // 2],
        "empty": good[:100],
    }[damage]
    path.write_bytes(bad)
    store = opened(home)
    assert content(store) == before
    event = rebuilt(store)
    assert event.reason.startswith("the database was damaged: ")
    assert (home / event.quarantined).read_bytes() == bad
    assert event.quarantined.endswith(".quarantine")
    assert store.fsck().ok
    store.close()


def test_a_database_from_yesterday_catches_up(home: Path, tmp_path: Path) -> None:
    store = opened(home)
    play(store, history(12, 1)[:4])
    store.close()
    yesterday = (home / "releaseline.duckdb").read_bytes()
    store = opened(home)
    play(store, history(12, 1)[4:])
    play(store, history(3, 2))
    store.record([leaf(0), gate_tick()])
    now = content(store)
    store.close()
    (home / "releaseline.duckdb").write_bytes(yesterday)
    store = opened(home)
    assert content(store) == now
    assert store.load("engine:store") == ()  # nothing was rebuilt
    assert store.fsck().ok
    for run_id in ("run-1", "run-2"):
        assert store.run(run_id) == fold(run_id, store.load(run_id))
    store.close()


def test_a_torn_end_of_the_journal_is_cut_and_the_home_goes_on(home: Path) -> None:
    store = opened(home)
    play(store, history(3))
    version = store.version("run-1")
    store.close()
    (path,) = (home / "journal").glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 3].split(b"\n")[0][:200])
    store = opened(home)
    assert store.version("run-1") == version
    assert path.read_bytes() == whole
    store.append(ADMIN, (SessionRevoked(secret_hash="x", reason="y"),), after=0, actor="ana")
    assert store.fsck().ok
    store.close()


def test_a_damaged_journal_is_refused_and_nothing_is_changed(
    home: Path, before: dict[str, object]
) -> None:
    (path,) = (home / "journal").glob("*.jsonl")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(bytes(damaged))
    with pytest.raises(Malformed, match=f"journal/{path.name}, line "):
        opened(home)
    assert path.read_bytes() == damaged
    assert not list(home.glob("*.quarantine"))


def test_a_journal_that_is_gone_is_refused(home: Path, before: dict[str, object]) -> None:
    for path in (home / "journal").glob("*.jsonl"):
        path.unlink()
    with pytest.raises(Malformed, match="recorded facts are missing"):
        opened(home)


def test_a_second_process_is_told(home: Path) -> None:
    store = opened(home)
    code = (
        "import sys; from pathlib import Path; from data.store import Store; "
        "from tests.data.kit import TestClock; Store.open(Path(sys.argv[1]), clock=TestClock())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(home)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert other.returncode == 1
    assert "UnsafeConfig" in other.stderr
    assert "in use by another process" in other.stderr
    store.append(ADMIN, (SessionRevoked(secret_hash="x", reason="y"),), after=0, actor="ana")
    store.close()


def test_an_applied_migration_is_frozen(tmp_path: Path) -> None:
    known = migrations()
    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        migrate(connection, known)
        migrate(connection, known)
        ((count,),) = connection.execute("SELECT count(*) FROM migrations").fetchall()
        assert count == len(known)
        edited = Migration(number=1, name=known[0].name, sql=known[0].sql + " ")
        with pytest.raises(Malformed, match="a migration may not change"):
            migrate(connection, (edited, *known[1:]))
        with pytest.raises(Malformed, match="written by a newer release"):
            migrate(connection, known[:1])


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seeds=st.lists(st.integers(0, 60), min_size=1, max_size=2),
    closes=st.sets(st.integers(0, 20), max_size=2),
    lose=st.booleans(),
)
@example(seeds=[3, 5], closes={4}, lose=True)
def test_any_history_survives_any_restart(
    tmp_path_factory: pytest.TempPathFactory, seeds: list[int], closes: set[int], lose: bool
) -> None:
    """Runs side by side, closed and opened again in between, then rebuilt: always the same."""
    home = tmp_path_factory.mktemp("home")
    store = opened(home)
    lanes = [list(history(seed, number)) for number, seed in enumerate(seeds, start=1)]
    turn = 0
    while any(lanes):
        for lane in lanes:
            if lane:
                play(store, [lane.pop(0)])
        turn += 1
        if turn in closes:
            store.close()
            store = opened(home)
    was = content(store)
    assert store.fsck().ok
    for number in range(1, len(seeds) + 1):
        assert store.run(f"run-{number}") == fold(f"run-{number}", store.load(f"run-{number}"))
    assert [r.number for r in store.runs_open()] == [
        n for n in range(1, len(seeds) + 1) if not store.run(f"run-{n}").terminal
    ]
    store.close()
    if lose:
        (home / "releaseline.duckdb").unlink()
    store = opened(home)
    assert content(store) == was
    store.close()
