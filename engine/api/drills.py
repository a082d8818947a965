"""The break-it drill over HTTP: scratch copies of a run's pack, and the check that saw each."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from engine.api.runs import asker
from engine.drilling import drill_run
from engine.services import Services


def router(services: Services) -> APIRouter:
    api = APIRouter()

    @api.post("/runs/{run_id}/drill")
    def drill(run_id: str, request: Request) -> Any:
        services.service.check_export(run_id, asker(request), deed="drill")
        trusted_root = (services.home / "trusted_root.json").read_bytes()
        done = drill_run(services.store, trusted_root, run_id)
        return {
            "run": run_id,
            "pack": done.pack,
            "packSha256": done.digest.hex,
            **done.drill.document(),
        }

    return api
