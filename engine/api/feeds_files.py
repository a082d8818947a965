"""Feeds for a home that no network reaches, over HTTP: one signed file out, and in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from engine.api.documents.base import says, sends
from engine.api.documents.house import FeedsImportedDoc
from engine.api.once import OnceOnly
from engine.api.runs import asker
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.feeds_files import FILE_BYTES_MAX
from engine.feeds_read import who
from engine.services import Services


def routes(api: APIRouter, services: Services) -> None:
    @api.get(
        "/feeds/export",
        response_class=Response,
        responses=sends("application/gzip", told="the snapshots in force, signed"),
    )
    def export(request: Request) -> Response:
        """The snapshots in force as one signed file; the same ones give the same bytes."""
        content = services.feed_files.export()
        services.trail.handed_out("feeds-file", content, user=asker(request).user, asked="all")
        said = 'attachment; filename="releaseline-feeds.tar.gz"'
        return Response(
            content, media_type="application/gzip", headers={"Content-Disposition": said}
        )

    @api.get(
        "/feeds/key",
        response_class=Response,
        responses=sends("application/x-pem-file", told="public key of this home's exports"),
    )
    def key() -> Response:
        """What another home names under `feeds.import_keys`."""
        return Response(services.feed_files.key, media_type="application/x-pem-file")

    @api.post("/feeds/import", responses=says(FeedsImportedDoc))
    async def take_in(
        request: Request,
        once: OnceOnly,
        file: Annotated[UploadFile, File(description="what `GET /feeds/export` gave elsewhere")],
        accept_loss: Annotated[
            bool, Form(description="also when it is older, or holds much less, than what is here")
        ] = False,
    ) -> Any:
        """Check a file and bring what is new in it into force, all of it or nothing."""
        content = await file.read(FILE_BYTES_MAX + 1)
        name = file.filename or "feeds"
        if len(content) > FILE_BYTES_MAX:
            raise Malformed(f"expected at most {FILE_BYTES_MAX} bytes, found more", where=name)

        def done() -> Any:
            person = who(services.settings, asker(request))
            with once.doing(str(Digest.of(content)), accept_loss) as asked:
                return services.feed_files.take_in(
                    content, person, name=name, accept_loss=accept_loss, command_id=asked.id
                ).document()

        return await run_in_threadpool(done)
