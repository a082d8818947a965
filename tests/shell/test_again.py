"""Holds and new runs from finished ones, in a small house over the real store."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine.core.commands import Action, Command
from engine.core.digest import Digest
from engine.core.errors import Conflict, NotFound, Refused
from engine.core.event_parts import PinnedChange
from engine.core.fact_events import StartFreed, StartHeld
from engine.core.house import ADMIN, CommandRejected, HoldLifted
from engine.core.plan import Observation
from engine.core.rollback_preview import RowAction
from engine.core.run_events import RunStarted
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from engine.evidence.verify import verify_pack
from engine.service import Asker
from engine.story import tell
from tests.faults.small_house import ENV, OLD, TARGETS, SmallHouse, policy, session_keys

pytestmark = pytest.mark.house

ANA = Asker(user="ana")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path / "home", session_keys())
    yield house
    house.close()


@dataclass(frozen=True, slots=True)
class Lived:
    """A house in which `one` was promoted, then `two`."""

    house: SmallHouse
    one: Run
    two: Run


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    house = SmallHouse(tmp_path_factory.mktemp("lived"), session_keys())
    one, two = promoted(house, "one"), promoted(house, "two")
    house.close()
    return Lived(house, one, two)


@pytest.fixture
def two_promoted(lived: Lived, tmp_path: Path) -> Iterator[Lived]:
    """A home of its own with the same history, and the same targets under it."""
    here = moved_in(lived, tmp_path)
    yield here
    here.house.close()


def moved_in(lived: Lived, folder: Path, **changes: Any) -> Lived:
    home = folder / "home"
    if not home.exists():
        shutil.copytree(lived.house.home, home, ignore=shutil.ignore_patterns("lock"))
    fleet, clock = copy.deepcopy((lived.house.fleet, lived.house.clock))
    house = SmallHouse(home, session_keys(), fleet=fleet, clock=clock, **changes)
    return Lived(house, lived.one, lived.two)


def promoted(house: SmallHouse, text: str) -> Run:
    run = house.service.promote(house.bundle(text), ENV, ANA)
    return house.drive(run.run_id)


def rolled_back(house: SmallHouse, text: str = "bad") -> Run:
    house.fleet.bad.add(house.bundle(text))
    run = promoted(house, text)
    assert run.status is RunStatus.ROLLED_BACK
    return run


def asked(house: SmallHouse, run: Run, action: Action, **fields: Any) -> Run:
    command = Command(action=action, **({"reason": "because"} | fields))
    recorded = house.service.ask(run.run_id, command, ANA)
    return house.real.run(recorded[0].stream)


def running(house: SmallHouse) -> set[Digest | None]:
    return set(house.fleet.running.values())


class TestHold:
    def test_asking_again_does_not_help_a_lift_does(self, house: SmallHouse) -> None:
        run = rolled_back(house)
        (hold,) = house.service.holds()
        assert (hold.environment, hold.bundle, hold.run) == (ENV, run.bundle, run.run_id)
        for _ in range(2):
            with pytest.raises(Refused, match=f"is held in {ENV} since {run.run_id}") as no:
                house.service.promote(run.bundle, ENV, ANA)
            assert no.value.code == "held" and "hold lift" in no.value.hint
        denied = [r.event for r in house.real.load(ADMIN) if isinstance(r.event, CommandRejected)]
        assert [d.code for d in denied] == ["held", "held"]
        elsewhere = house.service.promote(run.bundle, "us-prod", ANA)
        assert elsewhere.status is RunStatus.QUEUED
        with pytest.raises(Refused, match="needs the role"):
            house.service.lift_hold(ENV, run.bundle, Asker(user="bob"), reason="fine")
        house.service.lift_hold(ENV, run.bundle, Asker(user="sam"), reason=" fixed ")
        assert house.service.holds() == ()
        (lifted,) = [r for r in house.real.load(ADMIN) if isinstance(r.event, HoldLifted)]
        assert lifted.actor == "sam" and lifted.event.reason == "fixed"  # type: ignore[union-attr]
        assert house.service.promote(run.bundle, ENV, ANA).status is RunStatus.QUEUED

    def test_a_queued_run_waits_says_why_and_goes_on_after_the_lift(
        self, house: SmallHouse
    ) -> None:
        bad = house.bundle("bad")
        house.fleet.bad.add(bad)
        first = house.service.promote(bad, ENV, ANA)
        second = house.service.promote(bad, ENV, ANA)
        other = house.service.promote(house.bundle("other"), ENV, ANA)
        assert house.drive(first.run_id).status is RunStatus.ROLLED_BACK
        for _ in range(3):
            assert house.runner.advance(second.run_id) is not None
        waiting = house.real.run(second.run_id)
        assert waiting.status is RunStatus.QUEUED and waiting.held_by == first.run_id
        said = [r.event for r in house.real.load(second.run_id) if isinstance(r.event, StartHeld)]
        assert len(said) == 1 and "has to lift the hold" in said[0].reason
        # It bars nobody behind it.
        assert house.drive(other.run_id).status is RunStatus.SUCCEEDED
        house.fleet.bad.clear()
        house.service.lift_hold(ENV, bad, ANA, reason="fixed the dependency")
        assert house.drive(second.run_id).status is RunStatus.SUCCEEDED
        kinds = [type(r.event) for r in house.real.load(second.run_id)]
        assert kinds.index(StartHeld) < kinds.index(StartFreed) < kinds.index(RunStarted)

    def test_it_cannot_be_lifted_while_the_rollback_is_not_over(self, house: SmallHouse) -> None:
        bad = house.bundle("bad")
        house.fleet.bad.add(bad)
        run = house.service.promote(bad, ENV, ANA)
        house.drive(run.run_id, until=lambda r: r.status is RunStatus.ROLLING_BACK)
        with pytest.raises(Refused, match="is not over yet"):
            house.service.lift_hold(ENV, bad, ANA, reason="too early")

    def test_it_survives_a_kill_and_a_lost_database(self, tmp_path: Path) -> None:
        house = SmallHouse(tmp_path / "home", session_keys())
        run = rolled_back(house)
        again = asked(house, run, Action.RERUN, lift_hold=True)
        house.drive(again.run_id)  # still bad: held again, by the second run
        before = house.service.holds()
        heirs, started = house.service.heirs(run.run_id), house.real.runs_started(ENV)
        assert before[0].run == again.run_id and heirs == (again.run_id,)
        house.close()
        for lose in (False, True):
            if lose:
                (tmp_path / "home" / "releaseline.duckdb").unlink()
            house = SmallHouse(tmp_path / "home", session_keys())
            assert house.service.holds() == before
            assert house.service.heirs(run.run_id) == heirs
            assert house.real.runs_started(ENV) == started == (run.run_id, again.run_id)
            with pytest.raises(Refused, match="is held"):
                house.service.promote(run.bundle, ENV, ANA)
            house.close()

    def test_two_homes_hold_for_themselves(self, tmp_path: Path) -> None:
        one = SmallHouse(tmp_path / "one", session_keys())
        two = SmallHouse(tmp_path / "two", session_keys())
        run = rolled_back(one)
        assert two.service.holds() == ()
        assert two.service.promote(two.bundle("bad"), ENV, ANA).bundle == run.bundle
        one.close()
        two.close()


class TestRerun:
    def test_a_new_run_and_nothing_of_the_old_one_changes(self, house: SmallHouse) -> None:
        run = rolled_back(house)
        pack = house.sealer.export(run.run_id, "audit-pack", actor="ana")[1]
        before = house.real.load(run.run_id)
        with pytest.raises(Refused, match="is held"):
            asked(house, run, Action.RERUN)
        house.fleet.bad.clear()
        again = asked(house, run, Action.RERUN, lift_hold=True, ticket="T-1")
        assert again.request.rerun_of == run.run_id and again.request.ticket == "T-1"
        assert house.service.heirs(run.run_id) == (again.run_id,)
        ended = house.drive(again.run_id)
        assert ended.status is RunStatus.SUCCEEDED
        assert house.real.load(run.run_id) == before
        assert house.sealer.export(run.run_id, "audit-pack", actor="ana")[1] == pack
        assert ended.chain != run.chain and run.chain is not None
        told = tell(house.real.load(again.run_id))[0].text
        assert f"tries {run.run_id} again, with the same workflow" in told

    def test_it_is_judged_by_what_is_in_force_now(self, tmp_path: Path) -> None:
        house = SmallHouse(tmp_path / "home", session_keys())
        run = promoted(house, "one")
        house.close()
        house = SmallHouse(tmp_path / "home", session_keys(), gate=policy(passes=False))
        again = asked(house, run, Action.RERUN)
        old, new = str(run.request.policy_digest), str(house.gate.digest)
        assert old != new
        assert again.request.differs == (PinnedChange(name="policy", before=old, after=new),)
        assert house.drive(again.run_id).status is RunStatus.REJECTED
        before, found = house.service.differences(again.run_id)
        assert before == run.run_id and found == again.request.differs
        with pytest.raises(NotFound, match="was not made from another run"):
            house.service.differences(run.run_id)
        house.close()

    def test_the_same_command_makes_one_run(self, two_promoted: Lived) -> None:
        house, one, two = two_promoted.house, two_promoted.one, two_promoted.two
        command = Command(action=Action.RERUN, reason="r")
        first = house.service.ask(one.run_id, command, ANA, command_id="c-7")
        assert house.service.ask(one.run_id, command, ANA, command_id="c-7") == first
        assert len(house.service.heirs(one.run_id)) == 1
        with pytest.raises(Conflict, match="was used for"):
            house.service.ask(two.run_id, command, ANA, command_id="c-7")


class TestRollbackPromotion:
    def test_it_goes_back_without_asking_and_is_reviewed(self, two_promoted: Lived) -> None:
        house, one, two = two_promoted.house, two_promoted.one, two_promoted.two
        preview = house.service.promotion_preview(two.run_id)
        assert preview.counts[RowAction.REVERT] == len(TARGETS) and preview.warnings == ()
        back = asked(house, two, Action.ROLLBACK_PROMOTION, plan=preview.digest)
        ended = house.drive(back.run_id)
        assert ended.status is RunStatus.SUCCEEDED and running(house) == {one.bundle}
        request = ended.request
        assert (request.kind, request.rolls_back, request.takes_back, request.vouched_by) == (
            "ROLLBACK", two.run_id, two.bundle, one.run_id,
        )  # fmt: skip
        assert ended.step("approval").summary == f"rule {ENV}/rollback asks nobody"
        assert [s.id for s in ended.steps] == [
            "inputs", "gate-eval", "approval", "full-100", "post-verify", "seal",
        ]  # fmt: skip
        assert ended.verdict is not None and one.verdict is not None
        assert ended.verdict.verdict == one.verdict.verdict
        assert ended.verdict.replays == one.verdict.verdict_id
        assert [(r.kind, r.doers) for r in ended.reviews] == [("rollback", ("ana",))]
        (hold,) = house.service.holds()
        assert (hold.bundle, hold.run) == (two.bundle, back.run_id)

    def test_its_pack_verifies_and_says_what_it_is(self, two_promoted: Lived) -> None:
        house, two = two_promoted.house, two_promoted.two
        back = house.drive(asked(house, two, Action.ROLLBACK_PROMOTION).run_id)
        name, pack = house.sealer.export(back.run_id, "audit-pack", actor="ana")
        report = verify_pack(pack, name=name, trusted_root=house.keys.trusted_root)
        assert not list(report.failed)
        outputs = {o.name: o.digest for a in back.step("inputs").attempts for o in a.outputs}
        inputs = json.loads(house.real.blobs.get(outputs["resolved-inputs.json"]))
        assert inputs["kind"] == "ROLLBACK"
        told = tell(house.real.load(back.run_id))[0].text
        assert told.startswith(f"ana asked to roll {two.run_id} back: ")

    def test_it_goes_before_what_waits_and_its_bundle_does_not_slip_in(
        self, two_promoted: Lived
    ) -> None:
        house, one, two = two_promoted.house, two_promoted.one, two_promoted.two
        waits = house.service.promote(two.bundle, ENV, ANA)
        back = asked(house, two, Action.ROLLBACK_PROMOTION)
        assert house.runner.advance(waits.run_id) is not None
        assert house.real.run(waits.run_id).started_us is None
        assert house.drive(back.run_id).status is RunStatus.SUCCEEDED
        house.runner.advance(waits.run_id)
        assert house.real.run(waits.run_id).held_by == back.run_id
        assert running(house) == {one.bundle}

    def test_a_verdict_that_does_not_replay_stops_it(self, two_promoted: Lived) -> None:
        house, one, two = two_promoted.house, two_promoted.one, two_promoted.two
        assert one.verdict is not None
        house.real.blobs.path(one.verdict.capsule).unlink()
        ended = house.drive(asked(house, two, Action.ROLLBACK_PROMOTION).run_id)
        assert ended.status is RunStatus.REJECTED
        (attempt,) = ended.step("gate-eval").attempts
        assert attempt.result == "INPUT_MISSING"
        assert running(house) == {two.bundle}

    def test_what_today_would_say_is_a_warning_and_stops_nothing(
        self, lived: Lived, tmp_path: Path
    ) -> None:
        house = moved_in(lived, tmp_path, gate=policy(passes=False)).house
        one, two = lived.one, lived.two
        ended = house.drive(asked(house, two, Action.ROLLBACK_PROMOTION).run_id)
        assert ended.status is RunStatus.SUCCEEDED and running(house) == {one.bundle}
        assert ended.verdict is not None and ended.verdict.warn == 1
        assert "today's policy and feeds would fail it" in ended.verdict.notes[1]
        house.close()

    @pytest.mark.parametrize("kept", [True, False], ids=["kept", "dropped"])
    def test_with_the_artifacts_gone_it_takes_what_the_targets_hold(
        self, two_promoted: Lived, monkeypatch: pytest.MonkeyPatch, kept: bool
    ) -> None:
        house, one, two = two_promoted.house, two_promoted.one, two_promoted.two
        for component in house.catalog.get(one.bundle).components:
            house.real.blobs.path(component.digest).unlink()
        driver = house.outside.places[ENV].driver
        look = driver.observe

        def observe(*, deadline_s: float) -> Observation:
            seen = look(deadline_s=deadline_s)
            held = tuple(replace(t, present=(*t.present, one.bundle)) for t in seen.targets)
            return replace(seen, targets=held)

        if kept:
            monkeypatch.setattr(driver, "observe", observe)
        preview = house.service.promotion_preview(two.run_id)
        assert preview.executable is kept
        ended = house.drive(asked(house, two, Action.ROLLBACK_PROMOTION).run_id)
        if kept:
            assert ended.status is RunStatus.SUCCEEDED and running(house) == {one.bundle}
        else:
            assert ended.status is RunStatus.PAUSED and running(house) == {two.bundle}
            assert "is missing" in ended.step("inputs").summary

    def test_only_once_and_only_while_it_is_current(self, two_promoted: Lived) -> None:
        house, two = two_promoted.house, two_promoted.two
        back = asked(house, two, Action.ROLLBACK_PROMOTION)
        with pytest.raises(Refused, match=f"{back.run_id} is under way"):
            asked(house, two, Action.ROLLBACK_PROMOTION)
        house.drive(back.run_id)
        with pytest.raises(Refused, match=f"{back.run_id} came after it"):
            asked(house, two, Action.ROLLBACK_PROMOTION)
        with pytest.raises(Refused, match="is a rollback itself"):
            asked(house, house.real.run(back.run_id), Action.ROLLBACK_PROMOTION)

    def test_a_bundle_that_nobody_made_here_cannot_be_gone_back_to(self, house: SmallHouse) -> None:
        one = promoted(house, "one")
        assert {t.baseline for t in one.targets} == {OLD}
        with pytest.raises(NotFound, match="There is no bundle"):
            asked(house, one, Action.ROLLBACK_PROMOTION)
        assert house.service.heirs(one.run_id) == ()

    @pytest.mark.parametrize("passes", [True, False])
    def test_without_a_verdict_of_then_todays_policy_decides(
        self, tmp_path: Path, passes: bool
    ) -> None:
        house = SmallHouse(tmp_path / "home", session_keys())
        brought = house.bundle("brought by hand")
        house.fleet.running.update(dict.fromkeys(house.fleet.running, brought))
        two, fleet = promoted(house, "two"), house.fleet
        house.close()
        gate = policy(passes=passes)
        house = SmallHouse(tmp_path / "home", session_keys(), gate=gate, fleet=fleet)
        back = asked(house, two, Action.ROLLBACK_PROMOTION)
        assert back.request.vouched_by == ""
        ended = house.drive(back.run_id)
        assert ended.status is (RunStatus.SUCCEEDED if passes else RunStatus.REJECTED)
        assert running(house) == {brought if passes else two.bundle}
        house.close()

    def test_a_plan_that_was_seen_otherwise_is_refused(self, two_promoted: Lived) -> None:
        house, two = two_promoted.house, two_promoted.two
        with pytest.raises(Refused, match="changed since that preview") as no:
            asked(house, two, Action.ROLLBACK_PROMOTION, plan=Digest.of(b"other"))
        assert no.value.code == "stale" and house.service.heirs(two.run_id) == ()
