"""Schedules over HTTP: making and ending them, what comes next, and what became of firings."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from data import queries
from engine.api.acting import BundleText, Count, LocalTime, Name, Seconds, Words, ZoneName
from engine.api.documents.base import PageOf, says
from engine.api.documents.schedules import PreviewOfScheduleDoc, ScheduleDoc, TickRowDoc
from engine.api.once import OnceOnly
from engine.api.pages import Paged, filtered, page_of, place_of, rows_page
from engine.api.runs import Place, asker
from engine.core.firings import Firing
from engine.core.preconditions import KINDS, Mode, Precondition
from engine.core.schedule_events import FiringWord, Timing
from engine.core.schedules import Schedule
from engine.scheduling import Wish, said
from engine.services import Services

NEXT: Final = 3
ScheduleId = Annotated[str, Path(pattern=r"^schedule-[1-9][0-9]{0,8}$", examples=["schedule-1"])]
_Rule = Annotated[
    str,
    Field(
        max_length=200,
        description="RRULE: FREQ DAILY, WEEKLY or MONTHLY, INTERVAL, BYDAY, COUNT or UNTIL; "
        "empty = once",
        examples=["FREQ=WEEKLY;BYDAY=MO,TH"],
    ),
]


class PreconditionIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Literal[tuple(KINDS)]  # type: ignore[valid-type]
    mode: Mode = Mode.ENFORCE
    limit_s: Count = Field(default=0, ge=0, le=31_622_400)


class ScheduleIn(BaseModel):
    """`at` counts in `time_zone`. A precondition that is not named is OFF."""

    model_config = ConfigDict(extra="forbid")
    bundle: BundleText
    environment: Annotated[Name, Field(examples=["eu-prod"])]
    at: LocalTime
    time_zone: ZoneName = "UTC"
    window_s: Seconds
    rule: _Rule = ""
    preconditions: list[PreconditionIn] = Field(default=[], max_length=50)
    reason: Words = ""
    ticket: Words = ""


class CancelIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: Words


def routes(api: APIRouter, services: Services) -> None:
    _reading(api, services)
    _changing(api, services)


def _reading(api: APIRouter, services: Services) -> None:
    @api.get("/schedules", responses=says(PageOf[ScheduleDoc]))
    def schedules(
        page: Paged,
        environment: Place = "",
        status: Literal["", "ACTIVE", "DONE", "CANCELLED"] = "",
    ) -> Any:
        """Every schedule, the newest first."""
        items, following = page_of(
            [
                one
                for one in services.scheduling.schedules()
                if environment in {"", one.environment} and status in {"", one.status}
            ],
            page,
            filtered("schedules", environment=environment, status=status),
            lambda one: (one.made.number,),
            newest_first=True,
        )
        return {"items": [schedule_shape(services, one) for one in items], "next": following}

    @api.get("/schedules/preview", responses=says(PreviewOfScheduleDoc))
    def preview(
        at: Annotated[LocalTime, Query()],
        window_s: Annotated[int, Query(ge=60, le=604_800)],
        time_zone: Annotated[str, Query(min_length=1, max_length=100)] = "UTC",
        rule: Annotated[str, Query(max_length=200)] = "",
        count: Annotated[int, Query(ge=1, le=100)] = 5,
    ) -> Any:
        """When a timing would fire next, with what clocks do said; nothing is scheduled by it."""
        timing = timing_of(at, time_zone, window_s, rule)
        found = services.scheduling.preview(timing, count=count)
        return {"said": said(timing), "items": [_firing(one) for one in found]}

    @api.get("/schedules/{schedule_id}", responses=says(ScheduleDoc))
    def schedule(schedule_id: ScheduleId) -> Any:
        return schedule_shape(services, services.scheduling.schedule(schedule_id))

    @api.get("/scheduler/ticks", responses=says(PageOf[TickRowDoc]))
    def ticks(
        page: Paged, schedule: Place = "", run: Place = "", word: FiringWord | Literal[""] = ""
    ) -> Any:
        """What became of firings and of steps' times, the newest first."""
        of = filtered("scheduler/ticks", schedule=schedule, run=run, word=word)
        behind = place_of(of, page.after, (int,))
        frame = queries.scheduler_ticks(
            services.store.cursor(),
            schedule=schedule,
            run=run,
            word=word,
            limit=page.limit + 1,
            before=None if behind is None else int(behind[0]),
        )
        items, following = rows_page(frame.to_dicts(), page, of, "gseq")
        return {"items": items, "next": following}


def _changing(api: APIRouter, services: Services) -> None:
    @api.post("/schedules", status_code=201, responses=says(ScheduleDoc, status=201))
    def create(body: ScheduleIn, request: Request, once: OnceOnly) -> Any:
        """Schedule a promotion. The run of its first firing is there at once, SCHEDULED."""
        wish = Wish(
            bundle=services.catalog.find(body.bundle).digest,
            environment=body.environment,
            timing=timing_of(body.at, body.time_zone, body.window_s, body.rule),
            preconditions=tuple(
                Precondition(name=one.name, mode=one.mode, limit_s=one.limit_s)
                for one in body.preconditions
            ),
            reason=body.reason,
            ticket=body.ticket,
        )
        with once.doing(body.model_dump(mode="json")) as asked:
            made = services.scheduling.create(wish, asker(request), command_id=asked.id)
        return schedule_shape(services, made)

    @api.post("/schedules/{schedule_id}/cancel", responses=says(ScheduleDoc))
    def cancel(schedule_id: ScheduleId, body: CancelIn, request: Request, once: OnceOnly) -> Any:
        """Let it fire no more; a run of it that waits for its window is cancelled too."""
        with once.doing(body.model_dump()) as asked:
            ended = services.scheduling.cancel(
                schedule_id, asker(request), reason=body.reason, command_id=asked.id
            )
        return schedule_shape(services, ended)


def timing_of(at: str, zone: str, window_s: int, rule: str) -> Timing:
    date, _, time = at.partition("T")
    return Timing(zone=zone, first=date, time=time, window_s=window_s, rule=rule)


def schedule_shape(services: Services, one: Schedule) -> dict[str, Any]:
    made = one.made
    return {
        "id": one.id,
        "status": one.status,
        "bundle": str(made.bundle),
        "label": f"{made.bundle_name} {made.bundle_version}",
        "environment": one.environment,
        "time_zone": made.timing.zone,
        "at": f"{made.timing.first}T{made.timing.time}",
        "window_s": made.timing.window_s,
        "rule": made.timing.rule,
        "said": said(made.timing),
        "preconditions": [
            {"name": p.name, "mode": p.mode.value, "limit_s": p.limit_s} for p in made.preconditions
        ],
        "reason": made.reason,
        "ticket": made.ticket,
        "created_by": one.created_by,
        "created_us": one.created_us,
        "cancelled_by": one.cancelled_by,
        "run": one.run,
        "firing": one.firing,
        "waits": one.waits,
        "next": [_firing(f) for f in services.scheduling.coming(one, count=NEXT)],
    }


def _firing(one: Firing) -> dict[str, Any]:
    return {
        "date": one.date,
        "start_us": one.start_us,
        "end_us": one.end_us,
        "note": one.note,
    }
