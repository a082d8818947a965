"""The findings of a promotion over HTTP: the security snapshot that its verdict rested on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from engine.core.errors import Malformed, NotFound
from engine.findings import snapshot
from engine.services import Services

Limit = Annotated[int, Query(ge=1, le=100)]


def router(services: Services) -> APIRouter:
    api = APIRouter()

    @api.get("/findings")
    def findings(run: str, limit: Limit = 100, after: str = "") -> Any:
        """The newest verdict of a run, its sources and their gaps, and its findings, worst first.

        `after` is the `next` of an earlier page.
        """
        found = services.service.run(run)
        if found.verdict is None:
            raise NotFound(f"Run {run} has no verdict yet, so that there are no findings.")
        frozen = snapshot(services.store.blobs, services.outside.desk, found.verdict.capsule)
        first = _place(after)
        page = frozen.rows[first : first + limit]
        more = first + limit < len(frozen.rows)
        return {
            "run": run,
            **frozen.document(),
            "items": [row.document() for row in page],
            "next": str(first + limit) if more else None,
        }

    return api


def _place(after: str) -> int:
    if after and not (after.isascii() and after.isdigit() and len(after) < 10):
        raise Malformed("expected the `next` of an earlier page", where="after")
    return int(after or 0)
