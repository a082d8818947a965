"""A stage that waits for its time, in a whole house: power cuts, breaches, pauses, clocks.

The process ends at a call that changes something, stays down for a while, and a new engine opens
the copied home. The full stage begins once and inside of its window, or it is told why not.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.core import gate_replay
from engine.core.commands import Action, Window
from engine.core.errors import Refused
from engine.core.health_stage import SHUT_ROW
from engine.core.run import Run
from engine.core.schedule_events import FiringWord
from engine.core.statemachine import RunStatus, StepStatus
from engine.core.step_events import StepStarted
from engine.core.step_time_events import StepTicked
from tests.faults.small_house import (
    OLD,
    Fuse,
    PowerCut,
    SimClock,
    SimFleet,
    SmallHouse,
    session_keys,
)

pytestmark = pytest.mark.fault

S = 1_000_000
CHANGING = ("store.append", "blobs.put", "target.switch")
AHEAD_S, WINDOW_S = 40, 200
# A restart, a part of the window, past its end.
DOWN_S = (3, 100, 300)


def canary(run: Run) -> bool:
    step = run.step("canary-50").attempt
    return step is not None and step.applied


def shut(run: Run) -> bool:
    gate = run.step("canary-50").gate
    return gate is not None and gate.rule == SHUT_ROW


@dataclass
class World:
    """What lives on when the engine dies. `opens_us`: fixed by whoever asks, before any cut."""

    folder: Path
    down_s: int = 0
    fleet: SimFleet = field(default_factory=SimFleet)
    clock: SimClock = field(default_factory=SimClock)
    lives: int = 0
    opens_us: int = 0

    def house(self, fuse: Fuse) -> SmallHouse:
        home = self.folder / f"life-{self.lives}"
        return SmallHouse(home, session_keys(), fuse=fuse, fleet=self.fleet, clock=self.clock)

    def play(self, fuse: Fuse) -> Run:
        for one in (fuse, Fuse()):
            house = None
            try:
                house = self.house(one)
                house.runner.recover()
                run = self.course(house)
                one.blown = True
                self.judge(house, run)
                return run
            except PowerCut:
                before, self.lives = self.folder / f"life-{self.lives}", self.lives + 1
                after = self.folder / f"life-{self.lives}"
                shutil.copytree(before, after, ignore=shutil.ignore_patterns("lock"))
                self.clock.sleep(self.down_s)
            finally:
                if house is not None:
                    house.close()
        raise AssertionError("the second life has no fuse")

    def course(self, house: SmallHouse) -> Run:
        """Promote, give the full stage a time once the canary is set, and live until it rests."""
        run = house.promote()
        house.drive(run.run_id, until=canary)
        self.opens_us = self.opens_us or self.clock.us + AHEAD_S * S
        with suppress(Refused):  # in a second life the step may have begun, or its time be gone
            house.command(
                run.run_id, Action.SCHEDULE_STEP, "mia", "at-six", step="full-100",
                window=self.window,
            )  # fmt: skip
        return house.drive(run.run_id)

    @property
    def window(self) -> Window:
        end_us = self.opens_us + WINDOW_S * S
        return Window(start_us=self.opens_us, end_us=end_us, time_zone="UTC", local="then")

    def judge(self, house: SmallHouse, run: Run) -> None:
        log = house.real.load(run.run_id)
        ends = [
            (r.event.word, r) for r in log
            if isinstance(r.event, StepTicked) and r.event.word is not FiringWord.DUE
        ]  # fmt: skip
        begun = [r for r in log if isinstance(r.event, StepStarted) and r.event.step == "full-100"]
        if run.step("full-100").time is None:  # cut before the wish was made, and then too late
            assert not ends and run.status is RunStatus.SUCCEEDED
            return
        assert len(ends) == 1
        word, told = ends[0]
        if word is FiringWord.STARTED:
            assert run.status is RunStatus.SUCCEEDED and run.seal_status == "SEALED"
            first = begun[0]
            assert first.seq == told.seq + 1, "the tick stands in the append of the start"
            assert self.opens_us <= first.ts_us < self.window.end_us + S
        else:
            assert word in {FiringWord.MISSED, FiringWord.EXPIRED} and not begun
            assert told.ts_us >= self.window.end_us
            assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "step_failed")
        assert len([r for r in begun if r.event.attempt == 1]) <= 1  # type: ignore[union-attr]
        for step in ("canary-50", "full-100"):
            watched = gate_replay.watches(rows_of(house, run, step))
            assert all(gate_replay.replay_watch(rows).same for rows in watched)
        assert house.real.fsck().ok


def rows_of(house: SmallHouse, run: Run, step: str) -> tuple:  # type: ignore[type-arg]
    numbers = [attempt.number for attempt in run.step(step).attempts]
    return tuple(house.real.gate_ticks(run.run_id, step, 1)) if numbers else ()


def calls(folder: Path) -> list[int]:
    fuse = Fuse()
    World(folder).play(fuse)
    return [n for n, name in enumerate(fuse.names, 1) if name in CHANGING]


def kill(folder: Path, at: int, *, before: bool, down_s: int) -> None:
    World(folder, down_s=down_s).play(Fuse(at=at, before=before))
    shutil.rmtree(folder)


def test_killed_around_its_time_it_begins_once_or_is_told(tmp_path: Path) -> None:
    found = calls(tmp_path / "uncut")
    # Around the wish, the DUE tick, the promotion of the stage before, the start and its switches.
    near = found[len(found) // 3 : -len(found) // 4]
    for turn, at in enumerate(near[:: max(1, len(near) // 3)]):
        down_s = DOWN_S[turn % len(DOWN_S)]
        kill(tmp_path / f"cut-{at}", at, before=bool(turn % 2), down_s=down_s)


@pytest.mark.long
def test_killed_at_every_call(tmp_path: Path) -> None:
    for turn, at in enumerate(calls(tmp_path / "uncut")):
        for down_s in DOWN_S:
            kill(tmp_path / f"cut-{at}-{down_s}", at, before=bool(turn % 2), down_s=down_s)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def house(world: World) -> Iterator[SmallHouse]:
    made = world.house(Fuse())
    yield made
    made.close()


def waiting(world: World, house: SmallHouse) -> Run:
    run = house.promote()
    house.drive(run.run_id, until=canary)
    world.opens_us = world.clock.us + AHEAD_S * S
    house.ask(run.run_id, Action.SCHEDULE_STEP, "mia", step="full-100", window=world.window)
    return house.drive(run.run_id, until=shut)


def test_a_breach_in_the_wait_rolls_back(world: World, house: SmallHouse) -> None:
    run = waiting(world, house)
    assert run.status is RunStatus.RUNNING and run.step("canary-50").open
    world.fleet.bad = {run.bundle}
    run = house.drive(run.run_id)
    assert run.status is RunStatus.ROLLED_BACK and world.clock.us < world.opens_us
    assert run.step("full-100").status is StepStatus.SKIPPED
    assert set(world.fleet.running.values()) == {OLD}


def test_paused_past_its_window_it_waits_for_a_person(world: World, house: SmallHouse) -> None:
    run = waiting(world, house)
    house.ask(run.run_id, Action.PAUSE, "sam")
    world.clock.sleep(AHEAD_S + WINDOW_S + 5)
    run = house.drive(run.run_id, until=lambda now: bool(now.step("full-100").time.missed))  # type: ignore[union-attr]
    assert run.status is RunStatus.PAUSED and run.pause_reason == "manual"
    with pytest.raises(Refused, match="did not begin in its window"):
        house.ask(run.run_id, Action.RESUME, "sam")
    house.ask(run.run_id, Action.RETRY_STEP, "sam")
    run = house.drive(run.run_id)
    assert run.status is RunStatus.SUCCEEDED and run.step("full-100").time is None


def test_a_wish_in_the_moment_of_the_promotion_holds_the_stage(
    world: World, house: SmallHouse
) -> None:
    """It comes between the look at the metrics and the record of the gate's answer."""
    run = house.promote()
    house.drive(run.run_id, until=canary)
    world.opens_us = world.clock.us + 3_600 * S
    place = house.outside.places[run.environment]
    read, asked = place.metrics.read, [0]

    def late(*, deadline_s: float):  # type: ignore[no-untyped-def]
        found = read(deadline_s=deadline_s)
        asked[0] += 1
        if asked[0] == 2:  # the tick at which it would be promoted
            house.ask(run.run_id, Action.SCHEDULE_STEP, "mia", step="full-100", window=world.window)
        return found

    place.metrics.read = late  # type: ignore[method-assign]
    run = house.drive(run.run_id, until=shut)
    assert run.step("canary-50").open and not run.step("full-100").attempts


def test_a_clock_set_back_after_the_promotion_leaves_no_stage_unwatched(
    world: World, house: SmallHouse
) -> None:
    run = waiting(world, house)
    house.drive(run.run_id, until=lambda now: not now.step("canary-50").open)
    world.clock.us -= 60 * S
    run = house.drive(run.run_id)
    assert run.status is RunStatus.SUCCEEDED
