"""The platform's own numbers at one moment, and which of them somebody should look at. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.core.data_health import Level, disk_source
from engine.core.integrity import IntegrityLog
from engine.core.pace import Pace
from engine.core.statemachine import RunStatus

# What architecture promises at most, with room for a busy minute.
TICK_LAG_S_MAX: Final = 1.0
COMMIT_P95_S_MAX: Final = 0.1
SILENT_S_MAX: Final = 3.0
WAITING_MAX: Final = 50
# Missing so many sweeps in a row, nobody knows any more whether what is stored is whole.
SWEEPS_MISSED_MAX: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What a home's record takes on the disk. Bytes, but for the counts."""

    journal_bytes: int
    journal_files: int
    database_bytes: int
    blobs: int
    blob_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Of the file system that the home lies in."""

    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """The transparency log's newest signed tree. `at_us`: of the event that it holds; None for a
    log without entries."""

    origin: str
    size: int
    at_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """What takes a while to look at, and is looked at once a minute.

    Attributes:
        at_us: when it was.
        log: None while the log may not grow, with the reason in `log_trouble`.
        dead_letters: messages to webhooks that were given up on.
        replays: requests that are under way.
    """

    at_us: int
    sizes: Sizes
    log: LogHead | None
    log_trouble: str
    dead_letters: int
    replays: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """Attributes:
    since_us: when this engine was put together; `at_us`: when this was looked at.
    queued: runs that wait for a thread, of `threads`; `working` are being advanced.
    rss_bytes: memory in use; None where the system does not say.
    waiting_messages: to webhooks, not settled yet.
    runs: open ones, by status.
    versions: of what runs here, by name.
    stored: what the integrity sweeps know; one begins every `sweep_every_us`, and `sweeping`
        says that one is under way.
    """

    at_us: int
    since_us: int
    running: bool
    tick_age_s: float
    tick_lag: Pace
    watchdogs: int
    threads: int
    working: int
    queued: int
    stopped_runs: int
    storage_full: bool
    commits: Pace
    rss_bytes: int | None
    disk: Disk
    waiting_messages: int
    runs: Mapping[RunStatus, int]
    versions: Mapping[str, str]
    slow: Slow
    stored: IntegrityLog
    sweep_every_us: int
    sweeping: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one part of the platform is worth. `why` is empty when it is in order."""

    level: Level
    why: str = ""


_FINE: Final = Judged(level=Level.OK)


def judged(now: Vitals) -> Mapping[str, Judged]:
    """By part, in the order in which they are shown: engine, tick, watchdog, commits, disk, log,
    integrity, queues, messages."""
    return {
        "engine": _engine(now),
        "tick": _tick(now),
        "watchdog": _watchdog(now),
        "commits": _commits(now),
        "disk": _disk(now),
        "log": _log(now),
        "integrity": _integrity(now),
        "queues": _queues(now),
        "messages": _messages(now),
    }


def _engine(now: Vitals) -> Judged:
    if now.storage_full:
        return Judged(level=Level.FAIL, why="The disk is full: nothing can be recorded.")
    if not now.running:
        return Judged(level=Level.FAIL, why="The engine is not stepping.")
    return _FINE


def _tick(now: Vitals) -> Judged:
    if not now.running:
        return Judged(level=Level.UNKNOWN, why="Without an engine nothing ticks.")
    if now.tick_age_s > SILENT_S_MAX:
        return Judged(level=Level.FAIL, why=f"No tick for {now.tick_age_s:.0f} s.")
    late_s = now.tick_lag.max_s
    if late_s is None:
        return Judged(level=Level.UNKNOWN, why="It has not ticked yet.")
    if late_s > TICK_LAG_S_MAX:
        return Judged(level=Level.WARN, why=f"A tick of the last 5 m came {late_s:.1f} s late.")
    return _FINE


def _watchdog(now: Vitals) -> Judged:
    if not now.watchdogs:
        return _FINE
    times = "once" if now.watchdogs == 1 else f"{now.watchdogs} times"
    return Judged(level=Level.WARN, why=f"A silent scheduler was replaced {times}.")


def _commits(now: Vitals) -> Judged:
    p95_s = now.commits.p95_s
    if p95_s is not None and p95_s > COMMIT_P95_S_MAX:
        told = f"One commit in twenty takes longer than {p95_s * 1000:.0f} ms."
        return Judged(level=Level.WARN, why=told)
    return _FINE  # without a commit in these minutes there was nothing to be slow at


def _disk(now: Vitals) -> Judged:
    source = disk_source(now.disk.free_bytes, now.disk.total_bytes)
    return Judged(level=source.level, why="" if source.level is Level.OK else f"{source.text}.")


def _log(now: Vitals) -> Judged:
    if now.slow.log is None:
        return Judged(level=Level.FAIL, why=now.slow.log_trouble)
    return _FINE


def _integrity(now: Vitals) -> Judged:
    damaged = len(now.stored.damaged)
    if damaged:
        files = "1 stored file is" if damaged == 1 else f"{damaged} stored files are"
        return Judged(level=Level.FAIL, why=f"{files} damaged.")
    if now.stored.swept is None:
        return Judged(level=Level.UNKNOWN, why="What is stored was not looked at yet.")
    late_us = now.at_us - now.stored.swept_us - now.sweep_every_us * SWEEPS_MISSED_MAX
    if late_us > 0 and not now.sweeping:
        return Judged(level=Level.WARN, why="What is stored was not looked at lately.")
    return _FINE


def _queues(now: Vitals) -> Judged:
    if now.stopped_runs:
        runs = "1 run is" if now.stopped_runs == 1 else f"{now.stopped_runs} runs are"
        return Judged(level=Level.FAIL, why=f"{runs} stopped by a defect.")
    if now.queued > WAITING_MAX:
        return Judged(level=Level.WARN, why=f"{now.queued} runs wait for {now.threads} threads.")
    return _FINE


def _messages(now: Vitals) -> Judged:
    dead = now.slow.dead_letters
    if dead:
        messages = "1 message was" if dead == 1 else f"{dead} messages were"
        return Judged(level=Level.WARN, why=f"{messages} given up on.")
    return _FINE
