"""Reviews over HTTP: what somebody has to look at after a rollback or an override.

They are closed like any other action on a run: `POST /runs/{run}/actions` with `review`.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from data import queries
from engine.services import Services


def router(services: Services) -> APIRouter:
    api = APIRouter()

    @api.get("/reviews")
    def reviews(open: bool = False) -> Any:
        now_us = services.clock.now_us()
        frame = queries.reviews(services.store.cursor(), open_only=open)
        return {
            "items": [
                {**row, "overdue": row["closed_us"] is None and now_us >= row["due_us"]}
                for row in frame.to_dicts()
            ]
        }

    return api
