"""The feeds over HTTP: how each stands, what was tried, and a sync on request."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from engine.api.acting import Yes
from engine.api.documents.base import says, sends
from engine.api.documents.house import FeedsDoc, FeedWithHistoryDoc, SyncStartedDoc
from engine.api.etags import IfNoneMatch, is_known
from engine.api.once import OnceOnly
from engine.api.pages import Paged, page_of
from engine.api.runs import asker
from engine.core.errors import NotFound
from engine.core.feeds import NAMES
from engine.core.jcs import JsonValue
from engine.feeds_read import Feeds, history, look, who
from engine.feeds_sync import Wish
from engine.services import Services

Text = Annotated[str, Field(max_length=500)]
FeedName = Annotated[str, Path(pattern=r"^[A-Za-z]{1,16}$", examples=["KEV"])]


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
    full: Yes = Field(default=False, description="fetch everything anew")
    accept_loss: Yes = Field(
        default=False, description="take it also when it holds much less than what is here"
    )


def routes(api: APIRouter, services: Services) -> None:
    @api.get("/feeds", responses=says(FeedsDoc))
    def feeds(page: Paged) -> Any:
        """How each feed stands against the policy's limits."""
        found = _look(services)
        rows, following = page_of(found.rows, page, "feeds", lambda row: (row.name,))
        return {
            "items": [one.document() for one in rows],
            "next": following,
            "trouble": found.trouble,
        }

    @api.get("/feeds/{name}", responses=says(FeedWithHistoryDoc))
    def feed(name: FeedName) -> Any:
        """One feed, with what was tried, newest first."""
        found = _look(services)
        row = found.row(name.upper())
        if row is None:
            raise NotFound(f"There is no feed {name!r} here; there may be {', '.join(NAMES)}.")
        tries = [one.document() for one in history(services.feeds, row.name)]
        return {**row.document(), "history": tries, "trouble": found.trouble}

    @api.get(
        "/feeds/{name}/snapshot",
        responses=sends("application/json", told="the snapshot as the gate reads it"),
    )
    def snapshot(name: FeedName, request: Request, known: IfNoneMatch = "") -> Response:
        """The bytes that the gate reads, also of files that only lie in the folder."""
        for one in services.feeds.snapshots():
            if one.name == name.upper():
                tag = f'"{one.digest}"'
                if is_known(tag, known):
                    return Response(status_code=304, headers={"ETag": tag})
                services.trail.handed_out(
                    "feed-snapshot", one.content, user=asker(request).user, asked=one.name
                )
                said = f'attachment; filename="{one.name}-{one.digest.hex[:12]}.json"'
                return Response(
                    one.content,
                    media_type="application/json",
                    headers={"Content-Disposition": said, "ETag": tag},
                )
        raise NotFound(f"There is no snapshot of {name!r}.")

    @api.post("/feeds/sync", status_code=202, responses=says(SyncStartedDoc, status=202))
    def sync(body: SyncIn, request: Request, once: OnceOnly) -> Any:
        """Begin to take new snapshots; how far it is stands in `GET /feeds`."""
        wish = Wish(
            names=tuple(body.names),
            origin=body.from_,
            ecosystems=tuple(body.ecosystems),
            full=body.full,
            accept_loss=body.accept_loss,
        )
        person = who(services.settings, asker(request))
        answer: JsonValue = {"started": list(services.feeds.names(wish))}
        with once.doing(body.model_dump(), answer=answer) as asked:
            if not asked.again:
                services.feeds.sync(wish, person)
            return asked.answer or answer


def _look(services: Services) -> Feeds:
    return look(
        services.feeds,
        services.outside.desk,
        services.settings,
        now_s=services.clock.now_us() // 1_000_000,
    )
