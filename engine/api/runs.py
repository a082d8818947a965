"""Runs over HTTP: look and follow. What people do to them is in `acting`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from data import queries
from data.codec import to_document
from engine.api.documents.base import PageOf, says, sends
from engine.api.documents.house import RunRowDoc, SampleRowDoc
from engine.api.documents.runs import (
    ActionsDoc,
    ApprovalsDoc,
    EventDoc,
    LogLineDoc,
    RunNowDoc,
    StepDoc,
    StoryDoc,
)
from engine.api.etags import IfNoneMatch, tagged
from engine.api.gate import principal_of
from engine.api.pages import Paged, cursor_to, filtered, page_of, place_of, rows_page
from engine.api.shapes import (
    action_shape,
    approvals_shape,
    event_shape,
    hold_shape,
    review_shape,
    run_shape,
    step_shape,
)
from engine.api.shapes_integrity import damage_shape
from engine.api.sse import Streams
from engine.asker import Asker, asker_of
from engine.core.errors import NotFound
from engine.core.run import Run
from engine.core.state import StepState
from engine.core.statemachine import RunStatus
from engine.services import Services
from engine.story import tell

RunId = Annotated[str, Path(pattern=r"^[!-.0-~]{1,64}$", description="run-1", examples=["run-1"])]
StepId = Annotated[str, Path(pattern=r"^[!-.0-~]{1,64}$", examples=["canary-10"])]
Attempt = Annotated[int, Query(ge=0, le=1_000_000, description="0 = the latest")]
Place = Annotated[str, Query(max_length=200)]
_LINES_MAX: Final = 1_000_000


def asker(request: Request) -> Asker:
    return asker_of(principal_of(request))


def routes(api: APIRouter, services: Services, streams: Streams) -> None:
    _reading(api, services)
    _steps(api, services)
    _telling(api, services)
    _following(api, services, streams)


def _reading(api: APIRouter, services: Services) -> None:
    @api.get("/runs", responses=says(PageOf[RunRowDoc]))
    def runs(
        page: Paged,
        environment: Place = "",
        status: RunStatus | Literal["", "OPEN"] = "",
    ) -> Any:
        """The newest runs first; status OPEN = those that have not ended."""
        of = filtered("runs", environment=environment, status=status)
        behind = place_of(of, page.after, (int,))
        rows = queries.runs_rows(
            services.store.cursor(),
            environment=environment,
            status=status,
            limit=page.limit + 1,
            before=None if behind is None else int(behind[0]),
        )
        items, following = rows_page(rows, page, of, "number")
        return {"items": items, "next": following}

    @api.get("/runs/{run_id}", responses=says(RunNowDoc))
    def run(run_id: RunId, known: IfNoneMatch = "") -> Response:
        """One run. Its ETag goes into `If-Match` of what is then done to it."""
        found = services.service.run(run_id)
        hold = services.service.hold_on(found)
        now_us = services.clock.now_us()
        beyond = {
            "reviews": [review_shape(one, now_us) for one in found.reviews],
            "hold": None if hold is None else hold_shape(hold),
            "new_runs": list(services.service.heirs(run_id)),
            "damaged": [damage_shape(one) for one in services.integrity.log().of_run(run_id)],
        }
        return tagged(run_tag(found, beyond), known, lambda: run_shape(found) | beyond)

    @api.get("/runs/{run_id}/actions", responses=says(ActionsDoc))
    def actions(run_id: RunId, request: Request) -> Any:
        """Every action, and whether who asks may do it now."""
        found = services.service.run(run_id)
        states = services.service.allowed(run_id, asker(request))
        body = {
            "run": run_id,
            "version": found.version,
            "items": [action_shape(state) for state in states],
        }
        return JSONResponse(body, headers={"ETag": f'"{found.version}"'})

    @api.get("/runs/{run_id}/approvals", responses=says(ApprovalsDoc))
    def approvals(run_id: RunId) -> Any:
        return approvals_shape(services.service.run(run_id))


def run_tag(run: Run, beyond: dict[str, Any]) -> str:
    """The run's version; where others add to what is told of it, a digest of that behind a dot."""
    if not any(beyond.values()):
        return f'"{run.version}"'
    more = hashlib.sha256(json.dumps(beyond, sort_keys=True).encode()).hexdigest()
    return f'"{run.version}.{more[:12]}"'


def _steps(api: APIRouter, services: Services) -> None:
    @api.get("/runs/{run_id}/steps/{step}", responses=says(StepDoc))
    def step(run_id: RunId, step: StepId) -> Any:
        return step_shape(_step(services, run_id, step))

    @api.get(
        "/runs/{run_id}/steps/{step}/logs",
        responses=says(
            PageOf[LogLineDoc], or_else=sends("text/plain", told="the lines, or a page of them")
        ),
    )
    def logs(
        run_id: RunId,
        step: StepId,
        request: Request,
        page: Paged,
        attempt: Attempt = 0,
        format: Literal["json", "text"] = "json",
    ) -> Response:
        """The log of one attempt, oldest line first; as text all of it at once."""
        state = _step(services, run_id, step)
        number = attempt or len(state.attempts)
        frame = queries.step_logs(
            services.store.cursor(), run_id=run_id, step=step, attempt=number, limit=_LINES_MAX
        )
        if format == "text":
            name = f"{run_id}-{step}-{number}.log"
            text = queries.logs_as_text(frame)
            services.trail.handed_out(
                "step-log",
                text.encode(),
                user=asker(request).user,
                asked=name,
                run=run_id,
                rows=frame.height,
            )
            return PlainTextResponse(
                text, headers={"Content-Disposition": f'attachment; filename="{name}"'}
            )
        of = filtered("logs", run=run_id, step=step, attempt=number)
        behind = place_of(of, page.after, (int,))
        rows = frame if behind is None else frame.filter(frame["n"] > int(behind[0]))
        items, following = rows_page(rows.head(page.limit + 1).to_dicts(), page, of, "n")
        return JSONResponse({"items": items, "next": following})

    @api.get("/runs/{run_id}/steps/{step}/samples", responses=says(PageOf[SampleRowDoc]))
    def samples(
        run_id: RunId, step: StepId, page: Paged, by: Literal["poll", "minute"] = "poll"
    ) -> Any:
        """Counts of a stage, oldest first. Minutes: of attempts whose single polls are not kept
        any more."""
        _step(services, run_id, step)
        polls, minutes = queries.stage_kept(services.store.cursor(), run_id=run_id, step=step)
        rows = (polls if by == "poll" else minutes).to_dicts()
        of = filtered("samples", run=run_id, step=step, by=by)
        items, following = page_of(
            rows, page, of, lambda r: (r["attempt"], r["ts_us"], r["target"] or "", r["arm"] or "")
        )
        return {"items": items, "next": following}


def _telling(api: APIRouter, services: Services) -> None:
    @api.get("/runs/{run_id}/story", responses=says(StoryDoc))
    def story(run_id: RunId, page: Paged) -> Any:
        """The run told in sentences, each with the event that it rests on."""
        recorded = services.store.load(run_id)
        if not recorded or not run_id.startswith("run-"):
            raise NotFound(f"There is no run {run_id}.")
        of = filtered("story", run=run_id)
        lines, following = page_of(tell(recorded), page, of, lambda line: (line.seq,))
        return {"lines": [line.document() for line in lines], "next": following}


_EVENTS: Final = sends("text/event-stream", told="a page of facts, or a stream of them")


def _following(api: APIRouter, services: Services, streams: Streams) -> None:
    @api.get(
        "/runs/{run_id}/events",
        responses=says(PageOf[EventDoc], or_else=_EVENTS),
    )
    async def events(
        run_id: RunId,
        request: Request,
        page: Paged,
        last_event_id: Annotated[
            str, Header(alias="Last-Event-ID", max_length=20, pattern=r"^([0-9]{1,9})?$")
        ] = "",
    ) -> Response:
        """The facts of a run, oldest first; with `Accept: text/event-stream` as a stream that goes
        on as facts are recorded, and resumes behind `Last-Event-ID`.

        `after` also takes the number of an event.
        """
        await run_in_threadpool(services.service.run, run_id)
        of = filtered("events", run=run_id)
        after = _number(page.after)
        if after is None:
            behind = place_of(of, page.after, (int,))
            after = 0 if behind is None else int(behind[0])
        if "text/event-stream" in request.headers.get("accept", ""):
            start = int(last_event_id) if last_event_id else after
            return sse(streams.events(run_id, start, principal_of(request)))
        recorded = await run_in_threadpool(services.store.load, run_id, after, page.limit + 1)
        items = [event_shape(r, to_document(r.event)) for r in recorded[: page.limit]]
        more = len(recorded) > len(items)
        following = cursor_to(of, (items[-1]["seq"],)) if more else None
        return JSONResponse({"items": items, "next": following})

    @api.get("/runs/{run_id}/stream", include_in_schema=False)
    async def stream(run_id: str, request: Request) -> Response:
        await run_in_threadpool(services.service.run, run_id)
        return sse(streams.snapshots(run_id, principal_of(request)))


def _number(after: str) -> int | None:
    """An event's number, as people write it; None for a cursor."""
    plain = after.isascii() and after.isdecimal() and len(after) < 10
    return int(after) if plain else None


def sse(body: AsyncIterator[bytes]) -> StreamingResponse:
    """An answer that stays open and tells what happens."""
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
