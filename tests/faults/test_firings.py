"""Kill the engine around firings: each starts once inside its window or is told, never twice.

The process ends at a call that changes something, stays down for a while, and a new engine opens
the copied home. By default a sample of the kills is played, with `--long` two hundred.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.core.errors import Malformed
from engine.core.events import Recorded
from engine.core.run_events import RunRequested
from engine.core.schedule_events import FiringTicked, FiringWord, Timing
from engine.core.schedules import OVER
from engine.core.statemachine import RunStatus
from engine.scheduling import Wish
from engine.service import Asker
from tests.faults.nights import HOUR, NIGHT, live
from tests.faults.small_house import (
    ENV,
    Fuse,
    PowerCut,
    SimClock,
    SimFleet,
    SmallHouse,
    session_keys,
)

pytestmark = pytest.mark.fault

DAY = 86_400
NIGHTS = ("2027-01-16", "2027-01-17")
CHANGING = ("store.append", "blobs.put", "target.switch")
# How long nobody is there: a restart, a part of the window, past its end, past the next night.
DOWN_S = (3, 40 * 60, 3 * HOUR, DAY + 3 * HOUR)


@dataclass
class World:
    """What lives on when the engine dies."""

    folder: Path
    down_s: int = 0
    fleet: SimFleet = field(default_factory=SimFleet)
    clock: SimClock = field(default_factory=SimClock)
    lives: int = 0
    too_late: bool = False
    acknowledged: list[Recorded] = field(default_factory=list)

    def home(self) -> Path:
        return self.folder / f"life-{self.lives}"

    def play(self, fuse: Fuse) -> None:
        """Two nights, in one life or in two."""
        for one in (fuse, Fuse()):
            house = None
            try:
                house = SmallHouse(
                    self.home(), session_keys(), fuse=one, fleet=self.fleet, clock=self.clock
                )
                house.real.subscribe(self.acknowledged.extend)
                house.runner.recover()
                self.nights(house)
                one.blown = True
                self.judge(house)
                return
            except PowerCut:
                before, self.lives = self.home(), self.lives + 1
                shutil.copytree(before, self.home(), ignore=shutil.ignore_patterns("lock"))
                self.clock.sleep(self.down_s)
            finally:
                if house is not None:
                    house.close()

    def nights(self, house: SmallHouse) -> None:
        timing = Timing(
            zone="UTC", first=NIGHTS[0], time="02:00", window_s=HOUR, rule="FREQ=DAILY;COUNT=2"
        )
        wish = Wish(bundle=house.bundle(), environment=ENV, timing=timing, preconditions=())
        if not house.scheduling.schedules():  # whoever asked asks again, under the same id
            try:
                house.scheduling.create(wish, Asker(user="ana"), command_id="every-night")
            except Malformed:  # nothing was made, nothing was promised, and now it is too late
                self.too_late = True
                return
        live(house, max(NIGHT + DAY + 3 * HOUR, house.clock.us // 1_000_000 + 3 * HOUR))

    def judge(self, house: SmallHouse) -> None:
        if self.too_late:
            assert house.real.last_run_number() == 0
            return
        ticks = house.real.of_kinds([FiringTicked.TYPE])
        ends: dict[str, list[tuple[FiringWord, Recorded]]] = {night: [] for night in NIGHTS}
        for one in ticks:
            assert isinstance(one.event, FiringTicked)
            if one.event.word in OVER | {FiringWord.SKIPPED}:
                ends[one.event.firing].append((one.event.word, one))
        for night, found in ends.items():
            assert len(found) == 1, f"{night} ended {[word.value for word, _ in found]}"
            word, one = found[0]
            start_us = (NIGHT + NIGHTS.index(night) * DAY) * 1_000_000
            if word is FiringWord.STARTED:
                assert start_us <= one.ts_us < start_us + HOUR * 1_000_000
            else:
                assert word in {FiringWord.MISSED, FiringWord.SKIPPED, FiringWord.EXPIRED}
                assert one.ts_us >= start_us + HOUR * 1_000_000
        runs = house.real.of_kinds([RunRequested.TYPE])
        made = Counter(r.event.firing for r in runs if isinstance(r.event, RunRequested))
        assert all(count == 1 for count in made.values())
        for r in runs:
            run = house.real.run(r.stream)
            word = ends[run.request.firing][0][0]
            ended = RunStatus.SUCCEEDED if word is FiringWord.STARTED else RunStatus.EXPIRED
            # However long nobody was there between two records: inside its window, or not at all.
            at_us = ends[run.request.firing][0][1].ts_us
            assert run.started_us == (at_us if word is FiringWord.STARTED else None)
            assert (run.status, run.seal_status) == (ended, "SEALED")
        assert house.real.runs_open() == ()
        log = {(r.stream, r.seq): r.hash for r in (*ticks, *runs)}
        for one in self.acknowledged:
            if isinstance(one.event, FiringTicked | RunRequested):
                assert log[(one.stream, one.seq)] == one.hash, f"{one.event.TYPE} was lost"
        assert house.real.fsck().ok


def changing(folder: Path) -> list[int]:
    """The changing calls of a life that nobody cuts."""
    fuse = Fuse()
    World(folder).play(fuse)
    return [n for n, name in enumerate(fuse.names, 1) if name in CHANGING]


def kill(folder: Path, at: int, *, before: bool, down_s: int) -> None:
    World(folder, down_s=down_s).play(Fuse(at=at, before=before))
    shutil.rmtree(folder)


def test_killed_around_a_firing_it_starts_once_or_is_told(tmp_path: Path) -> None:
    calls = changing(tmp_path / "uncut")
    # The first calls make the schedule, its run and the firing: that is where things may go twice.
    near = [*calls[:12:5], calls[len(calls) // 2]]
    for turn, at in enumerate(near):
        down_s = DOWN_S[turn % len(DOWN_S)]
        kill(tmp_path / f"cut-{at}", at, before=bool(turn % 2), down_s=down_s)


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_two_hundred_kills(tmp_path: Path, part: int) -> None:
    calls, rng = changing(tmp_path / "uncut"), random.Random(part)
    for turn in range(20):
        at = rng.choice(calls[:24] if turn % 2 else calls)
        before, down_s = rng.random() < 0.5, rng.choice(DOWN_S)
        kill(tmp_path / f"kill-{turn}", at, before=before, down_s=down_s)
