"""Which local days something recurs on: a subset of RFC 5545's RRULE. Pure.

FREQ is DAILY, WEEKLY or MONTHLY; INTERVAL, BYDAY, and one of COUNT and UNTIL may stand beside it.
Days are counted from 1970-01-01 of the local calendar; which instant each of them means is said by
`engine.core.local_time`. Weeks begin on Monday. A month without the day in question is left out,
as the RFC says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from engine.core.errors import Malformed
from engine.core.local_time import WEEKDAYS, date_of, day_number, day_of, day_text, weekday

_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PARTS: Final = ("FREQ", "INTERVAL", "BYDAY", "COUNT", "UNTIL")
_BYDAY = re.compile(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
# A rule that gives no day for so many of its periods in a row never gives one: the calendar of
# weekdays repeats after 28 years, save for three missing leap days in four centuries.
_BARREN_MAX: Final = 28 * 366
_LAST: Final = day_number(2199, 12, 31)
_ORDINALS: Final = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A recurrence.

    Attributes:
        by_day: (ordinal, weekday); ordinal 0 = every such weekday; only MONTHLY has others.
        count: days in all; 0 = no limit. until: the last possible day.
    """

    freq: str
    interval: int = 1
    by_day: tuple[tuple[int, int], ...] = ()
    count: int = 0
    until: int | None = None

    def __str__(self) -> str:
        parts = [f"FREQ={self.freq}"]
        if self.interval > 1:
            parts.append(f"INTERVAL={self.interval}")
        if self.by_day:
            parts.append("BYDAY=" + ",".join(f"{n or ''}{WEEKDAYS[day]}" for n, day in self.by_day))
        if self.count:
            parts.append(f"COUNT={self.count}")
        if self.until is not None:
            parts.append(f"UNTIL={day_text(self.until).replace('-', '')}")
        return ";".join(parts)


def parse_rule(text: str, *, where: str = "recurrence") -> Rule:
    """Read `FREQ=WEEKLY;BYDAY=MO,TH`. Raises `Malformed` naming the part, what is expected, and
    what was found."""
    parts: dict[str, str] = {}
    for part in text.upper().removeprefix("RRULE:").split(";"):
        name, equals, value = part.partition("=")
        if name not in _PARTS or not equals or name in parts:
            known = ", ".join(_PARTS)
            raise Malformed(
                f"expected each of {known} at most once, found {part[:40]!r}", where=where
            )
        parts[name] = value
    freq = parts.get("FREQ", "")
    if freq not in {"DAILY", "WEEKLY", "MONTHLY"}:
        raise Malformed(f"expected FREQ DAILY, WEEKLY or MONTHLY, found {freq[:40]!r}", where=where)
    if "COUNT" in parts and "UNTIL" in parts:
        raise Malformed("expected COUNT or UNTIL, found both", where=where)
    until = parts.get("UNTIL")
    return Rule(
        freq=freq,
        interval=_number(parts, "INTERVAL", where) or 1,
        by_day=_by_day(parts.get("BYDAY"), freq, where),
        count=_number(parts, "COUNT", where),
        until=None if until is None else _until(until, where),
    )


def _number(parts: dict[str, str], name: str, where: str) -> int:
    text = parts.get(name)
    if text is None:
        return 0
    if not _NUMBER.fullmatch(text):
        raise Malformed(f"expected {name} from 1 to 9999, found {text[:40]!r}", where=where)
    return int(text)


def _by_day(text: str | None, freq: str, where: str) -> tuple[tuple[int, int], ...]:
    if text is None:
        return ()
    found = []
    for one in text.split(","):
        match = _BYDAY.fullmatch(one)
        if match is None or (match[1] and freq != "MONTHLY"):
            more = ", or an ordinal before it such as 1MO or -1FR" if freq == "MONTHLY" else ""
            raise Malformed(
                f"expected BYDAY of {', '.join(WEEKDAYS)}{more}, found {one[:40]!r}", where=where
            )
        found.append((int(match[1] or 0), WEEKDAYS.index(match[2])))
    return tuple(sorted(set(found), key=lambda one: (one[1], one[0])))


def _until(text: str, where: str) -> int:
    if not re.fullmatch(r"\d{8}", text, re.ASCII):
        raise Malformed(
            f"expected UNTIL as a day such as 20271231, found {text[:40]!r}", where=where
        )
    return day_of(f"{text[:4]}-{text[4:6]}-{text[6:]}", where=f"{where}: UNTIL")


def days(rule: Rule | None, first: int, after: int | None = None) -> Iterator[int]:
    """The days of a recurrence, in order, each once.

    Args:
        rule: None = `first` alone.
        first: the day from which it counts; a day of it only when it fits the rule.
        after: leave out this day and those before it.
    """
    if rule is None:
        return iter(() if after is not None and first <= after else (first,))
    # What is counted has to be counted from the start; everything else can begin where it is asked.
    from_start = after is None or rule.count > 0 or after < first
    found = _from(rule, first, 0 if from_start or after is None else _period(rule, first, after))
    if rule.count:
        found = islice(found, rule.count)
    return found if after is None else (day for day in found if day > after)


def _period(rule: Rule, first: int, day: int) -> int:
    """Number of the period that a day lies in."""
    match rule.freq:
        case "DAILY":
            return (day - first) // rule.interval
        case "WEEKLY":
            return (_monday(day) - _monday(first)) // (7 * rule.interval)
        case _:
            return (_month(day) - _month(first)) // rule.interval


def _from(rule: Rule, first: int, period: int) -> Iterator[int]:
    last = _LAST if rule.until is None else min(_LAST, rule.until)
    barren = 0
    while barren < _BARREN_MAX:
        begin, found = _in_period(rule, first, period)
        if begin > last:
            return
        fitting = [day for day in found if first <= day <= last]
        yield from fitting
        barren = 0 if fitting else barren + 1
        period += 1


def _in_period(rule: Rule, first: int, period: int) -> tuple[int, list[int]]:
    """The period's first day, and the days of the rule in it."""
    weekdays = {day for _, day in rule.by_day}
    match rule.freq:
        case "DAILY":
            day = first + period * rule.interval
            return day, [day] if not weekdays or weekday(day) in weekdays else []
        case "WEEKLY":
            monday = _monday(first) + period * 7 * rule.interval
            chosen = sorted(weekdays) if weekdays else [weekday(first)]
            return monday, [monday + n for n in chosen]
        case _:
            month = _month(first) + period * rule.interval
            begin, end = _month_begin(month), _month_begin(month + 1)
            if rule.by_day:
                return begin, _by_weekday(rule, begin, end)
            day = begin + date_of(first)[2] - 1
            return begin, [day] if day < end else []


def _by_weekday(rule: Rule, begin: int, end: int) -> list[int]:
    chosen: set[int] = set()
    for ordinal, which in rule.by_day:
        all_of_it = list(range(begin + (which - weekday(begin)) % 7, end, 7))
        if ordinal == 0:
            chosen |= set(all_of_it)
        elif abs(ordinal) <= len(all_of_it):
            chosen.add(all_of_it[ordinal - 1 if ordinal > 0 else ordinal])
    return sorted(chosen)


def _monday(day: int) -> int:
    return day - weekday(day)


def _month(day: int) -> int:
    """Months since the year 0."""
    year, month, _ = date_of(day)
    return year * 12 + month - 1


def _month_begin(month: int) -> int:
    return day_number(month // 12, month % 12 + 1, 1)


def in_words(rule: Rule | None) -> str:
    """`every Monday and Thursday`, `every 2nd week on Monday`; `once` without a rule."""
    if rule is None:
        return "once"
    every = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month"}[rule.freq]
    head = f"every {every}" if rule.interval == 1 else f"every {rule.interval} {every}s"
    names = [
        f"{'' if n == 0 else 'the ' + _ORDINALS.get(n, f'{-n}. last') + ' '}{_NAMES[day]}"
        for n, day in rule.by_day
    ]
    told = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
    text = f"{head} on {told}" if told else head
    if rule.count:
        return f"{text}, {rule.count} times"
    return f"{text}, until {day_text(rule.until)}" if rule.until is not None else text
