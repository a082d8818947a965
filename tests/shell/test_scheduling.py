"""Schedules over a whole small house: who starts, when, how late, and what is told of the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.approving import telling
from engine.core import preconditions, queueing
from engine.core.approvals import comment_reasons
from engine.core.commands import Action, Window
from engine.core.data_health import Integration, Level
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.fact_events import EvidenceCaptured
from engine.core.preconditions import ON_CALL, State
from engine.core.schedule_events import FiringTicked, FiringWord, PreconditionsChecked, Timing
from engine.core.schedules import Schedule
from engine.core.statemachine import Role, RunStatus
from engine.ports import FeedSnapshot
from engine.scheduling import Wish
from engine.service import Asker
from engine.settings import Grant
from tests.faults.nights import HOUR, MINUTE, NIGHT, live, ticks
from tests.faults.small_house import ENV, SmallHouse, session_keys

pytestmark = pytest.mark.house

STALE = "Feeds fresh: KEV 3 h 00 m old, NVD 3 h 00 m old, OSV 3 h 00 m old (each younger than 1 h)"


class SomeFeeds:
    """Every feed that the policy cannot do without, as old as the test says."""

    as_of_s = NIGHT - 3 * HOUR

    def snapshots(self) -> Sequence[FeedSnapshot]:
        return tuple(
            FeedSnapshot(name=name, digest=Digest.of(b"n"), as_of_s=self.as_of_s, content=b"{}")
            for name in ("KEV", "NVD", "OSV")
        )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path / "home", session_keys(), feeds=SomeFeeds())
    yield house
    house.close()


def wish(house: SmallHouse, *required: str, **timing: Any) -> Wish:
    when = {"zone": "UTC", "first": "2027-01-16", "time": "02:00", "window_s": 2 * HOUR} | timing
    return Wish(
        bundle=house.bundle(),
        environment=ENV,
        timing=Timing(**when),
        preconditions=tuple(preconditions.parse(one) for one in required),
        reason="at night",
    )


def make(house: SmallHouse, *required: str, by: str = "ana", **timing: Any) -> Schedule:
    return house.scheduling.create(wish(house, *required, **timing), Asker(user=by))


def why(house: SmallHouse) -> list[str]:
    found = house.real.of_kinds([FiringTicked.TYPE])
    return [r.event.why for r in found if isinstance(r.event, FiringTicked)]


def at(house: SmallHouse, second: int) -> None:
    assert second * 1_000_000 >= house.clock.us
    house.clock.us = second * 1_000_000


def files(house: SmallHouse) -> list[str]:
    """Every evidence file of the first run."""
    log = house.real.load("run-1")
    captured = [r.event for r in log if isinstance(r.event, EvidenceCaptured)]
    return [one.name.rpartition("/")[2] for event in captured for one in event.files]


def works(level: Level, reason: str = "refused") -> Integration:
    return Integration(name="vault", kind="vault", level=level, reason=reason, last_us=1)


class TestOneShot:
    def test_its_run_is_there_at_once_and_starts_on_time(self, house: SmallHouse) -> None:
        schedule = make(house)
        run = house.real.run(schedule.run)
        assert (run.status, run.requested_by) == (RunStatus.SCHEDULED, "ana")
        assert run.window_start_us == NIGHT * 1_000_000
        assert run.window_end_us == (NIGHT + 2 * HOUR) * 1_000_000
        assert (run.request.schedule, run.request.firing) == ("schedule-1", "2027-01-16")
        wait_s = house.runner.advance(run.run_id)
        assert wait_s is not None
        assert wait_s == pytest.approx(NIGHT - house.clock.us / 1e6, abs=1)
        assert ticks(house) == []
        at(house, NIGHT)
        live(house, NIGHT + 1)
        assert house.real.run(run.run_id).started_us is not None
        assert ticks(house) == [("DUE", "2027-01-16", 0), ("STARTED", "2027-01-16", 0)]
        house.scheduling.runs.when_due()
        assert house.scheduling.schedule("schedule-1").status == "DONE"
        assert len(house.real.runs_open()) == 1

    def test_feeds_that_get_fresh_in_the_window_let_it_start(self, house: SmallHouse) -> None:
        """Journey RM 8: stale at 02:00, fresh at 02:40, and it starts at 02:40."""
        make(house, "feeds_fresh=1h")
        at(house, NIGHT)
        live(house, NIGHT + 40 * MINUTE)
        run = house.real.run("run-1")
        assert run.status is RunStatus.SCHEDULED
        assert why(house)[-1] == queueing.waits_for(run) == STALE
        SomeFeeds.as_of_s = NIGHT + 39 * MINUTE
        try:
            live(house, NIGHT + 42 * MINUTE)
        finally:
            SomeFeeds.as_of_s = NIGHT - 3 * HOUR
        assert house.real.run("run-1").started_us is not None
        words = [word for word, _, _ in ticks(house)]
        assert words == ["DUE", "WAITING_PRECONDITIONS", "STARTED"]
        late = ticks(house)[-1][2]
        assert 40 * MINUTE <= late <= 41 * MINUTE
        assert "because it waited for its preconditions" in why(house)[-1]
        checks = [
            r.event for r in house.real.load("run-1") if isinstance(r.event, PreconditionsChecked)
        ]
        assert len(checks) == 2  # one fact for forty looks, and the one that the start rests on
        assert files(house).count("preconditions.json") == 1
        document = house.real.blobs.get(checks[-1].evidence)
        assert b'"name":"feeds_fresh"' in document
        assert b'"state":"NOT_CHECKED","threshold":"off","value":"not checked"' in document

    def test_feeds_that_stay_stale_let_it_expire_with_the_list(self, house: SmallHouse) -> None:
        make(house, "feeds_fresh=1h", "integrations_healthy=on")
        house.integrations = [works(Level.FAIL)]
        at(house, NIGHT)
        live(house, NIGHT + 2 * HOUR + MINUTE)
        run = house.real.run("run-1")
        assert (run.status, run.seal_status) == (RunStatus.EXPIRED, "SEALED")
        assert run.failure_class == "precondition"
        assert run.outcome_reason == (
            f"its window closed: {STALE}; Integrations healthy: vault FAIL: refused"
        )
        assert run.started_us is None
        assert house.fleet.switches == []
        assert "preconditions.json" in files(house)
        words = [word for word, _, _ in ticks(house)]
        assert words == ["DUE", "WAITING_PRECONDITIONS", "EXPIRED"]

    def test_a_server_that_was_down_starts_it_once_and_says_how_late(
        self, house: SmallHouse
    ) -> None:
        make(house)
        at(house, NIGHT + 10 * MINUTE)
        live(house, NIGHT + 10 * MINUTE + 1)
        assert house.real.run("run-1").started_us is not None
        assert ticks(house) == [("DUE", "2027-01-16", 600), ("STARTED", "2027-01-16", 600)]
        assert why(house)[0] == "its window is open since 10 m 00 s; nobody looked before"

    def test_down_past_its_window_it_expires_and_never_starts(self, house: SmallHouse) -> None:
        make(house)
        at(house, NIGHT + 2 * HOUR)  # the window is half open: this is the first moment outside
        live(house, NIGHT + 3 * HOUR)
        run = house.real.run("run-1")
        assert run.status is RunStatus.EXPIRED
        assert [word for word, _, _ in ticks(house)] == ["MISSED"]
        assert "the engine was not running" in run.outcome_reason

    def test_a_clock_set_back_does_not_start_it_twice(self, house: SmallHouse) -> None:
        make(house)
        at(house, NIGHT)
        live(house, NIGHT + 1)
        house.clock.us -= HOUR * 1_000_000
        house.scheduling.runs.when_due()
        house.runner.advance("run-1")
        at(house, NIGHT)
        live(house, NIGHT + 5)
        assert [word for word, _, _ in ticks(house)] == ["DUE", "STARTED"]
        assert house.real.last_run_number() == 1


class TestRecurring:
    def test_each_night_has_one_run_and_the_next_is_there(self, house: SmallHouse) -> None:
        make(house, rule="FREQ=DAILY;COUNT=3")
        live(house, NIGHT + 2 * 86_400 + 3 * HOUR)
        assert [t for t in ticks(house) if t[0] == "STARTED"] == [
            ("STARTED", f"2027-01-{day}", 0) for day in (16, 17, 18)
        ]
        assert house.real.last_run_number() == 3
        assert house.scheduling.schedule("schedule-1").status == "DONE"

    def test_nights_that_passed_without_an_engine_are_told_one_by_one(
        self, house: SmallHouse
    ) -> None:
        make(house, rule="FREQ=DAILY")
        at(house, NIGHT + 3 * 86_400 + HOUR)
        live(house, NIGHT + 3 * 86_400 + HOUR + 10)
        assert ticks(house) == [
            ("MISSED", "2027-01-16", 0),
            ("SKIPPED", "2027-01-17", 0),
            ("SKIPPED", "2027-01-18", 0),
            ("DUE", "2027-01-19", HOUR),
            ("STARTED", "2027-01-19", HOUR),
        ]
        assert house.real.last_run_number() == 3  # expired, started, and the next one

    def test_a_run_that_is_cancelled_lets_the_schedule_go_on(self, house: SmallHouse) -> None:
        make(house, rule="FREQ=DAILY")
        house.ask("run-1", Action.CANCEL, "ana")
        house.scheduling.runs.when_due()
        schedule = house.scheduling.schedule("schedule-1")
        assert (schedule.run, schedule.firing) == ("run-2", "2027-01-17")

    def test_cancelling_the_schedule_cancels_the_run_that_waits(self, house: SmallHouse) -> None:
        make(house, rule="FREQ=DAILY")
        with pytest.raises(Refused, match="needs the role release manager"):
            house.scheduling.cancel("schedule-1", Asker(user="sam"), reason="no")
        with pytest.raises(Refused, match="A reason is required"):
            house.scheduling.cancel("schedule-1", Asker(user="mia"), reason=" ")
        house.scheduling.cancel("schedule-1", Asker(user="mia"), reason="no more nights")
        run = house.real.run("run-1")
        assert run.outcome is RunStatus.CANCELLED
        assert run.outcome_reason == "schedule-1 was cancelled: no more nights"
        live(house, NIGHT + 3 * 86_400)
        assert [word for word, _, _ in ticks(house)] == ["CANCELLED"]
        assert house.scheduling.schedule("schedule-1").status == "CANCELLED"
        with pytest.raises(Refused, match="cancelled already"):
            house.scheduling.cancel("schedule-1", Asker(user="mia"), reason="again")

    def test_a_new_life_goes_on_where_the_old_one_ended(
        self, house: SmallHouse, tmp_path: Path
    ) -> None:
        make(house, rule="FREQ=DAILY")
        live(house, NIGHT + HOUR)
        house.close()
        again = SmallHouse(tmp_path / "home", session_keys(), fleet=house.fleet, clock=house.clock)
        try:
            assert again.scheduling.schedule("schedule-1").run == "run-2"
            live(again, NIGHT + 86_400 + HOUR)
            assert [t[1] for t in ticks(again) if t[0] == "STARTED"] == [
                "2027-01-16",
                "2027-01-17",
            ]
        finally:
            again.close()


class TestPreconditions:
    def test_who_lost_the_right_starts_nothing(self, house: SmallHouse) -> None:
        make(house, by="mia")
        grants: Any = house.settings.grants
        grants["mia"] = (Grant(role=Role.VIEWER, environments=None),)
        at(house, NIGHT)
        live(house, NIGHT + 5 * MINUTE)
        assert [word for word, _, _ in ticks(house)] == ["DUE", "FAILED_TO_START"]
        assert why(house)[-1] == (f"Creator may start it: mia may not request promotions to {ENV}")
        live(house, NIGHT + 3 * HOUR)
        assert house.real.run("run-1").status is RunStatus.EXPIRED

    def test_a_warning_lets_it_start_and_is_told_to_who_approves(self, house: SmallHouse) -> None:
        make(house, "feeds_fresh=1h:warn")
        at(house, NIGHT)
        live(house, NIGHT + 1)
        run = house.real.run("run-1")
        assert run.started_us is not None
        assert run.checked is not None
        assert preconditions.warnings(run.checked.rows) == (STALE,)
        assert STALE in comment_reasons(run)  # whoever approves has to say something about it
        shown = {
            "dataHealth": {"sources": []},
            "schedule": {"id": "schedule-1", "warnings": [STALE]},
        }
        assert telling.health_lines(shown)[-1] == f"At its start: {STALE}."

    def test_a_taken_environment_keeps_it_out_of_the_queue(self, house: SmallHouse) -> None:
        """Or it would start whenever the other one ends, hours after its window."""
        make(house)
        other = house.promote()
        house.one_by_one(other.run_id, lambda run: run.started_us is not None)
        at(house, NIGHT)
        live(house, NIGHT + 2 * MINUTE, but=other.run_id)
        assert house.real.run("run-1").status is RunStatus.SCHEDULED
        assert why(house)[-1].startswith(f"Environment free: {ENV} is held by {other.run_id} (app")
        house.ask(other.run_id, Action.CANCEL, "ana")
        live(house, NIGHT + 5 * MINUTE)
        assert house.real.run("run-1").started_us is not None

    def test_started_by_hand_it_is_looked_at_again_before_it_leaves_the_queue(
        self, house: SmallHouse
    ) -> None:
        make(house, "integrations_healthy=on")
        house.integrations = [works(Level.OK)]
        at(house, NIGHT)
        house.ask("run-1", Action.START_NOW, "ana")
        assert house.real.run("run-1").status is RunStatus.QUEUED
        house.integrations = [works(Level.FAIL)]
        assert house.runner.advance("run-1") == 60.0
        run = house.real.run("run-1")
        assert (run.status, run.started_us) == (RunStatus.QUEUED, None)
        house.integrations = [works(Level.OK)]
        house.one_by_one("run-1", lambda run: run.started_us is not None)

    def test_started_by_hand_it_queues_behind_whoever_kept_it_from_its_window(
        self, house: SmallHouse
    ) -> None:
        make(house)
        other = house.promote()
        house.one_by_one(other.run_id, lambda run: run.started_us is not None)
        at(house, NIGHT)
        live(house, NIGHT + 2 * MINUTE, but=other.run_id)
        assert why(house)[-1].startswith("Environment free: ")
        house.ask("run-1", Action.START_NOW, "ana")
        house.ask(other.run_id, Action.CANCEL, "ana")
        live(house, NIGHT + 5 * MINUTE)
        assert house.real.run("run-1").started_us is not None

    def test_start_now_needs_the_same_and_two_people_can_pass_it_by(
        self, house: SmallHouse
    ) -> None:
        make(house, "integrations_healthy=on")
        house.integrations = [works(Level.UNKNOWN, "not looked at")]
        with pytest.raises(Refused, match="It may not start yet: Integrations healthy: vault UNK"):
            house.ask("run-1", Action.START_NOW, "ana")
        house.ask("run-1", Action.BREAK_GLASS, "mia", ticket="INC-1")
        house.ask("run-1", Action.BREAK_GLASS, "sam", reason="it has to go now")
        assert house.real.run("run-1").status is RunStatus.QUEUED
        house.one_by_one("run-1", lambda run: run.started_us is not None)
        assert why(house) == ["glass broken by mia and sam: it has to go now"]

    def test_start_now_passes_by_the_window_alone(self, house: SmallHouse) -> None:
        make(house, "integrations_healthy=on")
        house.integrations = [works(Level.OK)]
        house.ask("run-1", Action.START_NOW, "ana", reason="")
        house.one_by_one("run-1", lambda run: run.started_us is not None)
        assert house.real.run("run-1").started_by == "ana"
        assert why(house) == ["started by ana"]

    def test_rescheduled_it_waits_for_its_new_window(self, house: SmallHouse) -> None:
        make(house)
        later = Window(
            start_us=(NIGHT + 86_400) * 1_000_000,
            end_us=(NIGHT + 86_400 + HOUR) * 1_000_000,
            time_zone="UTC",
        )
        house.ask("run-1", Action.RESCHEDULE, "ana", window=later)
        at(house, NIGHT + 3 * HOUR)
        live(house, NIGHT + 4 * HOUR)
        assert ticks(house) == []
        (shown,) = house.scheduling.coming(house.scheduling.schedule("schedule-1"), count=2)
        assert shown.start_us == later.start_us
        live(house, NIGHT + 86_400 + MINUTE)
        assert ticks(house)[-1] == ("STARTED", "2027-01-16", 0)

    def test_the_environment_before_has_to_have_it_for_long_enough(self, house: SmallHouse) -> None:
        with pytest.raises(NotFound):
            house.settings.environment("eu-stage")
        make(house, "previous_soaked=1h")  # eu-stage is known by name alone here
        at(house, NIGHT)
        live(house, NIGHT + MINUTE)
        assert why(house)[-1] == (
            "Previous environment soaked: eu-stage never ran it (for at least 1 h)"
        )

    def test_open_overrides_and_targets_that_cannot_go_back_count(self, house: SmallHouse) -> None:
        make(house, "no_override_debt=on", "rollback_ready=on")
        house.debt = [("run-9", "glass broken (INC-1)")]
        at(house, NIGHT)
        live(house, NIGHT + MINUTE)
        assert why(house)[-1] == "No open override debt: run-9: glass broken (INC-1)"
        house.debt = []
        live(house, NIGHT + 3 * MINUTE)
        assert house.real.run("run-1").started_us is not None

    def test_somebody_has_to_be_on_call_and_silence_is_nobody(self, house: SmallHouse) -> None:
        def pager(level: Level, reason: str) -> list[Integration]:
            return [replace(works(level, reason), name="pager", kind="on_call")]

        make(house, "on_call_present=on")
        at(house, NIGHT)
        minute = 0
        for found, said in (
            ([], "no server in the settings says who is on call"),
            (pager(Level.UNKNOWN, "not looked at"), "pager UNKNOWN: not looked at"),
            (pager(Level.WARN, "nobody is on call"), "pager: nobody is on call"),
            (pager(Level.FAIL, "status 500"), "pager FAIL: status 500"),
        ):
            house.on_call, minute = found, minute + 2
            live(house, NIGHT + minute * MINUTE)
            assert house.real.run("run-1").status is RunStatus.SCHEDULED
            (row,) = [r for r in house.starter.rows(house.real.run("run-1")) if r.name == ON_CALL]
            assert (row.value, row.state is State.MET) == (said, False)
        # One schedule on which somebody stands is enough.
        house.on_call = [*pager(Level.FAIL, "status 500"), *pager(Level.OK, "on call: Ana")]
        live(house, NIGHT + 20 * MINUTE)
        run = house.real.run("run-1")
        assert run.started_us is not None and run.checked is not None
        assert run.checked.rows[-1].value == "pager: on call: Ana"


class TestTheDoor:
    def test_the_same_command_makes_one_schedule(self, house: SmallHouse) -> None:
        asked = wish(house)
        first, again = (
            house.scheduling.create(asked, Asker(user="ana"), command_id="c-7") for _ in range(2)
        )
        assert first.id == again.id
        assert house.real.last_run_number() == 1
        # Also when nobody could schedule the like any more.
        at(house, NIGHT + 3 * HOUR)
        late = house.scheduling.create(asked, Asker(user="ana"), command_id="c-7")
        assert late.id == first.id

    @pytest.mark.parametrize("user", ["bob", "eve", "root", "sam"])
    def test_others_are_refused_on_record(self, house: SmallHouse, user: str) -> None:
        with pytest.raises(Refused, match=f"{user} may not request promotions to {ENV}"):
            make(house, by=user)

    def test_a_right_of_a_group_alone_is_not_enough(self, house: SmallHouse) -> None:
        asker = Asker(user="eve", groups=("releasers",))
        roles = house.settings.roles_of_groups(asker.groups, ENV)
        if not roles:
            with pytest.raises(Refused):
                house.scheduling.create(wish(house), asker)

    @pytest.mark.parametrize(
        ("timing", "said"),
        [
            ({"zone": "Europe/Nowhere"}, "expected an IANA time zone"),
            ({"first": "2027-02-30"}, "date: expected a date such as"),
            ({"time": "26:00"}, "time: expected a time such as 02:30"),
            ({"window_s": 5}, "window: expected a window from 1 m to 7 d, found 5 s"),
            ({"rule": "FREQ=DAILY", "window_s": 86_400}, "shorter than a day"),
            ({"rule": "FREQ=HOURLY"}, "recurrence: expected FREQ DAILY"),
            ({"first": "2027-01-14"}, "at: expected a window that closes after now"),
            ({"rule": "FREQ=DAILY;INTERVAL=7;BYDAY=MO"}, "expected a recurrence with a day in it"),
        ],
    )
    def test_what_cannot_be_scheduled_is_said(
        self, house: SmallHouse, timing: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(Malformed) as caught:
            make(house, **timing)
        assert said in str(caught.value)
        assert house.scheduling.schedules() == ()

    def test_a_preview_says_what_clocks_do(self, house: SmallHouse) -> None:
        timing = Timing(
            zone="Europe/Sofia", first="2027-03-27", time="03:30", window_s=HOUR, rule="FREQ=DAILY"
        )
        found = house.scheduling.preview(timing, count=3)
        assert [one.date for one in found] == ["2027-03-27", "2027-03-28", "2027-03-29"]
        assert [bool(one.note) for one in found] == [False, True, False]
        assert "does not exist there" in found[1].note


def test_every_word_of_a_tick_is_met_somewhere_here() -> None:
    """The list is a promise to users; a word that nothing tells would be an empty one."""
    told = Path(__file__).read_text()
    assert all(f'"{word.value}"' in told for word in FiringWord)
