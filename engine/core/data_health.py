"""Data health: does everything that decisions rest on work, and since when not? Pure.

One model for the banner, the pages, the API and whoever decides: what the engine, the feeds, the
integrations and the jobs are worth now. UNKNOWN is never OK: an integration that was not
looked at lately is not known to work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from engine.core.feeds import LEVELS, AgeLimits, Freshness, freshness
from engine.core.rescans import Standing

# A single question that got no answer is a warning; so many in a row, and it does not work.
SILENT_MAX: Final = 3
COURSE_MAX: Final = 60
# Missing so many looks in a row, what was found last is no longer known.
LOOKS_MISSED_MAX: Final = 3
_TICK_AGE_S_MAX: Final = 3.0  # the scheduler ticks every second; its watchdog acts on three
_US: Final = 1_000_000


class Level(StrEnum):
    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


_WORST_FIRST: Final = (Level.FAIL, Level.UNKNOWN, Level.WARN)


def worst(levels: Iterable[Level]) -> Level:
    """FAIL before UNKNOWN before WARN; OK when there is nothing else."""
    found = set(levels)
    return next((level for level in _WORST_FIRST if level in found), Level.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One line of data health.

    Attributes:
        kind: engine, record, feed, integration or job.
        text: what is so, in words: `NVD stale, 3 h old`.
        since_us: since when the level is what it is; None when nobody knows.
        blocks: what it keeps from working, in words: `policy gates of eu-prod`.
    """

    kind: str
    name: str
    level: Level
    text: str
    since_us: int | None = None
    blocks: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "level": self.level.value,
            "text": self.text,
            "since_us": self.since_us,
            "blocks": list(self.blocks),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DataHealth:
    """`sources` in the order engine, record, feeds, integrations, jobs."""

    sources: tuple[Source, ...]

    @property
    def level(self) -> Level:
        return worst(source.level for source in self.sources)

    @property
    def odd(self) -> tuple[Source, ...]:
        """What is not in order, the worst first."""
        order = {level: n for n, level in enumerate(_WORST_FIRST)}
        odd = (source for source in self.sources if source.level is not Level.OK)
        return tuple(sorted(odd, key=lambda source: order[source.level]))

    @property
    def line(self) -> str:
        """What is not in order, in one line; what is, when everything is."""
        return " · ".join(source.text for source in self.odd or self.sources)

    def document(self) -> dict[str, Any]:
        return {
            "level": self.level.value,
            "line": self.line,
            "sources": [source.document() for source in self.sources],
        }


# --- the engine -------------------------------------------------------------------------------


def engine_source(
    *,
    running: bool,
    tick_age_s: float,
    storage_full: bool,
    stopped_because: Mapping[str, str],
    now_us: int,
) -> Source:
    """Args:
    stopped_because: run id to the defect that stopped its stepping.
    """
    everything = ("every run",)
    if storage_full:
        text = "disk full: nothing can be recorded, so no run moves"
        return Source(kind="engine", name="engine", level=Level.FAIL, text=text, blocks=everything)
    if stopped_because:
        runs = sorted(stopped_because)
        text = f"{', '.join(runs)} stopped by a defect: {stopped_because[runs[0]]}"
        return Source(kind="engine", name="engine", level=Level.FAIL, text=text, blocks=tuple(runs))
    if not running:
        text = "the engine is not stepping"
        return Source(kind="engine", name="engine", level=Level.FAIL, text=text, blocks=everything)
    if tick_age_s > _TICK_AGE_S_MAX:
        return Source(
            kind="engine",
            name="engine",
            level=Level.WARN,
            text=f"no engine tick for {int(tick_age_s)} s",
            since_us=now_us - int(tick_age_s * _US),
            blocks=everything,
        )
    return Source(kind="engine", name="engine", level=Level.OK, text="engine ticking")


# Below this share of the disk, or these bytes, somebody should look before nothing can be recorded.
_DISK_LOW_BP: Final = 1_000
_DISK_LOW_BYTES: Final = 1 << 30
_DISK_LAST_BYTES: Final = 128 << 20


def disk_source(free_bytes: int, total_bytes: int) -> Source:
    """Of the file system that the home lies in."""
    level = Level.OK
    if free_bytes < _DISK_LOW_BYTES or free_bytes * 10_000 < total_bytes * _DISK_LOW_BP:
        level = Level.WARN
    if free_bytes < _DISK_LAST_BYTES:
        level = Level.FAIL
    free, total = (f"{size / 1e9:.1f} GB" for size in (free_bytes, total_bytes))
    word = {Level.OK: "disk has room", Level.WARN: "disk low", Level.FAIL: "disk almost full"}
    return Source(
        kind="engine",
        name="disk",
        level=level,
        text=f"{word[level]}: {free} free of {total}",
        blocks=("every run, soon",) if level is Level.FAIL else (),
    )


STORED: Final = "stored evidence"


def stored_source(places: int, runs: Sequence[str], *, since_us: int | None) -> Source:
    """What is stored, as the integrity sweeps found it.

    Args:
        places: how many are damaged; `runs`: that they belong to, the newest first.
        since_us: when the first of them was found.
    """
    if not places:
        return Source(kind="record", name=STORED, level=Level.OK, text=f"{STORED} is whole")
    files = "1 stored file is" if places == 1 else f"{places} stored files are"
    named = f": {', '.join(runs[:3])}" if runs else ""
    more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
    return Source(
        kind="record",
        name=STORED,
        level=Level.FAIL,
        text=f"{files} damaged{named}{more}",
        since_us=since_us,
        blocks=(f"packs and replays of {', '.join(runs[:3])}{more}",) if runs else (),
    )


# --- feeds ------------------------------------------------------------------------------------


def feed_source(
    name: str,
    as_of_s: int | None,
    limits: AgeLimits | None,
    *,
    now_s: int,
    age: str,
    gates: Sequence[str],
) -> Source:
    """Args:
    as_of_s: None = there is no snapshot.
    age: how old it is, in words.
    gates: environments whose policy rests on it.
    """
    word = freshness(as_of_s, limits, now_s=now_s)
    level = Level(LEVELS[word])
    since_s = None
    if as_of_s is not None and limits is not None:
        since_s = {
            Freshness.STALE: as_of_s + limits.warn_s,
            Freshness.CRITICAL: as_of_s + limits.fail_s,
        }.get(word)
    text = {
        Freshness.FRESH: f"{name} fresh, {age} old",
        Freshness.STALE: f"{name} stale, {age} old",
        Freshness.CRITICAL: f"{name} too old, {age}",
        Freshness.FUTURE: f"{name} is dated after this clock",
        Freshness.MISSING: f"{name} has no snapshot",
        Freshness.NO_LIMIT: f"{name} is {age} old, and no policy limits its age",
    }[word]
    failing = level is Level.FAIL or (word is Freshness.MISSING and limits and limits.required)
    return Source(
        kind="feed",
        name=name,
        level=level,
        text=text,
        since_us=None if since_s is None else since_s * _US,
        blocks=(f"policy gates of {', '.join(gates)}",) if failing and gates else (),
    )


# --- integrations -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at an integration, as the course shows it. `latency_ms` None: no answer."""

    at_us: int
    level: Level
    latency_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """What is known of one integration.

    Attributes:
        level: as of the last look; `level_at` says what it is worth now.
        since_us: since when it has this level; None before the first look.
        last_us, last_good_us: of the last look, and of the last one that found it OK.
        silent: looks without an answer, in a row.
        course: the last looks, oldest first, at most `COURSE_MAX`; not on record.
    """

    name: str
    kind: str
    level: Level = Level.UNKNOWN
    reason: str = "not looked at yet"
    since_us: int | None = None
    last_us: int | None = None
    last_good_us: int | None = None
    latency_ms: int | None = None
    silent: int = 0
    course: tuple[Look, ...] = ()


def answered(
    before: Integration, level: Level, reason: str, *, latency_ms: int, at_us: int
) -> Integration:
    """The integration after a look that was answered."""
    return _after(before, level, reason, latency_ms=latency_ms, silent=0, at_us=at_us)


def not_answered(before: Integration, reason: str, *, at_us: int) -> Integration:
    """The integration after a look that got no answer. What has failed is not better for saying
    nothing."""
    silent = before.silent + 1
    down = silent >= SILENT_MAX or before.level is Level.FAIL
    level = Level.FAIL if down else Level.WARN
    if not down:
        reason = f"{reason} (look {silent} of {SILENT_MAX} before it counts as down)"
    return _after(before, level, reason, latency_ms=None, silent=silent, at_us=at_us)


def _after(
    before: Integration,
    level: Level,
    reason: str,
    *,
    latency_ms: int | None,
    silent: int,
    at_us: int,
) -> Integration:
    same = before.last_us is not None and before.level is level
    look = Look(at_us=at_us, level=level, latency_ms=latency_ms)
    return replace(
        before,
        level=level,
        reason=reason,
        since_us=before.since_us if same else at_us,
        last_us=at_us,
        last_good_us=at_us if level is Level.OK else before.last_good_us,
        latency_ms=latency_ms,
        silent=silent,
        course=(*before.course, look)[-COURSE_MAX:],
    )


def known_at(one: Integration, *, now_us: int, every_s: float) -> Integration:
    """The integration as it is known at `now_us`: what was not looked at lately is UNKNOWN.

    Args:
        every_s: between two looks.
    """
    if one.last_us is None:
        return one
    old_us = one.last_us + int(every_s * LOOKS_MISSED_MAX * _US)
    if now_us <= old_us:
        return one
    reason = f"not looked at for {(now_us - one.last_us) // _US} s"
    return replace(one, level=Level.UNKNOWN, reason=reason, since_us=old_us, latency_ms=None)


def integration_source(one: Integration, depends: Sequence[str]) -> Source:
    """Args:
    one: as `known_at` has it.
    depends: what rests on it, in words; named as blocked when it does not work. Where nothing
        does, an integration that does not work is a warning: no promotion is kept from anything.
    """
    said = {
        Level.OK: "works",
        Level.WARN: "degraded",
        Level.FAIL: "does not work",
        Level.UNKNOWN: "unknown",
    }[one.level]
    more = "" if one.level is Level.OK else f": {one.reason}"
    blocked = one.level in {Level.FAIL, Level.UNKNOWN}
    harmless = one.level is Level.FAIL and not depends
    return Source(
        kind="integration",
        name=one.name,
        level=Level.WARN if harmless else one.level,
        text=f"{one.name} {said}{more}",
        since_us=one.since_us,
        blocks=tuple(depends) if blocked else (),
    )


# --- jobs -------------------------------------------------------------------------------------

RESCAN: Final = "SBOM rescan"


def rescan_source(found: Standing) -> Source:
    """The SBOMs of what is live or on its way, against what the feeds say now.

    A failed rescan is a warning: the gates match for themselves, and what was found before is still
    known. A rescan under way changes no level; nobody knows yet what it brings.
    """
    of = f"of {found.bundles} bundle{'s' * (found.bundles != 1)}"
    level, text, since_us = Level.OK, f"SBOMs {of} matched against the newest feeds", None
    if found.failed:
        level = Level.WARN
        text = f"{RESCAN} failed ({found.code}): {found.failed} {of}"
        since_us = found.failing_us or None
    elif found.unseen:
        level, text = Level.UNKNOWN, f"{RESCAN} never run for {found.unseen} {of}"
    elif found.missing and found.done is None:
        level, text = Level.UNKNOWN, f"{RESCAN} due for {found.missing} {of}"
    if found.done is not None:
        under_way = f"under way, {found.done} of {found.doing} seen"
        text = f"{RESCAN} {under_way}" if level is Level.OK else f"{text}; {under_way}"
    blocked = level is not Level.OK and found.environments
    return Source(
        kind="job",
        name=RESCAN,
        level=level,
        text=text,
        since_us=since_us,
        blocks=(f"news of flaws in {', '.join(found.environments)}",) if blocked else (),
    )


def rescan_unknown(why: str) -> Source:
    """Nobody can say what the bundles would have to be matched against."""
    return Source(kind="job", name=RESCAN, level=Level.UNKNOWN, text=f"{RESCAN} unknown: {why}")
