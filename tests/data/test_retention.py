"""Raw samples go only when what stays says the same; wherever it is cut, the next time ends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data import minutes, queries, retire, segments
from data.migrate import migrate, migrations
from data.store import Store
from engine.core.digest import Digest
from engine.live_feed import StoreFeed
from tests.data.kit import TestClock, history, play
from tests.data.put_kit import MINUTE_US, a_run, lose_database, of, samples_of, table

pytestmark = pytest.mark.house

LATER_US = 10**18
ORDER = ["ts_us", "arm", "target"]


class PowerCut(BaseException):
    """Not an Exception: nothing in the store may catch it."""


def opened(home: Path) -> Store:
    return Store.open(home, clock=TestClock())


@pytest.fixture
def old(home: Path) -> tuple[str, int]:
    """Two ended runs, put away; closed again."""
    store = opened(home)
    watched = a_run(store)
    a_run(store, seed=12, number=2)
    for run_id in ("run-1", "run-2"):
        assert store.run(run_id).terminal
        store.put_away(run_id)
    store.close()
    return watched


def summed(frame: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """Sums per arm and target, whatever the resolution."""
    return frame.group_by("arm", "target").agg(pl.col(names).sum()).sort("arm", "target").rows()


def test_old_samples_go_and_their_minutes_stay(home: Path, old: tuple[str, int]) -> None:
    store = opened(home)
    step, _ = old
    cursor = store.cursor()
    raw = queries.stage_samples(cursor, run_id="run-1", step=step)
    polls, minutes = queries.stage_kept(cursor, run_id="run-1", step=step)
    assert polls.sort(ORDER).equals(raw.sort(ORDER)) and minutes.is_empty()
    would = store.retire(LATER_US, dry_run=True)
    assert (would.runs, would.attempts, would.samples, would.minutes) == (2, 2, 120, 12)
    assert len(table(store, "health_samples")) == 120
    done = store.retire(LATER_US)
    assert (done.runs, done.attempts, done.samples, done.minutes) == (2, 2, 120, 12)
    assert (done.kept, table(store, "health_samples")) == ((), [])
    assert min(done.bytes_after, done.bytes_before) > 0
    rolled = queries.stage_minutes(store.cursor(), run_id="run-1", step=step)
    polls, minutes = queries.stage_kept(store.cursor(), run_id="run-1", step=step)
    assert polls.is_empty() and minutes.sort(ORDER).equals(rolled.sort(ORDER))
    assert summed(rolled, "requests", "errors", "slow") == summed(raw, "requests", "errors", "slow")
    assert rolled.filter(target="t-02")["missing_polls"].sum() == 5
    run, feed = store.run("run-1"), StoreFeed(store)
    assert feed.p95(run, run.step(step)) == {}
    slowest = raw.group_by(pl.col("ts_us") // MINUTE_US * MINUTE_US, "arm").agg(
        pl.col("p95_ms").max()
    )
    by_minute: dict[int, dict[str, int | None]] = {}
    for at_us, arm, p95_ms in slowest.rows():
        by_minute.setdefault(at_us, {})[arm] = p95_ms
    assert feed.p95_minutes(run, run.step(step)) == {
        at_us: (arms.get("canary"), arms.get("baseline")) for at_us, arms in by_minute.items()
    }
    assert store.fsck().findings == ()
    again = store.retire(LATER_US)
    assert (again.attempts, again.samples, again.kept) == (0, 0, ())
    store.close()
    lose_database(home)
    store = opened(home)  # what went does not come back, and its minutes do
    assert table(store, "health_samples") == []
    assert queries.stage_minutes(store.cursor(), run_id="run-1", step=step).equals(rolled)
    assert store.fsck().findings == ()
    store.close()


def test_young_samples_and_open_runs_stay(home: Path) -> None:
    store = opened(home)
    step, attempt = a_run(store)
    play(store, history(12, 2)[:6])
    assert not store.run("run-2").terminal
    store.samples(of("run-2", step, 1, samples_of(5)))
    store.put_away("run-1")
    store.put_away("run-2")
    newest_us = 29 * 5_000_000
    assert store.retire(newest_us).attempts == 0  # the newest is not older than itself
    assert store.retire(newest_us + 1).attempts == 1
    assert {row[0] for row in table(store, "health_samples", "run_id")} == {"run-2"}
    assert attempt
    store.close()


Damage = Callable[[Store], None]


def _roll_up(store: Store) -> None:
    store.cursor().execute("UPDATE sample_minutes SET slow = slow + 1 WHERE run_id = 'run-1'")


def _missing_minute(store: Store) -> None:
    store.cursor().execute(
        "DELETE FROM sample_minutes WHERE run_id = 'run-1' AND minute_us = 0 AND target = 't-01'"
    )


def _late(store: Store) -> None:
    step, attempt = _watched(store)
    store.samples(of("run-1", step, attempt, samples_of(1)))
    store.fsck()


def _archive(store: Store) -> None:
    ((blob,),) = (
        store.cursor()
        .execute(
            "SELECT blob FROM segments WHERE kind = 'samples' AND run_id = 'run-1' AND count > 0"
        )
        .fetchall()
    )
    store.blobs.path(Digest.parse(blob)).unlink()


def _watched(store: Store) -> tuple[str, int]:
    ((step, attempt),) = (
        store.cursor()
        .execute("SELECT DISTINCT step, attempt FROM health_samples WHERE run_id = 'run-1'")
        .fetchall()
    )
    return step, attempt


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_roll_up, "6 minutes of the roll-up are not what the samples say"),
        (_missing_minute, "1 minutes of the roll-up are not what the samples say"),
        (_late, "62 samples are there and 60 were archived"),
        (_archive, "the archive cannot be read"),
    ],
)
def test_what_is_not_proven_equal_stays(
    home: Path, old: tuple[str, int], damage: Damage, why: str
) -> None:
    store = opened(home)
    before = len(table(store, "health_samples")) - 60
    damage(store)
    done = store.retire(LATER_US)
    assert done.attempts == 1  # the other run's
    (kept,) = done.kept
    assert kept.startswith(f"run-1 {old[0]} {old[1]}: {why}")
    assert kept in done.sentence()
    assert len(table(store, "health_samples")) >= before
    store.close()


def _cut(monkeypatch: pytest.MonkeyPatch, target: object, name: str, *, before: bool) -> None:
    real = getattr(target, name)

    def cut(*args: Any, **more: Any) -> Any:
        if not before:
            real(*args, **more)
        raise PowerCut

    monkeypatch.setattr(target, name, cut)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("place", ["word", "deletion", "checkpoint"])
def test_a_power_cut_anywhere(
    home: Path,
    old: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    before: bool,
) -> None:
    store = opened(home)
    rolled = table(store, "sample_minutes")
    retiring: Any = store._retiring
    with monkeypatch.context() as patched:
        owner, name = {
            "word": (retiring, "_record"),
            "deletion": (retire, "_take_away"),
            "checkpoint": (retiring, "_checkpoint"),
        }[place]
        _cut(patched, owner, name, before=before)
        with pytest.raises(PowerCut):
            store.retire(LATER_US)
    store.close()
    store = opened(home)
    store.retire(LATER_US)
    assert table(store, "health_samples") == []
    assert table(store, "sample_minutes") == rolled
    assert len(table(store, "retired")) == 2
    assert store.fsck().findings == ()
    assert store.retire(LATER_US).attempts == 0
    store.close()


def test_it_ends_between_runs_when_asked_to(home: Path, old: tuple[str, int]) -> None:
    store = opened(home)
    asked: list[None] = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > 1

    done = store.retire(LATER_US, stop=stop)
    assert (done.stopped, done.runs) == (True, 1)
    assert {row[0] for row in table(store, "health_samples", "run_id")} == {"run-2"}
    store.close()


def test_samples_are_guarded_again_afterwards(home: Path, old: tuple[str, int]) -> None:
    store = opened(home)
    store.retire(25 * 5_000_000)
    with pytest.raises(duckdb.Error, match="health_samples is append-only"):
        store.cursor().execute("DELETE FROM health_samples")
    assert table(store, "retiring") == []
    store.close()


SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 4 * MINUTE_US),
        st.sampled_from(["t-01", "t-02"]),
        st.sampled_from(["canary", "baseline"]),
        st.integers(0, 2**40),
        st.integers(0, 2**40),
        st.integers(0, 9),
        st.none() | st.integers(0, 10_000),
        st.none() | st.booleans(),
        st.none() | st.sampled_from(["sha256:a", "sha256:b"]),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=SAMPLES)
@example(rows=[])
def test_roll_ups_sum_to_exactly_the_samples(rows: list[tuple[Any, ...]], memory: Any) -> None:
    key = ("run-1", "canary", 1)
    samples = pl.DataFrame(
        [(t, *key, target, arm, *rest) for t, target, arm, *rest in rows],
        schema=segments.SAMPLE_SCHEMA,
        orient="row",
    )
    minutes.roll_up(memory, key, samples=samples)
    names = ("minute_us", "target", "arm", "requests", "errors", "slow", "healthy_polls",
             "unhealthy_polls", "missing_polls", "p95_ms_max", "digest")  # fmt: skip
    found = memory.execute(f"SELECT {', '.join(names)} FROM sample_minutes").fetchall()
    expected: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        expected.setdefault((row[0] // MINUTE_US * MINUTE_US, *row[1:3]), []).append(row)
    assert sorted(map(repr, found)) == sorted(
        repr((*moment, *_by_hand(of_minute))) for moment, of_minute in expected.items()
    )
    assert minutes.counted(memory, key) == (len(expected), len(rows))


def _by_hand(rows: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    latencies = [row[6] for row in rows if row[6] is not None]
    digests = {row[8] for row in rows} - {None}
    return (
        *(sum(row[n] for row in rows) for n in (3, 4, 5)),
        *(sum(row[7] is word for row in rows) for word in (True, False, None)),
        max(latencies, default=None),
        digests.pop() if len(digests) == 1 else None,
    )


@pytest.fixture(scope="module")
def memory() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    migrate(connection, migrations())
    return connection
