"""The engine's own numbers in the Prometheus text format (version 0.0.4).

They are those of the page Platform health (`engine.vitals`). Labels are bounded: statuses, and
names that stand in the settings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine.core.data_health import Level
from engine.core.pace import Pace
from engine.core.statemachine import RunStatus
from engine.core.vitals import Vitals
from engine.services import Services

_LEVELS: Final = (Level.OK, Level.WARN, Level.FAIL, Level.UNKNOWN)
_CODES: Final = "0 OK, 1 WARN, 2 FAIL, 3 UNKNOWN"
Sample = tuple[str, float]


class _Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def metric(self, name: str, kind: str, text: str, *samples: Sample) -> None:
        """Args: samples: what follows the name, labels and all, and its value."""
        full = f"releaseline_{name}"
        self.lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
        self.lines += [f"{full}{labels} {value!r}" for labels, value in samples]

    def gauge(self, name: str, text: str, value: float) -> None:
        self.metric(name, "gauge", text, ("", value))

    def counter(self, name: str, text: str, value: float) -> None:
        self.metric(name, "counter", text, ("", value))


def exposition(services: Services) -> str:
    """One sample per line, each metric with its HELP and TYPE."""
    now = services.vitals.now(services.worker.health())
    told = _Lines()
    _runs(told, now)
    _engine(told, now)
    _record(told, now)
    told.metric(
        "integration_level",
        "gauge",
        f"Whether an integration works: {_CODES}.",
        *(
            (labels(name=one.name, kind=one.kind), _LEVELS.index(one.level))
            for one in services.prober.integrations()
        ),
    )
    told.metric(
        "data_source_level",
        "gauge",
        f"What decisions rest on, as the banner has it: {_CODES}.",
        *(
            (labels(kind=one.kind, name=one.name), _LEVELS.index(one.level))
            for one in services.health.now().sources
        ),
    )
    return "\n".join(told.lines) + "\n"


def labels(**pairs: str) -> str:
    """`{name="value"}`, with what would end a value or a line escaped."""
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs.items())
    return f"{{{inner}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _runs(told: _Lines, now: Vitals) -> None:
    told.metric(
        "runs_open",
        "gauge",
        "Runs that have not ended, by status.",
        *((labels(status=one.value), now.runs.get(one, 0)) for one in RunStatus),
    )
    told.gauge("engine_busy_runs", "Runs being advanced now.", now.working)
    told.gauge("engine_waiting_runs", "Runs that wait for a thread.", now.queued)
    told.gauge("engine_threads", "Threads that advance runs.", now.threads)
    told.gauge("engine_stopped_runs", "Runs whose stepping stopped by a defect.", now.stopped_runs)
    told.gauge("replays_running", "Requests for replays under way.", now.slow.replays)
    told.gauge("webhook_messages_waiting", "Messages not delivered yet.", now.waiting_messages)
    told.gauge("webhook_messages_dead", "Messages that were given up on.", now.slow.dead_letters)


def _engine(told: _Lines, now: Vitals) -> None:
    told.gauge("engine_running", "1 while the engine steps.", int(now.running))
    told.gauge("engine_start_time_seconds", "When it was started.", now.since_us / 1e6)
    told.gauge(
        "engine_tick_age_seconds",
        "Since the scheduler last ticked, by the monotonic clock.",
        now.tick_age_s,
    )
    _summary(told, "engine_tick_lag_seconds", "How late ticks came.", now.tick_lag)
    told.counter(
        "engine_watchdog_firings_total", "Silent schedulers that were replaced.", now.watchdogs
    )
    if now.rss_bytes is not None:
        told.gauge("resident_memory_bytes", "Memory of the server in RAM.", now.rss_bytes)
    told.metric("build_info", "gauge", "What runs here; always 1.", (labels(**now.versions), 1))


def _record(told: _Lines, now: Vitals) -> None:
    sizes, log = now.slow.sizes, now.slow.log
    told.gauge("storage_full", "1 while nothing can be recorded.", int(now.storage_full))
    _summary(told, "commit_duration_seconds", "Journal and database of a commit.", now.commits)
    told.gauge("journal_bytes", "Size of the journal.", sizes.journal_bytes)
    told.gauge("database_bytes", "Size of the database and its log.", sizes.database_bytes)
    told.gauge("blob_bytes", "Size of all blobs.", sizes.blob_bytes)
    told.gauge("blobs", "How many blobs there are.", sizes.blobs)
    told.gauge("disk_free_bytes", "Room on the home's file system.", now.disk.free_bytes)
    told.gauge("disk_size_bytes", "Size of the home's file system.", now.disk.total_bytes)
    told.gauge(
        "stored_damaged", "Stored files that are not what they were.", len(now.stored.damaged)
    )
    swept = now.stored.swept
    if swept is not None:
        told.gauge(
            "integrity_sweep_time_seconds",
            "When everything that is stored was last read.",
            now.stored.swept_us / 1e6,
        )
        told.gauge("integrity_sweep_bytes", "Read by that sweep.", swept.size_bytes)
    told.gauge("log_may_grow", "0 while the transparency log is refused.", int(log is not None))
    if log is not None:
        told.gauge("log_leaves", "Leaves of the transparency log.", log.size)
        if log.at_us is not None:
            told.gauge(
                "log_signed_time_seconds", "When its newest head was signed.", log.at_us / 1e6
            )


def _summary(told: _Lines, name: str, text: str, pace: Pace) -> None:
    quantiles: Iterable[tuple[str, float | None]] = (("0.5", pace.p50_s), ("0.95", pace.p95_s))
    full = f"releaseline_{name}"
    known = [(labels(quantile=q), value) for q, value in quantiles if value is not None]
    told.metric(name, "summary", f"{text} Quantiles are of the last 5 minutes.", *known)
    told.lines += [f"{full}_sum {pace.total_s!r}", f"{full}_count {pace.count!r}"]
