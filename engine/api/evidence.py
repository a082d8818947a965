"""Evidence of a run over HTTP: listed, handed out as packs, and added to after the seal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request, UploadFile
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from data import queries
from engine.api.runs import asker
from engine.core.addenda import FILE_BYTES_MAX, FILES_MAX
from engine.core.errors import Malformed
from engine.core.events import Recorded
from engine.core.fact_events import EvidenceAddendum
from engine.services import Services

_CHUNK: Final = 256 * 1024


def router(services: Services) -> APIRouter:
    api = APIRouter()

    @api.get("/runs/{run_id}/evidence")
    def evidence(run_id: str) -> Any:
        services.service.run(run_id)
        frame = queries.run_evidence(services.store.cursor(), run_id=run_id)
        return {"items": frame.to_dicts()}

    @api.get("/runs/{run_id}/evidence/export")
    def export(run_id: str, request: Request, kind: str = "audit-pack") -> Response:
        who = asker(request)
        services.service.check_export(run_id, who)
        name, content = services.sealer.export(run_id, kind, actor=who.user)
        return StreamingResponse(
            _chunks(content),
            media_type="application/octet-stream",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-Length": str(len(content)),
            },
        )

    @api.get("/runs/{run_id}/evidence/addenda")
    def addenda(run_id: str) -> Any:
        services.service.run(run_id)
        found = [r for r in services.store.load(run_id) if isinstance(r.event, EvidenceAddendum)]
        return {"items": [_addendum(recorded) for recorded in found]}

    @api.post("/runs/{run_id}/evidence/addenda", status_code=201)
    async def annotate(
        run_id: str,
        request: Request,
        text: Annotated[str, Form()],
        attach: list[UploadFile] | None = None,
    ) -> Any:
        who, files = asker(request), await _read(attach or [])
        # Whether they may is asked before anything of theirs is kept, and on record when not.
        await run_in_threadpool(services.service.check_addendum, run_id, who)
        made = await run_in_threadpool(
            services.sealer.annotate, run_id, text, files, actor=who.user
        )
        return _shape(made)

    return api


async def _read(uploads: list[UploadFile]) -> dict[str, bytes]:
    if len(uploads) > FILES_MAX:
        raise Malformed(
            f"expected at most {FILES_MAX} files, found {len(uploads)}", where="addendum.attach"
        )
    files: dict[str, bytes] = {}
    for upload in uploads:
        name = upload.filename or ""
        if name in files:
            raise Malformed("expected each name once, found it twice", where=f"attach {name!r}")
        # One byte more than allowed is enough to know that it is too long.
        files[name] = await upload.read(FILE_BYTES_MAX + 1)
    return files


def _chunks(content: bytes) -> Iterator[bytes]:
    view = memoryview(content)
    for start in range(0, len(view), _CHUNK):
        yield bytes(view[start : start + _CHUNK])


def _addendum(recorded: Recorded) -> dict[str, Any]:
    assert isinstance(recorded.event, EvidenceAddendum)
    return {**_shape(recorded.event), "author": recorded.actor, "ts_us": recorded.ts_us}


def _shape(event: EvidenceAddendum) -> dict[str, Any]:
    return {
        "number": event.number,
        "text": event.text,
        "name": event.name,
        "envelope": str(event.envelope),
        "log_index": event.log_index,
        "files": [{"name": one.name, "digest": str(one.digest)} for one in event.files],
    }
