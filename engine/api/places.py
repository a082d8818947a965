"""Bundles, targets, blobs and the house itself over HTTP."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi import Path as PathPart
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from data import queries
from engine.admitting import admin_of
from engine.api.acting import BundleText, Uploads
from engine.api.documents.base import PageOf, says, sends
from engine.api.documents.house import (
    BundleDoc,
    BundleRowDoc,
    DataHealthDoc,
    RetentionDoc,
    TargetRowDoc,
)
from engine.api.etags import IfNoneMatch, is_known, tagged
from engine.api.once import Once, OnceOnly
from engine.api.pages import Paged, filtered, page_of
from engine.api.runs import Place, asker
from engine.api.shapes import bundle_shape
from engine.asker import Asker
from engine.catalog import MAY_CREATE, BundleFiles
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import JsonValue
from engine.core.scopes import BACKUP, CREATE_BUNDLE, RETENTION
from engine.services import Services
from engine.settings import Environment

_UPLOAD_MAX = 200 * 1024 * 1024
DigestPath = Annotated[
    str, PathPart(pattern=r"^sha256:[0-9a-f]{64}$", examples=["sha256:" + "0f" * 32])
]


def routes(api: APIRouter, services: Services) -> None:
    _bundles(api, services)
    _reading(api, services)
    _upkeep(api, services)
    _copying(api, services)


def _bundles(api: APIRouter, services: Services) -> None:
    @api.post("/bundles", status_code=201, responses=says(BundleDoc, status=201))
    async def create(
        request: Request,
        name: Annotated[str, Form(min_length=1, max_length=200)],
        version: Annotated[str, Form(min_length=1, max_length=200)],
        component: Uploads,
        once: OnceOnly,
        sbom: list[UploadFile] | None = None,
        vex: list[UploadFile] | None = None,
        provenance: list[UploadFile] | None = None,
        reachability: list[UploadFile] | None = None,
    ) -> Any:
        """Make a bundle of files. The same files under the same name and version are the same
        bundle."""
        who = asker(request)
        await run_in_threadpool(
            services.service.require, who, CREATE_BUNDLE, MAY_CREATE, what="create bundles"
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
            return await run_in_threadpool(_created, services, files, who, once)

    @api.get("/bundles", responses=says(PageOf[BundleRowDoc]))
    def bundles(page: Paged) -> Any:
        """The newest first, each with the run that promoted it last."""
        items, following = page_of(
            queries.bundles_list(services.store.cursor()).to_dicts(),
            page,
            "bundles",
            lambda row: (row["created_us"], row["digest"]),
            newest_first=True,
        )
        return {"items": items, "next": following}

    @api.get("/bundles/{digest}", responses=says(BundleDoc))
    def bundle(digest: BundleText, known: IfNoneMatch = "") -> Response:
        """One bundle, by its digest or a unique beginning of it."""
        found = services.catalog.find(digest)
        return tagged(f'"{found.digest}"', known, lambda: bundle_shape(found))


def _targets(services: Services, place: Environment) -> list[dict[str, Any]]:
    started = services.store.runs_started(place.name)
    seen = {t.target: t for t in services.service.run(started[-1]).targets} if started else {}
    rows = []
    for name in place.targets:
        target = seen.get(name)
        rows.append(
            {
                "environment": place.name,
                "region": place.region,
                "target": name,
                "run": started[-1] if target else "",
                "current": str(target.current) if target and target.current else None,
                "healthy": target.healthy if target else None,
                "note": target.note if target else "",
            }
        )
    return rows


def _created(services: Services, files: BundleFiles, who: Asker, once: Once) -> Any:
    parts = {
        "component": files.components,
        "sbom": files.sboms,
        "vex": files.vex,
        "provenance": files.provenance,
        "reachability": files.reachability,
    }
    given: list[JsonValue] = [
        [kind, path.name, str(Digest.of(path.read_bytes()))]
        for kind, paths in parts.items()
        for path in paths
    ]
    with once.doing(files.name, files.version, given) as asked:
        made = services.catalog.create(files, actor=who.user, hand=who.hand, command_id=asked.id)
        return bundle_shape(made)


def _reading(api: APIRouter, services: Services) -> None:
    @api.get("/targets", responses=says(PageOf[TargetRowDoc]))
    def targets(page: Paged, environment: Place = "") -> Any:
        """Every target, as the newest run that held its environment saw it last. It looks at
        nothing now: what a target really runs is seen by the next run, or by a preview."""
        rows = [
            row
            for place in services.settings.environments.values()
            if environment in {"", place.name}
            for row in _targets(services, place)
        ]
        of = filtered("targets", environment=environment)
        items, following = page_of(rows, page, of, lambda row: (row["environment"], row["target"]))
        return {"items": items, "next": following}


def _upkeep(api: APIRouter, services: Services) -> None:
    @api.get(
        "/blobs/{digest}",
        response_class=Response,
        responses=sends("application/octet-stream", told="the bytes of this digest"),
    )
    def blob(digest: DigestPath, request: Request, known: IfNoneMatch = "") -> Response:
        """Bytes by their digest, re-hashed on the way."""
        tag = f'"{digest}"'
        if is_known(tag, known) and services.store.blobs.has(Digest.parse(digest)):
            return Response(status_code=304, headers={"ETag": tag})
        content = services.store.blobs.get(Digest.parse(digest))
        services.trail.handed_out("blob", content, user=asker(request).user, asked=digest)
        return Response(
            content,
            media_type="application/octet-stream",
            headers={
                "Content-Disposition": f'attachment; filename="{digest[7:19]}.bin"',
                "ETag": tag,
            },
        )

    @api.get("/data-health", responses=says(DataHealthDoc))
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

    @api.post("/retention", responses=says(RetentionDoc))
    def retention(request: Request, dry_run: bool = False) -> Any:
        """Take raw samples away that are old enough. Asking again finds nothing left to do."""
        who = admin_of(services, asker(request), RETENTION, what="take old samples away")
        done = services.retention.run(dry_run=dry_run, actor=who)
        return {**asdict(done), "said": done.sentence()}


def _copying(api: APIRouter, services: Services) -> None:
    @api.get(
        "/backup",
        response_class=StreamingResponse,
        responses=sends("application/x-tar", told="everything that the home is made of"),
    )
    def backup(request: Request) -> Response:
        """A tar file of which `releaseline restore` makes the home again. Runs go on meanwhile."""
        who = admin_of(services, asker(request), BACKUP, what="take a backup")
        services.trail.backup_made(user=who)
        return StreamingResponse(
            services.store.backup(),
            media_type="application/x-tar",
            headers={"Content-Disposition": 'attachment; filename="releaseline-backup.tar"'},
        )


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
