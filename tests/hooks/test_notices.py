"""What waits for a person although no event says so is told, once for each occasion."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.approvals import approval_step
from engine.core.eligibility import may_approve
from engine.core.fact_events import StartHeld
from engine.core.freezes import Bar, Cause
from engine.core.hook_events import HOOKS, NoticeRaised
from engine.core.hook_names import WAITING, names_of
from engine.core.hook_waits import reviewers, waited_for
from engine.core.people_events import ApproversSeen, ReviewClosed, ReviewOpened
from engine.core.rescans import Standing
from engine.core.run import Run, evolve
from engine.core.run_events import RunSealed
from engine.core.schedule_events import FiringTicked, FiringWord
from engine.core.statemachine import TERMINAL, TRANSITIONS, RunStatus
from engine.core.troubles import Trouble, disk_trouble, rescan_trouble, stopped_troubles
from engine.hooks.noticing import Noticer
from engine.hooks.noticing_freezes import FreezeNoticer
from engine.hooks.noticing_waivers import WaiverNoticer
from pages.ui.lists import GROUPS
from tests.core.simulated import Walk
from tests.data.kit import play, rollout
from tests.faults.small_house import ENV
from tests.hooks.kit import BASE, HOLDERS, HookHouse

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


def test_what_is_wrong_with_the_house_is_told_once_for_each_occasion(house: HookHouse) -> None:
    house.add("http://127.0.0.1:9/in", events=("waiting",))
    wrong = [Trouble(name="disk.low", occasion="day-1", text="The disk is low.")]
    noticer = Noticer(
        store=house.real,
        clock=house.clock,
        holders=lambda _: HOLDERS,
        freezes=FreezeNoticer(house.real, dict),
        waivers=WaiverNoticer(house.real, house.clock, lambda _: ()),
        troubles=lambda: wrong,
        carers=lambda: ("ana", "sam"),
    )
    try:
        for _ in range(3):
            noticer.look()
        wrong[:] = [replace(wrong[0], occasion="day-2")]
        noticer.look()
    finally:
        noticer.stop()
    found = notices(house)
    assert [(one.name, one.occasion, one.people) for one in found] == [
        ("disk.low", "day-1", ("ana", "sam")), ("disk.low", "day-2", ("ana", "sam")),
    ]  # fmt: skip
    (hook,) = house.real.hooks()
    first = next(iter(house.real.outbox(hook.id)))
    told = house.letters.told(first.message)
    assert (told.head, told.url) == ("Disk low", f"{BASE}/platform-health")
    assert told.waits.startswith("Waits for ana, sam: free space")
    body = house.letters.letter(hook, first.message, now_us=0).body
    assert b'"type":"dev.releaseline.disk.low.1.0.0"' in body


def test_troubles_of_the_house() -> None:
    assert disk_trouble(50 << 30, 100 << 30, now_us=0) is None
    low = disk_trouble(1 << 20, 100 << 30, now_us=3 * DAY_S * 1_000_000)
    assert low is not None and (low.name, low.occasion) == ("disk.low", "day-3")
    failing = Standing(
        bundles=12, missing=3, unseen=0, failed=3, environments=("eu-prod",), code="worker",
        reason="its process ended with -9.", failing_us=7,
    )  # fmt: skip
    trouble = rescan_trouble(failing)
    assert trouble is not None and trouble.occasion == "since-7"
    assert trouble.text == (
        "SBOMs of 3 of 12 bundles (eu-prod) could not be matched against the newest feeds: its "
        "process ended with -9."
    )
    assert rescan_trouble(replace(failing, code="stopped")) is None  # it begins again by itself
    assert rescan_trouble(replace(failing, failed=0, code="")) is None
    (stopped,) = stopped_troubles({"run-2": "KeyError: 'x'", "run-9": "gone"}, {"run-2": 41})
    assert (stopped.run, stopped.occasion) == ("run-2", "at-41")
    assert stopped.text == "run-2 is stopped by a defect: KeyError: 'x'."


@pytest.mark.parametrize("status", ["SEALED", "UNSEALED"])
def test_a_run_that_could_not_be_sealed_waits_for_somebody(status: str) -> None:
    names = names_of(RunSealed(via="sealed", seal_status=status), None)
    assert names == (("run.sealed",) if status == "SEALED" else ("run.sealed", "seal.failed"))


def test_who_may_lift_a_hold_is_told_that_a_run_waits_for_it(house: HookHouse) -> None:
    run = waiting_run(house)
    held = StartHeld(hold_run="run-1", reason="the bundle is held")
    assert names_of(held, run) == ("run.held",)
    assert waited_for("run.held", held, run, HOLDERS) == ("ana", "sam")
    assert waited_for("seal.failed", RunSealed(via="sealed", seal_status="UNSEALED"), run,
                      HOLDERS) == ("ana", "sam")  # fmt: skip


# Walks that between them take every way into a state that waits for a person.
TO_PEOPLE = (1, 3, 4, 5, 9, 37, 135)
# What the engine does in a state by itself only when time runs out, or when people have acted.
AT_THE_END = {
    "approval_expired", "binding_changed", "pause_timeout", "pause_timeout_fail", "quorum_met",
}  # fmt: skip
MOVES = {
    s: {t.event for t in TRANSITIONS if t.source is s and "system" in t.actors} for s in RunStatus
}
NEED_A_PERSON = {s for s, moves in MOVES.items() if s not in TERMINAL and not moves - AT_THE_END}


def test_every_state_that_waits_for_a_person_is_handed_over() -> None:
    """From the table: whatever leads into such a state is told, to people who may act there."""
    assert GROUPS["Needs a person"] == NEED_A_PERSON
    entered: dict[str, set[str]] = {}
    for seed in TO_PEOPLE:
        run = None
        for recorded in Walk(seed).play().log:
            before, run = run, evolve(run, recorded)
            if run.status not in NEED_A_PERSON or (before and before.status is run.status):
                continue
            names = WAITING & set(names_of(recorded.event, run))
            assert names, f"{recorded.event.TYPE} leads to {run.status} and is told to nobody"
            for name in names:
                told = waited_for(name, recorded.event, run, HOLDERS)
                assert told or name == "approval.requested", f"nobody is waited for: {name}"
            via = str(getattr(recorded.event, "via", ""))
            entered.setdefault(recorded.event.TYPE, set()).add(via)
    into = {t.event for t in TRANSITIONS if t.target in NEED_A_PERSON and t.target is not t.source}
    # These do not come up in a walk; they pause by the same event as everything that pauses.
    rare = {"engine_lost", "freeze_started"}
    assert into - rare == set().union(*entered.values())
    assert rare < into and "run.paused/1" in entered


def test_what_waits_for_a_person_beside_the_states_has_a_name() -> None:
    states = {"approval.requested", "run.paused", "rollback.failed"}
    others = {"override.requested", "review.due", "review.overdue", "approval.nobody_eligible",
              "run.held", "run.stopped", "schedule.failed", "seal.failed", "rescan.failed",
              "disk.low", "store.damaged", "waiver.requested"}  # fmt: skip
    assert states | others == WAITING


@pytest.mark.parametrize("word", list(FiringWord))
def test_a_firing_that_comes_to_nothing_is_told_also_where_it_has_no_run(
    house: HookHouse, word: FiringWord
) -> None:
    told = {
        FiringWord.MISSED: ("schedule.missed", ""),
        FiringWord.SKIPPED: ("schedule.missed", ""),
        FiringWord.FAILED_TO_START: (
            "schedule.failed",
            "Waits for ana: look at the reason, and schedule it anew or cancel it.",
        ),
    }
    house.add("http://127.0.0.1:9/in", environments=(ENV,))
    house.add("http://127.0.0.1:9/other", name="other", environments=("us-prod",))
    tick = FiringTicked(
        schedule="schedule-3", firing="2027-01-16", word=word, why="the bundle is gone", due_us=1,
        environment=ENV,
    )  # fmt: skip
    house.real.append("schedule-3", (tick,), after=0, actor="engine")
    hook, other = house.real.hooks()
    found = [one.message for one in house.real.outbox(hook.id)]
    assert [one.name for one in found] == ([told[word][0]] if word in told else [])
    assert list(house.real.outbox(other.id)) == []
    for message in found:
        body = json.loads(house.letters.letter(hook, message, now_us=0).body)
        own = body["data"]["customData"]["releaseline"]
        assert own["text"] == f"{word.value.replace('_', ' ')}: the bundle is gone."
        assert own["waits"] == told[word][1]
        assert own["url"] == f"{BASE}/schedule?schedule=schedule-3"
