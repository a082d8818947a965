"""The pages of environments and freezes, and what their rows say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.freeze_events import FreezeAdded, FreezeKind
from engine.core.freeze_rules import FreezeWish, parse_weekly
from engine.core.freezes import Freeze, Place, closures, spans
from engine.environments import look
from engine.time_zones import offset_at
from pages.ui import environments_models, freezes_chart, freezes_models, session
from pages.ui.freezes_models import Lane, Zone
from tests.pages.reading import House, asker, texts

Visit = Callable[..., AppTest]
PAGE, ENVIRONMENTS = "operations/freezes.py", "releases/environments.py"
SOFIA = Zone(name="Europe/Sofia", offset_at=offset_at("Europe/Sofia"))
MONDAY_US = 1_774_821_600_000_000  # 2026-03-30 01:00 in Sofia
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000


def window(kind: FreezeKind = FreezeKind.DENY, weekly: str = "FR 18:00-MO 08:00") -> Freeze:
    fact = FreezeAdded(
        freeze="freeze-1",
        kind=kind,
        name="weekend",
        owner="ana.li",
        reason="nobody is in",
        environments=("eu-prod",),
        regions=(),
        from_us=MONDAY_US - 30 * DAY_US,
        until_us=None,
        weekly=parse_weekly(weekly) if weekly else None,
        time_zone="Europe/Sofia",
        hotfix=True,
    )
    return Freeze(fact=fact, by="sam", added_us=fact.from_us)


def cells(freeze: Freeze, now_us: int) -> list[dict[str, str]]:
    found = spans(freeze, now_us, now_us + 14 * DAY_US, offset_at)
    row = freezes_models.row(freeze, ["eu-prod"], found[0], now_us, SOFIA)
    made: list[dict[str, str]] = row["cells"]
    return made


def test_a_row_says_what_it_does_now_and_when_that_changes_in_the_readers_time() -> None:
    name, now, where, when, owner = cells(window(), MONDAY_US)
    assert name["sub"] == "freeze-1 · DENY: no promotions inside of it; hotfixes may pass"
    assert now["look"]["word"] == "FROZEN"  # type: ignore[index]
    assert now["sub"] == "until Mon 30 Mar, 08:00, for 7 h 00 m more"
    assert where["text"] == "eu-prod"
    assert when == {"text": "FR 18:00-MO 08:00 Europe/Sofia", "sub": "every week, no end"}
    assert owner == {"text": "ana.li", "sub": "nobody is in · set by sam"}
    _, later, *_ = cells(window(), MONDAY_US + 12 * HOUR_US)
    assert later["look"]["word"] == "OPEN"  # type: ignore[index]
    assert later["sub"] == "next Fri 3 Apr, 18:00, in 4 d 5 h"
    _, outside, *_ = cells(window(FreezeKind.ALLOW, "MO-FR 09:00-17:00"), MONDAY_US)
    assert outside["look"]["word"] == "FROZEN"  # type: ignore[index]
    assert outside["sub"] == "next Mon 30 Mar, 09:00, in 8 h 00 m"
    _, line, *_ = cells(window(weekly=""), MONDAY_US)
    assert line["sub"] == "until somebody ends it"


def test_the_calendar_is_drawn_and_told_in_the_readers_time() -> None:
    end_us = MONDAY_US + 14 * DAY_US
    place = Place(environment="eu-prod", region="EU")
    closed = closures([window()], place, MONDAY_US, end_us, offset_at)
    lanes = [Lane(environment="eu-prod", closed=closed), Lane(environment="eu-stage", closed=())]
    assert freezes_models.summary(lanes, MONDAY_US, SOFIA) == (
        "Frozen now: eu-prod (1 of 2). Times are those of Europe/Sofia."
    )
    told = freezes_models.picture_text(lanes, SOFIA)
    assert told.startswith("eu-prod: closed Mon 30 Mar, 01:00 to Mon 30 Mar, 08:00 by weekend; ")
    rows = freezes_models.closed_rows(lanes, SOFIA, end_us)
    assert [row["cells"][1]["text"] for row in rows] == [
        "Mon 30 Mar, 01:00", "Fri 3 Apr, 18:00", "Fri 10 Apr, 18:00",
    ]  # fmt: skip
    assert rows[-1]["cells"][2]["text"] == "beyond these days" if len(rows) == 3 else False
    figure = freezes_chart.calendar(lanes, MONDAY_US, end_us, SOFIA, dark=False)
    lanes_drawn, *bars = figure.data
    assert list(lanes_drawn.y) == ["eu-prod", "eu-stage"]
    assert [str(bar.base[0]) for bar in bars][1] == "2026-04-03 18:00:00"
    assert bars[0].x[0] == 7 * 3_600_000 and bars[0].text[0] == "weekend"
    assert freezes_models.picture_text([lanes[1]], SOFIA) == freezes_models.OPEN


def ledger(at: AppTest, first: str) -> list[dict[str, Any]]:
    """Rows of the list whose first column is called so."""
    for element in at.get("bidi_component"):
        document = json.loads(element.proto.json or "{}")
        columns = document.get("columns") or [{}]
        if columns[0].get("name") == first and len(columns) > 4:
            rows: list[dict[str, Any]] = document["rows"]
            return rows
    raise AssertionError(f"no list begins with {first}")


@pytest.fixture
def unfrozen(house: House) -> Iterator[House]:
    yield house
    for one in house.services.freezing.in_force():
        house.services.freezing.end(one.id, asker(), reason="the test is over")


@pytest.mark.house
def test_the_line_is_stopped_from_the_page_and_opened_with_a_reason(
    visit: Visit, unfrozen: House
) -> None:
    room = unfrozen.services.freezing
    at = visit(PAGE)
    assert not at.exception and "No freeze is set" in texts(at)
    at.button(key="freezes.stop").click().run()
    at.button(key="freeze.do").click().run()
    assert "A reason is required" in texts(at) and room.in_force() == ()
    at.multiselect(key="freeze.places").select("eu-prod")
    at.text_area(key="freeze.reason").input("incident 7 | [x](y)")
    at.button(key="freeze.do").click().run()
    assert not at.exception, at.exception
    (freeze,) = room.in_force()
    assert freeze.stops_the_line and (freeze.by, freeze.fact.owner) == ("ana.li", "ana.li")
    assert freeze.fact.environments == ("eu-prod",)
    assert "Frozen now\\: eu-prod (1 of 2)" in at.warning[0].value
    row = ledger(at, "Freeze")[0]
    assert row["cells"][0]["text"] == "stop the line" and row["tone"] == "warn"

    shown = visit(ENVIRONMENTS)
    cells_of = {row["cells"][0]["text"]: row["cells"] for row in ledger(shown, "Environment")}
    assert cells_of["eu-prod"][4]["look"]["word"] == "FROZEN"
    assert cells_of["eu-stage"][4]["look"]["word"] == "OPEN"

    (label,) = at.selectbox(key="freezes.chosen").options
    at.selectbox(key="freezes.chosen").select(label).run()
    at.button(key="freezes.end").click().run()
    assert "A reason is required" in texts(at) and len(room.in_force()) == 1
    at.text_input(key="freezes.why").input("solved")
    at.button(key="freezes.end").click().run()
    assert room.in_force() == ()


@pytest.mark.house
def test_a_window_that_says_nothing_is_refused_where_it_is_typed(
    visit: Visit, unfrozen: House
) -> None:
    at = visit(PAGE)
    at.button(key="freezes.window").click().run()
    at.text_input(key="freeze.name").input("weekend")
    at.text_area(key="freeze.reason").input("nobody is in")
    at.text_input(key="freeze.weekly").input("whenever")
    at.button(key="freeze.do").click().run()
    assert "expected MO" in texts(at) and unfrozen.services.freezing.in_force() == ()
    at.text_input(key="freeze.weekly").input("FR 18:00-MO 08:00")
    at.text_input(key="freeze.zone").input("Europe/Sofia")
    at.button(key="freeze.do").click().run()
    (freeze,) = unfrozen.services.freezing.in_force()
    assert freeze.fact.time_zone == "Europe/Sofia" and freeze.fact.weekly is not None


@pytest.mark.house
def test_who_may_not_is_told_why_before_the_click(
    visit: Visit, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = house.services.identity
    secret = identity.redeem_link(identity.create_link("bob.smith", actor="test"))
    monkeypatch.setattr(session, "cookie", lambda: secret)
    at = visit(PAGE)
    assert at.button(key="freezes.stop").disabled and at.button(key="freezes.window").disabled
    assert "this needs the role release manager or sre" in texts(at)


@pytest.mark.house
def test_environments_show_what_is_live_who_holds_it_and_who_is_next(
    visit: Visit, unfrozen: House
) -> None:
    services = unfrozen.services
    wish = FreezeWish(kind=FreezeKind.DENY, name="later", reason="r", begins="2040-01-01 00:00")
    services.freezing.add(wish, asker())
    at = visit(ENVIRONMENTS)
    assert not at.exception
    found = look(services.store, services.settings, services.freezing)
    (prod,) = [one for one in found if one.settings.name == "eu-prod"]
    rows = environments_models.rows(found, services.clock.now_us())
    drawn = ledger(at, "Environment")
    assert [row["cells"][0] for row in drawn] == [row["cells"][0] for row in rows]
    (cells_,) = [row["cells"] for row in rows if row["cells"][0]["text"] == "eu-prod"]
    assert prod.live is not None and cells_[1]["text"] == prod.live.label
    assert prod.live.bundle.short in cells_[1]["sub"] and prod.live.run_id in cells_[1]["sub"]
    assert prod.holder is not None and cells_[2]["text"] == prod.holder.run_id
    assert "by ci-demo" in cells_[2]["sub"]
    assert cells_[3] == {"text": "nobody"}
    assert cells_[4]["sub"].startswith("closes Jan 1, 00:00:00 UTC, in ")
