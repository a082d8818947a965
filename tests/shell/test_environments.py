"""What is live where, who holds it, and who is next: told from the log of a small house."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.commands import Action
from engine.core.freeze_events import FreezeKind
from engine.core.freeze_rules import FreezeWish
from engine.core.run import Run
from engine.core.spec import HOTFIX
from engine.core.statemachine import RunStatus
from engine.environments import EnvironmentNow, look
from engine.service import Asker
from tests.faults.small_house import ENV, SmallHouse, session_keys

pytestmark = pytest.mark.house

ANA = Asker(user="ana")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path / "home", session_keys())
    yield house
    house.close()


def now(house: SmallHouse, environment: str = ENV) -> EnvironmentNow:
    found = look(house.real, house.settings, house.freezing)
    assert [one.settings.name for one in found] == ["eu-prod", "us-prod"]
    return next(one for one in found if one.settings.name == environment)


def wants(house: SmallHouse, text: str, **how: str) -> Run:
    return house.service.promote(house.bundle(text), ENV, ANA, reason="test", **how)


def test_nothing_was_brought_here_yet(house: SmallHouse) -> None:
    one = now(house)
    assert (one.live, one.holder, one.last, one.bar, one.closes_us) == (None,) * 5
    assert one.queue == () and one.holds == ()


def test_who_holds_it_who_is_next_and_what_stays_live_meanwhile(house: SmallHouse) -> None:
    first = house.drive(wants(house, "one").run_id)
    second, third = wants(house, "two"), wants(house, "three")
    house.drive(second.run_id, until=lambda r: r.step("canary-50").open)
    one = now(house)
    assert one.live is not None and one.live.run_id == first.run_id
    assert one.holder is not None and one.holder.run_id == second.run_id
    assert [run.run_id for run in one.queue] == [third.run_id]
    assert now(house, "us-prod").live is None
    house.ask(third.run_id, Action.PAUSE, "ana")  # out of the line, and never the holder
    assert now(house).queue == () and now(house).holder is not None


def test_what_went_back_is_not_live_and_is_held(house: SmallHouse) -> None:
    house.fleet.bad.add(house.bundle("bad"))
    bad = house.drive(wants(house, "bad").run_id)
    assert bad.status is RunStatus.ROLLED_BACK
    one = now(house)
    assert one.live is None and one.left_by is None
    assert one.last is not None and one.last.run_id == bad.run_id
    assert [hold.run for hold in one.holds] == [bad.run_id]


def test_a_run_that_left_targets_changed_is_named(house: SmallHouse) -> None:
    house.drive(wants(house, "one").run_id)
    second = wants(house, "two")
    house.drive(second.run_id, until=lambda r: r.step("canary-50").open and bool(r.changed_targets))
    house.ask(second.run_id, Action.PAUSE, "ana")
    house.ask(second.run_id, Action.CLOSE_FAILED, "ana")
    assert house.drive(second.run_id).status is RunStatus.FAILED
    left = now(house).left_by
    assert left is not None and left.run_id == second.run_id


def test_who_came_last_is_live_whoever_asked_first(house: SmallHouse) -> None:
    wish = FreezeWish(kind=FreezeKind.DENY, name="stop", reason="incident", hotfix=True)
    freeze = house.freezing.add(wish, ANA)
    first = wants(house, "one")
    house.runner.advance(first.run_id)
    one = now(house)
    assert one.bar is not None and one.bar.causes[0].name == "stop" and one.closes_us is None
    fix = wants(house, "fix", kind=HOTFIX)
    assert house.drive(fix.run_id).status is RunStatus.AWAITING_APPROVAL  # one more than none
    house.ask(fix.run_id, Action.APPROVE, "bob")
    assert house.drive(fix.run_id).status is RunStatus.SUCCEEDED
    house.freezing.end(freeze.id, ANA, reason="over")
    assert house.drive(first.run_id).status is RunStatus.SUCCEEDED
    live = now(house).live
    assert live is not None and live.run_id == first.run_id
