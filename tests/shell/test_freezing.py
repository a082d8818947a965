"""Setting and ending freezes, over the real store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.core.errors import Malformed, NotFound, Refused
from engine.core.freeze_events import FREEZES, FreezeKind
from engine.core.freeze_rules import FreezeWish
from engine.core.freezes import Place
from engine.core.house import ADMIN, CommandRejected
from engine.service import Asker
from tests.faults.small_house import ENV, SmallHouse, session_keys

pytestmark = pytest.mark.house

ANA, EVE = Asker(user="ana"), Asker(user="eve")
PROD = Place(environment=ENV, region="EU-West")
DAY_US = 86_400_000_000


def wish(**fields: Any) -> FreezeWish:
    return FreezeWish(
        **({"kind": FreezeKind.DENY, "name": "stop", "reason": "incident 7"} | fields)
    )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path / "home", session_keys())
    yield house
    house.close()


def denied(house: SmallHouse) -> list[CommandRejected]:
    found = (recorded.event for recorded in house.real.load(ADMIN))
    return [event for event in found if isinstance(event, CommandRejected)]


def test_a_freeze_counts_at_once_until_it_is_ended_and_after_a_lost_database(
    tmp_path: Path,
) -> None:
    house = SmallHouse(tmp_path / "home", session_keys())
    made = house.freezing.add(wish(environments=(ENV,)), ANA)
    assert (made.id, made.by, made.fact.owner) == ("freeze-1", "ana", "ana")
    bar = house.freezing.bar(PROD)
    assert bar is not None and bar.since_us == made.fact.from_us and bar.until_us is None
    assert house.freezing.bar(Place(environment="us-prod", region="EU-West")) is None
    second = house.freezing.add(wish(name="audit", owner="sam"), ANA)
    house.close()
    (tmp_path / "home" / "releaseline.duckdb").unlink()
    house = SmallHouse(tmp_path / "home", session_keys())
    assert [one.id for one in house.freezing.in_force()] == [made.id, second.id]
    ended = house.freezing.end(made.id, Asker(user="sam"), reason="over", command_id="c-1")
    # Whoever asks again under the same id is answered as before, and nothing is recorded.
    known = house.real.version(FREEZES)
    again = house.freezing.end(made.id, Asker(user="sam"), reason="over", command_id="c-1")
    assert again == ended == made and house.real.version(FREEZES) == known
    assert [one.fact.owner for one in house.freezing.in_force()] == ["sam"]
    with pytest.raises(NotFound, match="no freeze freeze-1 in force"):
        house.freezing.end(made.id, ANA, reason="again")
    assert house.freezing.add(wish(), ANA).id == "freeze-3"  # a name is never used again
    house.close()


def test_who_may_not_is_refused_and_on_record(house: SmallHouse) -> None:
    for user in ("eve", "bob", "root", "ci", "audrey"):
        with pytest.raises(Refused, match="this needs the role release manager or sre"):
            house.freezing.add(wish(), Asker(user=user))
    with pytest.raises(Refused, match="people set a freeze"):
        house.freezing.add(wish(environments=(ENV,)), Asker(user="ana", service=True))
    made = house.freezing.add(wish(), Asker(user="sam"))
    with pytest.raises(Refused, match="eve may not end a freeze in eu-prod"):
        house.freezing.end(made.id, EVE, reason="I want to deploy")
    with pytest.raises(Refused, match="A reason is required"):
        house.freezing.end(made.id, ANA, reason=" ")
    assert len(house.freezing.in_force()) == 1
    found = denied(house)
    assert [one.action for one in found] == ["freeze"] * 6 + ["end_freeze"] * 2
    assert (found[0].subject, found[0].asked) == ("stop", "incident 7")
    assert found[6].subject == made.id and found[7].code == "reason"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"environments": ("mars",)}, "There is no environment mars"),
        ({"regions": ("Moon",)}, "There is no region Moon; there are EU-West"),
        ({"name": " "}, "name: expected 1 to 80 printable characters, found ''"),
        ({"owner": "nobody"}, "owner: expected a person of the settings, found 'nobody'"),
        ({"time_zone": "Mars/Olympus"}, "time_zone: expected an IANA time zone"),
        ({"begins": "2020-01-01 00:00"}, "begins: expected a time to come, found 2020-01-01 00:00"),
        ({"begins": "soon"}, "begins: expected a date such as 2026-02-18, found 'soon'"),
        ({"ends": "2020-01-01 00:00"}, "ends: expected a time behind"),
        ({"kind": FreezeKind.ALLOW}, "ends: expected an end or a weekly window of an ALLOW"),
        ({"weekly": "sometimes"}, "weekly: expected MO-FR 09:00-17:00"),
        ({"reason": ""}, "A reason is required"),
    ],
)
def test_a_wish_that_says_nothing_is_refused_in_one_sentence(
    house: SmallHouse, fields: dict[str, Any], told: str
) -> None:
    with pytest.raises((Malformed, NotFound, Refused)) as no:
        house.freezing.add(wish(**fields), ANA)
    assert told in str(no.value)
    assert house.freezing.in_force() == ()


def test_local_times_are_meant_where_the_zone_says(house: SmallHouse) -> None:
    made = house.freezing.add(
        wish(begins="2036-12-24T18:00", ends="2037-01-02 08:00", time_zone="Europe/Sofia"), ANA
    )
    at = datetime(2036, 12, 24, 18, tzinfo=ZoneInfo("Europe/Sofia"))
    assert made.fact.from_us == int(at.timestamp()) * 1_000_000
    assert (made.fact.until_us or 0) - made.fact.from_us == 8 * DAY_US + 14 * 3_600_000_000
    window = house.freezing.window(made)
    assert window is not None and window.start_us == made.fact.from_us
    assert house.freezing.closes_us(PROD) == made.fact.from_us
