"""What people and the engine do to a house while the power is being cut, and how each must end.

A deed is played again from its beginning in every life: what was asked under an id before is
answered as then, and what is done already is found done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.core.commands import Action
from engine.core.digest import Digest
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from tests.faults.small_house import ENV, OLD, SmallHouse


@dataclass(frozen=True, kw_only=True)
class Deed:
    """Attributes:
    play: does it, in whatever life.
    status: how the run ends.
    switches: target to what it is switched to, in order; `True` is the run's bundle.
    ways_back: outcome of each way back, all of them sealed.
    attempts: step to its attempts that were not lost with an engine, where not 1.
    """

    play: Callable[[SmallHouse], Run]
    status: RunStatus
    switches: Mapping[str, tuple[bool, ...]]
    ways_back: tuple[str, ...] = ()
    attempts: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def made(self, run: Run) -> dict[str, list[Digest]]:
        return {
            target: [run.bundle if ours else OLD for ours in order]
            for target, order in self.switches.items()
        }


def promote(house: SmallHouse) -> Run:
    """What a client does: ask, under one command id, until it is answered."""
    run = house.promote(command_id="c-1")
    return house.drive(run.run_id)


def _spoiled(house: SmallHouse) -> Run:
    house.fleet.bad = {house.bundle()}
    return promote(house)


def _through(house: SmallHouse, step: str) -> Run:
    """Promote until the targets of `step` are set, however many lives that takes."""
    run = house.promote(command_id="c-1")
    return house.drive(
        run.run_id, until=lambda now: any(a.applied for a in now.step(step).attempts)
    )


def _by_hand(house: SmallHouse) -> Run:
    run = _through(house, "full-100")
    house.command(run.run_id, Action.ROLLBACK, "sam", "back")
    return house.drive(run.run_id)


def _mid_stage(house: SmallHouse) -> Run:
    """Back out of the first stage, asked for while its first target is being switched."""
    run = house.promote(command_id="c-1")
    driver: Any = house.outside.places[ENV].driver
    switch = driver._switch

    def in_between(target: str, digest: Digest, epoch: int) -> None:
        switch(target, digest, epoch)
        if digest == run.bundle:
            house.command(run.run_id, Action.ROLLBACK, "sam", "back")

    driver._switch = in_between
    house.drive(run.run_id, until=lambda now: bool(now.changed_targets))
    house.command(run.run_id, Action.ROLLBACK, "sam", "back")  # after a cut it was not asked yet
    return house.drive(run.run_id)


def _by_name(house: SmallHouse) -> Run:
    run = _through(house, "full-100")
    house.command(run.run_id, Action.ROLLBACK, "sam", "back", targets=("t-2",))
    house.drive(run.run_id, until=lambda now: all(w.sealed for w in now.ways_back))
    house.command(run.run_id, Action.RETRY_STEP, "ana", "again")
    return house.drive(run.run_id)


def _by_name_then_all(house: SmallHouse) -> Run:
    run = _through(house, "full-100")
    house.command(run.run_id, Action.ROLLBACK, "sam", "one", targets=("t-2",))
    house.drive(run.run_id, until=lambda now: now.way_back is None)
    house.command(run.run_id, Action.ROLLBACK, "sam", "all")
    return house.drive(run.run_id)


def _drained(house: SmallHouse) -> Run:
    run = house.promote(command_id="c-1")
    house.one_by_one(run.run_id, lambda now: bool(now.step("canary-50").attempts))
    house.command(run.run_id, Action.CANCEL, "ana", "cancel")
    if not house.fleet.switches:  # a change on its way that nobody had recorded
        house.fleet.switches.append(("t-1", run.bundle))
        house.fleet.running["t-1"] = run.bundle
    house.drive(run.run_id, until=lambda now: now.pause_reason == "cancel_after_change")
    house.command(run.run_id, Action.ROLLBACK, "sam", "back")
    return house.drive(run.run_id)


def _cancelled(house: SmallHouse) -> Run:
    run = house.promote(command_id="c-1")
    house.one_by_one(run.run_id, lambda now: now.verdict is not None)
    house.command(run.run_id, Action.CANCEL, "ana", "cancel")
    return house.drive(run.run_id)


_BOTH = (True,)
_BACK = (True, False)

DEEDS: Mapping[str, Deed] = {
    "promoted": Deed(
        play=promote, status=RunStatus.SUCCEEDED, switches={"t-1": _BOTH, "t-2": _BOTH}
    ),
    # The new bundle answers with errors: the gate takes it back by itself.
    "spoiled": Deed(
        play=_spoiled,
        status=RunStatus.ROLLED_BACK,
        switches={"t-1": _BACK, "t-2": ()},
        ways_back=("verified",),
    ),
    # A person takes everything back while the last stage is watched.
    "back-by-hand": Deed(
        play=_by_hand,
        status=RunStatus.ROLLED_BACK,
        switches={"t-1": _BACK, "t-2": _BACK},
        ways_back=("verified",),
    ),
    # The same in the middle of the first stage, whose other targets are never touched.
    "back-mid-stage": Deed(
        play=_mid_stage,
        status=RunStatus.ROLLED_BACK,
        switches={"t-1": _BACK, "t-2": ()},
        ways_back=("verified",),
        attempts={"canary-50": frozenset({0, 1})},  # lost with the engine before it was asked
    ),
    # A person sends one target back, and has the stage tried again when that is done.
    "back-by-name": Deed(
        play=_by_name,
        status=RunStatus.SUCCEEDED,
        switches={"t-1": _BOTH, "t-2": (True, False, True)},
        ways_back=("verified",),
        attempts={"full-100": frozenset({2})},
    ),
    # One target by name, and the rest after it: nothing is touched twice.
    "back-by-name-then-all": Deed(
        play=_by_name_then_all,
        status=RunStatus.ROLLED_BACK,
        switches={"t-1": _BACK, "t-2": _BACK},
        ways_back=("verified", "verified"),
    ),
    # Cancelled while a target changed unseen: the drain finds it, and it is taken back.
    "drained": Deed(
        play=_drained,
        status=RunStatus.ROLLED_BACK,
        switches={"t-1": _BACK, "t-2": ()},
        ways_back=("verified",),
        attempts={"canary-50": frozenset({0, 1})},  # lost with the engine before it was cancelled
    ),
    # Cancelled before anything changed: nothing may change afterwards either.
    "cancelled": Deed(
        play=_cancelled,
        status=RunStatus.CANCELLED,
        switches={"t-1": (), "t-2": ()},
        attempts={"gate-eval": frozenset({0, 1}), "approval": frozenset({0, 1})},
    ),
}
