"""Evidence of a run over HTTP: listed, handed out as packs, and added to after the seal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Query, Request, UploadFile
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from data import queries
from engine.api.documents.base import PageOf, says, sends
from engine.api.documents.house import AddendumDoc, AddendumMadeDoc, EvidenceRowDoc
from engine.api.once import OnceOnly
from engine.api.pages import Paged, filtered, page_of
from engine.api.runs import RunId, asker
from engine.core.addenda import FILE_BYTES_MAX, FILES_MAX, TEXT_MAX
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.events import Recorded
from engine.core.exporting import AUDIT_PACK, KINDS, SEALED_KINDS, SIGNATURE
from engine.core.fact_events import EvidenceAddendum
from engine.core.jcs import JsonValue
from engine.services import Services

_CHUNK: Final = 256 * 1024
_NAMES: Final = (*KINDS, *(f"{kind}{SIGNATURE}" for kind in SEALED_KINDS))
Kind = Annotated[str, Query(pattern=f"^({'|'.join(re.escape(name) for name in _NAMES)})$")]


def routes(api: APIRouter, services: Services) -> None:
    _packs(api, services)
    _addenda(api, services)


def _packs(api: APIRouter, services: Services) -> None:
    @api.get("/runs/{run_id}/evidence", responses=says(PageOf[EvidenceRowDoc]))
    def evidence(run_id: RunId, page: Paged) -> Any:
        """What was captured, missed, sealed and handed out, in order."""
        services.service.run(run_id)
        frame = queries.run_evidence(services.store.cursor(), run_id=run_id)
        items, following = page_of(
            frame.to_dicts(), page, filtered("evidence", run=run_id), lambda row: (row["seq"],)
        )
        return {"items": items, "next": following}

    @api.get(
        "/runs/{run_id}/evidence/export",
        response_class=StreamingResponse,
        responses=sends("application/octet-stream", told="the pack, or its signature"),
    )
    def export(run_id: RunId, request: Request, kind: Kind = AUDIT_PACK) -> Response:
        """One file that verifies without us; `KIND.sigstore.json` is its signature."""
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


def _addenda(api: APIRouter, services: Services) -> None:
    @api.get("/runs/{run_id}/evidence/addenda", responses=says(PageOf[AddendumDoc]))
    def addenda(run_id: RunId, page: Paged) -> Any:
        services.service.run(run_id)
        found = [r for r in services.store.load(run_id) if isinstance(r.event, EvidenceAddendum)]
        items, following = page_of(
            found, page, filtered("addenda", run=run_id), lambda recorded: (recorded.seq,)
        )
        return {"items": [_addendum(recorded) for recorded in items], "next": following}

    @api.post(
        "/runs/{run_id}/evidence/addenda",
        status_code=201,
        responses=says(AddendumMadeDoc, status=201),
    )
    async def annotate(
        run_id: RunId,
        request: Request,
        text: Annotated[str, Form(min_length=1, max_length=TEXT_MAX)],
        once: OnceOnly,
        attach: list[UploadFile] | None = None,
    ) -> Any:
        """Add a signed note to a sealed run; what was sealed stays as it is."""
        who, files = asker(request), await _read(attach or [])

        def made() -> EvidenceAddendum:
            # Whether they may is asked before anything is kept, and on record when not.
            services.service.check_addendum(run_id, who)
            named: list[JsonValue] = [[name, str(Digest.of(files[name]))] for name in sorted(files)]
            with once.doing(text, named) as asked:
                for recorded in asked.earlier:
                    if isinstance(recorded.event, EvidenceAddendum):
                        return recorded.event
                return services.sealer.annotate(
                    run_id, text, files, actor=who.user, command_id=asked.id
                )

        return _shape(await run_in_threadpool(made))


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
