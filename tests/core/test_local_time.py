"""Wall times and instants: every one means exactly one, also in the nights when clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core import local_time
from engine.core.errors import Malformed
from engine.core.local_time import instant_of, local, said
from engine.time_zones import offset_at

# Half hours, changes at midnight, a skipped day, southern summers, two changes within weeks.
ZONES = (
    "UTC", "Europe/Sofia", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
    "America/Sao_Paulo", "Pacific/Apia", "Africa/Casablanca", "Asia/Tehran", "Africa/Cairo",
    "America/St_Johns", "Antarctica/Troll", "Pacific/Kiritimati", "Africa/Monrovia",
)  # fmt: skip
EPOCH = datetime(1970, 1, 1)
DAYS = st.integers(min_value=365, max_value=29_000)  # 1971 to 2049


def day(text: str) -> int:
    return local_time.day_of(text, where="test")


def minute(text: str) -> int:
    return local_time.minute_of(text, where="test")


def shown(at_us: int, zone: str) -> str:
    at = datetime.fromtimestamp(at_us / 1_000_000, UTC).astimezone(ZoneInfo(zone))
    return f"{at:%Y-%m-%d %H:%M %z}"


@given(zone=st.sampled_from(ZONES), day=DAYS, minute=st.integers(min_value=0, max_value=1_440))
@example(zone="Pacific/Apia", day=15_338, minute=720)  # 2011-12-30 never was there
@example(zone="Antarctica/Troll", day=20_176, minute=90)
def test_an_instant_is_the_first_that_shows_the_wall_time_or_the_end_of_the_gap(
    zone: str, day: int, minute: int
) -> None:
    found = instant_of(day, minute, offset_at(zone))
    wall = EPOCH + timedelta(days=day, minutes=minute)
    # By the standard library's own account of gaps and folds (PEP 495).
    first = wall.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=ZoneInfo(zone), fold=1).astimezone(UTC)
    at = datetime.fromtimestamp(found.at_us / 1_000_000, UTC)
    if first == second:
        assert (at, found.change) == (first, "")
    elif first < second:
        assert (at, found.change) == (first, "fold")
    else:
        assert found.change == "gap"
        before = at - timedelta(seconds=1)
        there, just_before = (one.astimezone(ZoneInfo(zone)) for one in (at, before))
        assert just_before.replace(tzinfo=None) < wall < there.replace(tzinfo=None)


@given(zone=st.sampled_from(ZONES), at_s=st.integers(min_value=31_536_000, max_value=2_500_000_000))
def test_what_a_clock_shows_means_no_later_an_instant(zone: str, at_s: int) -> None:
    offset = offset_at(zone)
    of_day, second = local(at_s * 1_000_000, offset)
    there = datetime.fromtimestamp(at_s, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert EPOCH + timedelta(days=of_day, seconds=second) == there
    back = instant_of(of_day, second // 60, offset)
    assert back.at_us // 1_000_000 + second % 60 in {at_s} or back.change == "fold"


@pytest.mark.parametrize(
    ("zone", "date", "clock", "instant", "change"),
    [
        ("Europe/Sofia", "2026-03-29", "03:30", "2026-03-29 04:00 +0300", "gap"),
        ("Europe/Sofia", "2026-03-29", "03:00", "2026-03-29 04:00 +0300", "gap"),
        ("Europe/Sofia", "2026-03-29", "04:00", "2026-03-29 04:00 +0300", ""),
        ("Europe/Sofia", "2026-10-25", "03:30", "2026-10-25 03:30 +0300", "fold"),
        ("America/New_York", "2026-03-08", "02:30", "2026-03-08 03:00 -0400", "gap"),
        ("America/New_York", "2026-11-01", "01:30", "2026-11-01 01:30 -0400", "fold"),
        ("America/New_York", "2026-11-01", "24:00", "2026-11-02 00:00 -0500", ""),
        ("Pacific/Apia", "2011-12-30", "12:00", "2011-12-31 00:00 +1400", "gap"),
    ],
)
def test_the_nights_of_the_clock_changes(
    zone: str, date: str, clock: str, instant: str, change: str
) -> None:
    found = instant_of(day(date), minute(clock), offset_at(zone))
    assert (shown(found.at_us, zone), found.change) == (instant, change)


def test_a_clock_change_is_said() -> None:
    sofia = offset_at("Europe/Sofia")

    def told(date: str, clock: str) -> str:
        of_day, of_minute = day(date), minute(clock)
        return said(of_day, of_minute, instant_of(of_day, of_minute, sofia), sofia)

    assert told("2026-03-29", "03:30") == (
        "03:30 on 2026-03-29 does not exist there: clocks go forward, and 04:00 is meant instead."
    )
    assert told("2026-10-25", "03:30").endswith("clocks go back, and the first one is meant.")
    assert told("2026-10-26", "03:30") == ""


@given(st.integers(-700_000, 2_900_000))
def test_days_are_those_of_the_calendar(number: int) -> None:
    same = date(1970, 1, 1) + timedelta(days=number)
    assert local_time.day_text(number) == str(same)
    assert local_time.day_number(same.year, same.month, same.day) == number
    assert number < 0 or local_time.day_of(str(same), where="test") == number
    assert local_time.weekday(number) == same.weekday()


@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-2-3", "1969-12-31", "", "2026-00-01", "٢٠٢٦-01-01"]
)
def test_a_date_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="test: expected a date such as 2026-02-18"):
        day(text)


@pytest.mark.parametrize("text", ["24:01", "2:30", "02:60", "0230", "", "-1:00"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="test: expected a time such as 02:30"):
        minute(text)


@pytest.mark.parametrize("name", ["Europe", "", "Mars/Olympus", "../UTC", "x" * 300])
def test_a_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Malformed, match="expected an IANA time zone such as Europe/Sofia"):
        offset_at(name)
