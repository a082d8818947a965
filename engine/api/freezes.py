"""Freeze windows over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from engine.api.acting import Name, Words, Yes
from engine.api.documents.base import PageOf, says
from engine.api.documents.freezes import (
    CalendarRowDoc,
    FreezeDoc,
    FreezeEndedDoc,
    FreezeMadeDoc,
)
from engine.api.once import OnceOnly
from engine.api.pages import Paged, filtered, page_of
from engine.api.runs import Place, asker
from engine.api.shapes import cause_shape
from engine.core.freeze_events import FreezeAdded, FreezeKind
from engine.core.freeze_rules import FreezeWish, notes, weekly_text
from engine.core.freezes import Freeze, headline
from engine.freezing import freeze_of
from engine.services import Services
from engine.time_zones import offset_at

DAYS_MAX = 90
_DAY_US = 86_400_000_000
FreezeId = Annotated[str, Path(pattern=r"^freeze-[1-9][0-9]{0,8}$", examples=["freeze-1"])]
_WallTime = Annotated[str, Field(max_length=40, examples=["2026-12-24 18:00"])]


class FreezeIn(BaseModel):
    """`begins` and `ends` are wall times in `time_zone`; empty = from now, no end. `weekly` counts
    in between, `MO-FR 09:00-17:00` or `FR 18:00-MO 08:00`; empty = all the time."""

    model_config = ConfigDict(extra="forbid")
    kind: FreezeKind
    name: Name
    reason: Words
    owner: Annotated[str, Field(max_length=200, description="empty = you")] = ""
    environments: Annotated[list[Name], Field(max_length=500, description="empty = every one")] = []
    regions: Annotated[list[Name], Field(max_length=500, description="empty = every one")] = []
    begins: _WallTime = ""
    ends: _WallTime = ""
    weekly: Annotated[str, Field(max_length=100, examples=["FR 18:00-MO 08:00"])] = ""
    time_zone: Annotated[str, Field(max_length=100, examples=["Europe/Sofia"])] = "UTC"
    hotfix: Annotated[Yes, Field(description="a run of the kind HOTFIX may pass")] = False
    ticket: Words = ""


class EndIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: Words
    ticket: Words = ""


def routes(api: APIRouter, services: Services) -> None:
    _reading(api, services)
    _changing(api, services)


def _reading(api: APIRouter, services: Services) -> None:
    @api.get("/freezes", responses=says(PageOf[FreezeDoc]))
    def freezes(page: Paged, environment: Place = "") -> Any:
        """Every freeze that nobody has ended, in the order in which they were set."""
        rows = [freeze_shape(services, one) for one in services.freezing.in_force()]
        items, following = page_of(
            [row for row in rows if not environment or environment in row["covers"]],
            page,
            filtered("freezes", environment=environment),
            lambda row: (row["added_us"], int(row["id"].removeprefix("freeze-"))),
        )
        return {"items": items, "next": following}

    @api.get("/freezes/calendar", responses=says(PageOf[CalendarRowDoc]))
    def calendar(
        page: Paged, days: Annotated[int, Query(ge=1, le=DAYS_MAX)] = 14, environment: Place = ""
    ) -> Any:
        """When each environment is closed, from now on for so many days."""
        now_us, room = services.clock.now_us(), services.freezing
        items, following = page_of(
            [one for one in room.places() if environment in {"", one.environment}],
            page,
            filtered("freezes/calendar", environment=environment, days=days),
            lambda one: (one.environment,),
        )
        rows = [
            {
                "environment": one.environment,
                "region": one.region,
                "closed": [
                    {
                        "from_us": closure.start_us,
                        "until_us": closure.end_us,
                        "causes": [cause_shape(cause) for cause in closure.causes],
                    }
                    for closure in room.closures(one, now_us, now_us + days * _DAY_US)
                ],
            }
            for one in items
        ]
        return {"items": rows, "next": following}


def _changing(api: APIRouter, services: Services) -> None:
    @api.post("/freezes", status_code=201, responses=says(FreezeMadeDoc, status=201))
    def add(body: FreezeIn, request: Request, once: OnceOnly) -> Any:
        """Set a window: DENY = no promotion starts or goes on inside, ALLOW = none outside. A DENY
        without an end is stop-the-line. Going back is never barred."""
        wish = FreezeWish(
            **body.model_dump(exclude={"environments", "regions"}),
            environments=tuple(body.environments),
            regions=tuple(body.regions),
        )
        with once.doing(body.model_dump()) as asked:
            if asked.again:
                made = freeze_of(asked.earlier[0])
            else:
                made = services.freezing.add(wish, asker(request), command_id=asked.id)
        told = list(notes(wish, offset_at(wish.time_zone)))
        return {**freeze_shape(services, made), "notes": told}

    @api.post("/freezes/{freeze}/end", responses=says(FreezeEndedDoc))
    def end(freeze: FreezeId, body: EndIn, request: Request, once: OnceOnly) -> Any:
        """End a freeze now, whatever its window says."""
        name = next((f.fact.name for f in services.freezing.in_force() if f.id == freeze), "")
        with once.doing(body.model_dump(), answer={"ended": freeze, "name": name}) as asked:
            if asked.again:
                return asked.answer
            ended = services.freezing.end(
                freeze,
                asker(request),
                reason=body.reason,
                ticket=body.ticket,
                command_id=asked.id,
            )
        return {"ended": ended.id, "name": ended.fact.name}


def freeze_shape(services: Services, freeze: Freeze) -> dict[str, Any]:
    fact: FreezeAdded = freeze.fact
    window = services.freezing.window(freeze)
    return {
        "id": freeze.id,
        "kind": fact.kind.value,
        "name": fact.name,
        "owner": fact.owner,
        "reason": fact.reason,
        "ticket": fact.ticket,
        "by": freeze.by,
        "added_us": freeze.added_us,
        "environments": list(fact.environments),
        "regions": list(fact.regions),
        "covers": list(services.freezing.covered(freeze)),
        "from_us": fact.from_us,
        "until_us": fact.until_us,
        "weekly": "" if fact.weekly is None else weekly_text(fact.weekly),
        "time_zone": fact.time_zone,
        "hotfix": fact.hotfix,
        "stops_the_line": freeze.stops_the_line,
        "does": headline(freeze),
        "active": window is not None and window.start_us <= services.clock.now_us(),
        "window_from_us": None if window is None else window.start_us,
        "window_until_us": None if window is None else window.end_us,
    }
