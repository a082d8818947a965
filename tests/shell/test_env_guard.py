"""The environment guard over a whole small house: who waits, for how long, and who never does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from engine.core import burn_guard, queueing
from engine.core.commands import Action
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed
from engine.core.fact_events import EnvironmentGuarded
from engine.core.run import Run, fold
from engine.core.run_events import RunStarted
from engine.core.schedule_events import Timing
from engine.core.statemachine import RunStatus, StepStatus
from engine.scheduling import Wish
from engine.service import Asker
from engine.story import tell
from tests.faults.nights import HOUR, MINUTE, NIGHT, live, ticks
from tests.faults.small_house import CRITERIA, ENV, OLD, Fuse, PowerCut, SmallHouse, session_keys

pytestmark = pytest.mark.house

QUIET = {300: (3, 10_000), 3_600: (40, 100_000), 1_800: (9, 50_000), 21_600: (90, 600_000)}
FIRE = {window: (total // 4, total) for window, (_, total) in QUIET.items()}
Counts = Mapping[int, tuple[int, int] | None]


@dataclass
class SimBurn:
    """What the users got, as the test says. `counts` None: the source is silent."""

    counts: Counts | None = field(default_factory=lambda: dict(QUIET))
    kind: str = "simulated"
    asked: int = 0

    def burn_query(self, *, windows_s: Sequence[int]) -> str:
        return f"burn over {', '.join(map(str, windows_s))}"

    def bad_and_total(
        self, *, windows_s: Sequence[int], deadline_s: float
    ) -> Mapping[int, tuple[int, int] | None]:
        self.asked += 1
        assert deadline_s > 0
        if self.counts is None:
            raise AdapterFailed("refused", transient=True)
        return {window_s: self.counts.get(window_s) for window_s in windows_s}


class Burning(SmallHouse):
    """A small house whose environments are watched by a source of the test's."""

    def __init__(self, home: Path, burn: SimBurn, **more: object) -> None:
        super().__init__(home, session_keys(), **more)  # type: ignore[arg-type]
        self.burn = burn
        places = {n: replace(place, burn=burn) for n, place in self.outside.places.items()}
        self.outside.places.clear()  # type: ignore[attr-defined]
        self.outside.places.update(places)  # type: ignore[attr-defined]

    def guards(self, run_id: str = "run-1") -> list[EnvironmentGuarded]:
        log = self.real.load(run_id)
        return [r.event for r in log if isinstance(r.event, EnvironmentGuarded)]

    def poll(self, run_id: str, seconds: float) -> Run:
        """Go on for so long, whatever the run waits for."""
        end_us = self.clock.us + int(seconds * 1e6)
        while self.clock.us < end_us:
            wait_s = self.runner.advance(run_id)
            if wait_s is None:
                break
            self.clock.sleep(max(wait_s, 0.001))
        return self.real.run(run_id)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Burning]:
    house = Burning(tmp_path / "home", SimBurn())
    yield house
    house.close()


def in_stage(step: str) -> Callable[[Run], bool]:
    return lambda run: bool(run.step(step).attempts)


def applied(step: str) -> Callable[[Run], bool]:
    return lambda run: any(attempt.applied for attempt in run.step(step).attempts)


def started(run: Run) -> bool:
    return run.started_us is not None


class TestBeforeTheStart:
    def test_a_quiet_environment_is_told_once_per_place(self, house: Burning) -> None:
        house.drive(house.promote().run_id, until=applied("full-100"))
        assert [(g.step, g.state) for g in house.guards()] == [
            ("", "clear"),
            ("canary-50", "clear"),
            ("full-100", "clear"),
        ]

    def test_a_burning_one_keeps_the_run_queued_until_it_is_clear(self, house: Burning) -> None:
        house.burn.counts = FIRE
        run_id = house.promote().run_id
        run = house.poll(run_id, 300)
        assert run.status is RunStatus.QUEUED
        assert house.burn.asked > 50  # every 5 s
        (told,) = house.guards()  # and yet one fact
        assert told.reason.startswith("burning 25.0x over 1h and 25.0x over 5m (limit 14.4x of SLO")
        assert told.query == "burn over 300, 1800, 3600, 21600"
        assert burn_guard.held_up(run).startswith("the environment burns its error budget: burning")
        house.burn.counts = QUIET
        run = house.drive(run_id, until=started)
        assert run.status is RunStatus.RUNNING
        assert burn_guard.held_up(run) == ""

    def test_a_schedule_waits_before_its_queue_and_expires_there(self, house: Burning) -> None:
        """In the queue it would start whenever the fire is out, hours after its window."""
        timing = Timing(
            zone="UTC", first="2027-01-16", time="02:00", window_s=HOUR,
            rule="FREQ=DAILY;COUNT=2",
        )  # fmt: skip
        wish = Wish(bundle=house.bundle(), environment=ENV, timing=timing, preconditions=())
        house.scheduling.create(wish, Asker(user="ana"))
        house.burn.counts, house.clock.us = FIRE, NIGHT * 1_000_000
        live(house, NIGHT + HOUR // 2)
        run = house.real.run("run-1")
        burns = "the environment burns its error budget: burning 25.0x over 1h and 25.0x over 5m"
        assert run.status is RunStatus.SCHEDULED
        assert queueing.waits_for(run).startswith(burns)
        assert [g.state for g in house.guards()] == ["burning"]  # asked every minute, told once
        assert b'"state":"burning"' in house.real.blobs.get(house.guards()[0].evidence)
        live(house, NIGHT + HOUR + MINUTE)
        run = house.real.run("run-1")
        assert (run.status, run.started_us) == (RunStatus.EXPIRED, None)
        assert run.outcome_reason.startswith(f"its window closed: {burns}")
        house.burn.counts = QUIET
        live(house, NIGHT + 24 * HOUR + MINUTE)
        started_us = house.real.run("run-2").started_us
        assert started_us is not None
        assert [word for word, _, _ in ticks(house)] == [
            "DUE", "WAITING_PRECONDITIONS", "EXPIRED", "DUE", "STARTED",
        ]  # fmt: skip

    def test_the_next_in_line_does_not_overtake_it(self, house: Burning) -> None:
        house.burn.counts = FIRE
        first, second = (house.promote(command_id=f"c-{n}") for n in (1, 2))
        house.poll(first.run_id, 20)
        house.poll(second.run_id, 20)
        assert {r.status for r in house.real.runs_open()} == {RunStatus.QUEUED}
        assert house.guards("run-2") == []  # it is not its turn

    @pytest.mark.parametrize(
        ("counts", "state"),
        [
            (None, "no_data"),
            ({}, "not_enough_history"),
            (dict.fromkeys(QUIET, (0, 0)), "no_data"),
            (QUIET | {21_600: None}, "not_enough_history"),
        ],
    )
    def test_what_is_not_known_does_not_block_and_is_not_called_clear(
        self, house: Burning, counts: Counts | None, state: str
    ) -> None:
        house.burn.counts = counts
        run = house.one_by_one(house.promote().run_id, applied("canary-50"))
        assert run.status is RunStatus.RUNNING
        assert [(g.step, g.state) for g in house.guards()] == [("", state), ("canary-50", state)]
        assert all("spent" not in g.reason for g in house.guards())

    def test_one_rule_that_burns_is_enough_when_the_other_is_not_known(
        self, house: Burning
    ) -> None:
        house.burn.counts = FIRE | {21_600: None, 1_800: None}
        run = house.poll(house.promote().run_id, 30)
        assert run.status is RunStatus.QUEUED

    def test_it_may_be_cancelled_and_paused_meanwhile(self, house: Burning) -> None:
        house.burn.counts = FIRE
        run_id = house.promote().run_id
        house.poll(run_id, 30)
        house.ask(run_id, Action.PAUSE, "ana")
        asked = house.burn.asked
        assert house.poll(run_id, 30).status is RunStatus.PAUSED
        assert house.burn.asked == asked
        house.ask(run_id, Action.RESUME, "ana")
        assert house.poll(run_id, 30).status is RunStatus.QUEUED
        assert len(house.guards()) == 2  # read anew, and told again
        house.ask(run_id, Action.CANCEL, "ana")
        assert house.drive(run_id).status is RunStatus.CANCELLED

    def test_silence_after_fire_is_believed_for_as_long_as_a_gate_waits(
        self, house: Burning
    ) -> None:
        house.burn.counts = FIRE
        run_id = house.promote().run_id
        house.poll(run_id, 60)
        house.burn.counts = None
        assert house.poll(run_id, CRITERIA.no_data_ms / 1000 - 10).status is RunStatus.QUEUED
        house.burn.counts = FIRE  # it was not over
        assert house.poll(run_id, 600).status is RunStatus.QUEUED
        house.burn.counts = None
        run = house.poll(run_id, CRITERIA.no_data_ms / 1000 + 10)
        assert run.status is not RunStatus.QUEUED


def test_a_way_back_is_never_kept_waiting(house: Burning) -> None:
    """Neither by the fire, nor by a promotion that the fire keeps in the queue before it."""
    house.burn.counts = FIRE
    first, second = (house.promote(command_id=f"c-{n}") for n in (1, 2))
    house.poll(first.run_id, 20)
    back = replace(second.request, kind="ROLLBACK", number=3)
    house.real.append("run-3", (back,), after=0, actor="ana")
    house.ask(second.run_id, Action.CANCEL, "ana")
    house.poll("run-3", 5)
    assert house.real.run("run-3").started_us is not None
    assert house.guards("run-3") == []


class TestBetweenStages:
    def burning_before(self, house: Burning, step: str) -> Run:
        run = house.promote()
        house.one_by_one(run.run_id, in_stage(step))
        house.burn.counts = FIRE
        return house.poll(run.run_id, 60)

    @pytest.mark.parametrize("step", ["canary-50", "full-100"])
    def test_the_next_stage_waits_untouched_and_goes_on(self, house: Burning, step: str) -> None:
        run = self.burning_before(house, step)
        state = run.step(step)
        assert (run.status, state.status) == (RunStatus.RUNNING, StepStatus.WAITING)
        assert state.summary.startswith("the environment burns its error budget: burning")
        touched = 0 if step == "canary-50" else 1
        assert len(house.fleet.switches) == touched
        house.burn.counts = QUIET
        run = house.drive(run.run_id, until=applied(step))
        assert run.step(step).status is StepStatus.RUNNING
        assert len(run.step(step).attempts) == 1

    def test_too_long_is_a_pause_and_a_person_lets_it_wait_again(self, house: Burning) -> None:
        run = self.burning_before(house, "full-100")
        began_us = house.clock.us
        run = house.poll(run.run_id, 1_000)
        assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "health_inconclusive")
        assert "has waited too long: the environment burns its error budget" in run.pause_note
        assert 840 <= (run.paused_us or 0) / 1e6 - began_us / 1e6 <= 905
        house.ask(run.run_id, Action.RESUME, "ana")
        run = house.poll(run.run_id, 800)
        assert run.status is RunStatus.RUNNING  # the whole time again, not at once
        house.burn.counts = QUIET
        house.drive(run.run_id, until=applied("full-100"))

    def test_retry_after_the_pause_makes_a_new_attempt_that_is_guarded_too(
        self, house: Burning
    ) -> None:
        run = self.burning_before(house, "full-100")
        run = house.poll(run.run_id, 1_000)
        house.ask(run.run_id, Action.RETRY_STEP, "ana")
        run = house.poll(run.run_id, 60)
        assert run.step("full-100").status is StepStatus.WAITING
        assert len(run.step("full-100").attempts) == 2
        assert len(house.fleet.switches) == 1

    def test_a_rollback_goes_through_the_fire(self, house: Burning) -> None:
        run = self.burning_before(house, "full-100")
        house.ask(run.run_id, Action.ROLLBACK, "sam")
        run = house.drive(run.run_id)
        assert run.status is RunStatus.ROLLED_BACK
        assert set(house.fleet.running.values()) == {OLD}

    def test_a_half_set_stage_is_finished_under_its_gate(
        self, house: Burning, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Set, and then the engine was lost before it could be recorded."""
        run = house.promote()
        house.one_by_one(run.run_id, in_stage("full-100"))
        house.fleet.running["t-2"] = run.bundle
        house.runner.recover()
        house.burn.counts = FIRE
        run = house.poll(run.run_id, 30)
        attempt = run.step("full-100").attempt
        assert attempt is not None and attempt.number == 2 and attempt.applied

    def test_an_engine_lost_while_nothing_was_set_does_not_slip_through(
        self, house: Burning
    ) -> None:
        run = house.promote()
        house.one_by_one(run.run_id, in_stage("full-100"))
        house.runner.recover()
        house.burn.counts = FIRE
        run = house.poll(run.run_id, 30)
        assert run.step("full-100").status is StepStatus.WAITING
        assert len(house.fleet.switches) == 1


CHANGING = ("store.append", "blobs.put")


def waiting(folder: Path, fuse: Fuse) -> tuple[Burning, str]:
    """A house that is about to look at its burning environment for the first time."""
    house = Burning(folder, SimBurn(counts=FIRE), fuse=fuse)
    return house, house.promote().run_id


@pytest.mark.fault
def test_a_power_cut_around_any_record_of_the_guard_ends_the_same(tmp_path: Path) -> None:
    fuse = Fuse()
    house, run_id = waiting(tmp_path / "uncut", fuse)
    before = fuse.calls
    house.poll(run_id, 20)
    cuts = [n for n, name in enumerate(fuse.names[before:], 1) if name in CHANGING]
    assert [fuse.names[before + n - 1] for n in cuts] == ["blobs.put", "store.append"]
    house.close()
    for turn, (cut, first) in enumerate((cut, first) for cut in cuts for first in (True, False)):
        fuse, home = Fuse(), tmp_path / f"cut-{turn}"
        house, run_id = waiting(home, fuse)
        fuse.at, fuse.before = fuse.calls + cut, first
        with pytest.raises(PowerCut):
            house.poll(run_id, 20)
        house.close()
        again = Burning(home, house.burn, fleet=house.fleet, clock=house.clock)
        again.runner.recover()
        assert again.poll(run_id, 20).status is RunStatus.QUEUED
        assert len(again.guards()) == 1
        again.burn.counts = QUIET
        run = again.drive(run_id, until=applied("canary-50"))
        log = again.real.load(run_id)
        assert sum(isinstance(r.event, RunStarted) for r in log) == 1
        assert fold(run_id, log) == run
        assert again.real.fsck().ok
        again.close()


def test_what_was_read_is_evidence_and_part_of_the_story(house: Burning) -> None:
    house.burn.counts = FIRE
    run_id = house.promote().run_id
    house.poll(run_id, 30)
    house.burn.counts = QUIET
    run = house.drive(run_id)
    assert run.status is RunStatus.SUCCEEDED
    lines = [line.text for line in tell(house.real.load(run_id))]
    assert any("before the start: burning 25.0x over 1h" in line for line in lines)
    for told in house.guards():
        document = house.real.blobs.get(told.evidence)
        assert Digest.of(document) == told.evidence and told.query.encode() in document
    _, pack = house.sealer.export(run_id, "audit-pack", actor="audrey")
    assert b"env-guard-1.json" in pack and b"env-guard-3.json" in pack
    assert ENV in house.outside.places
