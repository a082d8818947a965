"""Runs over HTTP: request, look, act, follow."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from data import queries
from data.codec import to_document
from engine.api.gate import principal_of
from engine.api.shapes import (
    action_shape,
    approvals_shape,
    event_shape,
    hold_shape,
    run_shape,
    step_shape,
)
from engine.api.sse import Streams
from engine.asker import Asker, asker_of
from engine.core.commands import Action, Command
from engine.core.digest import Digest
from engine.core.errors import Conflict, Malformed, NotFound
from engine.core.heirs import NEW_RUN
from engine.core.overrides import OVERRIDABLE
from engine.core.state import StepState
from engine.services import Services
from engine.story import tell

IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", max_length=200)]
Limit = Annotated[int, Query(ge=1, le=100)]


class PromotionIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    bundle: str = Field(description="digest, or a unique beginning of at least 8 hex digits")
    environment: str
    reason: str = ""
    ticket: str = ""


class ActionIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    action: Action
    reason: str = ""
    ticket: str = ""
    binding: str | None = Field(default=None, description="approve, reject: what you looked at")
    confirm: str = ""
    scope: Literal["full", "target"] | None = Field(
        default=None, description="rollback: every changed target, or those in `targets`"
    )
    targets: list[str] = Field(default=[], max_length=10_000)
    plan: str | None = Field(
        default=None, description="rollback: digest of the preview that you saw, to be compared"
    )
    dry_run: bool = False
    lift_hold: bool = Field(
        default=False, description="rerun, rollback_promotion: lift the bundle's hold with it"
    )
    override: bool = Field(
        default=False, description="continue, resume: ask for, or confirm, what takes two people"
    )
    review: int = Field(
        default=0, ge=0, description="review: its number; 0 = the oldest that you may close"
    )


def asker(request: Request) -> Asker:
    return asker_of(principal_of(request))


def router(services: Services, streams: Streams) -> APIRouter:
    api = APIRouter()
    _requests(api, services)
    _reading(api, services)
    _telling(api, services)
    _following(api, services, streams)
    return api


def _requests(api: APIRouter, services: Services) -> None:
    @api.post("/promotions", status_code=202)
    def promote(body: PromotionIn, request: Request, key: IdempotencyKey = "") -> Any:
        bundle = services.catalog.find(body.bundle)
        who = asker(request)
        run = services.service.promote(
            bundle.digest,
            body.environment,
            who,
            reason=body.reason,
            ticket=body.ticket,
            command_id=f"{who.user}/{key}" if key else "",
        )
        if run.bundle != bundle.digest or run.environment != body.environment:
            raise Conflict(f"Idempotency-Key {key!r} was used for another promotion.")
        return run_shape(run)

    @api.post("/runs/{run_id}/actions")
    def act(run_id: str, body: ActionIn, request: Request, key: IdempotencyKey = "") -> Any:
        if body.dry_run:
            if body.action is Action.ROLLBACK_PROMOTION:
                return services.service.promotion_preview(run_id).document()
            if body.action is not Action.ROLLBACK:
                raise Malformed("only rollback has a preview", where="dry_run")
            return services.service.rollback_preview(run_id, _scoped(body)).document()
        who = asker(request)
        binding = Digest.parse(body.binding) if body.binding else None
        command = Command(
            action=body.action,
            reason=body.reason,
            ticket=body.ticket,
            binding=binding,
            confirm=body.confirm,
            targets=_scoped(body),
            plan=Digest.parse(body.plan) if body.plan else None,
            override=_overriding(body),
            review=_reviewing(body),
            lift_hold=_lifting(body),
        )
        recorded = services.service.ask(
            run_id, command, who, command_id=f"{who.user}/{key}" if key else ""
        )
        made = services.service.run(recorded[0].stream) if body.action in NEW_RUN else None
        return {
            "run": run_shape(services.service.run(run_id)),
            "events": [event_shape(r, to_document(r.event)) for r in recorded],
            "new_run": None if made is None else run_shape(made),
        }

    @api.post("/runs/{run_id}/approvals")
    def approve(run_id: str, body: ActionIn, request: Request, key: IdempotencyKey = "") -> Any:
        if body.action not in {Action.APPROVE, Action.REJECT, Action.WITHDRAW}:
            raise Malformed(
                f"expected approve, reject or withdraw, found {body.action.value!r}",
                where="action",
            )
        return act(run_id, body, request, key)


def _scoped(body: ActionIn) -> tuple[str, ...]:
    """The targets of a rollback by name; empty = full. Half a wish is not guessed at."""
    if body.targets and body.action is not Action.ROLLBACK:
        raise Malformed(f"{body.action.value} takes none", where="targets")
    if body.plan and body.action not in {Action.ROLLBACK, Action.RETRY_ROLLBACK}:
        raise Malformed(f"{body.action.value} takes none", where="plan")
    if body.scope == "target" and not body.targets:
        raise Malformed("expected at least one with scope target, found none", where="targets")
    if body.scope == "full" and body.targets:
        raise Malformed(
            f"expected none with scope full, found {len(body.targets)}", where="targets"
        )
    return tuple(sorted(set(body.targets)))


def _overriding(body: ActionIn) -> bool:
    if body.override and body.action not in OVERRIDABLE:
        raise Malformed(f"{body.action.value} cannot be overridden", where="override")
    return body.override


def _reviewing(body: ActionIn) -> int:
    if body.review and body.action is not Action.REVIEW:
        raise Malformed(f"{body.action.value} is about none", where="review")
    return body.review


def _lifting(body: ActionIn) -> bool:
    if body.lift_hold and body.action not in NEW_RUN:
        raise Malformed(f"{body.action.value} lifts none", where="lift_hold")
    return body.lift_hold


def _reading(api: APIRouter, services: Services) -> None:
    @api.get("/runs")
    def runs(environment: str = "", status: str = "", limit: Limit = 50, after: str = "") -> Any:
        before = _cursor(after)
        frame = queries.runs_list(
            services.store.cursor(),
            environment=environment,
            status=status,
            limit=limit,
            before=before,
        )
        rows = frame.to_dicts()
        following = rows[-1]["number"] if len(rows) == limit else None
        return {"items": rows, "next": None if following is None else _opaque(following)}

    @api.get("/runs/{run_id}")
    def run(run_id: str) -> Response:
        found = services.service.run(run_id)
        hold = services.service.hold_on(found)
        beyond = {
            "hold": None if hold is None else hold_shape(hold),
            "new_runs": list(services.service.heirs(run_id)),
        }
        return JSONResponse(run_shape(found) | beyond, headers={"ETag": f'"{found.version}"'})

    @api.get("/runs/{run_id}/steps/{step}")
    def step(run_id: str, step: str) -> Any:
        return step_shape(_step(services, run_id, step))

    @api.get("/runs/{run_id}/steps/{step}/logs")
    def logs(
        run_id: str, step: str, attempt: int = 0, format: str = "json", limit: int = 10_000
    ) -> Response:
        state = _step(services, run_id, step)
        number = attempt or len(state.attempts)
        frame = queries.step_logs(
            services.store.cursor(), run_id=run_id, step=step, attempt=number, limit=limit
        )
        if format == "text":
            text = queries.logs_as_text(frame)
            name = f"{run_id}-{step}-{number}.log"
            return PlainTextResponse(
                text, headers={"Content-Disposition": f'attachment; filename="{name}"'}
            )
        return JSONResponse({"items": frame.to_dicts()})

    @api.get("/runs/{run_id}/steps/{step}/samples")
    def samples(run_id: str, step: str) -> Any:
        """One row per poll; `minutes`: of attempts whose single polls are not kept any more."""
        _step(services, run_id, step)
        polls, minutes = queries.stage_kept(services.store.cursor(), run_id=run_id, step=step)
        return {"items": polls.to_dicts(), "minutes": minutes.to_dicts()}


def _telling(api: APIRouter, services: Services) -> None:
    @api.get("/runs/{run_id}/actions")
    def actions(run_id: str, request: Request) -> Any:
        states = services.service.allowed(run_id, asker(request))
        return {"items": [action_shape(state) for state in states]}

    @api.get("/runs/{run_id}/approvals")
    def approvals(run_id: str) -> Any:
        return approvals_shape(services.service.run(run_id))

    @api.get("/runs/{run_id}/story")
    def story(run_id: str) -> Any:
        recorded = services.store.load(run_id)
        if not recorded:
            raise NotFound(f"There is no run {run_id}.")
        return {"lines": [line.document() for line in tell(recorded)]}


def _following(api: APIRouter, services: Services, streams: Streams) -> None:
    @api.get("/runs/{run_id}/events")
    async def events(
        run_id: str,
        request: Request,
        after: int = 0,
        limit: Limit = 100,
        last_event_id: Annotated[str, Header(alias="Last-Event-ID")] = "",
    ) -> Response:
        await run_in_threadpool(services.service.run, run_id)
        if "text/event-stream" in request.headers.get("accept", ""):
            start = int(last_event_id) if last_event_id.isdecimal() else after
            return _sse(streams.events(run_id, start, principal_of(request)))
        recorded = (await run_in_threadpool(services.store.load, run_id, after))[:limit]
        items = [event_shape(r, to_document(r.event)) for r in recorded]
        following = items[-1]["seq"] if len(items) == limit else None
        return JSONResponse({"items": items, "next": following})

    @api.get("/runs/{run_id}/stream", include_in_schema=False)
    async def stream(run_id: str, request: Request) -> Response:
        await run_in_threadpool(services.service.run, run_id)
        return _sse(streams.snapshots(run_id, principal_of(request)))


def _sse(body: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(
        body,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _step(services: Services, run_id: str, step: str) -> StepState:
    for state in services.service.run(run_id).steps:
        if state.id == step:
            return state
    raise NotFound(f"Run {run_id} has no step {step!r}.")


def _opaque(number: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"n": number}).encode()).decode()


def _cursor(text: str) -> int | None:
    """The run number behind an opaque cursor; None for the first page."""
    if not text:
        return None
    try:
        number = json.loads(base64.urlsafe_b64decode(text.encode()))["n"]
    except (ValueError, KeyError, TypeError):
        raise Malformed("expected the `next` of an earlier page", where="after") from None
    if not isinstance(number, int):
        raise Malformed("expected the `next` of an earlier page", where="after")
    return number
