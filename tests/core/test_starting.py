"""A scheduled run under any course of time and answers: inside its window, when all holds, once."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import starting
from engine.core.burn import BurnState
from engine.core.digest import Digest
from engine.core.effect_kinds import OpenWindow, Record, Wait
from engine.core.effects import next_effect
from engine.core.fact_events import EnvironmentGuarded
from engine.core.firings import Firing, firings
from engine.core.health_criteria import DEFAULT_CRITERIA
from engine.core.local_time import OffsetAt, day_number, day_text, local
from engine.core.preconditions import Mode, Row, State, unmet
from engine.core.run_events import RunScheduled
from engine.core.schedule_events import FiringTicked, FiringWord, PreconditionsChecked, Timing
from engine.core.schedules import OVER
from engine.core.statemachine import RunStatus
from engine.time_zones import names, offset_at
from tests.core.book import Book, request

START_US, END_US = 2_000_000_000, 9_200_000_000  # two hours


def scheduled() -> Book:
    asked = replace(request(initial="SCHEDULED"), schedule="schedule-1", firing="2027-01-16")
    book = Book(asked, requested_by="ana")
    book.append(
        (RunScheduled(via="request", start_us=START_US, window_end_us=END_US, time_zone="UTC"),)
    )
    return book


def checked(state: State, mode: Mode, at_us: int) -> PreconditionsChecked:
    row = Row(
        name="feeds_fresh", mode=mode, state=state, value="v", threshold="t", observed_us=at_us,
        source="",
    )  # fmt: skip
    return PreconditionsChecked(at_us=at_us, rows=(row,), evidence=Digest.of(b"e"))


def guarded(state: BurnState, at_us: int) -> EnvironmentGuarded:
    return EnvironmentGuarded(
        step="", attempt=0, state=state, reason=state.value, slo_bp=9_990, rules=(), source="s",
        query="q", at_us=at_us, evidence=Digest.of(b"g"),
    )  # fmt: skip


steps = st.lists(
    st.tuples(
        st.integers(-600, 4_000),  # seconds that pass; a clock may be set back
        st.sampled_from(list(State)),
        st.sampled_from([Mode.WARN, Mode.ENFORCE]),
        st.sampled_from([None, *BurnState]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=300)
@given(steps, st.integers(0, 2 * END_US))
def test_it_starts_once_inside_its_window_when_all_holds_or_expires(
    course: list[tuple[int, State, Mode, BurnState | None]], first_us: int
) -> None:
    book, now_us = scheduled(), first_us
    for passed_s, state, mode, burns in course:
        now_us = max(1, now_us + passed_s * 1_000_000)
        book.now_us = now_us
        run = book.current
        if run.status is not RunStatus.SCHEDULED:
            break
        match next_effect(run, now_us):
            case Wait(until_us=until_us):
                assert until_us == START_US > now_us
            case Record(events=events):
                book.append(events)
            case OpenWindow():
                assert START_US <= now_us < END_US
                found = checked(state, mode, now_us)
                guard = None if burns is None else (guarded(burns, now_us), DEFAULT_CRITERIA)
                book.append(starting.before_open(run, found, now_us, epoch=7, guard=guard))
                started = book.current.status is RunStatus.RUNNING
                assert not (started and (unmet(found.rows) or burns is BurnState.BURNING))
                assert started or unmet(found.rows) or burns is not None
                # What keeps it waiting stands in its record.
                assert started or starting.lacking(book.current)
            case other:
                raise AssertionError(other)
    ticks = [(r.ts_us, r.event) for r in book.log if isinstance(r.event, FiringTicked)]
    ends = [(at_us, t.word) for at_us, t in ticks if t.word in OVER]
    assert len(ends) <= 1
    status = book.current.status
    for at_us, word in ends:
        if word is FiringWord.STARTED:
            # The tick, the start and the environment are one append.
            assert (status, book.current.epoch) == (RunStatus.RUNNING, 7)
            assert book.current.started_us == at_us + 2_000  # a book's clock goes on by 1 ms
            assert START_US <= at_us < END_US
        else:
            assert word in {FiringWord.EXPIRED, FiringWord.MISSED}
            assert status is RunStatus.SEALING
            assert book.current.outcome is RunStatus.EXPIRED
    assert (status is RunStatus.SCHEDULED) is (not ends)


def test_the_same_answer_is_told_once() -> None:
    book = scheduled()
    book.now_us = START_US
    effect = next_effect(book.current, START_US)
    assert isinstance(effect, Record)
    book.append(effect.events)
    one = checked(State.UNMET, Mode.ENFORCE, START_US)
    book.append(starting.before_open(book.current, one, START_US, epoch=1))
    again = replace(one, at_us=START_US + 60_000_000)
    assert starting.before_open(book.current, again, START_US + 60_000_000, epoch=2) == ()
    other = checked(State.UNKNOWN, Mode.ENFORCE, START_US + 1)
    assert len(starting.before_open(book.current, other, START_US + 1, epoch=3)) == 2


zones = st.sampled_from(names())


@settings(max_examples=120)
@given(zones, st.integers(1995, 2045), st.integers(0, 1_439), st.integers(1, 1_400))
def test_each_local_date_fires_once_and_in_order(
    zone: str, year: int, minute: int, window_min: int
) -> None:
    """Over a whole year of any zone, whatever its clocks do."""
    timing = Timing(
        zone=zone,
        first=f"{year}-01-01",
        time=f"{minute // 60:02d}:{minute % 60:02d}",
        window_s=window_min * 60,
        rule="FREQ=DAILY;COUNT=366",
    )
    zone_at = offset_at(zone)
    found = list(firings(timing, zone_at))
    first = day_number(year, 1, 1)
    assert [one.date for one in found] == [day_text(first + n) for n in range(366)]
    starts = [one.start_us for one in found]
    assert starts == sorted(starts)
    for one in found:
        assert one.end_us - one.start_us == window_min * 60_000_000
        assert shown(one, zone_at) == (one.date, minute) or one.note


def shown(one: Firing, zone_at: OffsetAt) -> tuple[str, int]:
    day, second = local(one.start_us, zone_at)
    return day_text(day), second // 60


def test_nights_by_name() -> None:
    """Clocks change at 03:00 in Sofia and at 02:00 in New York."""

    def nights(zone: str, first: str, time: str) -> list[tuple[str, int, bool]]:
        timing = Timing(zone=zone, first=first, time=time, window_s=600, rule="FREQ=DAILY;COUNT=3")
        found = list(firings(timing, offset_at(zone)))
        return [(f.date, f.start_us // 1_000_000 % 86_400 // 60, bool(f.note)) for f in found]

    # (date, minutes of the UTC day, whether it is said that clocks do something)
    assert nights("Europe/Sofia", "2027-03-27", "03:30") == [
        ("2027-03-27", 90, False), ("2027-03-28", 60, True), ("2027-03-29", 30, False)
    ]  # fmt: skip
    assert nights("Europe/Sofia", "2026-10-24", "03:30") == [
        ("2026-10-24", 30, False), ("2026-10-25", 30, True), ("2026-10-26", 90, False)
    ]  # fmt: skip
    assert nights("America/New_York", "2027-03-13", "02:30") == [
        ("2027-03-13", 450, False), ("2027-03-14", 420, True), ("2027-03-15", 390, False)
    ]  # fmt: skip
    assert nights("America/New_York", "2026-10-31", "01:30") == [
        ("2026-10-31", 330, False), ("2026-11-01", 330, True), ("2026-11-02", 390, False)
    ]  # fmt: skip
