"""The transparency log over HTTP: its head, proofs between two heads, and a check of all of it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from engine.api.people import admin_of
from engine.api.runs import asker
from engine.services import Services


def router(services: Services) -> APIRouter:
    api = APIRouter()

    @api.get("/log")
    def head(origin: str = "") -> Any:
        return services.logbook.head(origin)

    @api.get("/log/consistency")
    def consistency(first: int, second: int | None = None, origin: str = "") -> Any:
        return services.logbook.consistency(first, second, origin)

    @api.post("/log/fsck")
    def fsck(request: Request) -> Any:
        admin_of(services, asker(request), "check the log")
        report = services.logbook.check(services.store.fsck().findings)
        return {
            "ok": report.ok,
            "leaves": report.leaves,
            "heads": report.heads,
            "receipts": report.receipts,
            "findings": list(report.findings),
        }

    return api
