"""Whether what is stored is what it was, over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from engine.admitting import admin_of
from engine.api.documents.base import says
from engine.api.documents.integrity import FsckDoc, IntegrityDoc
from engine.api.runs import asker
from engine.api.shapes_integrity import damage_shape
from engine.core.integrity import sentence
from engine.core.scopes import FSCK
from engine.integrity import Integrity
from engine.services import Services


def routes(api: APIRouter, services: Services) -> None:
    @api.post("/fsck", responses=says(FsckDoc))
    def fsck(request: Request) -> Any:
        """Make every projection again and compare, and read everything that is stored. It mends
        nothing; that something is whole again is recorded."""
        who = admin_of(services, asker(request), FSCK, what="check the store")
        report = services.store.fsck()
        damaged = services.integrity.sweep(who).damaged.values()
        findings = [*map(str, report.findings), *(sentence(one.found) for one in damaged)]
        ok = report.ok and not damaged
        services.trail.store_checked("store", findings, ok=ok, user=who)
        return {"ok": ok, "findings": findings}

    @api.get("/integrity", responses=says(IntegrityDoc))
    def integrity() -> Any:
        """What the sweeps over everything that is stored found: when, and what is damaged."""
        return _shape(services.integrity)


def _shape(known: Integrity) -> dict[str, Any]:
    log = known.log()
    sweep = None if log.swept is None else asdict(log.swept) | {"ended_us": log.swept_us}
    if sweep is not None:
        sweep.pop("damaged")
    return {
        "ok": None if sweep is None and not log.damaged else not log.damaged,
        "every_s": known.every_us // 1_000_000,
        "running": known.running,
        "sweep": sweep,
        "damaged": [damage_shape(one) for one in log.damaged.values()],
    }
