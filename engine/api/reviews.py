"""Reviews over HTTP: what somebody has to look at after a rollback or an override.

They are closed like any other action on a run: `POST /runs/{run}/actions` with `review`.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from data import queries
from engine.api.documents.base import PageOf, says
from engine.api.documents.house import ReviewRowDoc
from engine.api.pages import Paged, filtered, page_of
from engine.services import Services


def routes(api: APIRouter, services: Services) -> None:
    @api.get("/reviews", responses=says(PageOf[ReviewRowDoc]))
    def reviews(page: Paged, open: bool = False) -> Any:
        """The one that is due first, first."""
        now_us = services.clock.now_us()
        rows = queries.reviews(services.store.cursor(), open_only=open).to_dicts()
        of = filtered("reviews", open=open)
        items, following = page_of(
            rows, page, of, lambda row: (row["due_us"], row["run_id"], row["number"])
        )
        return {
            "items": [
                {**row, "overdue": row["closed_us"] is None and now_us >= row["due_us"]}
                for row in items
            ],
            "next": following,
        }
