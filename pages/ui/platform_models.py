"""View-model of the platform's health: each part with its state, its numbers, and why. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from engine.core.data_health import Level, worst
from engine.core.pace import Pace
from engine.core.vitals import Judged, Vitals, judged
from engine.live_text import count, percent, plural, span
from pages.ui import words

COLUMNS: Final = (
    {"name": "Part", "width": "18%"},
    {"name": "State", "width": "30%"},
    {"name": "Now", "width": "26%"},
    {"name": "Behind it", "width": "26%"},
)
EXPLAINED: Final = (
    "The engine's own numbers, the same that `/metrics` gives to Prometheus. Latencies are of the "
    "last 5 minutes."
)
_FINE: Final = "in order"


def level(now: Vitals) -> Level:
    return worst(one.level for one in judged(now).values())


def sentence(now: Vitals) -> str:
    """What is not in order, in one line; what is, when everything is."""
    odd = [one.why for one in judged(now).values() if one.why]
    return " ".join(odd) or "Everything is in order."


def rows(now: Vitals) -> list[dict[str, Any]]:
    found = judged(now)
    parts: tuple[tuple[str, str, Callable[[Vitals], tuple[str, str]]], ...] = (
        ("Engine", "engine", _engine),
        ("Ticks", "tick", _ticks),
        ("Watchdog", "watchdog", _watchdog),
        ("Runs and queues", "queues", _queues),
        ("Messages", "messages", _messages),
        ("Commits", "commits", _commits),
        ("Record", "", _record),
        ("Disk", "disk", _disk),
        ("Memory", "", _memory),
        ("Transparency log", "log", _log),
        ("Integrity", "integrity", _integrity),
        ("Versions", "", _versions),
    )
    return [_row(name, found.get(part), told(now)) for name, part, told in parts]


def _row(name: str, found: Judged | None, told: tuple[str, str]) -> dict[str, Any]:
    state: dict[str, Any] = {"text": "–", "sub": "not judged"}
    tone = ""
    if found is not None:
        look = words.DATA_HEALTH[found.level.value]
        state = {"look": look.document(), "sub": found.why or _FINE}
        tone = look.tone if look.tone in {"err", "warn"} else ""
    text, sub = told
    cell: dict[str, Any] = {"text": name}
    if name in _PAGES:
        page = _PAGES[name]
        cell |= {"href": f"/{page}", "open": json.dumps([page, {}])}
    return {"tone": tone, "cells": [cell, state, {"text": text}, {"text": sub}]}


_PAGES: Final = {"Messages": "dead-letter"}


def _engine(now: Vitals) -> tuple[str, str]:
    return (
        f"up for {span(now.at_us - now.since_us)}",
        f"{now.working} of {plural(now.threads, 'thread')} busy",
    )


def _ticks(now: Vitals) -> tuple[str, str]:
    return f"p95 {_ms(now.tick_lag.p95_s)} late", f"worst {_ms(now.tick_lag.max_s)}; last " + (
        f"{now.tick_age_s:.1f} s ago"
    )


def _watchdog(now: Vitals) -> tuple[str, str]:
    return f"fired {count(now.watchdogs)} times", "since the engine started"


def _queues(now: Vitals) -> tuple[str, str]:
    by = ", ".join(f"{n} {words.RUN[status].word}" for status, n in sorted(now.runs.items()) if n)
    waiting = (
        f"{count(now.queued)} wait for a thread, {plural(now.slow.replays, 'replay')} under way"
    )
    return f"{plural(sum(now.runs.values()), 'open run')}{': ' if by else ''}{by}", waiting


def _messages(now: Vitals) -> tuple[str, str]:
    return f"{count(now.waiting_messages)} on their way", f"{count(now.slow.dead_letters)} dead"


def _commits(now: Vitals) -> tuple[str, str]:
    return f"p50 {_ms(now.commits.p50_s)}, p95 {_ms(now.commits.p95_s)}", _of(now.commits)


def _of(pace: Pace) -> str:
    return f"{count(pace.n)} in the last 5 m, {count(pace.count)} since the start"


def _record(now: Vitals) -> tuple[str, str]:
    sizes = now.slow.sizes
    return (
        f"journal {size(sizes.journal_bytes)}, database {size(sizes.database_bytes)}",
        f"{plural(sizes.blobs, 'blob')}, {size(sizes.blob_bytes)}; looked at "
        f"{span(max(0, now.at_us - now.slow.at_us))} ago",
    )


def _disk(now: Vitals) -> tuple[str, str]:
    free, total = now.disk.free_bytes, now.disk.total_bytes
    return f"{size(free)} free", f"{percent(free, total)} of {size(total)}"


def _memory(now: Vitals) -> tuple[str, str]:
    return "unknown" if now.rss_bytes is None else size(now.rss_bytes), "of the server, in RAM"


def _log(now: Vitals) -> tuple[str, str]:
    log = now.slow.log
    if log is None:
        return "may not grow", ""
    if log.at_us is None:
        return plural(log.size, "entry").replace("entrys", "entries"), "nothing signed yet"
    ago = span(max(0, now.at_us - log.at_us))
    return f"{count(log.size)} leaves", f"newest head signed {ago} ago; {log.origin}"


def _integrity(now: Vitals) -> tuple[str, str]:
    swept = now.stored.swept
    every = f"looked at every {span(now.sweep_every_us)}"
    if swept is None:
        return "under way" if now.sweeping else "–", every
    ago = span(max(0, now.at_us - now.stored.swept_us))
    return (
        f"{plural(swept.blobs, 'blob')}, {size(swept.size_bytes)}, {count(swept.leaves)} leaves",
        f"the last sweep ended {ago} ago, after {span(swept.took_ms * 1000)}; {every}",
    )


def _versions(now: Vitals) -> tuple[str, str]:
    own = now.versions["releaseline"]
    others = ", ".join(f"{name} {one}" for name, one in now.versions.items() if one != own)
    return f"Releaseline {own}", others


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def size(number: int) -> str:
    """Bytes as people read them: `850 B`, `3.1 MB`, `120.0 GB`."""
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= power:
            return f"{number / power:.1f} {unit}"
    return f"{number} B"
