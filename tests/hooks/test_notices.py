"""What waits for a person although no event says so is told, once for each occasion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.hook_events import HOOKS, NoticeRaised
from engine.core.hook_waits import eligible, reviewers, shortage
from engine.core.people_events import ReviewClosed, ReviewOpened
from engine.core.run import Run
from engine.core.statemachine import Role, RunStatus
from tests.data.kit import play, rollout
from tests.hooks.kit import HOLDERS, HookHouse

DAY_S = 86_400


def notices(house: HookHouse) -> list[NoticeRaised]:
    found = [one.event for one in house.real.load(HOOKS)]
    return [event for event in found if isinstance(event, NoticeRaised)]


def waiting_run(house: HookHouse, number: int = 1) -> Run:
    """A run played until it waits for approvals."""
    for step in rollout(number):
        play(house.real, [step])
        run = house.real.run(f"run-{number}")
        if run.status is RunStatus.AWAITING_APPROVAL:
            return run
    raise AssertionError("it never waited")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[HookHouse]:
    """A house in which nobody may approve."""
    house = HookHouse(tmp_path / "alone", holders={"ana": HOLDERS["ana"]})
    yield house
    house.close()


def test_that_nobody_can_approve_is_told_once_for_each_attempt(alone: HookHouse) -> None:
    alone.add("http://127.0.0.1:9/in", events=("waiting",))
    run = waiting_run(alone)
    for _ in range(3):
        alone.noticer.look()
    (notice,) = notices(alone)
    assert (notice.name, notice.run, notice.environment) == (
        "approval.nobody_eligible", run.run_id, run.environment,
    )  # fmt: skip
    assert "nobody may approve" in notice.text and notice.people == ()
    names = [row["name"] for row in alone.rows()]
    assert names.count("approval.nobody_eligible") == 1
    assert names.index("approval.requested") < names.index("approval.nobody_eligible")
    (row,) = [row for row in alone.rows() if row["name"] == "approval.nobody_eligible"]
    (hook,) = alone.real.hooks()
    letter = alone.letters.letter(
        hook,
        next(w.message for w in alone.real.outbox(hook.id) if w.message.seq == row["seq"]
             and w.message.stream == HOOKS),
        now_us=0,
    )  # fmt: skip
    assert b"an admin has to give somebody the role approver" in letter.body


def test_where_enough_people_may_approve_nothing_is_said(house: HookHouse) -> None:
    run = waiting_run(house)
    house.noticer.look()
    assert notices(house) == [] and shortage(run, HOLDERS) == ""
    may = eligible(run, HOLDERS)
    assert set(may) <= {"bob", "carol", "dave"} and run.requested_by not in may
    assert "needs 1 approval more" in shortage(run, {"ana": frozenset({Role.ADMIN})})


def test_a_review_is_told_when_it_is_opened_and_again_when_it_is_overdue(
    house: HookHouse,
) -> None:
    house.add("http://127.0.0.1:9/in", events=("review.*",))
    waiting_run(house)
    opened = ReviewOpened(kind="rollback", doers=("sam",), what="went back", due_after_s=DAY_S)
    version = house.real.version("run-1")
    house.real.append("run-1", (opened,), after=version, actor="sam")
    house.noticer.look()
    assert [row["name"] for row in house.rows()] == ["review.due"]
    house.clock.forward(DAY_S + 60)
    house.noticer.look()
    house.noticer.look()
    assert [row["name"] for row in house.rows()] == ["review.due", "review.overdue"]
    (notice,) = notices(house)
    assert notice.people == reviewers(("sam",), HOLDERS) and "sam" not in notice.people
    assert notice.text == "Nobody has looked yet at what sam did: went back."


def test_a_review_that_somebody_closed_is_not_overdue(house: HookHouse) -> None:
    waiting_run(house)
    opened = ReviewOpened(kind="rollback", doers=("sam",), what="went back", due_after_s=DAY_S)
    closed = ReviewClosed(number=1, verdict="agreed", note="fine")
    for event, who in ((opened, "sam"), (closed, "ana")):
        house.real.append("run-1", (event,), after=house.real.version("run-1"), actor=who)
    house.clock.forward(DAY_S + 60)
    house.noticer.look()
    assert notices(house) == []


def test_after_a_restart_the_same_is_not_told_again(tmp_path: Path) -> None:
    nobody = {"ana": HOLDERS["ana"]}
    first = HookHouse(tmp_path / "home", holders=nobody)
    waiting_run(first)
    first.noticer.look()
    clock = first.clock
    first.close()
    second = HookHouse(tmp_path / "home", holders=nobody, clock=clock)
    try:
        second.noticer.look()
        assert len(notices(second)) == 1
    finally:
        second.close()


def test_the_postman_looks_as_soon_as_approval_is_asked_for(alone: HookHouse) -> None:
    alone.postman.start()
    waiting_run(alone)
    alone.until(lambda: len(notices(alone)) == 1)
