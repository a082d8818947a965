"""Waivers over the real store: asking and granting, and what the policy gate makes of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.asker import Asker
from engine.core import duties
from engine.core.approvals import Actor, comment_reasons, conflict
from engine.core.commands import Action
from engine.core.digest import Digest
from engine.core.duties import Duty
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.house import ADMIN, CommandRejected
from engine.core.run import Run
from engine.core.scopes import GRANT_WAIVER, REFUSE_WAIVER, REVOKE_WAIVER
from engine.core.statemachine import Role, RunStatus, StepStatus
from engine.core.waiver_events import WAIVERS, WaiverGranted
from engine.core.waivers import WaiverState
from engine.findings import snapshot
from engine.gate_eval_deep import deep_replay
from engine.policy.replay import Replay, replay_capsule
from tests.faults.small_house import ENV, Fuse, PowerCut, SimClock, SmallHouse
from tests.shell.waiver_house import (
    BOB,
    CAROL,
    DAY_S,
    FINDING,
    POL,
    PURL,
    bundle,
    granted,
    opened,
    promote,
    wish,
)

pytestmark = pytest.mark.house
BAD = "langflow@1.2.0"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = opened(tmp_path / "home")
    yield house
    house.close()


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[SmallHouse]:
    """One in which a promotion needs an approval."""
    house = opened(tmp_path / "home", approvals=1)
    yield house
    house.close()


def denied(house: SmallHouse) -> list[CommandRejected]:
    found = (recorded.event for recorded in house.real.load(ADMIN))
    return [event for event in found if isinstance(event, CommandRejected)]


def replayed(house: SmallHouse, run: Run) -> Replay:
    assert run.verdict is not None
    blobs = house.real.blobs
    return replay_capsule(blobs.get(run.verdict.capsule), blobs.get, recorded=run.verdict.verdict)


# --- asking and deciding ------------------------------------------------------------------------


def test_it_holds_from_the_grant_on_and_after_a_lost_database(tmp_path: Path) -> None:
    house = opened(tmp_path / "home")
    made = house.waiving.request(wish(purl=f"{PURL} ", ticket=" SEC-1 "), POL)
    assert (made.id, made.by, made.fact.purl, made.fact.ticket) == (
        "waiver-1", "pol", PURL, "SEC-1",
    )  # fmt: skip
    assert house.waiving.state(made) is WaiverState.REQUESTED
    assert house.waiving.may_judge(made) == ("bob", "carol")
    every = house.waiving.request(wish(environments=()), POL)
    assert every.fact.environments == ("eu-prod", "us-prod")
    house.close()
    (tmp_path / "home" / "releaseline.duckdb").unlink()
    house = opened(tmp_path / "home", clock=house.clock)
    done = house.waiving.act(GRANT_WAIVER, made.id, BOB, reason="agreed", command_id="c-7")
    assert house.waiving.state(done) is WaiverState.GRANTED
    again = house.waiving.act(REFUSE_WAIVER, every.id, CAROL, reason="too wide")
    assert house.waiving.state(again) is WaiverState.REFUSED
    assert [one.id for one in house.waiving.all()] == ["waiver-1", "waiver-2"]
    house.clock.sleep(14 * DAY_S)
    assert house.waiving.state(house.waiving.waiver(made.id)) is WaiverState.EXPIRED
    house.close()


def test_who_may_not_is_refused_and_on_record(house: SmallHouse) -> None:
    for user in ("bob", "eve", "ana", "root", "ci"):
        with pytest.raises(Refused, match="this needs the role policy author"):
            house.waiving.request(wish(), Asker(user=user))
    made = house.waiving.request(wish(), POL)
    for user, why in (
        ("pol", "needs the role approver"),
        ("ana", "needs the role approver"),
        ("root", "needs the role approver"),
    ):
        with pytest.raises(Refused, match=why):
            house.waiving.act(GRANT_WAIVER, made.id, Asker(user=user), reason="fine")
    with pytest.raises(Refused, match="policy author in eu-prod"):
        house.waiving.act(REVOKE_WAIVER, made.id, Asker(user="ana"), reason="no")
    with pytest.raises(Refused, match="A reason is required"):
        house.waiving.act(GRANT_WAIVER, made.id, BOB, reason=" ")
    found = [(one.action, one.subject, one.code) for one in denied(house)]
    subject = f"{FINDING} in {PURL}"
    assert found == [("request_waiver", subject, "role")] * 5 + [
        ("grant_waiver", "waiver-1", "role"),
        ("grant_waiver", "waiver-1", "role"),
        ("grant_waiver", "waiver-1", "role"),
        ("revoke_waiver", "waiver-1", "role"),
        ("grant_waiver", "waiver-1", "reason"),
    ]
    # That somebody tried to let through their own wish can be asked for.
    assert [one.own for one in denied(house)][5:] == [True, False, False, False, False]
    assert house.waiving.state(house.waiving.waiver(made.id)) is WaiverState.REQUESTED


def test_what_cannot_be_meant_is_said(house: SmallHouse) -> None:
    with pytest.raises(NotFound, match="There is no environment mars"):
        house.waiving.request(wish(environments=("mars",)), POL)
    with pytest.raises(NotFound, match="There is no bundle"):
        house.waiving.request(wish(bundle=Digest.of(b"none")), POL)
    with pytest.raises(Malformed, match="purl: expected a package URL, found 'idna'"):
        house.waiving.request(wish(purl="idna"), POL)
    with pytest.raises(Malformed, match="days: expected 1 to 90"):
        house.waiving.request(wish(days=91), POL)
    with pytest.raises(NotFound, match="There is no waiver-1"):
        house.waiving.act(GRANT_WAIVER, "waiver-1", BOB, reason="fine")
    assert house.waiving.all() == ()


def test_what_is_over_stays_over(house: SmallHouse) -> None:
    one = granted(house)
    for verb in (GRANT_WAIVER, REFUSE_WAIVER):
        with pytest.raises(Refused, match="waiver-1 is GRANTED and can't be"):
            house.waiving.act(verb, one.id, CAROL, reason="again")
    house.waiving.act(REVOKE_WAIVER, one.id, CAROL, reason="a way in was found")
    for verb in (GRANT_WAIVER, REFUSE_WAIVER, REVOKE_WAIVER):
        with pytest.raises(Refused, match="waiver-1 is REVOKED"):
            house.waiving.act(verb, one.id, BOB, reason="again")
    late = house.waiving.request(wish(days=1), POL)
    house.clock.sleep(DAY_S + 1)
    with pytest.raises(Refused, match="waiver-2 is EXPIRED"):
        house.waiving.act(GRANT_WAIVER, late.id, BOB, reason="late")


def test_a_power_cut_around_the_grant_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    clock, fuse = SimClock(), Fuse()
    house = opened(tmp_path / "home", fuse=fuse, clock=clock)
    made = house.waiving.request(wish(), POL)
    other = house.waiving.request(wish(), POL)
    begun = len(fuse.names)
    house.waiving.act(GRANT_WAIVER, other.id, BOB, reason="agreed")
    calls = 1 + fuse.names[begun:].index("store.append")
    house.close()
    held = []
    for before in (True, False):
        life = tmp_path / f"life-{before}"
        shutil.copytree(tmp_path / "home", life, ignore=shutil.ignore_patterns("lock"))
        fuse = Fuse(before=before)
        house = opened(life, fuse=fuse, clock=clock)
        fuse.at = fuse.calls + calls
        with pytest.raises(PowerCut):
            house.waiving.act(GRANT_WAIVER, made.id, BOB, reason="agreed")
        house.close()
        house = opened(life, clock=clock)
        state = house.waiving.state(house.waiving.waiver(made.id))
        held.append(state)
        if state is WaiverState.REQUESTED:
            house.waiving.act(GRANT_WAIVER, made.id, BOB, reason="agreed")
        grants = [r for r in house.real.load(WAIVERS) if isinstance(r.event, WaiverGranted)]
        assert len(grants) == 2
        assert house.waiving.state(house.waiving.waiver(made.id)) is WaiverState.GRANTED
        house.close()
    assert held == [WaiverState.REQUESTED, WaiverState.GRANTED]


# --- what the gate makes of it ------------------------------------------------------------------


def test_what_fails_the_gate_passes_it_with_a_waiver_and_says_so(asking: SmallHouse) -> None:
    digest = bundle(asking, BAD, "click@8.1.8")
    failed = promote(asking, digest, command_id="c-1")
    assert failed.status is RunStatus.REJECTED and failed.waived_by == ()
    one = granted(asking)
    run = promote(asking, digest, command_id="c-2")
    assert run.status is RunStatus.AWAITING_APPROVAL and run.verdict is not None
    assert run.waived_by == ("pol",)
    (used,) = run.verdict.waivers
    assert (used.waiver, used.finding, used.purl, used.granted_by) == (one.id, FINDING, PURL, "bob")
    told = f"waived: {FINDING} in {PURL} until 2027-01-29 08:00 UTC, by pol, granted by bob"
    assert [note for note in run.verdict.notes if note.startswith(told)] == list(run.verdict.notes)
    # It is shown, and by what it is waived.
    found = snapshot(asking.real.blobs, asking.outside.desk, run.verdict.capsule)
    row = next(one for one in found.rows if one.id == FINDING)
    assert [one.waiver for one in row.waived] == ["waiver-1"] and row.kev and not row.suppressed
    assert [one.waived for one in found.rows if one.id != FINDING] == [()] * (len(found.rows) - 1)
    # Revoking it changes nothing about what was decided.
    asking.ask(run.run_id, Action.CANCEL, "mia")
    asking.drive(run.run_id)
    asking.waiving.act(REVOKE_WAIVER, one.id, CAROL, reason="over")
    shallow = replayed(asking, run)
    assert shallow.matches
    deep = deep_replay(shallow, asking.real.blobs.get)
    assert deep.replay.matches and deep.differs == ()
    assert promote(asking, digest, command_id="c-3").status is RunStatus.REJECTED


@pytest.mark.parametrize(
    "fields",
    [
        {"finding": "CVE-2024-3651"},
        {"purl": "pkg:pypi/langflow@1.2.1"},
        {"purl": "pkg:npm/langflow@1.2.0"},
        {"purl": "pkg:pypi/langflow"},
        {"environments": ("us-prod",)},
    ],
)
def test_it_waives_nothing_else(house: SmallHouse, fields: dict[str, Any]) -> None:
    granted(house, **fields)
    run = promote(house, bundle(house, BAD), command_id="c-1")
    assert run.status is RunStatus.REJECTED and run.waived_by == ()
    assert run.verdict is not None and run.verdict.waivers == ()


def test_any_name_of_the_flaw_is_its_name_and_one_bundle_is_not_another(
    asking: SmallHouse,
) -> None:
    first, other = bundle(asking, BAD), bundle(asking, BAD, name="other")
    granted(asking, finding="pysec-2025-36", bundle=first)
    run = promote(asking, first, command_id="c-2")
    assert run.status is RunStatus.AWAITING_APPROVAL and run.waived_by == ("pol",)
    assert run.verdict is not None and run.verdict.waivers[0].finding == FINDING
    asking.ask(run.run_id, Action.CANCEL, "mia")
    asking.drive(run.run_id)
    assert promote(asking, other, command_id="c-3").status is RunStatus.REJECTED


def test_one_that_only_waits_or_has_ended_waives_nothing(house: SmallHouse) -> None:
    digest = bundle(house, BAD)
    made = house.waiving.request(wish(days=1), POL)
    assert promote(house, digest, command_id="c-1").status is RunStatus.REJECTED
    house.waiving.act(GRANT_WAIVER, made.id, BOB, reason="agreed")
    house.clock.sleep(DAY_S)
    assert promote(house, digest, command_id="c-2").status is RunStatus.REJECTED


def test_its_author_may_not_approve_who_granted_it_may_and_both_have_to_know(
    asking: SmallHouse,
) -> None:
    granted(asking)
    run = promote(asking, bundle(asking, BAD), command_id="c-1")
    assert run.status is RunStatus.AWAITING_APPROVAL
    approver = frozenset({Role.APPROVER})
    assert conflict(run, Actor(user="pol", roles=approver)) == (
        "pol wrote a waiver that the verdict rests on; somebody else has to approve it."
    )
    assert conflict(run, Actor(user="bob", roles=approver)) is None
    assert "it rests on a waiver of pol" in comment_reasons(run)
    with pytest.raises(Refused, match=r"(?i)it rests on a waiver of pol"):
        asking.ask(run.run_id, Action.APPROVE, "bob", reason="")
    asking.ask(run.run_id, Action.APPROVE, "bob", reason="the proxy stands before it")
    done = asking.drive(run.run_id)
    assert done.status is RunStatus.SUCCEEDED
    edges = duties.duties(done, asking.real.load(run.run_id), ()).edges
    made = {(edge.person, edge.duty) for edge in edges}
    assert {("pol", Duty.WROTE_WAIVER), ("bob", Duty.GRANTED_WAIVER)} <= made


# --- what ends between the verdict and the first target -----------------------------------------


@pytest.mark.parametrize("how", ["revoked", "ended"])
def test_what_ends_while_people_are_asked_has_the_gate_asked_again(
    asking: SmallHouse, how: str
) -> None:
    one = granted(asking, days=1)
    run = promote(asking, bundle(asking, BAD), command_id="c-1")
    assert run.status is RunStatus.AWAITING_APPROVAL
    asking.clock.sleep(DAY_S / 2)  # approvals are for longer
    assert asking.drive(run.run_id).status is RunStatus.AWAITING_APPROVAL
    if how == "revoked":
        asking.waiving.act(REVOKE_WAIVER, one.id, POL, reason="a way in was found")
    else:
        asking.clock.sleep(DAY_S / 2)
    done = asking.drive(run.run_id)
    assert done.status is RunStatus.REJECTED
    gate = done.step("gate-eval")
    assert [a.status for a in gate.attempts] == [StepStatus.SUCCEEDED, StepStatus.FAILED]
    assert how in done.step("approval").attempts[0].reason
    assert not asking.fleet.switches


def test_an_approval_given_on_a_waiver_counts_no_more_when_another_one_takes_its_place(
    asking: SmallHouse,
) -> None:
    one = granted(asking)
    run = promote(asking, bundle(asking, BAD), command_id="c-1")
    asking.ask(run.run_id, Action.APPROVE, "carol", reason="fine")  # the quorum, not seen yet
    granted(asking, reason="a narrower reason")
    asking.waiving.act(REVOKE_WAIVER, one.id, POL, reason="a better one is there")
    again = asking.drive(run.run_id)
    assert again.status is RunStatus.AWAITING_APPROVAL and not again.counting_approvals
    assert again.verdict is not None
    assert [used.waiver for used in again.verdict.waivers] == ["waiver-2"]
    asking.ask(run.run_id, Action.APPROVE, "carol", reason="still fine")
    assert asking.drive(run.run_id).status is RunStatus.SUCCEEDED


@pytest.mark.parametrize("approvals", [0, 1])
def test_what_ends_before_the_first_target_is_touched_stops_it(
    tmp_path: Path, approvals: int
) -> None:
    house = opened(tmp_path / "home", approvals=approvals)
    one = granted(house)
    asked = house.service.promote(
        bundle(house, BAD), ENV, Asker(user="ci"), reason="test", command_id="c-1"
    )

    def at_canary(now: Run) -> bool:
        return now.step("canary-50").open

    if approvals:
        waits = house.drive(asked.run_id)
        house.ask(waits.run_id, Action.APPROVE, "carol", reason="fine")
    run = house.one_by_one(asked.run_id, at_canary)
    assert run.status is RunStatus.RUNNING and not house.fleet.switches
    house.waiving.act(REVOKE_WAIVER, one.id, BOB, reason="a way in was found")
    done = house.drive(asked.run_id)
    assert done.status is RunStatus.REJECTED and not house.fleet.switches
    assert done.step("canary-50").attempts[0].status is StepStatus.CANCELLED
    report = house.real.fsck()
    assert report.ok, [str(finding) for finding in report.findings]
    house.close()


def test_what_ends_after_the_first_target_was_touched_stops_nothing(house: SmallHouse) -> None:
    one = granted(house)
    asked = house.service.promote(
        bundle(house, BAD), ENV, Asker(user="ci"), reason="test", command_id="c-1"
    )
    house.drive(asked.run_id, until=lambda now: bool(now.changed_targets))
    house.waiving.act(REVOKE_WAIVER, one.id, BOB, reason="over")
    assert house.drive(asked.run_id).status is RunStatus.SUCCEEDED
