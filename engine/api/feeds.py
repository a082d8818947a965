"""The feeds over HTTP: how each stands, what was tried, and a sync on request."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from engine.api.runs import asker
from engine.core.errors import NotFound
from engine.core.feeds import NAMES
from engine.feeds_read import Feeds, history, look, who
from engine.feeds_sync import Wish
from engine.services import Services

Text = Annotated[str, Field(max_length=500)]


class SyncIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    names: list[Text] = Field(default=[], max_length=20, description="none: all with a source")
    from_: Text = Field(
        default="",
        alias="from",
        description="instead of the configured sources: an address, or a folder of the server's "
        "machine; with several names it has a folder per feed",
    )
    ecosystems: list[Text] = Field(default=[], max_length=200, description="with `from`")
    full: bool = Field(default=False, description="fetch everything anew")
    accept_loss: bool = Field(
        default=False, description="take it also when it holds much less than what is here"
    )


def router(services: Services) -> APIRouter:
    api = APIRouter()

    @api.get("/feeds")
    def feeds() -> Any:
        found = _look(services)
        return {"items": [one.document() for one in found.rows], "trouble": found.trouble}

    @api.get("/feeds/{name}")
    def feed(name: str) -> Any:
        found = _look(services)
        row = found.row(name.upper())
        if row is None:
            raise NotFound(f"There is no feed {name!r} here; there may be {', '.join(NAMES)}.")
        tries = [one.document() for one in history(services.feeds, row.name)]
        return {**row.document(), "history": tries, "trouble": found.trouble}

    @api.get("/feeds/{name}/snapshot")
    def snapshot(name: str) -> Response:
        """The bytes that the gate reads, also of files that only lie in the folder."""
        for one in services.feeds.snapshots():
            if one.name == name.upper():
                said = f'attachment; filename="{one.name}-{one.digest.hex[:12]}.json"'
                return Response(
                    one.content,
                    media_type="application/json",
                    headers={"Content-Disposition": said, "ETag": f'"{one.digest}"'},
                )
        raise NotFound(f"There is no snapshot of {name!r}.")

    @api.post("/feeds/sync", status_code=202)
    def sync(body: SyncIn, request: Request) -> Any:
        wish = Wish(
            names=tuple(body.names),
            origin=body.from_,
            ecosystems=tuple(body.ecosystems),
            full=body.full,
            accept_loss=body.accept_loss,
        )
        person = who(services.settings, asker(request))
        return {"started": list(services.feeds.sync(wish, person))}

    return api


def _look(services: Services) -> Feeds:
    return look(
        services.feeds,
        services.outside.desk,
        services.settings,
        now_s=services.clock.now_us() // 1_000_000,
    )
