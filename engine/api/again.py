"""Holds, and runs made from finished ones, over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from engine.api.acting import BundleText, Name, Words
from engine.api.documents.base import PageOf, says
from engine.api.documents.house import LiftedDoc
from engine.api.documents.runs import HoldDoc
from engine.api.documents.ways import DifferencesDoc
from engine.api.once import OnceOnly
from engine.api.pages import Paged, filtered, page_of
from engine.api.runs import Place, RunId, asker
from engine.api.shapes import hold_shape
from engine.services import Services


class LiftIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    environment: Name
    bundle: BundleText
    reason: Words


def routes(api: APIRouter, services: Services) -> None:
    @api.get("/holds", responses=says(PageOf[HoldDoc]))
    def holds(page: Paged, environment: Place = "") -> Any:
        """Every hold in force, by environment."""
        found = [h for h in services.service.holds() if environment in {"", h.environment}]
        items, following = page_of(
            found,
            page,
            filtered("holds", environment=environment),
            lambda h: (h.environment, h.since_us, str(h.bundle)),
        )
        return {"items": [hold_shape(one) for one in items], "next": following}

    @api.post("/holds/lift", responses=says(LiftedDoc))
    def lift(body: LiftIn, request: Request, once: OnceOnly) -> Any:
        """Let a bundle be promoted again to the environment that went back from it."""
        bundle = services.catalog.find(body.bundle)
        held = services.store.hold(body.environment, bundle.digest)
        answer = None if held is None else {"lifted": hold_shape(held)}
        with once.doing(body.model_dump(), answer=answer) as asked:
            if asked.again:
                return asked.answer
            lifted = services.service.lift_hold(
                body.environment,
                bundle.digest,
                asker(request),
                reason=body.reason,
                command_id=asked.id,
            )
            return {"lifted": hold_shape(lifted)}

    @api.get("/runs/{run_id}/differences", responses=says(DifferencesDoc))
    def differences(run_id: RunId) -> Any:
        """What a run that was made from another one rests on otherwise than that one."""
        before, found = services.service.differences(run_id)
        return {
            "run": run_id,
            "before": before,
            "items": [{"name": d.name, "before": d.before, "after": d.after} for d in found],
        }
