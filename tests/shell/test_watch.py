"""The watch over a stage: over the real store, with a simulated source of metrics and of time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from data.store import Store
from engine.core import ticks
from engine.core.jcs import canonical
from engine.core.metrics import ReadingStatus
from engine.core.run_events import RunPaused, RunResumed
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import StepInconclusive, StepStarted
from tests.shell.watch_kit import CRITERIA, POLL_S, TARGETS, SimulatedClock, Stand, applied

pytestmark = pytest.mark.house


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    clock = SimulatedClock()
    store = Store.open(tmp_path / "home", clock=clock)
    yield Stand(store, clock)
    store.close()


def test_a_healthy_stage_is_promoted_and_told_in_few_events(stand: Stand) -> None:
    stand.begin().watch(30)
    assert stand.run.step("canary").status is StepStatus.SUCCEEDED
    rows = stand.rows()
    assert [row.t_ms for row in rows] == [n * 1_000 for n in range(21)]  # exactly 20 s
    assert [row.n for row in rows] == list(range(1, 22))
    assert [(d.action, d.rule, d.t_ms) for d in stand.decided()] == [
        ("continue", 10, 1_000),
        ("promote", 10, 20_000),
    ]
    assert stand.run.step("canary").summary.startswith("1 of 1 target healthy for 20s")


def test_evidence_is_in_the_blob_that_the_event_names(stand: Stand) -> None:
    stand.begin().watch(30)
    last = stand.decided()[-1]
    evidence = stand.evidence(last)
    assert evidence["decision"]["criteria"] == str(CRITERIA.digest)
    assert evidence["decision"]["ticks"] == last.ticks == 20
    assert evidence["query"]["text"] == "every counter"
    assert evidence["cohort"] == ["t-01"]
    rows = stand.rows()
    assert evidence["series"] == {"rows": 21, "digest": str(ticks.series_digest(rows))}
    assert all(answer.same for answer in ticks.replay(rows))


def test_a_bad_canary_is_rolled_back_within_seconds(stand: Stand) -> None:
    stand.traffic.bad = {"t-01": 25}
    stand.begin().watch(30)
    run = stand.run
    assert run.status is RunStatus.ROLLING_BACK
    assert run.step("canary").status is StepStatus.FAILED
    last = stand.decided()[-1]
    assert (last.action, last.rule) == ("rollback", 4)
    assert last.t_ms <= 5_000


def test_on_breach_pause_pauses_instead(stand: Stand) -> None:
    stand.traffic.bad = {"t-01": 25}
    stand.begin(on_breach="pause").watch(30)
    assert (stand.run.status, stand.run.pause_reason) == (RunStatus.PAUSED, "health_breach")


def test_no_data_pauses_and_never_rolls_back(stand: Stand) -> None:
    stand.begin().watch(5)
    stand.traffic.status = ReadingStatus.ERROR
    stand.watch(30)
    assert (stand.run.status, stand.run.pause_reason) == (RunStatus.PAUSED, "health_inconclusive")
    assert stand.decided()[-1].reason == "no data for 8s: refused"
    assert [d.action for d in stand.decided()] == ["continue", "hold", "pause"]


def test_a_source_that_is_down_from_the_start_pauses_too(stand: Stand) -> None:
    stand.traffic.status = ReadingStatus.NODATA
    stand.begin().watch(30)
    assert stand.run.status is RunStatus.PAUSED
    assert stand.decided()[-1].t_ms == 8_000


def test_the_run_goes_on_after_a_pause_with_a_new_clock(stand: Stand) -> None:
    stand.begin().watch(5)
    stand.append(RunPaused(via="pause", pause_reason="manual", reason="look"), actor="ana")
    judged = len(stand.rows())
    stand.watch(60, judge=False)
    assert len(stand.rows()) == judged  # a paused run is looked at, not judged
    stand.append(RunResumed(via="resume", reason="fine"), actor="ana")
    resumed_s = stand.clock.now_s
    stand.watch(60)
    marks = [row for row in stand.rows() if row.action == ticks.RESUME]
    assert len(marks) == 1
    assert stand.run.step("canary").status is StepStatus.SUCCEEDED
    assert stand.decided()[-1].t_ms == marks[0].t_ms + 20_000
    assert stand.clock.now_s - resumed_s <= 22
    assert all(answer.same for answer in ticks.replay(stand.rows()))


def test_a_pause_between_two_polls_stops_the_clock_as_well(stand: Stand) -> None:
    stand.begin().watch(5)
    stand.append(RunPaused(via="pause", pause_reason="manual", reason="look"), actor="ana")
    stand.poll(judge=False)  # the event wakes the run, before the next poll is due
    stand.append(RunResumed(via="resume", reason="fine"), actor="ana")
    stand.watch(3)
    assert any(row.action == ticks.RESUME for row in stand.rows())


@pytest.mark.parametrize("down_s", [0.3, 1.4, 7.0])
@pytest.mark.parametrize("bad", [0, 2])
def test_a_restart_rebuilds_the_gate_as_it_was(stand: Stand, down_s: float, bad: int) -> None:
    stand.traffic.bad = dict.fromkeys(TARGETS, bad)
    stand.begin().watch(8)
    before = stand.watcher._watches["run-1"].gate
    stand.restart(down_s)
    stand.poll()
    after = stand.watcher._watches["run-1"].gate
    assert canonical(after.evidence) == canonical(before.evidence)
    assert after.carry() == before.carry()
    stand.watch(60)
    assert stand.run.step("canary").status is StepStatus.SUCCEEDED
    rows = stand.rows()
    assert [row.t_ms for row in rows] == sorted({row.t_ms for row in rows})
    assert {row.attempt for row in rows} == {1, 2}
    assert next(row.n for row in rows if row.attempt == 2) == 1
    assert all(answer.same for answer in ticks.replay(rows))
    # The last tick is a second old when the engine dies. More than two polls are a gap: the
    # clock starts again, and says so.
    restarted = any("no tick for" in d["cause"] for d in _restarts(stand))
    assert restarted == (down_s > 1)


def _restarts(stand: Stand) -> list[dict[str, Any]]:
    clock = stand.evidence(stand.decided()[-1])["decision"]["clock"]
    return cast("list[dict[str, Any]]", clock["restarts"])


def test_a_retry_begins_a_new_watch(stand: Stand) -> None:
    stand.traffic.status = ReadingStatus.ERROR
    stand.begin().watch(30)
    stand.append(
        StepInconclusive(step="canary", attempt=1, reason="retried"),
        RunResumed(via="retry_step", reason="again"),
        StepStarted(step="canary", attempt=2, op_id="o"),
        *applied("canary", 2, ()),
    )
    stand.attempt, stand.traffic.status = 2, ReadingStatus.OK
    stand.watch(30)
    rows = stand.rows(first=2)
    assert (rows[0].action, rows[0].t_ms, rows[0].n) == (ticks.START, 0, 1)
    assert stand.run.step("canary").status is StepStatus.SUCCEEDED


def test_history_is_that_of_the_old_version_before_the_first_change(stand: Stand) -> None:
    stand.begin().watch(2)
    # 900 s were asked for, and the 10 s that the deploy took are cut off again.
    assert stand.traffic.history_asked == [910]
    history = ticks.history_of(stand.rows()[0].tick)
    assert len(history) == 900
    assert history[-1] == ((500, 1), (501, 1), (502, 1), (503, 1))


def test_a_short_history_falls_back_to_the_unchanged_targets(stand: Stand) -> None:
    stand.traffic.known_s = 35  # 25 s before the change, 35 s of what did not change
    stand.begin().watch(2)
    history = ticks.history_of(stand.rows()[0].tick)
    assert len(history) == 35
    assert history[0] == ((501, 1), (502, 1), (503, 1))  # without t-01, which changed
    note = stand.evidence(stand.decided()[0])["history_note"]
    assert note == "35 s of the unchanged targets, 900 s were asked for"


def test_too_short_a_history_is_none(stand: Stand) -> None:
    stand.traffic.known_s = 29
    stand.begin().watch(2)
    assert ticks.history_of(stand.rows()[0].tick) == ()


def test_later_stages_carry_the_evidence_and_use_the_first_history(stand: Stand) -> None:
    stand.traffic.bad = dict.fromkeys(TARGETS, 1)
    stand.begin().watch(30)
    carried = ticks.rebuild(stand.rows()).carry()
    for step in ("full", "verify"):
        stand.deploy(step, TARGETS if step == "full" else ())
        stand.watch(30)
        start = ticks.decode(stand.rows(step)[0].tick)
        assert start["carry"] == carried
        assert start["criteria"]["baseline"] == "history"  # nobody is left to compare with
        assert len(start["history"]) == 900
        assert stand.run.step(step).status is StepStatus.SUCCEEDED
        carried = ticks.rebuild(stand.rows(step)).carry()
    assert stand.traffic.history_asked == [910]


def test_a_slow_read_does_not_shift_the_rhythm(stand: Stand) -> None:
    stand.traffic.takes_s = 0.4
    stand.begin().watch(10)
    assert [row.t_ms for row in stand.rows()] == [n * 1_000 for n in range(len(stand.rows()))]
    stand.traffic.takes_s = 1.3  # slower than a poll: every second one is left out
    stand.watch(6)
    assert len(stand.rows()) >= 12
    assert all(row.t_ms % 1_000 == 0 for row in stand.rows())
    assert max(stand.traffic.asked) < POLL_S


def test_an_early_call_does_nothing(stand: Stand) -> None:
    stand.begin().watch(3)
    due_s = stand.poll()
    rows, reads = len(stand.rows()), len(stand.traffic.asked)
    stand.clock.sleep(due_s - 0.01)
    assert stand.poll() == pytest.approx(0.01)
    assert (len(stand.rows()), len(stand.traffic.asked)) == (rows, reads)


def test_a_command_that_comes_in_between_wins(stand: Stand) -> None:
    stand.begin().watch(19)
    stale = stand.run
    stand.append(RunPaused(via="pause", pause_reason="manual", reason="look"), actor="ana")
    stand.clock.sleep(1)
    # The effect was chosen before the pause; its promotion must not be recorded after it.
    assert stand.watcher.poll(stale, "canary", 1, judge=True) == 0.0
    assert stand.run.status is RunStatus.PAUSED
    assert stand.run.step("canary").status is StepStatus.RUNNING
    assert all(answer.same for answer in ticks.replay(stand.rows()))
