"""Broken glass, lost roles and missing approvers, through the real service, runner and seal."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data import queries
from engine.core import eligibility
from engine.core.commands import Action
from engine.core.errors import Refused
from engine.core.fact_events import EvidenceCaptured
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus, StepStatus
from engine.live_now import now_sentence
from engine.settings import Grant, Person
from engine.story import tell
from tests.faults.small_house import SmallHouse, policy, session_keys

pytestmark = pytest.mark.house
HOUR_S = 3_600


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path / "home", session_keys(), approvals=2)
    yield house
    house.close()


def waiting(house: SmallHouse) -> Run:
    run = house.drive(house.promote().run_id)
    assert run.status is RunStatus.AWAITING_APPROVAL
    return run


def hire(house: SmallHouse, user: str) -> None:
    people: Any = house.settings.people
    grants: Any = house.settings.grants
    people[user] = Person(user=user, email=f"{user}@test.local")
    grants[user] = (Grant(role=Role.APPROVER, environments=None),)


def dismiss(house: SmallHouse, user: str) -> None:
    people: Any = house.settings.people
    people.pop(user)


def told(house: SmallHouse, run: Run) -> str:
    return "\n".join(line.text for line in tell(house.real.load(run.run_id)))


def statements(house: SmallHouse, run: Run, folder: str) -> list[Any]:
    found = []
    for recorded in house.real.load(run.run_id):
        event = recorded.event
        if isinstance(event, EvidenceCaptured) and folder in event.name:
            envelope = json.loads(house.real.blobs.get(event.envelope))
            found.append(json.loads(base64.b64decode(envelope["payload"]))["predicate"])
    return found


class TestGlass:
    def test_two_people_break_it_and_a_third_looks_at_it(self, house: SmallHouse) -> None:
        run = waiting(house)
        with pytest.raises(Refused, match="needs an incident id"):
            house.ask(run.run_id, Action.BREAK_GLASS, "ana")
        house.ask(run.run_id, Action.BREAK_GLASS, "ana", ticket="INC-7", reason="it burns")
        with pytest.raises(Refused, match="a second person has to confirm it"):
            house.ask(run.run_id, Action.BREAK_GLASS, "ana", ticket="INC-7")
        for stranger in ("bob", "root", "audrey", "eve"):
            with pytest.raises(Refused, match="This needs the role release manager or sre"):
                house.ask(run.run_id, Action.BREAK_GLASS, stranger, ticket="INC-7")
        assert house.drive(run.run_id).status is RunStatus.AWAITING_APPROVAL
        house.ask(run.run_id, Action.BREAK_GLASS, "sam", reason="I see it too")
        run = house.drive(run.run_id)
        assert (run.status, run.seal_status) == (RunStatus.SUCCEEDED, "SEALED")
        assert run.step("approval").attempts[0].result == eligibility.BREAK_GLASS
        text = told(house, run)
        assert 'GLASS BROKEN (INC-7): ana ("it burns") and sam ("I see it too") let the run' in text
        (said,) = statements(house, run, "approval")
        assert said["outcome"] == "BREAK_GLASS"
        assert said["brokenGlass"]["missing"] == ["0 of 2 approvals"]
        assert said["brokenGlass"]["ticket"] == "INC-7"
        (row,) = queries.reviews(house.real.cursor(), open_only=True).to_dicts()
        assert (row["kind"], sorted(row["doers"])) == ("break_glass", ["ana", "sam"])
        assert row["due_us"] - row["opened_us"] == 72 * HOUR_S * 1_000_000
        with pytest.raises(Refused, match="sam broke the glass; another person has to look"):
            house.ask(run.run_id, Action.REVIEW, "sam")
        house.ask(run.run_id, Action.REVIEW, "mia", reason="it was right")
        assert queries.reviews(house.real.cursor(), open_only=True).is_empty()

    def test_what_was_approved_stays_on_record_beside_it(self, house: SmallHouse) -> None:
        run = waiting(house)
        house.ask(run.run_id, Action.APPROVE, "bob")
        house.ask(run.run_id, Action.BREAK_GLASS, "mia", ticket="INC-7")
        house.ask(run.run_id, Action.BREAK_GLASS, "sam")
        with pytest.raises(Refused):  # whoever breaks the glass is part of it from then on
            house.ask(run.run_id, Action.APPROVE, "sam")
        run = house.drive(run.run_id)
        assert (run.status, run.seal_status) == (RunStatus.SUCCEEDED, "SEALED")
        approval, outcome = statements(house, run, "approval")
        assert approval["approver"]["user"] == "bob" and outcome["outcome"] == "BREAK_GLASS"

    def test_an_hour_later_it_is_whole_again(self, house: SmallHouse) -> None:
        run = waiting(house)
        house.ask(run.run_id, Action.BREAK_GLASS, "ana", ticket="INC-7")
        house.ask(run.run_id, Action.BREAK_GLASS, "sam")
        house.clock.sleep(HOUR_S)
        assert house.drive(run.run_id).status is RunStatus.AWAITING_APPROVAL

    def test_it_is_asked_for_and_not_confirmed_in_time(self, house: SmallHouse) -> None:
        run = waiting(house)
        house.ask(run.run_id, Action.BREAK_GLASS, "ana", ticket="INC-7")
        house.clock.sleep(HOUR_S)
        house.ask(run.run_id, Action.BREAK_GLASS, "sam", ticket="INC-8")  # asks anew
        run = house.drive(run.run_id)
        assert run.status is RunStatus.AWAITING_APPROVAL
        assert run.override is not None and run.override.by == "sam"

    def test_a_fail_of_the_policy_is_never_passed_by(self, tmp_path: Path) -> None:
        strict = SmallHouse(
            tmp_path / "strict", session_keys(), approvals=2, gate=policy(passes=False)
        )
        run = strict.drive(strict.promote().run_id)
        assert run.status is RunStatus.REJECTED
        with pytest.raises(Refused, match="Nothing stands against this run"):
            strict.ask(run.run_id, Action.BREAK_GLASS, "ana", ticket="INC-7")
        strict.close()


class TestApprovers:
    def test_whoever_left_before_the_deploy_counts_no_more(self, house: SmallHouse) -> None:
        run = waiting(house)
        for who in ("bob", "carol"):
            house.ask(run.run_id, Action.APPROVE, who)
        run = house.one_by_one(run.run_id, lambda r: r.step("canary-50").open)
        assert run.step("approval").status is StepStatus.SUCCEEDED
        dismiss(house, "bob")
        run = house.drive(run.run_id)
        assert run.status is RunStatus.AWAITING_APPROVAL and not run.changed_targets
        assert len(run.step("approval").attempts) == 2
        assert [a.person for a in run.counting_approvals] == ["carol"]
        assert [a.person for a in run.approvals] == ["bob", "carol"]  # the old record stays
        assert eligibility.shortage(run) == "Needs 1 more approval; nobody may approve."
        assert now_sentence(run, None, None)["head"] == "Needs 1 more approval; nobody may approve."
        hire(house, "dave")
        house.ask(run.run_id, Action.APPROVE, "dave")
        run = house.drive(run.run_id)
        assert (run.status, run.seal_status) == (RunStatus.SUCCEEDED, "SEALED")
        text = told(house, run)
        assert "Approvals that count no more: bob (no longer an approver in eu-prod)." in text

    def test_whoever_left_before_the_quorum_counts_no_more(self, house: SmallHouse) -> None:
        run = waiting(house)
        house.ask(run.run_id, Action.APPROVE, "bob")
        house.drive(run.run_id)
        dismiss(house, "bob")
        house.ask(run.run_id, Action.APPROVE, "carol")
        run = house.drive(run.run_id)
        assert run.status is RunStatus.AWAITING_APPROVAL
        assert [a.person for a in run.counting_approvals] == ["carol"]

    def test_a_server_that_starts_again_looks_again(self, house: SmallHouse) -> None:
        run = waiting(house)
        assert eligibility.shortage(run) == ""
        dismiss(house, "bob")
        house.runner.recover()
        run = house.drive(run.run_id)
        assert eligibility.shortage(run) == "Needs 2 approvals; only carol may approve."

    def test_an_approval_that_grew_old_is_asked_for_again(self, house: SmallHouse) -> None:
        run = waiting(house)
        for who in ("bob", "carol"):
            house.ask(run.run_id, Action.APPROVE, who)
        run = house.one_by_one(run.run_id, lambda r: r.step("canary-50").open)
        house.ask(run.run_id, Action.PAUSE, "sam")
        house.clock.sleep(25 * HOUR_S)
        house.ask(run.run_id, Action.RESUME, "sam")
        run = house.drive(run.run_id)
        assert run.status is RunStatus.AWAITING_APPROVAL and run.counting_approvals == ()

    def test_that_nobody_may_is_said_when_it_is_asked(self, house: SmallHouse) -> None:
        dismiss(house, "carol")
        run = waiting(house)
        step = run.step("approval")
        expected = "waits for 0 of 2 approvals. Needs 2 approvals; only bob may approve."
        assert step.summary == expected
        assert now_sentence(run, step, None)["tone"] == "err"
