"""Every page, opened as a browser would open it, on runs in every state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time

import pytest
from streamlit.testing.v1 import AppTest

from data import queries
from engine.core.commands import Action, Command
from engine.core.statemachine import RunStatus
from engine.service import Asker
from pages.ui import session
from tests.pages import kit
from tests.pages.reading import House, asker, components, texts

pytestmark = pytest.mark.house

Visit = Callable[..., AppTest]
RUN, STEP, STAGE = "releases/run.py", "releases/step.py", "releases/stage.py"


def test_the_list_shows_every_run_newest_first(visit: Visit, house: House) -> None:
    at = visit()
    assert not at.exception
    rows = components(at)["runs"]["rows"]
    shown = [row["id"] for row in rows]  # type: ignore[index,union-attr]
    assert {house.done, house.canary, house.waiting, house.paused} <= set(shown)
    numbers = [int(run_id.removeprefix("run-")) for run_id in shown]
    assert numbers == sorted(numbers, reverse=True)


def test_the_list_can_be_narrowed(visit: Visit, house: House) -> None:
    at = visit(q="1.4.0")
    rows = components(at)["runs"]["rows"]
    assert [row["id"] for row in rows] == [house.waiting]  # type: ignore[index,union-attr]
    assert "No promotion matches" in texts(visit(q="nothing is called this"))


@pytest.mark.parametrize("which", ["done", "canary", "waiting", "paused"])
def test_a_run_tells_what_it_is_and_offers_only_what_the_engine_allows(
    visit: Visit, house: House, which: str
) -> None:
    run_id = getattr(house, which)
    at = visit(RUN, run=run_id)
    assert not at.exception
    drawn = components(at)
    assert len(drawn["list"]["live"]["steps"]) == 8  # type: ignore[index]
    assert drawn["head"]["title"] == house.services.service.run(run_id).label
    states = {s.action.value: s for s in house.services.service.allowed(run_id, asker())}
    for button in at.button:
        action = str(button.key).removeprefix("actions.")
        if action in states:
            assert button.disabled == (not states[action].ok), action
            assert states[action].shown


def test_the_current_stage_stands_in_the_pill_and_in_the_numbers(
    visit: Visit, house: House
) -> None:
    live = components(visit(RUN, run=house.canary))["head"]["live"]
    assert live["status"] == RunStatus.RUNNING.value  # type: ignore[index]
    assert live["at"] == "Canary 10%"  # type: ignore[index]
    stage = live["stage"]  # type: ignore[index]
    assert stage["err"] == "0.25 %"
    assert stage["err_sub"].startswith("4 of 1,600")
    assert stage["clock_sub"] == "5m held as 20s"


def test_an_unknown_run_is_a_sentence_and_unknown_parameters_are_nothing(
    visit: Visit, house: House
) -> None:
    assert "There is no run 'run-99'" in texts(visit(RUN, run="run-99"))
    assert "names no run" in texts(visit(RUN))
    at = visit(RUN, run=house.done, step="left over", more="1")
    assert not at.exception
    assert "has no step 'left over'" in texts(visit(STEP, run=house.done, step="left over"))


@pytest.mark.parametrize("which", ["done", "canary", "waiting"])
def test_every_step_has_its_page(visit: Visit, house: House, which: str) -> None:
    run = house.services.service.run(getattr(house, which))
    for step in run.steps:
        at = visit(STEP, run=run.run_id, step=step.id)
        assert not at.exception, step.id
        assert at.title[0].value == step.spec.name


def test_the_gate_step_shows_verdict_inputs_and_decision_digest(visit: Visit, house: House) -> None:
    at = visit(STEP, run=house.done, step="gate-eval")
    verdict = house.services.service.run(house.done).verdict
    assert verdict is not None
    said = texts(at)
    assert verdict.verdict_id in said
    assert str(verdict.verdict) in said
    assert "PASS (2 WARN)" in said


@pytest.mark.parametrize("which", ["done", "canary", "paused", "waiting"])
def test_the_stage_page_shows_targets_as_observed(visit: Visit, house: House, which: str) -> None:
    run = house.services.service.run(getattr(house, which))
    at = visit(STAGE, run=run.run_id, step="canary-10")
    assert not at.exception
    rows = components(at)["targets"]["rows"]
    assert len(rows) == len(run.targets)  # type: ignore[arg-type]
    for row, target in zip(rows, run.targets, strict=True):  # type: ignore[call-overload]
        assert row["is_new"] == (target.current == run.bundle)


def test_a_finished_stage_shows_its_stored_numbers(visit: Visit, house: House) -> None:
    drawn = components(visit(STAGE, run=house.done, step="canary-10"))["stage"]
    assert drawn["frozen"]["err"] == "0.25 %"  # type: ignore[index]


def test_pausing_asks_for_a_reason_and_shows_the_recorded_event(
    visit: Visit, house: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    digest = kit.bundle(house.services, tmp_path_factory.mktemp("art"), "1.3.2")
    run_id = kit.in_canary(house.services, digest, polls=0)
    at = visit(RUN, run=run_id)
    at.button(key="actions.pause").click().run()
    at.button(key="actions.do").click().run()
    assert "reason is required" in texts(at)
    at.text_area(key="actions.reason").input("incident 1234").run()
    at.button(key="actions.do").click().run()
    assert house.services.service.run(run_id).status is RunStatus.PAUSED
    assert "incident 1234" in at.success[0].value


def test_a_step_is_scheduled_from_its_page_and_its_time_taken_away_again(
    visit: Visit, house: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    year = date.today().year + 1
    digest = kit.bundle(house.services, tmp_path_factory.mktemp("art"), "1.3.4")
    run_id = kit.in_canary(house.services, digest, polls=0)
    at = visit(STEP, run=run_id, step="full-100")
    at.button(key="actions.schedule_step").click().run()
    assert at.selectbox(key="step.time.step").value == "Deploy 100%"
    at.date_input(key="step.time.day").set_value(date(year, 12, 24)).run()
    at.selectbox(key="step.time.zone").set_value("Europe/Sofia").run()
    at.time_input(key="step.time.time").set_value(time(6)).run()
    said = texts(at).replace("\\", "")
    assert f"Opens {year}-12-24 06:00 Europe/Sofia ({year}-12-24 04:00 UTC)" in said
    at.button(key="actions.do").click().run()
    wished = house.services.service.run(run_id).step("full-100").time
    assert wished is not None and wished.at == f"{year}-12-24 06:00 Europe/Sofia"
    at = visit(STEP, run=run_id, step="full-100")
    assert f"opens {year}-12-24 06:00 Europe/Sofia" in texts(at).replace("\\", "")
    at.button(key="actions.unschedule_step").click().run()
    at.button(key="actions.do").click().run()
    assert house.services.service.run(run_id).step("full-100").time is None
    ticks = queries.scheduler_ticks(house.services.store.cursor()).to_dicts()
    (gone,) = [one for one in ticks if one["run"] == run_id]
    assert (gone["step"], gone["word"], gone["schedule"]) == ("full-100", "CANCELLED", "")


def test_nobody_sees_a_page_without_a_session(
    house: House, monkeypatch: pytest.MonkeyPatch, visit: Visit
) -> None:
    monkeypatch.setattr(session, "cookie", lambda: "")
    at = visit(RUN, run=house.done)
    said = texts(at)
    assert "You are not signed in" in said
    assert not components(at)


def test_a_revoked_session_can_do_nothing_more(house: House, visit: Visit, signed_in: str) -> None:
    at = visit(RUN, run=house.canary)
    at.button(key="actions.pause").click().run()
    at.text_area(key="actions.reason").input("no longer mine to say").run()
    house.services.identity.revoke_session(signed_in, reason="test")
    at.button(key="actions.do").click().run()
    assert house.services.service.run(house.canary).status is RunStatus.RUNNING


def test_nobodys_words_are_read_as_markup(visit: Visit, house: House) -> None:
    """A comment is text wherever it is shown: no picture, no emphasis, no link of its writer."""
    words_of_a_person = "look ![x](https://elsewhere.example/x.png) *here* [now](https://e.example)"
    command = Command(action=Action.COMMENT, reason=words_of_a_person)
    house.services.service.ask(house.canary, command, Asker(user=kit.OPERATOR))
    drawn = visit("releases/run.py", run=house.canary)
    shown = [block.value for block in drawn.markdown if "elsewhere" in block.value]
    assert shown
    assert all("![x](" not in text and "[now](" not in text for text in shown)


def test_what_one_person_did_waits_for_another_on_its_page(visit: Visit, house: House) -> None:
    service, run_id = house.services.service, house.paused
    assert "Nothing waits for a review" in texts(visit("releases/reviews.py"))
    command = Command(
        action=Action.ROLLBACK,
        reason="incident 1234: prices are wrong",
        targets=service.run(run_id).changed_targets[:1],
    )
    service.ask(run_id, command, Asker(user="dan.ops"))
    shown = visit("releases/reviews.py").dataframe[0].value
    assert list(shown["Run"]) == [run_id]
    assert list(shown["By"]) == ["dan.ops"]
    assert "To be looked at" in texts(visit(RUN, run=run_id))


def test_a_page_that_is_drawn_because_its_run_changed_keeps_no_session_alive(
    visit: Visit, house: House
) -> None:
    def used_us() -> int:
        return max(one.used_us for one in house.services.identity.sessions())

    at = visit("releases/run.py", run=house.canary)
    before_us = used_us()
    at.session_state["rl.drawn-by-itself"] = True  # as the part that leads the page sets it
    at.run()
    assert used_us() == before_us
    at.run()
    assert used_us() > before_us
