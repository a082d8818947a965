"""Approvals over HTTP: what waits, what is shown to whoever decides, and the decisions.

A decision may name the view that it rests on. One that is no longer what stands here is refused,
and the refusal holds the view of now.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from engine.api.acting import ActionIn, IfMatch, acted
from engine.api.documents.approvals import ApprovalViewDoc, WaitingDoc
from engine.api.documents.base import PageOf, says
from engine.api.documents.runs import DoneDoc
from engine.api.gate import principal_of
from engine.api.once import OnceOnly
from engine.api.pages import Paged, page_of
from engine.api.problems import problem, request_id
from engine.api.runs import RunId, asker, sse
from engine.api.sse import Streams
from engine.approving.inbox import Waiting, inbox
from engine.core.approval_view import View
from engine.core.commands import Action
from engine.core.errors import Malformed, NotFound, Refused
from engine.services import Services

_DECISIONS: Final = frozenset({Action.APPROVE, Action.REJECT, Action.WITHDRAW})
_STALE: Final = "stale"
Decision = Annotated[
    int, Query(ge=0, le=1_000_000, description="what was shown for this one; 0 = what is shown now")
]


def routes(api: APIRouter, services: Services, streams: Streams) -> None:
    _reading(api, services, streams)

    @api.post("/runs/{run_id}/approvals", responses=says(DoneDoc))
    def decide(
        run_id: RunId, body: ActionIn, request: Request, once: OnceOnly, match: IfMatch = ""
    ) -> Any:
        """Approve, reject, or withdraw an approval.

        A `view` that is not what is shown now is refused (`stale`), with the one of now.
        """
        if body.action not in _DECISIONS or body.dry_run:
            raise Malformed(
                f"expected approve, reject or withdraw, found {body.action.value!r}",
                where="action",
            )
        try:
            return acted(services, run_id, body, request, once, match)
        except Refused as refused:
            if refused.code != _STALE or not body.view:
                raise
            now = _shown(services.views.now(services.service.run(run_id)))
            return problem(409, _STALE, str(refused), request_id=request_id(request), view=now)


def _reading(api: APIRouter, services: Services, streams: Streams) -> None:
    @api.get("/approvals", responses=says(PageOf[WaitingDoc]))
    def waiting(page: Paged, request: Request) -> Any:
        """Every run that asks for approval, the longest first, and whether it waits for you."""
        who = asker(request)
        found = inbox(services.store.runs_open(), lambda place: services.service.actor(who, place))
        items, following = page_of(
            found, page, "approvals", lambda one: (one.since_us, one.run.number)
        )
        return {"items": [_waiting(one) for one in items], "next": following}

    @api.get("/approvals/stream", include_in_schema=False)
    async def stream(request: Request) -> Response:
        return sse(streams.approvals(principal_of(request)))

    @api.get("/runs/{run_id}/approval-view", responses=says(ApprovalViewDoc))
    def view(run_id: RunId, decision: Decision = 0) -> Any:
        """What whoever decides is shown now, or what was shown for a decision, by its number."""
        run = services.service.run(run_id)
        if not decision:
            return _shown(services.views.now(run))
        if decision > len(run.approvals):
            raise NotFound(f"{run_id} has no decision {decision}.")
        given = run.approvals[decision - 1]
        if given.view == given.binding:
            raise NotFound(f"{given.person} was shown the binding alone, and no document.")
        return {"digest": str(given.view), "document": services.views.then(given.view)}


def _shown(view: View) -> dict[str, Any]:
    return {"digest": str(view.digest), "document": view.document}


def _waiting(one: Waiting) -> dict[str, Any]:
    run = one.run
    return {
        "run": run.run_id,
        "bundle": str(run.bundle),
        "bundle_name": run.request.bundle_name,
        "bundle_version": run.request.bundle_version,
        "region": run.request.region,
        "environment": run.environment,
        "requested_by": run.requested_by,
        "since_us": one.since_us,
        "expires_us": run.approval_expires_us,
        "missing": list(one.missing),
        "mine": one.mine,
        "why_not": one.why_not,
    }
