"""Webhooks over HTTP: who is told what, what was sent, and sending it once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from data import queries
from engine.api.acting import Count, Words, Yes
from engine.api.documents.base import PageOf, says
from engine.api.documents.hooks import (
    DeliveryDoc,
    DeliveryTryDoc,
    RedeliveredDoc,
    WebhookAskedDoc,
    WebhookDoc,
    WebhookMadeDoc,
    WebhookRemovedDoc,
    WebhookSecretDoc,
)
from engine.api.once import OnceOnly
from engine.api.pages import Page, Paged, filtered, page_of, place_of, rows_page
from engine.api.runs import asker
from engine.core.errors import Malformed
from engine.core.hook_book import Hook
from engine.core.hook_events import MessageRef
from engine.hooks.desk import REDELIVER_MAX, HookWish
from engine.hooks.reading import delivery_document, hook_document
from engine.services import Services

_Text = Annotated[str, Field(min_length=1, max_length=500)]
_Named = Annotated[str, Path(pattern=r"^[!-.0-~]{1,64}$")]
_Number = Annotated[int, Path(ge=0, le=2**53)]
Outcome = Literal["", "WAITING", "FAILED", "DELIVERED", "DEAD", "DROPPED"]


class WebhookIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: _Text
    url: Annotated[str, Field(min_length=1, max_length=2_000)]
    secret: Annotated[
        str, Field(max_length=500, description="env:NAME or file:PATH; left out, one is made")
    ] = ""
    events: list[_Text] = Field(
        default=[], max_length=100, description="stable names, `family.*`, `*`, or `waiting`"
    )
    environments: list[_Text] = Field(default=[], max_length=100, description="none: every one")
    format: Literal["cdevents", "slack"] = "cdevents"


class MessageIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    gseq: Count = Field(ge=1, le=2**53)
    idx: Count = Field(default=0, ge=0, le=1_000)


class RedeliveryIn(BaseModel):
    """`messages` by their place, or `all` that is dead."""

    model_config = ConfigDict(extra="forbid")
    messages: list[MessageIn] = Field(default=[], max_length=REDELIVER_MAX)
    all: Yes = False
    reason: str = Field(default="", max_length=500)


def routes(api: APIRouter, services: Services) -> None:
    _hooks(api, services)
    _deliveries(api, services)


def _hooks(api: APIRouter, services: Services) -> None:
    desk = services.hooks.desk

    @api.get("/webhooks", responses=says(PageOf[WebhookDoc]))
    def hooks(page: Paged) -> Any:
        """Who is told what, and how much of it has arrived."""
        shown, following = page_of(desk.hooks(), page, "webhooks", lambda one: (one.name,))
        frame = queries.webhook_counts(services.store.cursor())
        counts = {row["hook"]: row for row in frame.iter_rows(named=True)}
        items = [hook_document(one, counts.get(one.id)) for one in shown]
        return {"items": items, "next": following}

    @api.post("/webhooks", status_code=201, responses=says(WebhookMadeDoc, status=201))
    def add(body: WebhookIn, request: Request, once: OnceOnly) -> Any:
        """Tell an address what happens here; messages are signed as Standard Webhooks."""
        wish = HookWish(
            name=body.name,
            url=body.url,
            secret=body.secret,
            events=tuple(dict.fromkeys(body.events)),
            environments=tuple(body.environments),
            format=body.format,
        )
        with once.doing(body.model_dump()) as asked:
            hook, secret = desk.add(wish, asker(request), command_id=asked.id)
        return {**hook_document(hook, None), "secret": secret or None}

    @api.get("/webhooks/{name}", responses=says(WebhookDoc))
    def one(name: _Named) -> Any:
        hook = desk.hook(name)
        frame = queries.webhook_counts(services.store.cursor())
        counts = {row["hook"]: row for row in frame.iter_rows(named=True)}
        return hook_document(hook, counts.get(hook.id))

    @api.delete("/webhooks/{name}", responses=says(WebhookRemovedDoc))
    def remove(name: _Named, request: Request, reason: Words = "") -> Any:
        """Nothing more is sent there, and what still waits is dropped."""
        desk.remove(name, asker(request), reason=reason)
        return {"removed": name}

    @api.post("/webhooks/{name}/rotate", responses=says(WebhookSecretDoc))
    def rotate(name: _Named, request: Request, once: OnceOnly) -> Any:
        """A new secret, shown this once; the one before signs beside it for a day."""
        with once.doing() as asked:
            secret = desk.rotate(name, asker(request), command_id=asked.id)
        return {"name": name, "secret": secret or None}

    @api.post("/webhooks/{name}/test", status_code=202, responses=says(WebhookAskedDoc, status=202))
    def test(name: _Named, request: Request, once: OnceOnly) -> Any:
        """Have a test message sent, whatever the webhook asked to be told."""
        with once.doing() as asked:
            desk.test(name, asker(request), command_id=asked.id)
        return {"asked": name}


def _deliveries(api: APIRouter, services: Services) -> None:
    desk = services.hooks.desk

    @api.get("/webhooks/{name}/deliveries", responses=says(PageOf[DeliveryDoc]))
    def deliveries(name: _Named, page: Paged, outcome: Outcome = "") -> Any:
        """What a webhook was told, the newest first."""
        of = filtered(f"webhooks/{name}/deliveries", outcome=outcome)
        return _page(services, page, of, hook=desk.hook(name).id, outcome=outcome)

    @api.get("/webhooks/{name}/deliveries/{gseq}/{idx}", responses=says(PageOf[DeliveryTryDoc]))
    def tries(name: _Named, gseq: _Number, idx: _Number, page: Paged) -> Any:
        """Every try at one message, the first one first."""
        frame = queries.delivery_tries(
            services.store.cursor(), hook=desk.hook(name).id, gseq=gseq, idx=idx
        )
        rows = [{"redelivery": row.pop("wave"), **row} for row in frame.to_dicts()]
        items, following = page_of(
            rows, page, f"tries/{name}/{gseq}/{idx}", lambda one: (one["redelivery"], one["n"])
        )
        return {"items": items, "next": following}

    @api.get("/dead-letters", responses=says(PageOf[DeliveryDoc]))
    def dead(page: Paged) -> Any:
        """What was given up on and not asked for again, of every webhook."""
        return _page(services, page, "dead-letters", dead=True)

    @api.post("/webhooks/{name}/redeliver", responses=says(RedeliveredDoc))
    def redeliver(name: _Named, body: RedeliveryIn, request: Request, once: OnceOnly) -> Any:
        """Send messages once more, from the first try on."""
        if body.all == bool(body.messages):
            raise Malformed("expected either all: true or messages", where="messages")
        chosen = _chosen(services, desk.hook(name), body.messages)
        with once.doing(body.model_dump()) as asked:
            count = desk.redeliver(chosen, asker(request), reason=body.reason, command_id=asked.id)
        return {"name": name, "redelivered": count}


def _page(services: Services, page: Page, of: str, **asked: Any) -> Any:
    behind = place_of(of, page.after, (int,))
    frame = queries.deliveries(
        services.store.cursor(),
        limit=page.limit + 1,
        before=None if behind is None else int(behind[0]),
        **asked,
    )
    rows, following = rows_page(frame.to_dicts(), page, of, "place")
    return {"items": [delivery_document(row) for row in rows], "next": following}


def _chosen(
    services: Services, hook: Hook, messages: Sequence[MessageIn]
) -> tuple[MessageRef, ...]:
    """The messages that are meant: those named, or all that are dead."""
    rows = queries.deliveries(
        services.store.cursor(), hook=hook.id, dead=not messages, limit=1_000_000
    )
    wanted = {(one.gseq, one.idx) for one in messages}
    return tuple(
        MessageRef(
            hook=row["hook"],
            gseq=row["gseq"],
            idx=row["idx"],
            name=row["name"],
            stream=row["stream"],
            seq=row["seq"],
        )
        for row in reversed(rows.to_dicts())
        if row["newest"] and (not wanted or (row["gseq"], row["idx"]) in wanted)
    )
