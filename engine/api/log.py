"""The transparency log over HTTP: its head, proofs between two heads, and a check of all of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from engine.admitting import admin_of
from engine.api.documents.base import says
from engine.api.documents.house import ConsistencyDoc, HeadDoc, LogCheckDoc
from engine.api.runs import asker
from engine.core.scopes import FSCK
from engine.services import Services

Origin = Annotated[str, Query(max_length=200, description="a former log; the present by default")]
Size = Annotated[int, Query(ge=0, le=1 << 53)]


def routes(api: APIRouter, services: Services) -> None:
    @api.get("/log", responses=says(HeadDoc))
    def head(origin: Origin = "") -> Any:
        """The newest signed head of the transparency log."""
        return services.logbook.head(origin)

    @api.get("/log/consistency", responses=says(ConsistencyDoc))
    def consistency(first: Size, second: Size | None = None, origin: Origin = "") -> Any:
        """The proof that the log at one size is the beginning of the log at another."""
        return services.logbook.consistency(first, second, origin)

    @api.post("/log/fsck", responses=says(LogCheckDoc))
    def fsck(request: Request) -> Any:
        """Read every leaf, head and file, and compare them all; it changes nothing."""
        who = admin_of(services, asker(request), FSCK, what="check the log")
        report = services.logbook.check(services.store.fsck().findings)
        services.trail.store_checked("log", report.findings, ok=report.ok, user=who)
        return {
            "ok": report.ok,
            "leaves": report.leaves,
            "heads": report.heads,
            "receipts": report.receipts,
            "findings": list(report.findings),
        }
