"""The audit trail over HTTP: its records, its chain, and exports of it and of tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import WithJsonSchema
from starlette.responses import Response

from data.tables import AUDIT, TABLES, Table
from engine.api.documents.audit import ChainDoc, CheckDoc, DutiesDoc, RecordDoc, TableDoc
from engine.api.documents.base import PageOf, says, sends
from engine.api.pages import Paged, filtered, page_of, place_of, rows_page
from engine.api.runs import Place, RunId, asker
from engine.core.audit import AuditFilter
from engine.core.audit_events import AuditChecked
from engine.core.errors import Malformed
from engine.services import Services
from engine.trail.periods import moment_us, quarter_us
from engine.trail.reading import Chain

Gseq = Annotated[int, Path(ge=1, le=2**53)]
TableName = Annotated[str, Path(pattern=r"^[!-.0-~]{1,64}$", examples=["runs"])]
Form = Literal["csv", "jsonl", "parquet"]
_When = Annotated[
    str,
    Query(max_length=40, description="a day, or a time with its zone"),
    WithJsonSchema({"anyOf": [
        {"const": ""}, {"type": "string", "format": "date"},
        {"type": "string", "format": "date-time"},
    ]}),
]  # fmt: skip
_Quarter = Annotated[str, Query(pattern=r"^([12][0-9]{3}-?[Qq][1-4])?$", examples=["2026-Q4"])]


async def asked(
    who: Place = "",
    verb: Place = "",
    since: _When = "",
    until: _When = "",
    quarter: _Quarter = "",
    run: Place = "",
    environment: Place = "",
    denied: bool = False,
    overrides: bool = False,
    self_approvals: bool = False,
    everything: bool = False,
) -> AuditFilter:
    """What the address asks for. A `quarter` stands for its two moments.

    Waits for nothing; a plain function would cost a thread.
    """
    since_us = moment_us(since, where="since")
    until_us = moment_us(until, where="until", ends=True)
    if quarter:
        if since or until:
            raise Malformed("expected either a quarter or since and until", where="quarter")
        since_us, until_us = quarter_us(quarter)
    return AuditFilter(
        who=who,
        verb=verb,
        since_us=since_us,
        until_us=until_us,
        run=run,
        environment=environment,
        denied=denied,
        overrides=overrides,
        self_approvals=self_approvals,
        everything=everything,
    )


Asked = Annotated[AuditFilter, Depends(asked)]


def routes(api: APIRouter, services: Services) -> None:
    _records(api, services)
    _tables(api, services)


def _records(api: APIRouter, services: Services) -> None:
    trail = services.trail

    @api.get("/audit", responses=says(PageOf[RecordDoc]))
    def audit(request: Request, asked: Asked, page: Paged) -> Any:
        """Attempts, newest first; `everything` has what nobody asked for as well."""
        of = filtered("audit", **asked.words())
        behind = place_of(of, page.after, (int,))
        before = None if behind is None else int(behind[0])
        rows = trail.rows(asked, asker(request), before=before, limit=page.limit + 1)
        items, following = rows_page(rows, page, of, "gseq")
        return {"items": items, "next": following}

    @api.get("/audit/chain", responses=says(ChainDoc))
    def chain(request: Request) -> Any:
        """How far the chain goes, and when it was last read from its beginning."""
        trail.check_reader(asker(request))
        return _chain(trail.chain())

    @api.post("/audit/check", responses=says(CheckDoc))
    def check(request: Request) -> Any:
        """Reads the chain from its beginning. What is wrong is in the answer, and on record."""
        return _found(trail.check(asker(request)))

    @api.get(
        "/audit/export",
        response_class=Response,
        responses=sends("application/zip", told="the file and its manifest"),
    )
    def export(request: Request, asked: Asked, format: Form = "csv") -> Response:
        """All that the filter asks for. The export is on record."""
        return _file(*trail.export(asked, format, asker(request)))

    @api.get("/audit/{gseq}", responses=says(RecordDoc))
    def record(gseq: Gseq, request: Request) -> Any:
        """One record, with the very text that was hashed."""
        return trail.record(gseq, asker(request))

    @api.get("/runs/{run_id}/duties", responses=says(DutiesDoc))
    def duties(run_id: RunId) -> Any:
        """Who did what around the run, and who stood on both sides."""
        return asdict(trail.duties(run_id))


def _tables(api: APIRouter, services: Services) -> None:
    @api.get("/tables", responses=says(PageOf[TableDoc]))
    def tables(page: Paged) -> Any:
        """What can be exported, with the meaning of every column."""
        known = [_told(one) for one in (*TABLES.values(), AUDIT)]
        items, following = page_of(known, page, "tables", lambda one: (one["name"],))
        return {"items": items, "next": following}

    @api.get(
        "/tables/{name}/export",
        response_class=Response,
        responses=sends("application/zip", told="the file and its manifest"),
    )
    def table(
        name: TableName, request: Request, format: Form = "parquet", run: Place = ""
    ) -> Response:
        """A whole table, or its rows of one run. The export is on record."""
        return _file(*services.trail.table(name, format, asker(request), run=run))


def _chain(chain: Chain) -> dict[str, Any]:
    last, event = chain.checked, chain.found
    return {
        "gseq": chain.gseq,
        "ts_us": chain.ts_us,
        "hash": chain.hash,
        "checked": None
        if last is None or event is None
        else {"ts_us": last.ts_us, "by": last.actor, **_found(event)},
    }


def _found(event: AuditChecked) -> dict[str, Any]:
    return {**asdict(event), "hash": event.hash.hex}


def _told(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "told": table.told,
        "order": table.order,
        "columns": [asdict(column) for column in table.columns],
    }


def _file(name: str, content: bytes) -> Response:
    return Response(
        content,
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
