"""Cut the power around every call that records or delivers: nothing is lost, nothing is made up.

The process ends at the cut: the home is copied as it lies there and the next life opens the copy.
Receivers live on. By default a sample of all cuts is played, with `--long` every one.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.core.hook_book import Answer, Hook, Waiting
from engine.hooks.postman import Postman
from engine.ports_notified import Letter
from tests.data.kit import Step, rollout
from tests.faults.outside_world import Fuse, Fused, PowerCut
from tests.hooks.kit import Clock, HookHouse

pytestmark = pytest.mark.fault

STEPS = rollout()
EVENTS = ("run.*", "approval.*")
URL = "http://127.0.0.1:9/in"


@dataclass
class Outside:
    """A receiver that fails every third time; it outlives the engine."""

    got: list[str] = field(default_factory=list)
    asked: int = 0

    def deliver(self, letter: Letter, *, deadline_s: float) -> Answer:
        self.asked += 1
        if self.asked % 3 == 0:
            return Answer(status=503)
        self.got.append(letter.headers["webhook-id"])
        return Answer(status=204)


@dataclass
class World:
    folder: Path
    outside: Outside = field(default_factory=Outside)
    clock: Clock = field(default_factory=Clock)
    lives: int = 0

    def home(self) -> Path:
        return self.folder / f"life-{self.lives}"

    def live(self, fuse: Fuse) -> list[str] | None:
        """One life. Returns the ids that had to arrive, in order; None when the power was cut."""
        house = None
        notifier = Fused(self.outside, fuse, "receiver")
        try:
            house = HookHouse(
                self.home(),
                clock=self.clock,
                store=lambda real: Fused(real, fuse, "store"),
                notifier=notifier,
            )
            _deed(house, self.clock)
            fuse.blown = False
            assert house.real.fsck().ok
            return _ids(house)
        except PowerCut:
            before, self.lives = self.home(), self.lives + 1
            shutil.copytree(before, self.home(), ignore=shutil.ignore_patterns("lock"))
            return None
        finally:
            fuse.blown = True
            if house is not None:
                house.real.close()


def _deed(house: HookHouse, clock: Clock) -> None:
    """Somebody subscribes, a run is played, everything is delivered; as far as it is not yet."""
    if not house.store.hooks():
        house.add(URL, events=EVENTS)
    recorded = house.store.version("run-1")
    for step in STEPS:
        if recorded > 0:
            recorded -= len(step.events)
            continue
        _append(house, step)
        house.postman._lane(house.store.hooks()[0].id)
    while waiting := house.store.waiting_hooks():
        clock.forward(3_600)
        house.postman._lane(waiting[0])


def _append(house: HookHouse, step: Step) -> None:
    version = house.store.version(step.stream)
    house.store.append(step.stream, step.events, after=version, actor=step.actor)


def _ids(house: HookHouse) -> list[str]:
    (hook,) = house.real.hooks()
    rows = house.rows()
    assert {row["outcome"] for row in rows} == {"DELIVERED"}
    log = house.real.load("run-1")
    assert hook.asked.events == EVENTS
    return [f"msg_{log[row['seq'] - 1].hash.hex[:32]}_{row['idx']}" for row in rows]


def judge(world: World, ids: list[str]) -> None:
    """Every message arrived, in order, and no other one did."""
    assert list(dict.fromkeys(world.outside.got)) == ids
    assert len(world.outside.got) <= len(ids) + world.lives


def play(folder: Path, at: int, before: bool) -> None:
    world = World(folder)
    ids = world.live(Fuse(at=at, before=before))
    while ids is None:
        ids = world.live(Fuse())
    judge(world, ids)


def calls(folder: Path) -> list[int]:
    """The changing calls of an uncut life."""
    fuse, world = Fuse(), World(folder)
    ids = world.live(fuse)
    assert ids is not None and len(ids) > 6
    judge(world, ids)
    changing = {"store.append", "store.record", "receiver.deliver"}
    return [n for n, name in enumerate(fuse.names, 1) if name in changing]


def test_power_cuts_lose_nothing(tmp_path: Path) -> None:
    found = calls(tmp_path / "uncut")
    step = max(1, len(found) // 4)
    for turn, at in enumerate(found[turn_of(found) :: step]):
        play(tmp_path / f"cut-{at}", at, bool(turn % 2))


def turn_of(found: list[int]) -> int:
    """Not the same beginning for every length, so that a longer log shifts the sample."""
    return len(found) % 3


@pytest.mark.long
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_no_power_cut_loses_anything(before: bool, tmp_path: Path) -> None:
    for at in calls(tmp_path / "uncut"):
        play(tmp_path / f"cut-{at}", at, before)
        shutil.rmtree(tmp_path / f"cut-{at}")


def test_the_judge_sees_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: a postman that says that it was delivered before it has sent anything."""

    def silent(self: Postman, hook: Hook, waiting: Waiting) -> Answer:
        if self._store.version("run-1") % 5:
            return self._notifier.deliver(
                self._letters.letter(hook, waiting.message, now_us=0), deadline_s=1
            )
        return Answer(status=204)

    monkeypatch.setattr(Postman, "_answer", silent)
    world = World(tmp_path / "world")
    ids = world.live(Fuse())
    assert ids
    with pytest.raises(AssertionError):
        judge(world, ids)
