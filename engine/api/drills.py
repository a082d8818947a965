"""The break-it drill over HTTP: scratch copies of a run's pack, and the check that saw each."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from engine.api.documents.base import says
from engine.api.documents.house import DrillDoc
from engine.api.runs import RunId, asker
from engine.drilling import drill_run
from engine.services import Services


def routes(api: APIRouter, services: Services) -> None:
    @api.post("/runs/{run_id}/drill", responses=says(DrillDoc))
    def drill(run_id: RunId, request: Request) -> Any:
        """Break scratch copies of the run's pack; it changes nothing."""
        services.service.check_export(run_id, asker(request), deed="drill")
        trusted_root = (services.home / "trusted_root.json").read_bytes()
        done = drill_run(services.store, trusted_root, run_id)
        return {
            "run": run_id,
            "pack": done.pack,
            "packSha256": done.digest.hex,
            **done.drill.document(),
        }
