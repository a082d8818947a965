"""Freezes: windows add up, DENY wins, and what is told of them is what a plain reading says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import Malformed
from engine.core.freeze_events import FreezeAdded, FreezeKind, Weekly
from engine.core.freeze_rules import parse_weekly, weekly_text
from engine.core.freezes import Freeze, Place, barring, closes_us, closures, sentence, spans
from engine.time_zones import offset_at

ALLOW, DENY = FreezeKind.ALLOW, FreezeKind.DENY
SOFIA = "Europe/Sofia"
PROD, STAGE = Place(environment="eu-prod", region="EU"), Place(environment="us-prod", region="US")
HOUR, DAY = 3_600_000_000, 86_400_000_000


def us(text: str, zone: str = SOFIA) -> int:
    """Of a wall time that comes once; `2026-03-27 18:00`."""
    at = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return int(at.timestamp()) * 1_000_000


EPOCH_US = us("2026-03-02 00:00")  # a Monday


def freeze(number: int = 1, kind: FreezeKind = DENY, **fields: Any) -> Freeze:
    fact = FreezeAdded(
        freeze=f"freeze-{number}",
        kind=kind,
        name=f"f{number}",
        owner="ana",
        reason="because",
        environments=(),
        regions=(),
        from_us=EPOCH_US,
        until_us=None,
        weekly=None,
        time_zone=SOFIA,
        hotfix=False,
    )
    return Freeze(fact=replace(fact, **fields), by="ana", added_us=EPOCH_US)


def weekly(text: str, kind: FreezeKind = DENY, number: int = 1, **fields: Any) -> Freeze:
    return freeze(number, kind, weekly=parse_weekly(text), **fields)


def bar_at(text: str, *freezes: Freeze, place: Place = PROD, **how: Any) -> Any:
    return barring(freezes, place, us(text), offset_at, **how)


# Hours at which no clock of Sofia ever changes, so that a wall time means one instant.
HOURS = st.sampled_from([0, 6, 9, 12, 18, 22])


@st.composite
def a_weekly(draw: st.DrawFn) -> Weekly:
    begins, ends = draw(HOURS) * 60, draw(HOURS) * 60
    runs_days = draw(st.integers(0, 3))
    if runs_days == 0 and ends <= begins:
        runs_days = 1
    days = draw(st.sets(st.integers(0, 6), min_size=1, max_size=3))
    return Weekly(
        days=tuple(sorted(days)), begins_minute=begins, runs_days=runs_days, ends_minute=ends
    )


@st.composite
def a_freeze(draw: st.DrawFn) -> Freeze:
    start = EPOCH_US + draw(st.integers(0, 30 * 24)) * HOUR
    lasts = draw(st.none() | st.integers(1, 20 * 24))
    return freeze(
        draw(st.integers(1, 99)),
        draw(st.sampled_from(FreezeKind)),
        from_us=start,
        until_us=None if lasts is None else start + lasts * HOUR,
        weekly=draw(st.none() | a_weekly()),
        environments=draw(st.sampled_from([(), ("eu-prod",), ("us-prod",)])),
        regions=draw(st.sampled_from([(), ("EU",), ("US",)])),
        hotfix=draw(st.booleans()),
    )


FREEZES = st.lists(a_freeze(), max_size=5, unique_by=lambda one: one.id)
INSTANTS = st.integers(0, 40 * 24 * 4).map(lambda n: EPOCH_US + n * HOUR // 4)


def plainly_inside(one: Freeze, at_us: int) -> bool:
    """By the wall clocks of the standard library, window by window."""
    fact = one.fact
    if at_us < fact.from_us or (fact.until_us is not None and at_us >= fact.until_us):
        return False
    if fact.weekly is None:
        return True
    zone, rule = ZoneInfo(fact.time_zone), fact.weekly
    wall = datetime.fromtimestamp(at_us / 1_000_000, UTC).astimezone(zone).replace(tzinfo=None)
    for back in range(9):
        day = datetime(wall.year, wall.month, wall.day) - timedelta(days=back)
        begins = day + timedelta(minutes=rule.begins_minute)
        ends = day + timedelta(days=rule.runs_days, minutes=rule.ends_minute)
        if day.weekday() in rule.days and begins <= wall < ends:
            return True
    return False


def plainly_closed(freezes: list[Freeze], place: Place, at_us: int, *, hotfix: bool) -> bool:
    here = [
        one
        for one in freezes
        if (not one.fact.environments or place.environment in one.fact.environments)
        and (not one.fact.regions or place.region in one.fact.regions)
    ]
    allows = [one for one in here if one.fact.kind is ALLOW]
    denied = any(
        plainly_inside(one, at_us)
        for one in here
        if one.fact.kind is DENY and not (hotfix and one.fact.hotfix)
    )
    bound = any(not (hotfix and one.fact.hotfix) for one in allows)
    return denied or (bound and not any(plainly_inside(one, at_us) for one in allows))


@given(freezes=FREEZES, at_us=INSTANTS, hotfix=st.booleans(), place=st.sampled_from([PROD, STAGE]))
@settings(max_examples=300)
def test_what_bars_is_what_a_plain_reading_says(
    freezes: list[Freeze], at_us: int, hotfix: bool, place: Place
) -> None:
    bar = barring(freezes, place, at_us, offset_at, hotfix=hotfix)
    assert (bar is not None) == plainly_closed(freezes, place, at_us, hotfix=hotfix)
    if bar is None:
        return
    assert bar.since_us <= at_us
    if bar.until_us is not None:  # closed until then, and open at that moment
        assert bar.until_us > at_us
        assert not plainly_closed(freezes, place, bar.until_us, hotfix=hotfix)
        step = max(1, (bar.until_us - at_us) // 7)
        between = range(at_us, bar.until_us, step)
        assert all(plainly_closed(freezes, place, one, hotfix=hotfix) for one in between)


@given(freezes=FREEZES, at_us=INSTANTS, order=st.randoms(use_true_random=False))
def test_the_order_of_freezes_means_nothing(freezes: list[Freeze], at_us: int, order: Any) -> None:
    mixed = list(freezes)
    order.shuffle(mixed)
    assert barring(freezes, PROD, at_us, offset_at) == barring(mixed, PROD, at_us, offset_at)


@given(freezes=FREEZES, more=a_freeze(), at_us=INSTANTS)
def test_one_more_deny_never_opens_anything(
    freezes: list[Freeze], more: Freeze, at_us: int
) -> None:
    deny = replace(more, fact=replace(more.fact, kind=DENY, freeze="freeze-100"))
    if barring(freezes, PROD, at_us, offset_at) is not None:
        assert barring([*freezes, deny], PROD, at_us, offset_at) is not None
    if deny.applies(PROD) and plainly_inside(deny, at_us):
        assert barring([*freezes, deny], PROD, at_us, offset_at) is not None


@given(freezes=FREEZES, at_us=INSTANTS)
def test_it_closes_when_it_is_said_to_close(freezes: list[Freeze], at_us: int) -> None:
    if plainly_closed(freezes, PROD, at_us, hotfix=False):
        return
    closes = closes_us(freezes, PROD, at_us, offset_at)
    end_us = at_us + 20 * DAY if closes is None else closes
    step = max(1, (end_us - at_us) // 50)
    assert not any(
        plainly_closed(freezes, PROD, one, hotfix=False) for one in range(at_us, end_us, step)
    )
    assert closes is None or plainly_closed(freezes, PROD, closes, hotfix=False)


@given(freezes=FREEZES, at_us=INSTANTS)
def test_the_calendar_agrees_with_every_moment_in_it(freezes: list[Freeze], at_us: int) -> None:
    end_us = at_us + 14 * DAY
    found = closures(freezes, PROD, at_us, end_us, offset_at)
    assert all(a.end_us <= b.start_us for a, b in pairwise(found))
    for one in range(at_us, end_us, 5 * HOUR):
        covered = [c for c in found if c.start_us <= one < c.end_us]
        bar = barring(freezes, PROD, one, offset_at)
        assert len(covered) == (bar is not None)
        if bar is not None:
            assert {c.freeze for c in covered[0].causes} == {c.freeze for c in bar.causes}


def test_a_weekend_is_closed_from_friday_evening_to_monday_morning_over_a_clock_change() -> None:
    weekend = weekly("FR 18:00-MO 08:00")
    assert bar_at("2026-03-27 17:59", weekend) is None
    bar = bar_at("2026-03-27 18:00", weekend)
    assert (bar.since_us, bar.until_us) == (us("2026-03-27 18:00"), us("2026-03-30 08:00"))
    assert bar.until_us - bar.since_us == (62 - 1) * HOUR  # clocks go forward on that Sunday
    assert bar_at("2026-03-30 08:00", weekend) is None
    assert closes_us([weekend], PROD, us("2026-03-30 08:00"), offset_at) == us("2026-04-03 18:00")


def test_a_window_in_the_hour_that_does_not_exist_is_no_window() -> None:
    night = weekly("SU 03:00-03:30")
    sunday = us("2026-03-29 02:00")
    assert spans(night, sunday, sunday + 6 * HOUR, offset_at) == ()
    (first,) = spans(weekly("SU 03:30-05:00"), sunday, sunday + 6 * HOUR, offset_at)
    assert (first.start_us, first.end_us) == (us("2026-03-29 04:00"), us("2026-03-29 05:00"))


def test_an_hour_that_comes_twice_is_closed_from_its_first_minute_to_the_last() -> None:
    (span,) = spans(
        weekly("SU 03:00-04:00"), us("2026-10-25 00:00"), us("2026-10-25 12:00"), offset_at
    )
    assert span.end_us is not None and span.end_us - span.start_us == 2 * HOUR


def test_outside_of_every_allow_window_it_is_closed() -> None:
    office = weekly("MO-FR 09:00-17:00", ALLOW, 1, environments=("eu-prod",))
    late = weekly("WE 20:00-22:00", ALLOW, 2)
    assert bar_at("2026-03-11 10:00", office, late) is None
    assert bar_at("2026-03-11 21:00", office, late) is None
    bar = bar_at("2026-03-11 18:00", office, late)
    (cause,) = bar.causes
    assert cause.name == "outside of f1 and f2" and cause.freeze == ""
    assert (bar.since_us, bar.until_us) == (us("2026-03-11 17:00"), us("2026-03-11 20:00"))
    # Where only the second one applies, office hours do not open anything.
    elsewhere = bar_at("2026-03-11 10:00", office, late, place=STAGE)
    assert elsewhere.until_us == us("2026-03-11 20:00")
    assert elsewhere.since_us == us("2026-03-04 22:00")


def test_an_allow_whose_time_is_over_opens_nothing_until_somebody_ends_it() -> None:
    once = freeze(1, ALLOW, until_us=us("2026-03-05 00:00"))
    bar = bar_at("2026-03-11 10:00", once)
    assert bar.until_us is None and bar.since_us == us("2026-03-05 00:00")
    assert "when somebody ends that freeze" in sentence(bar, "eu-prod")


def test_a_hotfix_passes_what_lets_it_and_nothing_else() -> None:
    soft, hard = freeze(1, hotfix=True), freeze(2, name="audit week")
    assert bar_at("2026-03-11 10:00", soft) is not None
    assert bar_at("2026-03-11 10:00", soft, hotfix=True) is None
    bar = bar_at("2026-03-11 10:00", soft, hard, hotfix=True)
    assert [cause.freeze for cause in bar.causes] == ["freeze-2"]
    assert bar_at("2026-03-11 18:00", weekly("MO-FR 09:00-17:00", ALLOW), hotfix=True) is not None


def test_what_two_people_let_pass_is_that_window_and_no_later_one() -> None:
    night = weekly("MO-SU 22:00-06:00")
    bar = bar_at("2026-03-11 23:00", night)
    assert bar_at("2026-03-12 05:00", night, passed=bar.keys) is None
    assert bar_at("2026-03-12 23:00", night, passed=bar.keys) is not None
    line = freeze(2, name="stop")
    assert line.stops_the_line and not night.stops_the_line
    assert bar_at("2026-03-12 05:00", night, line, passed=bar.keys).keys == (
        f"freeze-2@{EPOCH_US}",
    )


def test_windows_without_a_gap_never_open() -> None:
    assert bar_at("2026-03-11 10:00", weekly("MO-SU 00:00-24:00")).until_us is None
    halves = weekly("MO-SU 00:00-12:00"), weekly("MO-SU 12:00-24:00", number=2)
    assert bar_at("2026-03-11 10:00", *halves).until_us is None


def test_the_sentence_says_what_since_when_whose_why_and_until_when() -> None:
    bar = bar_at("2026-03-28 10:00", weekly("FR 18:00-MO 08:00", name="weekend"))
    assert sentence(bar, "eu-prod") == (
        "eu-prod is frozen: weekend since 2026-03-27 16:00 UTC (owner ana: because). "
        "It opens at 2026-03-30 05:00 UTC."
    )


@pytest.mark.parametrize(
    ("text", "days", "rest"),
    [
        ("MO-FR 09:00-17:00", (0, 1, 2, 3, 4), (540, 0, 1_020)),
        ("fr 18:00 - mo 08:00", (4,), (1_080, 3, 480)),
        ("SA,SU 00:00-24:00", (5, 6), (0, 0, 1_440)),
        ("FR-MO 22:00-06:00", (0, 4, 5, 6), (1_320, 1, 360)),
        ("MO 08:00-MO 08:00", (0,), (480, 7, 480)),
        ("MO 08:00-08:00", (0,), (480, 1, 480)),
    ],
)
def test_a_weekly_window_is_read_and_told(
    text: str, days: tuple[int, ...], rest: tuple[int, int, int]
) -> None:
    found = parse_weekly(text)
    assert found.days == days
    assert (found.begins_minute, found.runs_days, found.ends_minute) == rest
    assert parse_weekly(weekly_text(found)) == found


@given(a_weekly())
def test_every_window_that_can_be_written_is_read_again(rule: Weekly) -> None:
    if len(rule.days) == 1 or rule.runs_days == (rule.ends_minute <= rule.begins_minute):
        assert parse_weekly(weekly_text(rule)) == rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MO",
        "XX 09:00-10:00",
        "MO-FR 9-17",
        "MO,TU 22:00-WE 06:00",
        "MO 24:00-06:00",
        "MO 25:00-26:00",
    ],
)
def test_a_weekly_window_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="weekly: expected "):
        parse_weekly(text)
