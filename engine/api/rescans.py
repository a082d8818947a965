"""SBOM rescans over HTTP: how they stand, what each found, and one on request."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from engine.api.documents.base import says
from engine.api.documents.rescans import RescansDoc, RescanStartedDoc
from engine.api.once import OnceOnly
from engine.api.pages import Paged, page_of
from engine.api.runs import asker
from engine.core.rescan_events import RescanStarted
from engine.rescans_read import look
from engine.services import Services


class RescanIn(BaseModel):
    """Nothing may be chosen: every bundle that matters is rescanned."""

    model_config = ConfigDict(extra="forbid")


def routes(api: APIRouter, services: Services) -> None:
    @api.get("/rescans", responses=says(RescansDoc))
    def rescans(page: Paged) -> Any:
        """How the bundles that matter stand against the feeds, and the tries, newest first."""
        found = look(services.rescans)
        rows, following = page_of(
            found.tries, page, "rescans", lambda row: (row.number,), newest_first=True
        )
        return {
            **found.document(),
            "items": [one.document() for one in rows],
            "next": following,
        }

    @api.post("/rescans", status_code=202, responses=says(RescanStartedDoc, status=202))
    def rescan(body: RescanIn, request: Request, once: OnceOnly) -> Any:
        """Begin to rescan every bundle that matters; how far it is stands in `GET /rescans`."""
        with once.doing(body.model_dump()) as asked:
            for recorded in asked.earlier:
                if isinstance(recorded.event, RescanStarted):
                    return {"number": recorded.event.number}
            return {"number": services.rescans.ask(asker(request), command_id=asked.id)}
