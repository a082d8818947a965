"""The orchestrator over HTTP: what the engine works on now, the queues, the jobs, what is stuck."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from engine.api.documents.base import says
from engine.api.documents.orchestrator import OrchestratorDoc
from engine.orchestrator import JobRow, OrchestratorNow, PlaceRow, RunRow
from engine.services import Services


def routes(api: APIRouter, services: Services) -> None:
    @api.get("/orchestrator", responses=says(OrchestratorDoc))
    def orchestrator() -> Any:
        """As it is at this moment, from the memory of the engine. Nothing is changed."""
        return orchestrator_shape(services.orchestrator.look())


def orchestrator_shape(now: OrchestratorNow) -> dict[str, Any]:
    health = now.health
    return {
        "worker": {
            "running": health.running,
            "tick_age_ms": int(health.tick_age_s * 1000),
            "threads": health.threads,
            "working": len(health.working),
            "waiting": health.queued,
            "storage_full": health.storage_full,
            "watchdogs": health.watchdogs,
        },
        "runs": [_run(one) for one in now.runs],
        "queues": [_queue(one) for one in now.places],
        "jobs": [_job(one) for one in now.jobs],
        "stuck": list(now.stuck),
    }


def _run(one: RunRow) -> dict[str, Any]:
    return {
        "run": one.run_id,
        "label": one.label,
        "environment": one.environment,
        "status": one.status.value,
        "step": one.step,
        "step_name": one.step_name,
        "attempt": one.attempt,
        "since_us": one.since_us,
        "serving": one.serving,
        "stuck": one.stuck,
        "defect": one.defect,
    }


def _queue(one: PlaceRow) -> dict[str, Any]:
    return {
        "environment": one.environment,
        "holder": one.holder or None,
        "queued": list(one.queued),
    }


def _job(one: JobRow) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "name": one.name,
        "word": one.word,
        "last_us": one.last_us,
        "took_ms": one.took_ms,
        "next_us": one.next_us,
        "text": one.text,
    }
