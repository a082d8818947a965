"""Bundles, environments, blobs and the house itself over HTTP."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, UploadFile
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from data import queries
from engine.api.people import admin_of
from engine.api.runs import asker
from engine.api.shapes import bundle_shape, hold_shape
from engine.catalog import BundleFiles
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.scopes import CREATE_BUNDLE
from engine.core.statemachine import Role
from engine.services import Services

_MAY_CREATE = frozenset({Role.RELEASE_MANAGER, Role.CI})
_UPLOAD_MAX = 200 * 1024 * 1024


def router(services: Services) -> APIRouter:
    api = APIRouter()
    _bundles(api, services)
    _reading(api, services)
    return api


def _bundles(api: APIRouter, services: Services) -> None:
    @api.post("/bundles", status_code=201)
    async def create(
        request: Request,
        name: Annotated[str, Form()],
        version: Annotated[str, Form()],
        component: list[UploadFile],
        sbom: list[UploadFile] | None = None,
        vex: list[UploadFile] | None = None,
        provenance: list[UploadFile] | None = None,
        reachability: list[UploadFile] | None = None,
    ) -> Any:
        who = asker(request)
        await run_in_threadpool(
            services.service.require, who, CREATE_BUNDLE, _MAY_CREATE, what="create bundles"
        )
        with tempfile.TemporaryDirectory(prefix="rl-upload-") as folder:
            place = Path(folder)
            files = BundleFiles(
                name=name,
                version=version,
                components=await _saved(component, place / "component"),
                sboms=await _saved(sbom or [], place / "sbom"),
                vex=await _saved(vex or [], place / "vex"),
                provenance=await _saved(provenance or [], place / "provenance"),
                reachability=await _saved(reachability or [], place / "reachability"),
            )
            return bundle_shape(services.catalog.create(files, actor=who.user))

    @api.get("/bundles")
    def bundles() -> Any:
        return {"items": queries.bundles_list(services.store.cursor()).to_dicts()}

    @api.get("/bundles/{digest}")
    def bundle(digest: str) -> Any:
        return bundle_shape(services.catalog.find(digest))


def _reading(api: APIRouter, services: Services) -> None:
    @api.get("/environments")
    def environments() -> Any:
        held: dict[str, list[dict[str, Any]]] = {}
        for one in services.service.holds():
            held.setdefault(one.environment, []).append(hold_shape(one))
        rows = queries.environments_live(services.store.cursor()).to_dicts()
        return {"items": [row | {"holds": held.get(row["environment"], [])} for row in rows]}

    @api.get("/blobs/{digest}")
    def blob(digest: str) -> Response:
        content = services.store.blobs.get(Digest.parse(digest))
        return Response(
            content,
            media_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{digest[7:19]}.bin"'},
        )

    @api.get("/data-health")
    def data_health() -> Any:
        """Of the engine, the feeds and the integrations; see also `/integrations`."""
        worker = services.worker.health()
        return {
            **services.health.now().document(),
            "engine": {
                "running": worker.running,
                "tick_age_s": round(worker.tick_age_s, 1),
                "storage_full": worker.storage_full,
                "stopped_runs": worker.stopped_because,
            },
            "feeds": [
                {"name": f.name, "as_of_s": f.as_of_s, "digest": str(f.digest)}
                for f in services.outside.desk.feeds()
            ],
        }

    @api.post("/fsck")
    def fsck(request: Request) -> Any:
        admin_of(services, asker(request), "check the store")
        report = services.store.fsck()
        return {"ok": report.ok, "findings": [str(f) for f in report.findings]}

    @api.post("/retention")
    def retention(request: Request, dry_run: bool = False) -> Any:
        who = admin_of(services, asker(request), "take old samples away")
        done = services.retention.run(dry_run=dry_run, actor=who)
        return {**asdict(done), "said": done.sentence()}


async def _saved(uploads: list[UploadFile], folder: Path) -> tuple[Path, ...]:
    await run_in_threadpool(folder.mkdir, parents=True)
    paths = []
    for upload in uploads:
        name = Path(upload.filename or "").name
        if not name:
            raise Malformed("expected a file with a name", where="upload")
        if upload.size is not None and upload.size > _UPLOAD_MAX:
            raise Malformed(f"expected at most {_UPLOAD_MAX} bytes", where=name)
        path = folder / name
        await run_in_threadpool(path.write_bytes, await upload.read())
        paths.append(path)
    return tuple(paths)
