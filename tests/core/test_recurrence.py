"""Days of a recurrence, against a plain walk over the calendar written from RFC 5545."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import Malformed
from engine.core.local_time import date_of, day_number, day_text, weekday
from engine.core.recurrence import Rule, days, in_words, parse_rule

FIRST = day_number(2026, 11, 30)  # a Monday


def of(text: str, count: int = 5, first: int = FIRST) -> list[str]:
    return [day_text(day) for day in islice(days(parse_rule(text), first), count)]


def plain(rule: Rule, first: int, horizon: int) -> list[int]:
    """Every day of the next `horizon` ones that the rule names, looked at one by one."""
    found = []
    for day in range(first, first + horizon):
        weekdays = {which for _, which in rule.by_day}
        match rule.freq:
            case "DAILY":
                fits = (day - first) % rule.interval == 0
                fits = fits and (not weekdays or weekday(day) in weekdays)
            case "WEEKLY":
                weeks = (day - weekday(day) - first + weekday(first)) // 7
                fits = weeks % rule.interval == 0
                fits = fits and weekday(day) in (weekdays or {weekday(first)})
            case _:
                (year, month, _), (year0, month0, _) = date_of(day), date_of(first)
                months = (year - year0) * 12 + month - month0
                fits = months % rule.interval == 0 and _in_month(rule, first, day)
        if fits and (rule.until is None or day <= rule.until):
            found.append(day)
    return found[: rule.count] if rule.count else found


def _in_month(rule: Rule, first: int, day: int) -> bool:
    of_month = date_of(day)[2]
    if not rule.by_day:
        return of_month == date_of(first)[2]
    nth, from_end = (of_month - 1) // 7 + 1, -1
    while date_of(day - 7 * from_end)[1] == date_of(day)[1]:
        from_end -= 1
    return any(
        which == weekday(day) and ordinal in {0, nth, from_end} for ordinal, which in rule.by_day
    )


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY"]))
    ordinals = st.sampled_from([0, 1, 2, 5, -1, -5]) if freq == "MONTHLY" else st.just(0)
    by_day = draw(st.lists(st.tuples(ordinals, st.integers(0, 6)), max_size=4, unique=True))
    limit = draw(st.sampled_from(["none", "count", "until"]))
    return Rule(
        freq=freq,
        interval=draw(st.integers(1, 5)),
        by_day=tuple(sorted(by_day, key=lambda one: (one[1], one[0]))),
        count=draw(st.integers(1, 40)) if limit == "count" else 0,
        until=FIRST + draw(st.integers(0, 900)) if limit == "until" else None,
    )


firsts = st.integers(FIRST, FIRST + 400)


@settings(max_examples=250)
@given(rules(), firsts)
def test_every_day_of_the_rule_and_no_other(rule: Rule, first: int) -> None:
    horizon = 900
    end = first + horizon
    found = []
    for day in days(rule, first):
        if day >= end:
            break
        found.append(day)
    assert found == plain(rule, first, horizon)
    assert len(set(found)) == len(found)
    assert parse_rule(str(rule)) == rule


@settings(max_examples=150)
@given(rules(), firsts, st.integers(-10, 800))
def test_going_on_behind_a_day_is_the_same_list(rule: Rule, first: int, gap: int) -> None:
    after = first + gap
    whole = [day for day in plain(rule, first, 1_400) if day > after]
    assert list(islice(days(rule, first, after), 5))[: len(whole)] == whole[:5]


def test_by_name() -> None:
    assert of("FREQ=DAILY", 2) == ["2026-11-30", "2026-12-01"]
    assert of("FREQ=WEEKLY;BYDAY=TU,TH", 3) == ["2026-12-01", "2026-12-03", "2026-12-08"]
    assert of("FREQ=MONTHLY", 3) == ["2026-11-30", "2026-12-30", "2027-01-30"]
    assert of("FREQ=MONTHLY;BYDAY=-1FR;COUNT=2") == ["2026-12-25", "2027-01-29"]
    assert of("RRULE:freq=daily;until=20261201") == ["2026-11-30", "2026-12-01"]


def test_a_month_without_the_day_is_left_out() -> None:
    assert of("FREQ=MONTHLY", 3, day_number(2027, 1, 31)) == [
        "2027-01-31",
        "2027-03-31",
        "2027-05-31",
    ]
    assert of("FREQ=MONTHLY;INTERVAL=12", 2, day_number(2028, 2, 29)) == [
        "2028-02-29",
        "2032-02-29",
    ]


def test_a_rule_that_never_fits_ends() -> None:
    assert of("FREQ=DAILY;INTERVAL=7;BYDAY=TU") == []


def test_without_a_rule_there_is_one_day() -> None:
    assert list(days(None, FIRST)) == [FIRST]
    assert list(days(None, FIRST, FIRST)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FREQ=YEARLY", "expected FREQ DAILY, WEEKLY or MONTHLY, found 'YEARLY'"),
        ("BYDAY=MO", "expected FREQ DAILY, WEEKLY or MONTHLY, found ''"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "expected COUNT or UNTIL, found both"),
        ("FREQ=DAILY;BYHOUR=3", "found 'BYHOUR=3'"),
        ("FREQ=DAILY;FREQ=DAILY", "found 'FREQ=DAILY'"),
        ("FREQ=DAILY;INTERVAL=0", "expected INTERVAL from 1 to 9999, found '0'"),
        ("FREQ=WEEKLY;BYDAY=1MO", "expected BYDAY of MO, TU, WE, TH, FR, SA, SU, found '1MO'"),
        ("FREQ=MONTHLY;BYDAY=6MO", "or an ordinal before it such as 1MO or -1FR, found '6MO'"),
        ("FREQ=DAILY;UNTIL=20270101T000000Z", "expected UNTIL as a day such as 20271231"),
        ("", "found ''"),
    ],
)
def test_what_is_no_rule_is_said(text: str, said: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_rule(text)
    assert said in str(caught.value)


def test_words() -> None:
    assert in_words(None) == "once"
    assert in_words(parse_rule("FREQ=DAILY")) == "every day"
    assert in_words(parse_rule("FREQ=WEEKLY;BYDAY=MO,TH")) == "every week on Monday and Thursday"
    assert in_words(parse_rule("FREQ=MONTHLY;INTERVAL=2;BYDAY=-1FR;COUNT=3")) == (
        "every 2 months on the last Friday, 3 times"
    )
