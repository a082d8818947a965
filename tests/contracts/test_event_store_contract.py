"""The contract of `ports.EventStore`, sentence by sentence, over the store as it is opened."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data.store import Store
from engine.core.errors import Conflict, IllegalTransition, Malformed, NotFound
from engine.core.events import Recorded
from engine.core.fact_events import Commented
from engine.core.house import ADMIN, SessionRevoked
from engine.core.run import fold
from engine.core.run_events import RunStarted
from engine.ports import EventStore
from tests.core.simulated import request
from tests.data.kit import TestClock, answer_row, gate_tick, history, leaf, play, verdict_row

Reopen = Callable[[], EventStore]


def said(reason: str) -> SessionRevoked:
    return SessionRevoked(secret_hash="x", reason=reason)


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Reopen]:
    """Opens the store; called again, closes it and opens the same home anew."""
    opened: list[Store] = []

    def again() -> EventStore:
        if opened:
            opened.pop().close()
        opened.append(Store.open(tmp_path / "home", clock=TestClock()))
        return opened[-1]

    yield again
    opened.pop().close()


@pytest.fixture
def store(reopen: Reopen) -> EventStore:
    return reopen()


def test_events_come_back_in_order_with_their_place(store: EventStore) -> None:
    first = store.append(ADMIN, (said("a"), said("b")), after=0, actor="ana")
    second = store.append(ADMIN, (said("c"),), after=2, actor="bob", command_id="bob/1")
    assert store.load(ADMIN) == (*first, *second)
    assert [r.seq for r in store.load(ADMIN)] == [1, 2, 3]
    assert [r.gseq for r in store.load(ADMIN)] == [1, 2, 3]
    assert [r.event for r in store.load(ADMIN, 1)] == [said("b"), said("c")]
    assert (second[0].actor, second[0].command_id) == ("bob", "bob/1")
    assert [r.event for r in store.load(ADMIN, 1, 1)] == [said("b")]
    assert store.load(ADMIN, 2, 5) == store.load(ADMIN, 2)
    assert store.load("engine:nobody") == store.load("engine:nobody", 0, 9) == ()
    assert (store.version(ADMIN), store.version("bundles")) == (3, 0)


def test_each_event_names_the_hash_of_the_one_before(store: EventStore) -> None:
    recorded = store.append(ADMIN, tuple(said(str(n)) for n in range(4)), after=0, actor="ana")
    assert recorded[0].prev.hex == "0" * 64
    for before, after in itertools.pairwise(recorded):
        assert after.prev == before.hash
    assert len({r.hash for r in recorded}) == 4


def test_a_taken_version_is_a_conflict_and_leaves_nothing(store: EventStore) -> None:
    store.append(ADMIN, (said("a"),), after=0, actor="ana")
    for after in (0, 2):
        with pytest.raises(Conflict, match="version 1"):
            store.append(ADMIN, (said("b"),), after=after, actor="ana", rows=(leaf(0),))
    assert store.version(ADMIN) == 1
    assert store.tlog_leaves() == ()


def test_what_comes_too_late_is_a_conflict_and_leaves_nothing(store: EventStore) -> None:
    (first,) = store.append(ADMIN, (said("a"),), after=0, actor="ana", before_us=2**62)
    with pytest.raises(Conflict, match="before this moment"):
        store.append(
            ADMIN, (said("b"),), after=1, actor="ana", rows=(leaf(0),), before_us=first.ts_us
        )
    assert (store.version(ADMIN), store.tlog_leaves()) == (1, ())


def test_a_known_command_appends_nothing_and_answers_as_before(reopen: Reopen) -> None:
    store = reopen()
    first = store.append(ADMIN, (said("a"), said("b")), after=0, actor="ana", command_id="ana/1")
    again = store.append(ADMIN, (said("other"),), after=9, actor="ana", command_id="ana/1")
    assert again == first == store.by_command("ana/1")
    assert store.by_command("ana/2") == ()
    store = reopen()
    assert store.append(ADMIN, (said("x"),), after=2, actor="ana", command_id="ana/1") == first
    assert store.version(ADMIN) == 2


def test_what_was_acknowledged_is_there_after_opening_again(reopen: Reopen) -> None:
    store = reopen()
    for number in (1, 2, 3):
        play(store, history(number, number))
    streams = [f"run-{n}" for n in (1, 2, 3)]
    logs = {stream: store.load(stream) for stream in streams}
    runs = {stream: store.run(stream) for stream in streams}
    open_runs = store.runs_open()
    store = reopen()
    assert {stream: store.load(stream) for stream in streams} == logs
    assert {stream: store.run(stream) for stream in streams} == runs
    assert store.runs_open() == open_runs
    assert store.last_run_number() == 3


@pytest.mark.parametrize("seed", range(8))
def test_a_run_is_the_fold_of_its_events(store: EventStore, seed: int) -> None:
    for step in history(seed):
        play(store, (step,))
        assert store.run("run-1") == fold("run-1", store.load("run-1"))
    ended = store.run("run-1").terminal
    assert store.runs_open() == (() if ended else (store.run("run-1"),))


def test_an_unknown_run_is_not_found(store: EventStore) -> None:
    store.append(ADMIN, (said("a"),), after=0, actor="ana")
    for name in ("run-9", ADMIN, ""):
        with pytest.raises(NotFound):
            store.run(name)
    assert store.last_run_number() == 0


def test_what_cannot_follow_is_refused_before_anything_is_written(store: EventStore) -> None:
    with pytest.raises(IllegalTransition):
        store.append("run-1", (Commented(text="first"),), after=0, actor="ana")
    store.append("run-1", (request(),), after=0, actor="ci")
    started = RunStarted(via="lock_acquired", epoch=1)
    with pytest.raises(IllegalTransition):
        store.append("run-1", (started, started), after=1, actor="engine", rows=(leaf(0),))
    with pytest.raises(IllegalTransition):
        store.append(ADMIN, (Commented(text="x"),), after=0, actor="ana")
    with pytest.raises(IllegalTransition):
        store.append("run-2", (request(number=7),), after=0, actor="ci")
    assert (store.version("run-1"), store.version(ADMIN)) == (1, 0)
    assert (store.run("run-1").version, store.tlog_leaves()) == (1, ())


def test_text_that_is_not_unicode_is_malformed_and_names_the_event(store: EventStore) -> None:
    with pytest.raises(Malformed, match=r"session\.revoked/1"):
        store.append(ADMIN, (said("\ud800"),), after=0, actor="ana")
    with pytest.raises(Malformed, match="somewhere"):
        store.append("somewhere", (said("x"),), after=0, actor="ana")
    store.append(
        ADMIN, (said("nul \x00, astral \U0001f680, line\nend \u2028"),), after=0, actor="a"
    )
    assert store.load(ADMIN)[0].event == said("nul \x00, astral \U0001f680, line\nend \u2028")


def test_epochs_only_grow(reopen: Reopen) -> None:
    store = reopen()
    given = [store.next_epoch("prod"), store.next_epoch("prod"), store.next_epoch("stage")]
    assert given == [1, 2, 1]
    store.append("run-1", (request(),), after=0, actor="ci")
    started = RunStarted(via="lock_acquired", epoch=7)
    store.append("run-1", (started,), after=1, actor="engine")
    assert store.next_epoch("prod") == 8
    store = reopen()
    assert store.next_epoch("prod") == 8
    assert store.next_epoch("stage") == 1


def test_rows_are_kept_in_order_and_only_once(reopen: Reopen) -> None:
    store = reopen()
    store.append(ADMIN, (said("a"),), after=0, actor="ana", rows=(leaf(0), verdict_row()))
    store.record([gate_tick(1), gate_tick(2), leaf(1), answer_row()])
    store.record([gate_tick(1, attempt=2), gate_tick(1, attempt=3)])
    for taken in (gate_tick(2), leaf(1), leaf(5), verdict_row(), answer_row()):
        with pytest.raises(Conflict):
            store.record([gate_tick(9, run_id="run-2"), taken])
    for _ in range(2):
        assert store.gate_ticks("run-1", "canary", 2) == (
            gate_tick(1, attempt=2),
            gate_tick(1, attempt=3),
        )
        assert len(store.gate_ticks("run-1", "canary", 1)) == 4
        later = [(t.attempt, t.n) for t in store.gate_ticks("run-1", "canary", 1, behind=(1, 1))]
        assert later == [(1, 2), (2, 1), (3, 1)]
        assert store.gate_ticks("run-1", "canary", 3, behind=(1, 2)) == (gate_tick(1, attempt=3),)
        assert store.gate_ticks("run-1", "canary", 1, behind=(3, 1)) == ()
        assert [store.last_tick("run-1", "canary", n) for n in (1, 2, 3, 4)] == [2, 1, 1, 0]
        assert store.gate_ticks("run-2", "canary", 1) == ()
        assert store.tlog_leaves() == (leaf(0).leaf_hash, leaf(1).leaf_hash)
        store = reopen()


def test_subscribers_hear_everything_once_in_order_before_the_answer(store: EventStore) -> None:
    heard: list[Recorded] = []
    stop = store.subscribe(heard.extend)
    appended: list[Recorded] = []
    for n in range(20):
        appended += store.append(ADMIN, (said(str(n)),), after=n, actor="ana")
        assert heard == appended
    stop()
    store.append(ADMIN, (said("unheard"),), after=20, actor="ana")
    assert heard == appended


def test_a_subscriber_that_raises_disturbs_no_other(store: EventStore) -> None:
    def broken(batch: tuple[Recorded, ...]) -> None:
        raise RuntimeError("broken")

    heard: list[Recorded] = []
    store.subscribe(broken)
    store.subscribe(heard.extend)
    recorded = store.append(ADMIN, (said("a"),), after=0, actor="ana")
    assert heard == list(recorded)


def test_a_subscriber_may_append(store: EventStore) -> None:
    def answer(batch: tuple[Recorded, ...]) -> None:
        if batch[-1].stream == ADMIN:
            store.append("engine:echo", (said("echo"),), after=0, actor="engine")

    store.subscribe(answer)
    store.append(ADMIN, (said("a"),), after=0, actor="ana")
    assert store.version("engine:echo") == 1


def test_of_two_at_once_one_wins_and_no_place_is_lost(store: EventStore) -> None:
    """Racers append behind what they saw; each place is given once, each refusal is a conflict."""
    won: list[int] = []
    refused = []
    start = threading.Barrier(4)

    def race() -> None:
        start.wait()
        for _ in range(25):
            after = store.version(ADMIN)
            try:
                (recorded,) = store.append(ADMIN, (said("r"),), after=after, actor="racer")
            except Conflict as conflict:
                refused.append(conflict)
            else:
                won.append(recorded.seq)

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(1, len(won) + 1))
    assert len(won) + len(refused) == 100
    assert refused
    assert [r.seq for r in store.load(ADMIN)] == sorted(won)
