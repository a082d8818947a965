"""The pages Schedule promotion and Scheduler runs, and what their view-models say."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.core import preconditions
from engine.core.firings import Firing
from engine.core.forecast import look_back
from engine.core.preconditions import KINDS, Mode, Row, State
from engine.core.schedule_events import FiringWord, Timing
from engine.scheduling import Wish
from engine.time_zones import offset_at
from pages.ui import evidence_parts, schedule_models, words
from tests.pages.reading import House, asker, components, texts

Visit = Callable[..., AppTest]
DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
NOW_US = 1_800_000_000_000_000


class TestWords:
    def test_every_word_has_a_look(self) -> None:
        assert set(words.FIRING) == {word.value for word in FiringWord}
        assert set(words.PRECONDITION) == {state.value for state in State} | {"WARNS"}
        assert set(words.SCHEDULE) == {"ACTIVE", "DONE", "CANCELLED"}
        assert set(schedule_models.ASKS) == set(KINDS)

    def test_what_is_chosen_is_a_rule(self) -> None:
        rule_of = schedule_models.rule_of
        assert rule_of("Once", [], "") == ""
        assert rule_of("Every day", [], "") == "FREQ=DAILY"
        assert rule_of("Every week", ["MO", "TH"], "") == "FREQ=WEEKLY;BYDAY=MO,TH"
        assert rule_of("Other (RRULE)", [], " FREQ=MONTHLY ") == "FREQ=MONTHLY"

    def test_the_form_begins_as_the_design_says(self) -> None:
        modes = {name: mode.value for name, (mode, _) in schedule_models.DEFAULTS.items()}
        limits = {name: limit for name, (_, limit) in schedule_models.DEFAULTS.items()}
        found = schedule_models.wanted(modes, limits)
        assert preconditions.complete(found) == found
        assert [one.name for one in found if one.mode is Mode.ENFORCE] == [
            "feeds_fresh",
            "scans_complete",
        ]

    @pytest.mark.parametrize(
        ("start", "end", "said"),
        [
            (HOUR_US, 2 * HOUR_US, "Next window opens in 1 h 00 m."),
            (-1, HOUR_US, "The window is open and closes in 1 h 00 m."),
            (-HOUR_US, -1, "The window has closed."),
        ],
    )
    def test_a_countdown_says_what_comes(self, start: int, end: int, said: str) -> None:
        one = Firing(date="2027-01-15", start_us=NOW_US + start, end_us=NOW_US + end)
        assert schedule_models.countdown([one], NOW_US) == said
        assert schedule_models.countdown([], NOW_US) == "It fires no more."

    def test_a_warning_is_not_drawn_as_a_failure(self) -> None:
        row = Row(
            name="feeds_fresh", mode=Mode.WARN, state=State.UNMET, value="old", threshold="1 h",
            observed_us=1, source="",
        )  # fmt: skip
        (drawn,) = schedule_models.now_rows([row])
        assert drawn["cells"][1]["look"]["word"] == "WARNS"

    def test_a_moment_is_told_by_the_clocks_of_its_zone(self) -> None:
        told = schedule_models.moment(NOW_US, "Europe/Sofia", offset_at("Europe/Sofia"))
        assert told == {"text": "2027-01-15 10:00", "sub": "Europe/Sofia · Jan 15, 08:00 UTC"}


class TestForecast:
    OPENED = tuple(NOW_US + n * DAY_US for n in range(10))

    def test_shares_are_counted_and_the_usual_start_is_named(self) -> None:
        """On six of ten days it holds at once, on four of them 2 h 10 m later."""

        def held_at(us: int) -> bool | None:
            day, later = divmod(us - NOW_US, DAY_US)
            return day % 5 < 3 or later >= 130 * 60_000_000

        found = look_back(held_at, self.OPENED, window_s=7_200)
        assert (found.days, found.at_open, found.in_window, found.usual_s) == (10, 6, 6, 0)
        late = look_back(
            lambda us: (us - NOW_US) % DAY_US >= 130 * 60_000_000, self.OPENED, window_s=10_800
        )
        assert schedule_models.forecast(late, "02:00") == (
            "Held at 02:00 on 0 % of the last 10 days, and within the window on 100 %; next "
            "feasible start 04:10."
        )

    def test_too_little_is_said_and_never_guessed(self) -> None:
        few = look_back(lambda us: None if us > NOW_US else True, self.OPENED, window_s=60)
        assert schedule_models.forecast(few, "02:00") == "Not enough history: 1 of 7 days."
        assert schedule_models.forecast(None, "02:00") == "No history is kept of this."
        never = look_back(lambda us: False, self.OPENED, window_s=60)
        assert schedule_models.forecast(never, "02:00").endswith("on none of them within a day.")


def scheduled(house: House, **more: Any) -> str:
    services = house.services
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    timing = Timing(
        zone="Europe/Sofia", first=f"{tomorrow:%Y-%m-%d}", time="02:00", window_s=7_200, **more
    )
    bundle = services.service.run(house.done).bundle
    wish = Wish(
        bundle=bundle,
        environment="eu-stage",
        timing=timing,
        preconditions=(preconditions.parse("feeds_fresh=1h"),),
    )
    return services.scheduling.create(wish, asker()).id


class TestPages:
    def test_a_schedule_shows_its_preconditions_now_and_what_comes(
        self, house: House, visit: Visit
    ) -> None:
        made = scheduled(house, rule="FREQ=DAILY")
        at = visit("releases/schedule.py", schedule=made)
        said = texts(at)
        assert not at.exception
        assert "Next window opens in" in said
        assert "every day from" in said and "Europe/Sofia, for 2 h" in said
        run = house.services.service.run(house.services.scheduling.schedule(made).run)
        now = str(schedule_models.now_rows(house.services.runner.starter.rows(run)))
        assert "NVD 3 h" in now and "each younger than 1 h" in now and "NOT CHECKED" in now
        assert "Open scheduler runs" in str(at.main) or at.get("page_link")
        house.services.scheduling.cancel(made, asker(), reason="tested")
        said = texts(visit("releases/schedule.py", schedule=made))
        assert "It fires no more." in said and "CANCELLED" in said

    def test_the_form_previews_and_makes_a_schedule(self, house: House, visit: Visit) -> None:
        at = visit("releases/schedule.py", run=house.done)
        assert not at.exception
        at.selectbox(key="schedule.zone").set_value("Europe/Sofia").run()
        at.selectbox(key="schedule.repeat").set_value("Every day").run()
        assert "every day from" in texts(at)
        before = {one.id for one in house.services.scheduling.schedules()}
        at.button(key="schedule.create").click().run()
        assert not at.exception
        (made,) = {one.id for one in house.services.scheduling.schedules()} - before
        schedule = house.services.scheduling.schedule(made)
        assert schedule.made.bundle == house.services.service.run(house.done).bundle
        assert [p.mode for p in schedule.made.preconditions][:3] == [
            Mode.ENFORCE, Mode.ENFORCE, Mode.WARN
        ]  # fmt: skip
        assert made in texts(at)
        house.services.scheduling.cancel(made, asker(), reason="tested")

    def test_ticks_are_rows_that_lead_to_run_and_schedule(self, house: House, visit: Visit) -> None:
        made = scheduled(house)
        run = house.services.scheduling.schedule(made).run
        house.services.scheduling.cancel(made, asker(), reason="no night")
        at = visit("operations/scheduler_runs.py", schedule=made)
        assert not at.exception
        said = str(components(at))
        assert run in said and "no night" in said and made in said
        rows: Any = components(at)["ledger"]["rows"]
        links = [json.loads(c["open"]) for row in rows for c in row["cells"] if "open" in c]
        assert {page for page, _ in links} == {"run", "schedule"} <= set(evidence_parts.PAGES)
        assert made in str(components(visit("operations/scheduler_runs.py", run=run)))
        assert "No tick is as you ask." in texts(visit("operations/scheduler_runs.py", run="run-0"))

    def test_an_unknown_schedule_is_said(self, visit: Visit) -> None:
        assert "There is no schedule" in texts(visit("releases/schedule.py", schedule="nope"))
