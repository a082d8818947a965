"""Data health: what an integration is worth after any course of looks, and what the whole is."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.data_health import (
    COURSE_MAX,
    LOOKS_MISSED_MAX,
    SILENT_MAX,
    DataHealth,
    Integration,
    Level,
    Source,
    answered,
    engine_source,
    feed_source,
    integration_source,
    known_at,
    not_answered,
    worst,
)
from engine.core.feeds import AgeLimits

US = 1_000_000
NEW = Integration(name="vault", kind="vault")
LIMITS = AgeLimits(warn_s=7_200, fail_s=86_400, required=True)
courses = st.lists(st.sampled_from([Level.OK, Level.WARN, Level.FAIL, None]), max_size=80)


def after(course: list[Level | None], one: Integration = NEW) -> Integration:
    """A look every 30 s; None got no answer."""
    for n, level in enumerate(course, 1):
        at_us = n * 30 * US
        if level is None:
            one = not_answered(one, "silence", at_us=at_us)
        else:
            one = answered(one, level, "said", latency_ms=7, at_us=at_us)
    return one


@given(courses)
def test_the_level_is_that_of_the_last_look_and_since_is_its_beginning(
    course: list[Level | None],
) -> None:
    levels = []
    silent = 0
    for level in course:
        silent = silent + 1 if level is None else 0
        failed = silent >= SILENT_MAX or levels[-1:] == [Level.FAIL]
        levels.append(level or (Level.FAIL if failed else Level.WARN))
    one = after(course)
    if not course:
        assert (one.level, one.since_us, one.last_good_us) == (Level.UNKNOWN, None, None)
        return
    assert one.level is levels[-1]
    first = len(levels)
    while first > 1 and levels[first - 2] is levels[-1]:
        first -= 1
    assert one.since_us == first * 30 * US
    good = [n for n, level in enumerate(levels, 1) if level is Level.OK]
    assert one.last_good_us == (good[-1] * 30 * US if good else None)
    assert one.silent == silent
    assert [look.level for look in one.course] == levels[-COURSE_MAX:]
    assert (one.latency_ms is None) == (course[-1] is None)


@given(courses, st.integers(0, 10_000), st.integers(5, 300))
def test_unknown_is_never_ok_and_old_is_unknown(
    course: list[Level | None], later_s: int, every_s: int
) -> None:
    one = after(course)
    now_us = len(course) * 30 * US + later_s * US
    seen = known_at(one, now_us=now_us, every_s=every_s)
    if not course or later_s > LOOKS_MISSED_MAX * every_s:
        assert seen.level is Level.UNKNOWN
        assert integration_source(seen, ["inputs of eu-prod"]).blocks == ("inputs of eu-prod",)
    else:
        assert seen == one
    assert (seen.level is Level.OK) <= (after(course[-1:]).level is Level.OK)


def test_what_nothing_rests_on_is_a_warning_and_never_fine() -> None:
    down = after([Level.FAIL])
    assert integration_source(down, ()).level is Level.WARN
    assert integration_source(down, ["inputs of eu-prod"]).level is Level.FAIL
    assert integration_source(NEW, ()).level is Level.UNKNOWN
    assert integration_source(after([Level.OK]), ()).level is Level.OK


def test_the_third_silence_in_a_row_counts_as_down() -> None:
    assert after([Level.OK, None]).level is Level.WARN
    assert "look 2 of 3" in after([Level.OK, None, None]).reason
    down = after([Level.OK, None, None, None])
    assert (down.level, down.reason) == (Level.FAIL, "silence")
    assert down.since_us == 4 * 30 * US
    assert after([None, None, Level.WARN, None]).level is Level.WARN
    # What has failed is not better for saying nothing.
    assert after([Level.FAIL, None]).level is Level.FAIL
    assert after([Level.FAIL, None]).since_us == 30 * US


@pytest.mark.parametrize("levels", list(product(Level, repeat=2)))
def test_the_worst_decides(levels: tuple[Level, Level]) -> None:
    order = [Level.FAIL, Level.UNKNOWN, Level.WARN, Level.OK]
    assert worst(levels) is min(levels, key=order.index)
    assert (worst(levels) is Level.OK) == (set(levels) == {Level.OK})


def source(level: Level, name: str) -> Source:
    return Source(kind="integration", name=name, level=level, text=f"{name} {level}")


def test_the_line_names_what_is_odd_the_worst_first() -> None:
    levels = {"a": Level.OK, "b": Level.WARN, "c": Level.UNKNOWN, "d": Level.FAIL}
    found = DataHealth(sources=tuple(source(level, name) for name, level in levels.items()))
    assert found.level is Level.FAIL
    assert found.line == "d FAIL · c UNKNOWN · b WARN"
    fine = DataHealth(sources=(source(Level.OK, "a"),))
    assert (fine.level, fine.line, fine.odd) == (Level.OK, "a OK", ())
    assert found.document()["sources"][1]["blocks"] == []


@pytest.mark.parametrize(
    ("as_of_s", "limits", "level", "since_s", "blocked"),
    [
        (99_000, LIMITS, Level.OK, None, False),
        (90_000, LIMITS, Level.WARN, 97_200, False),
        (1_000, LIMITS, Level.FAIL, 87_400, True),
        (200_000, LIMITS, Level.FAIL, None, True),
        (None, LIMITS, Level.UNKNOWN, None, True),
        (None, None, Level.UNKNOWN, None, False),
        (90_000, None, Level.UNKNOWN, None, False),
    ],
)
def test_a_feed_says_since_when_and_what_it_blocks(
    as_of_s: int | None, limits: AgeLimits | None, level: Level, since_s: int | None, blocked: bool
) -> None:
    found = feed_source("NVD", as_of_s, limits, now_s=100_000, age="3 h", gates=["eu-prod"])
    assert found.level is level
    assert found.since_us == (None if since_s is None else since_s * US)
    assert found.blocks == (("policy gates of eu-prod",) if blocked else ())
    assert found.text.startswith("NVD ")


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({}, Level.OK, "ticking"),
        ({"running": False}, Level.FAIL, "not stepping"),
        ({"tick_age_s": 9.4}, Level.WARN, "no engine tick for 9 s"),
        ({"storage_full": True, "running": False}, Level.FAIL, "disk full"),
        ({"stopped_because": {"run-2": "KeyError: x"}}, Level.FAIL, "run-2 stopped by a defect"),
    ],
)
def test_the_engine_is_a_source_too(changes: dict[str, object], level: Level, said: str) -> None:
    health: dict[str, object] = {
        "running": True,
        "tick_age_s": 0.4,
        "storage_full": False,
        "stopped_because": {},
        "now_us": 100 * US,
    }
    found = engine_source(**health | changes)  # type: ignore[arg-type]
    assert found.level is level
    assert said in found.text
    assert bool(found.blocks) == (level is not Level.OK)
