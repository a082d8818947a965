"""The engine's own numbers in the Prometheus text format (version 0.0.4)."""

from __future__ import annotations

from collections import Counter
from typing import Final

from engine.core.data_health import Level
from engine.core.statemachine import RunStatus
from engine.services import Services

_LEVELS: Final = (Level.OK, Level.WARN, Level.FAIL, Level.UNKNOWN)


def exposition(services: Services) -> str:
    """One sample per line, each metric with its HELP and TYPE."""
    health = services.worker.health()
    open_runs = Counter(run.status for run in services.store.runs_open())
    lines: list[str] = []

    def metric(name: str, kind: str, text: str, *samples: tuple[str, float]) -> None:
        lines.append(f"# HELP {name} {text}")
        lines.append(f"# TYPE {name} {kind}")
        lines.extend(f"{name}{labels} {value:g}" for labels, value in samples)

    metric(
        "releaseline_runs_open",
        "gauge",
        "Runs that have not ended, by status.",
        *((f'{{status="{status.value}"}}', open_runs[status]) for status in RunStatus),
    )
    metric(
        "releaseline_engine_tick_age_seconds",
        "gauge",
        "Since the scheduler last ticked, by the monotonic clock.",
        ("", health.tick_age_s),
    )
    metric("releaseline_engine_busy_runs", "gauge", "Runs being advanced now.", ("", health.busy))
    metric(
        "releaseline_engine_stopped_runs",
        "gauge",
        "Runs whose stepping stopped by a defect.",
        ("", len(health.stopped_because)),
    )
    metric(
        "releaseline_storage_full",
        "gauge",
        "1 while nothing can be recorded.",
        ("", int(health.storage_full)),
    )
    metric(
        "releaseline_integration_level",
        "gauge",
        "Whether an integration works: 0 OK, 1 WARN, 2 FAIL, 3 UNKNOWN.",
        *(
            (f'{{name="{one.name}",kind="{one.kind}"}}', _LEVELS.index(one.level))
            for one in services.prober.integrations()
        ),
    )
    return "\n".join(lines) + "\n"
