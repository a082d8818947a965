"""Data health: is what the run decides on fresh, and does the engine itself work? Pure.

The limits are those of the environment's policy, so that the banner and the gate never disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.live_text import span
from engine.ports import FeedSnapshot
from engine.worker import WorkerHealth
from pages.ui import words

# The scheduler ticks every second; three missing ones are what its watchdog acts on.
_TICK_AGE_S_MAX: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One line of data health: `level` is OK, WARN, FAIL or UNKNOWN."""

    name: str
    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataHealth:
    level: str
    sources: tuple[Source, ...]

    @property
    def look(self) -> words.Look:
        return words.DATA_HEALTH[self.level]

    @property
    def line(self) -> str:
        """What is not in order, in one line; what is, when everything is."""
        odd = [source.text for source in self.sources if source.level != "OK"]
        return " · ".join(odd or [source.text for source in self.sources])

    @property
    def stopped(self) -> tuple[Source, ...]:
        """What keeps the engine from working at all: the banner of every page."""
        return tuple(s for s in self.sources if s.level == "FAIL" and s.name == "engine")


def data_health(
    worker: WorkerHealth,
    feeds: Sequence[FeedSnapshot],
    config: Mapping[str, Any],
    *,
    now_s: int,
) -> DataHealth:
    """Args:
    config: the policy's: `feeds` are limits by name, `required_feeds` those that must be there.
    """
    sources = (_engine(worker), *_feeds(feeds, config, now_s))
    order = ("FAIL", "UNKNOWN", "WARN", "OK")
    level = next(word for word in order if word == "OK" or any(s.level == word for s in sources))
    return DataHealth(level=level, sources=sources)


def _engine(worker: WorkerHealth) -> Source:
    if worker.storage_full:
        text = "disk full: nothing can be recorded, so no run moves"
        return Source(name="engine", level="FAIL", text=text)
    if worker.stopped_because:
        runs = ", ".join(sorted(worker.stopped_because))
        why = next(iter(worker.stopped_because.values()))
        return Source(name="engine", level="FAIL", text=f"{runs} stopped by a defect: {why}")
    if not worker.running:
        return Source(name="engine", level="FAIL", text="the engine is not stepping")
    if worker.tick_age_s > _TICK_AGE_S_MAX:
        silent = span(int(worker.tick_age_s * 1_000_000))
        return Source(name="engine", level="WARN", text=f"no engine tick for {silent}")
    return Source(name="engine", level="OK", text="engine ticking")


def _feeds(
    feeds: Sequence[FeedSnapshot], config: Mapping[str, Any], now_s: int
) -> tuple[Source, ...]:
    known = {feed.name: feed for feed in feeds}
    limits, required = config.get("feeds", {}), config.get("required_feeds", [])
    lines = []
    for name in sorted({*known, *required}):
        feed, limit = known.get(name), limits.get(name, {})
        if feed is None:
            lines.append(Source(name=name, level="UNKNOWN", text=f"{name} has no snapshot"))
            continue
        age_s = max(0, now_s - feed.as_of_s)
        level = "OK"
        if age_s > limit.get("fail_s", age_s):
            level = "FAIL"
        elif age_s > limit.get("warn_s", age_s):
            level = "WARN"
        stale = "stale" if level != "OK" else "fresh"
        age = span(age_s * 1_000_000)
        lines.append(Source(name=name, level=level, text=f"{name} {stale}, {age} old"))
    return tuple(lines)
