"""The orchestrator: what is worked on, what is stopped, and trying it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from engine.asker import Asker
from engine.core.errors import NotFound, Refused
from engine.core.house import ADMIN, CommandRejected
from engine.orchestrator import STUCK, JobRow, OrchestratorNow
from pages.ui import orchestrator_models
from tests.pages import kit
from tests.pages.reading import House, texts

PAGE = "operations/orchestrator.py"
SENTENCE = "ZeroDivisionError: a defect of the test"


@pytest.fixture
def stopped(house: House) -> Iterator[str]:
    """A run that a defect stopped, as the worker keeps it."""
    broken = house.services.worker._broken
    broken[house.canary] = SENTENCE
    yield house.canary
    broken.pop(house.canary, None)


@pytest.fixture
def now(house: House) -> OrchestratorNow:
    return house.services.orchestrator.look()


def test_every_open_run_has_its_step_and_what_is_done_about_it(
    visit: Callable[..., AppTest], house: House, now: OrchestratorNow
) -> None:
    at = visit(PAGE)
    assert not at.exception
    assert orchestrator_models.summary(now) in texts(at)
    open_runs = {run.run_id for run in house.services.store.runs_open()}
    assert {one.run_id for one in now.runs} == open_runs and open_runs
    rows = {one.run_id: one for one in now.runs}
    assert rows[house.paused].serving == "waits for a person"
    assert (rows[house.canary].step_name, rows[house.canary].attempt) == ("Deploy Canary 10%", 1)
    drawn = orchestrator_models.runs(now, house.services.clock.now_us())
    assert [row["cells"][0]["text"] for row in drawn] == [one.run_id for one in now.runs]
    assert orchestrator_models.trouble(now) == ""
    assert now.stuck == () and now.stopped == ()
    place = next(one for one in now.places if one.environment == kit.PROD)
    assert place.holder in open_runs
    names = [one.name for one in now.jobs]
    assert {"retention", "rescans", "SBOM rescan"} <= set(names)
    assert all(one.next_us is None for one in now.jobs)  # this house is built and not started


def test_what_a_defect_stopped_is_named_first_and_tried_again(
    visit: Callable[..., AppTest], house: House, stopped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = visit(PAGE)
    assert f"Stopped by a defect\\: {stopped}." in [one.value for one in at.error]
    assert f":red[:material/error:] **{stopped}** ZeroDivisionError" in texts(at)
    first = house.services.orchestrator.look().runs[0]
    assert (first.run_id, first.defect) == (stopped, SENTENCE)
    button = next(one for one in at.button if one.label == "Retry")
    woken: list[str] = []
    monkeypatch.setattr(house.services.worker, "wake", woken.append)
    button.click().run()
    assert woken == [stopped]


def test_trying_again_takes_a_role_and_a_stopped_run(house: House, stopped: str) -> None:
    orchestrator = house.services.orchestrator
    with pytest.raises(Refused, match="needs the role"):
        orchestrator.retry(stopped, Asker(user="bob.smith"))
    last = house.services.store.load(ADMIN)[-1].event
    assert isinstance(last, CommandRejected)
    assert (last.action, last.run) == ("retry_run", stopped)
    with pytest.raises(NotFound, match="No defect has stopped"):
        orchestrator.retry(house.paused, Asker(user=kit.OPERATOR))


def test_what_is_stuck_is_named(now: OrchestratorNow) -> None:
    run = replace(now.runs[0], run_id="run-9", stuck="The engine has not looked at it.")
    job = JobRow(
        kind="chore", name="retention", word=STUCK, last_us=None, took_ms=None, next_us=None,
        text="At work for 10 minutes without an end.",
    )  # fmt: skip
    found = replace(now, runs=(run,), jobs=(job,))
    assert orchestrator_models.trouble(found) == "Stuck: run-9, retention."
    (row,) = orchestrator_models.runs(found, run.since_us + 61_000_000)
    assert row["tone"] == "err" and row["cells"][4]["sub"] == run.stuck
    assert row["cells"][3]["text"] == "for 1 m 01 s"
    (row,) = orchestrator_models.jobs(found.jobs, 0)
    assert row["cells"][1]["look"]["word"] == "STUCK"
