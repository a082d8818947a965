"""The Rollback / Re-run page: what it offers, what it shows first, and what it does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.commands import Action
from engine.core.rollback_preview import RowAction
from pages.ui import rollback_models
from tests.pages.reading import House, asker, texts

pytestmark = pytest.mark.house

Visit = Callable[..., AppTest]
PAGE = "releases/rollback.py"


@pytest.mark.parametrize("which", ["done", "canary", "waiting", "paused"])
def test_it_offers_what_the_engine_allows_and_says_why_not(
    visit: Visit, house: House, which: str
) -> None:
    run_id = getattr(house, which)
    at = visit(PAGE, run=run_id)
    assert not at.exception
    run = house.services.service.run(run_id)
    states = {s.action: s for s in house.services.service.allowed(run_id, asker())}
    for choice in rollback_models.choices(states.values(), run):
        state = states[choice.action]
        assert state.shown
        assert choice.ok == state.ok
        assert choice.ok or choice.caption == state.why_not
        assert choice.label in at.radio[0].options


def test_a_rollback_shows_each_target_before_it_is_done(visit: Visit, house: House) -> None:
    at = visit(PAGE, run=house.canary, do="rollback")
    assert not at.exception
    seen = house.services.service.rollback_preview(house.canary)
    said = texts(at).replace("\\", "")
    assert all(line in said for line in rollback_models.impact(seen))
    assert at.dataframe[0].value.to_dict("records") == rollback_models.table(seen)
    # Nothing listens where the targets of this house should be: that is said, not guessed.
    asked = {row.target for row in seen.rows if row.action is RowAction.UNKNOWN}
    assert asked == set(house.services.service.run(house.canary).changed_targets)
    assert f"{len(asked)} targets do not answer" in said or "1 target does not answer" in said


def test_without_a_reason_nothing_is_done(visit: Visit, house: House) -> None:
    at = visit(PAGE, run=house.canary, do="rollback")
    version = house.services.service.run(house.canary).version
    at.button(key="rollback.do").click().run()
    assert "A reason is required" in texts(at)
    assert house.services.service.run(house.canary).version == version


def test_single_targets_are_chosen_by_name(visit: Visit, house: House) -> None:
    at = visit(PAGE, run=house.canary, do=rollback_models.BY_NAME)
    assert "Choose at least one" in texts(at)
    run = house.services.service.run(house.canary)
    at.multiselect(key="rollback.targets").select(run.touched_targets[0]).run()
    assert list(at.dataframe[0].value["Target"]) == [run.touched_targets[0]]


def test_the_address_chooses_what_is_asked_for(visit: Visit, house: House) -> None:
    at = visit(PAGE, run=house.canary, do=Action.PAUSE.value)
    chosen = at.radio[0]
    assert chosen.options[int(chosen.value)] == "Pause the promotion"
    assert "clock stops at once" in texts(at)
