"""What waits for a person although no event says so is told, once for each occasion."""

from __future__ import annotations

from pathlib import Path

from engine.core.approvals import approval_step
from engine.core.eligibility import may_approve
from engine.core.freezes import Bar, Cause
from engine.core.hook_events import HOOKS, NoticeRaised
from engine.core.hook_waits import reviewers
from engine.core.people_events import ApproversSeen, ReviewClosed, ReviewOpened
from engine.core.run import Run
from engine.core.statemachine import RunStatus
from engine.hooks.noticing_freezes import FreezeNoticer
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


def nobody_approves(house: HookHouse, run: Run) -> None:
    """What the engine records when it looked up who holds the role and found nobody."""
    step = approval_step(run)
    seen = ApproversSeen(step=step, attempt=len(run.step(step).attempts), approvers=())
    house.real.append(run.run_id, (seen,), after=run.version, actor="engine")


def test_that_nobody_can_approve_is_told_once_for_each_attempt(house: HookHouse) -> None:
    house.add("http://127.0.0.1:9/in", events=("waiting",))
    run = waiting_run(house)
    nobody_approves(house, run)
    for _ in range(3):
        house.noticer.look()
    (notice,) = notices(house)
    assert (notice.name, notice.run, notice.environment) == (
        "approval.nobody_eligible", run.run_id, run.environment,
    )  # fmt: skip
    assert "nobody may approve" in notice.text and notice.people == ()
    names = [row["name"] for row in house.rows()]
    assert names.count("approval.nobody_eligible") == 1
    assert names.index("approval.requested") < names.index("approval.nobody_eligible")
    (row,) = [row for row in house.rows() if row["name"] == "approval.nobody_eligible"]
    (hook,) = house.real.hooks()
    letter = house.letters.letter(
        hook,
        next(w.message for w in house.real.outbox(hook.id) if w.message.seq == row["seq"]
             and w.message.stream == HOOKS),
        now_us=0,
    )  # fmt: skip
    assert b"an admin has to give somebody the role approver" in letter.body


def test_where_enough_people_may_approve_nothing_is_said(house: HookHouse) -> None:
    run = waiting_run(house)
    house.noticer.look()
    assert notices(house) == []
    assert set(may_approve(run)) <= {"bob", "carol", "dave"}


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
    first = HookHouse(tmp_path / "home")
    nobody_approves(first, waiting_run(first))
    first.noticer.look()
    clock = first.clock
    first.close()
    second = HookHouse(tmp_path / "home", clock=clock)
    try:
        second.noticer.look()
        assert len(notices(second)) == 1
    finally:
        second.close()


def test_the_postman_looks_as_soon_as_nobody_is_found(house: HookHouse) -> None:
    house.postman.start()
    nobody_approves(house, waiting_run(house))
    house.until(lambda: len(notices(house)) == 1)


def frozen(*keys: str) -> Bar:
    causes = tuple(
        Cause(key=key, freeze="freeze-1", name=f"f {key}", owner="ana", reason="because",
              since_us=1_000_000, until_us=None)
        for key in keys
    )  # fmt: skip
    return Bar(causes=causes, until_us=None)


def test_that_an_environment_is_frozen_and_open_again_is_told_once_also_after_a_restart(
    house: HookHouse,
) -> None:
    house.add("http://127.0.0.1:9/in", events=("freeze.*",), environments=("eu-prod",))
    house.bars |= {"eu-prod": None, "stage": frozen("freeze-9@1")}

    def told(bar: Bar | None) -> list[str]:
        house.bars["eu-prod"] = bar
        for _ in range(2):
            house.noticer.look()
        return [f"{n.name} {n.occasion}" for n in notices(house) if n.environment == "eu-prod"]

    assert told(None) == []
    assert told(frozen("freeze-1@1")) == ["freeze.started freeze-1@1"]
    assert told(frozen("freeze-1@1", "freeze-2@5"))[1:] == ["freeze.started freeze-1@1 freeze-2@5"]
    assert len(told(frozen("freeze-2@5"))) == 2  # less of it is no news
    again = FreezeNoticer(house.real, lambda: house.bars)
    again.look()
    assert len(told(frozen("freeze-2@5"))) == 2
    assert told(None)[2:] == ["freeze.ended freeze-2@5"]
    assert told(frozen("freeze-1@1"))[3:] == []  # the same window, told before
    assert [row["name"] for row in house.rows()] == ["freeze.started"] * 2 + ["freeze.ended"]
    (hook,) = house.real.hooks()
    first = min(house.real.outbox(hook.id), key=lambda one: one.message.gseq)
    said = house.letters.told(first.message)
    assert said.head == "Frozen" and said.text.startswith("eu-prod is frozen: f freeze-1@1 since ")
