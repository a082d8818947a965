"""The page of the waivers, and what its rows say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.scopes import GRANT_WAIVER
from engine.core.waiver_events import WaiverRequested
from engine.core.waivers import Deed, Waiver, WaiverState
from pages.ui import session, waivers_models
from pages.ui.waivers_models import Shown
from tests.pages.reading import House, asker, texts

Visit = Callable[..., AppTest]
PAGE = "insights/waivers.py"
NOW_US = 1_774_821_600_000_000
DAY_US = 86_400_000_000
DEED = Deed(by="bob.smith", at_us=NOW_US, reason="agreed", ticket="")


def shown(number: int, state: WaiverState, **fields: Any) -> Shown:
    fact = WaiverRequested(
        waiver=f"waiver-{number}",
        finding="CVE-2024-3651",
        purl="pkg:pypi/idna@3.6",
        environments=("eu-prod",),
        bundle=None,
        expires_us=NOW_US + fields.pop("days", 30) * DAY_US,
        reason="not reachable",
        ticket="SEC-1",
    )
    granted = DEED if state in {WaiverState.GRANTED, WaiverState.EXPIRED} else None
    revoked = DEED if state is WaiverState.REVOKED else None
    one = Waiver(
        fact=fact, by="eva.roth", asked_us=NOW_US - 20 * DAY_US, granted=granted, revoked=revoked
    )
    given = {"may": (), "mine": False, "runs": ()} | fields
    return Shown(waiver=one, state=state, **given)


def test_what_waits_comes_first_and_what_ends_first_on_top() -> None:
    every = [
        shown(1, WaiverState.GRANTED, days=30),
        shown(2, WaiverState.GRANTED, days=2, runs=("run-3",)),
        shown(3, WaiverState.REQUESTED, may=("carol.wu",)),
        shown(4, WaiverState.REQUESTED, may=("bob.smith",), mine=True),
        shown(5, WaiverState.REVOKED),
        shown(6, WaiverState.REQUESTED),
    ]
    assert [one.waiver.number for one in waivers_models.waiting(every)] == [4, 3, 6]
    assert [one.waiver.number for one in waivers_models.in_force(every)] == [2, 1]
    assert [one.waiver.number for one in waivers_models.over(every)] == [5]
    told = waivers_models.summary(every, NOW_US)
    assert told == "1 waits for you, 2 wait for others. 2 hold; 1 ends soon."
    assert waivers_models.summary([], NOW_US) == "None waits. 0 hold."
    rows = waivers_models.rows(every, NOW_US)
    assert [row["tone"] for row in rows] == ["", "warn", "", "warn", "", ""]
    said = [row["cells"][1]["sub"] for row in rows]
    assert said[1] == "by bob.smith, for 2 d 0 h more; rests on it: run-3"
    assert said[3] == "for bob.smith; ends in 30 d 0 h"
    assert said[5].startswith("nobody may grant it")
    assert rows[0]["cells"][3]["sub"] == "waiver-1 · not reachable (SEC-1)"


@pytest.mark.house
def test_one_is_asked_for_and_granted_by_another_from_the_page(
    visit: Visit, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = house.services.waiving
    at = visit(PAGE)
    assert not at.exception and "No waiver was ever asked for" in texts(at)
    assert at.button(key="waivers.ask").disabled  # ana.li is no policy author

    def as_(user: str) -> AppTest:
        monkeypatch.setattr(session, "asker", lambda: asker(user))
        at.run()
        assert not at.exception, at.exception
        return at

    as_("eva.roth").button(key="waivers.ask").click().run()
    at.text_input(key="waiver.finding").input("CVE-2024-3651")
    at.text_input(key="waiver.purl").input("pkg:pypi/idna@3.6")
    at.multiselect(key="waiver.places").select("eu-prod")
    at.button(key="waiver.do").click().run()
    assert "A reason is required" in texts(at) and room.all() == ()
    at.text_input(key="waiver.reason").input("not reachable | [x](y)")
    at.button(key="waiver.do").click().run()
    assert not at.exception, at.exception
    (one,) = room.all()
    assert (one.by, one.fact.environments) == ("eva.roth", ("eu-prod",))
    (label,) = at.selectbox(key="waivers.chosen").options
    at.selectbox(key="waivers.chosen").select(label).run()
    assert at.button(key=f"waivers.{GRANT_WAIVER}").disabled  # never by its author
    as_("bob.smith").text_input(key="waivers.why").input("agreed").run()
    at.button(key=f"waivers.{GRANT_WAIVER}").click().run()
    assert room.state(room.waiver(one.id)) is WaiverState.GRANTED
    assert "1 holds" in texts(at)
