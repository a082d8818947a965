"""Samples and log lines of ended attempts outlive the database; what does not is said by count."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import queries, segments
from data.store import Store
from engine.core.digest import Digest
from engine.core.errors import Malformed
from tests.data.kit import TestClock, log_line, sample
from tests.data.put_kit import a_run, lose_database, of, samples_of, table

pytestmark = pytest.mark.house

LINES = "run_id, step, attempt, ts_us, level, target, text"


def opened(home: Path) -> Store:
    return Store.open(home, clock=TestClock())


def blob_of(home: Path, store: Store, kind: str) -> Path:
    ((blob,),) = (
        store.cursor()
        .execute("SELECT blob FROM segments WHERE kind = ? AND count > 0", [kind])
        .fetchall()
    )
    return store.blobs.path(Digest.parse(blob))


@pytest.fixture
def put(home: Path) -> tuple[str, int]:
    """A home whose only run is put away; the database is still there."""
    store = opened(home)
    watched = a_run(store)
    assert store.put_away("run-1") > 1
    store.close()
    return watched


def test_a_lost_database_gets_everything_back(home: Path, put: tuple[str, int]) -> None:
    store = opened(home)
    before = {name: table(store, name) for name in ("health_samples", "sample_minutes")}
    lines = table(store, "step_logs", LINES)
    text = queries.logs_as_text(
        queries.step_logs(store.cursor(), run_id="run-1", step=put[0], attempt=put[1])
    )
    store.close()
    lose_database(home)
    store = opened(home)
    assert {name: table(store, name) for name in before} == before
    assert len(before["health_samples"]) == 60 and len(before["sample_minutes"]) == 6
    assert table(store, "step_logs", LINES) == lines
    again = queries.step_logs(store.cursor(), run_id="run-1", step=put[0], attempt=put[1])
    assert queries.logs_as_text(again) == text  # in the order in which they were written
    report = store.fsck()
    assert report.findings == (), report.findings
    store.close()


def test_putting_away_twice_makes_nothing_new(home: Path, put: tuple[str, int]) -> None:
    store = opened(home)
    assert store.put_away("run-1") == 0
    assert store.left_open() == ()
    store.close()


def test_what_comes_late_is_put_into_a_further_part(home: Path, put: tuple[str, int]) -> None:
    store = opened(home)
    step, attempt = put
    # An earlier time than what is put away, as after a clock was set back.
    late = of("run-1", step, attempt, [sample(-5, "t-03"), sample(-5, "t-03")])
    store.samples(late)
    assert store.put_away("run-1") == 1
    store.close()
    lose_database(home)
    store = opened(home)
    assert len(table(store, "health_samples")) == 62
    parts = table(store, "segments", "kind, part, count")
    assert [row for row in parts if row[2]] == [
        ("logs", 1, 30),
        ("samples", 1, 60),
        ("samples", 2, 2),
    ]
    assert store.fsck().findings == ()
    store.close()


def test_open_at_the_loss_is_reported_with_how_many(home: Path) -> None:
    store = opened(home)
    step, attempt = a_run(store)
    store.close()
    lose_database(home)
    store = opened(home)
    store.samples(of("run-1", step, attempt, samples_of(10)))  # and then the watch went on
    report = store.fsck()
    assert report.ok  # nothing is wrong now; it is gone
    found = {f.table: f for f in report.findings if f.key == f"run-1 {step} {attempt}"}
    assert "samples of 20 of 30 polls were lost" in found["health_samples"].problem
    assert "how many is not known" in found["step_logs"].problem
    # Put away only now, it is still known what was lost before.
    store.put_away("run-1")
    again = {f.table: f for f in store.fsck().findings if f.key == f"run-1 {step} {attempt}"}
    assert again == found
    store.close()


@pytest.mark.parametrize("kind", [segments.SAMPLES, segments.LOGS])
@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_a_damaged_archive(home: Path, put: tuple[str, int], kind: str, damage: str) -> None:
    store = opened(home)
    path = blob_of(home, store, kind)
    if damage == "missing":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    count = {segments.SAMPLES: "60 samples", segments.LOGS: "30 log lines"}[kind]
    (finding,) = store.fsck().findings
    assert finding.problem.startswith(f"the archive of {count} from ") and not finding.lost
    store.close()
    lose_database(home)
    store = opened(home)  # the other kind comes back, the home opens
    report = store.fsck()
    assert not report.ok
    (gone,) = [f for f in report.findings if "are lost: their archive" in f.problem]
    assert gone.problem.startswith(f"{count} from ")
    store.close()


def test_a_process_that_died_before_the_roll_up_is_finished(
    home: Path, put: tuple[str, int]
) -> None:
    store = opened(home)
    minutes = table(store, "sample_minutes")
    store.cursor().execute("DELETE FROM sample_minutes")
    store.cursor().execute("DELETE FROM segments_held")
    store.close()
    store = opened(home)
    assert table(store, "sample_minutes") == minutes
    assert len(table(store, "health_samples")) == 60
    assert store.fsck().findings == ()
    store.close()


def test_fsck_says_what_was_taken_out_of_the_tables(home: Path, put: tuple[str, int]) -> None:
    store = opened(home)
    cursor = store.cursor()
    cursor.execute("DROP TRIGGER step_logs_no_delete ON step_logs")
    cursor.execute("DELETE FROM step_logs WHERE text IN ('line 3', 'line 4')")
    cursor.execute("UPDATE sample_minutes SET errors = errors + 1 WHERE target = 't-01'")
    problems = {f.table: f.problem for f in store.fsck().findings}
    assert problems == {
        "step_logs": "2 of 30 archived log lines are not in the table",
        "sample_minutes": "3 minutes are not what the samples say",
    }
    store.close()


def test_an_attempt_without_lines_is_known_to_have_had_none(home: Path) -> None:
    store = opened(home)
    a_run(store)
    store.put_away("run-1")
    empty = [row for row in table(store, "segments", "kind, blob, count") if not row[2]]
    assert empty and {(kind, blob) for kind, blob, _ in empty} == {("logs", "")}
    store.close()
    lose_database(home)
    store = opened(home)
    assert store.fsck().findings == ()
    store.close()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=6))
def test_any_line_survives(texts: list[str]) -> None:
    rows = pl.DataFrame(
        [
            {
                "run_id": "r",
                "step": "s",
                "attempt": 1,
                "ts_us": n,
                "level": "info",
                "target": "",
                "text": text,
            }
            for n, text in enumerate(texts)
        ],
        schema=segments.LOG_SCHEMA,
    )
    content = segments.encode(segments.LOGS, rows)
    assert segments.decode(segments.LOGS, content).equals(rows)
    assert segments.encode(segments.LOGS, rows) == content


@pytest.mark.parametrize("kind", [segments.SAMPLES, segments.LOGS])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x1f\x8b\x08\x00", b"PAR1PAR1"])
def test_what_is_no_archive_is_refused(kind: str, content: bytes) -> None:
    with pytest.raises(Malformed, match="archive"):
        segments.decode(kind, content)


def test_an_old_home_is_put_away_after_its_migration(home: Path, tmp_path: Path) -> None:
    """Made by the two migrations of before, with rows, and opened by this code."""
    store = opened(home)
    step, _ = a_run(store)
    store.close()
    old = tmp_path / "old"
    shutil.copytree(home, old)
    import duckdb  # noqa: PLC0415 (only here is the file touched from outside)

    connection = duckdb.connect(str(old / "releaseline.duckdb"))
    for name in ("sample_minutes", "segments_held", "retiring", "segments", "retired"):
        connection.execute(f"DROP TRIGGER IF EXISTS {name}_no_update ON {name}")
        connection.execute(f"DROP TRIGGER IF EXISTS {name}_no_delete ON {name}")
    connection.execute("DROP TRIGGER health_samples_no_delete ON health_samples")
    for name in ("sample_minutes", "segments_held", "retiring", "segments", "retired"):
        connection.execute(f"DROP TABLE {name}")
    connection.execute(
        "CREATE TRIGGER health_samples_no_delete BEFORE DELETE ON health_samples "
        "FOR EACH STATEMENT INSERT INTO guard SELECT error('health_samples is append-only')"
    )
    connection.execute("DROP VIEW deliveries")
    later = ("replay_requests", "replays", "outbox", "hook_tries")  # of the migrations after
    for name in later:
        connection.execute(f"DROP TRIGGER {name}_no_update ON {name}")
        connection.execute(f"DROP TRIGGER {name}_no_delete ON {name}")
    for name in (*later, "replay_counts"):
        connection.execute(f"DROP TABLE {name}")
    connection.execute("ALTER TABLE events DROP COLUMN auth")
    connection.execute("DELETE FROM migrations WHERE number >= 3")
    connection.close()
    store = opened(old)
    assert store.left_open() == ("run-1",)
    assert len(table(store, "health_samples")) == 60
    assert store.put_away("run-1") > 1
    assert store.left_open() == ()
    assert len(queries.stage_minutes(store.cursor(), run_id="run-1", step=step)) > 0
    assert store.fsck().findings == ()
    store.close()


def test_lines_are_numbered_on_behind_what_came_back(home: Path, put: tuple[str, int]) -> None:
    lose_database(home)
    store = opened(home)
    store.logs([log_line("the newest")])
    store.fsck()  # which writes what waits
    numbers = [n for (n,) in table(store, "step_logs", "n")]
    assert numbers == list(range(1, 32))
    store.close()
