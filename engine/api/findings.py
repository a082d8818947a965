"""The findings of a promotion over HTTP: the security snapshot that its verdict rested on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from engine.api.documents.base import says
from engine.api.documents.judging import FindingsDoc
from engine.api.pages import Paged, cursor_to, filtered, place_of
from engine.core.errors import NotFound
from engine.findings import snapshot
from engine.services import Services

RunName = Annotated[str, Query(max_length=64, examples=["run-1"])]


def routes(api: APIRouter, services: Services) -> None:
    @api.get("/findings", responses=says(FindingsDoc))
    def findings(run: RunName, page: Paged) -> Any:
        """The newest verdict of a run, its sources and their gaps, and its findings, worst first.

        A page goes on in the verdict that the first one was of only while that is the newest.
        """
        found = services.service.run(run)
        if found.verdict is None:
            raise NotFound(f"Run {run} has no verdict yet, so that there are no findings.")
        frozen = snapshot(services.store.blobs, services.outside.desk, found.verdict.capsule)
        # The rows of a verdict never change, so a count is a place in them.
        of = filtered("findings", run=run, verdict=frozen.verdict_id)
        behind = place_of(of, page.after, (int,))
        first = 0 if behind is None else int(behind[0])
        end = first + page.limit
        return {
            "run": run,
            **frozen.document(),
            "items": [row.document() for row in frozen.rows[first:end]],
            "next": cursor_to(of, (end,)) if end < len(frozen.rows) else None,
        }
