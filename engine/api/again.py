"""Holds, and runs made from finished ones, over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from engine.api.runs import asker
from engine.api.shapes import hold_shape
from engine.services import Services


class LiftIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    environment: str
    bundle: str = Field(description="digest, or a unique beginning of at least 8 hex digits")
    reason: str


def router(services: Services) -> APIRouter:
    api = APIRouter()

    @api.get("/holds")
    def holds(environment: str = "") -> Any:
        found = services.service.holds()
        return {
            "items": [hold_shape(h) for h in found if environment in {"", h.environment}],
        }

    @api.post("/holds/lift")
    def lift(body: LiftIn, request: Request) -> Any:
        bundle = services.catalog.find(body.bundle)
        lifted = services.service.lift_hold(
            body.environment, bundle.digest, asker(request), reason=body.reason
        )
        return {"lifted": hold_shape(lifted)}

    @api.get("/runs/{run_id}/differences")
    def differences(run_id: str) -> Any:
        before, found = services.service.differences(run_id)
        return {
            "run": run_id,
            "before": before,
            "items": [{"name": d.name, "before": d.before, "after": d.after} for d in found],
        }

    return api
