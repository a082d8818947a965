"""Cut the power around the calls that change the world; the end must be the same.

The engine's process ends at the cut: the home is copied as it lies there, whatever the store had
not written is gone, and a new engine opens the copy. The targets live on. By default a sample of
all cuts is played, with `--long` every one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.core.digest import Digest
from engine.core.events import Recorded
from engine.core.state import Run
from engine.core.statemachine import RunStatus, StepStatus
from engine.logbook import open_log
from tests.faults.deeds import DEEDS, Deed
from tests.faults.small_house import (
    OLD,
    TARGETS,
    Fuse,
    PowerCut,
    SimClock,
    SimFleet,
    SmallHouse,
    session_keys,
)

pytestmark = pytest.mark.fault

CHANGING = ("store.append", "store.record", "blobs.put", "target.switch")


@dataclass
class World:
    """What lives on when the engine dies."""

    folder: Path
    fleet: SimFleet = field(default_factory=SimFleet)
    clock: SimClock = field(default_factory=SimClock)
    lives: int = 0
    acknowledged: list[Recorded] = field(default_factory=list)

    def home(self) -> Path:
        return self.folder / f"life-{self.lives}"

    def live(self, fuse: Fuse, deed: Deed) -> Run | None:
        """One life of the engine, in which `deed` is done; None when the power was cut."""
        house = None
        try:
            try:
                house = SmallHouse(
                    self.home(), session_keys(), fuse=fuse, fleet=self.fleet, clock=self.clock
                )
                house.real.subscribe(lambda batch: self.acknowledged.extend(batch))
                house.runner.recover()
                run = deed.play(house)
                fuse.blown = True
                self.check(house, run)
                return run
            except PowerCut:
                before, self.lives = self.home(), self.lives + 1
                shutil.copytree(before, self.home(), ignore=shutil.ignore_patterns("lock"))
                self.clock.sleep(3.0)
                return None
        finally:
            if house is not None:
                house.close()

    def check(self, house: SmallHouse, run: Run) -> None:
        log = {(r.stream, r.seq): r.hash for r in house.real.load(run.run_id)}
        for one in self.acknowledged:
            if one.stream == run.run_id:
                assert log[(one.stream, one.seq)] == one.hash, f"{one.event.TYPE} was lost"
        report = house.real.fsck()
        assert report.ok, [str(finding) for finding in report.findings]
        # Its own reading: the house's log looks through the fuse, which has blown.
        log_book = open_log(
            house.home, house.real, house.keys, issuer=house.settings.evidence.issuer
        )
        told = log_book.check(report.findings)
        assert told.ok, told.findings


def play(world: World, deed: Deed, cuts: Sequence[Fuse]) -> Run:
    for fuse in cuts:
        run = world.live(fuse, deed)
        if run is not None:
            return run  # the cut lies behind the end
    run = world.live(Fuse(), deed)
    assert run is not None
    return run


def judge(world: World, deed: Deed, run: Run) -> None:
    made: dict[str, list[Digest]] = {t: [] for t in TARGETS}
    for target, digest in world.fleet.switches:
        made[target].append(digest)
    assert made == deed.made(run), "every deed exactly once"
    assert {t: d[-1] if d else OLD for t, d in made.items()} == world.fleet.running
    assert (run.status, run.seal_status) == (deed.status, "SEALED"), run.outcome_reason
    assert tuple(way.outcome for way in run.ways_back) == deed.ways_back
    assert all(way.sealed for way in run.ways_back)
    if deed.status is RunStatus.SUCCEEDED:
        assert all(step.status is StepStatus.SUCCEEDED for step in run.steps)
    for step in run.steps:
        lost = [a for a in step.attempts if a.status is StepStatus.ERRORED]
        assert all(a.cause == "engine_lost" for a in lost)
        never_began = step.status is StepStatus.SKIPPED
        usual = frozenset({0 if never_began else 1})
        assert len(step.attempts) - len(lost) in deed.attempts.get(step.id, usual), step.id
        assert not any(a.evidence_missing for a in step.attempts)


def spread(indexes: Sequence[int], count: int) -> list[int]:
    """`count` of them, evenly spread from the first to the last; a single one from the middle."""
    if len(indexes) <= count:
        return list(indexes)
    if count == 1:
        return [indexes[len(indexes) // 2]]
    step = (len(indexes) - 1) / (count - 1)
    return [indexes[round(n * step)] for n in range(count)]


class Calls:
    """The changing calls of an uncut life, measured once per deed."""

    found: dict[str, list[tuple[int, str]]] = {}  # noqa: RUF012 (shared on purpose)

    @classmethod
    def of(cls, name: str, folder: Path) -> list[tuple[int, str]]:
        if name not in cls.found:
            fuse = Fuse()
            world = World(folder / "uncut")
            run = world.live(fuse, DEEDS[name])
            assert run is not None
            judge(world, DEEDS[name], run)
            cls.found[name] = [
                (n, called) for n, called in enumerate(fuse.names, 1) if called in CHANGING
            ]
        return cls.found[name]


# How many cuts of each kind; for what is not the first two deeds only where they differ from them.
SAMPLE = {"store.append": 3, "store.record": 1, "blobs.put": 1, "target.switch": 1}
FEWER = {"store.append": 2, "target.switch": 1}


@pytest.mark.parametrize("name", DEEDS)
def test_power_cuts_end_the_same(name: str, tmp_path: Path) -> None:
    calls = Calls.of(name, tmp_path)
    wanted = SAMPLE if name in {"promoted", "spoiled"} else FEWER
    assert {called for _, called in calls} <= set(CHANGING)
    late = calls if wanted is SAMPLE else calls[len(calls) // 3 :]
    sample = {
        n
        for kind, count in wanted.items()
        for n in spread([n for n, called in late if called == kind], count)
    }
    for turn, n in enumerate(sorted(sample)):
        world = World(tmp_path / f"cut-{n}")
        run = play(world, DEEDS[name], [Fuse(at=n, before=bool(turn % 2))])
        judge(world, DEEDS[name], run)
        shutil.rmtree(world.folder)


@pytest.mark.parametrize("name", ["promoted", "back-by-name"])
def test_power_cuts_in_one_life_after_another(name: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    cuts = [Fuse(at=at, before=at % 2 == 0) for at in (40, 61, 25, 90, 33)]
    run = play(world, DEEDS[name], cuts)
    judge(world, DEEDS[name], run)
    assert world.lives >= 3


@pytest.mark.long
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("name", DEEDS)
def test_every_power_cut_ends_the_same(name: str, before: bool, tmp_path: Path) -> None:
    for n, _ in Calls.of(name, tmp_path):
        world = World(tmp_path / f"cut-{n}")
        run = play(world, DEEDS[name], [Fuse(at=n, before=before)])
        judge(world, DEEDS[name], run)
        shutil.rmtree(world.folder)
