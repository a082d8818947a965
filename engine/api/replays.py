"""Replays over HTTP: ask for recorded decisions to be asked again, and read what came of it.

`POST` answers 202 at once; `GET /replays/{n}?wait_s=` waits for the end. Every request is on
record with who asked and why, a refused one too.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

import data.queries_replays as queries
from engine.api.acting import Count, Yes
from engine.api.documents.base import PageOf, says, sends
from engine.api.documents.judging import (
    DeterminismDoc,
    FlipsDoc,
    OutcomeDoc,
    ReplayAskedDoc,
    ReplayProgressDoc,
    ReplayRowDoc,
    VerdictDoc,
)
from engine.api.once import Once, OnceOnly
from engine.api.pages import Paged, filtered, place_of, rows_page
from engine.api.runs import Place, RunId, asker
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.replays import (
    ALL,
    PROCESSES_MAX,
    REASON_MAX,
    Depth,
    ReplayAsk,
    ReplayMode,
    ReplayRequest,
    replay_name,
)
from engine.policy.flips import markdown
from engine.replaying_scope import SCOPE
from engine.services import Services

_POLICY_BYTES_MAX = 1 << 20
_NEWEST = 10
_SINCE_US_MAX = 1 << 53
Number = Annotated[int, Path(ge=1, le=1_000_000_000)]
VerdictId = Annotated[str, Path(pattern=r"^[!-.0-~]{1,64}$", examples=["verdict-1.1"])]
SinceUs = Annotated[int, Query(ge=0, le=_SINCE_US_MAX)]


class ReplayIn(BaseModel):
    """`policy` with `config` (texts), or `policy_digest` of a version that is kept: WHAT_IF."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=1, max_length=REASON_MAX)]
    mode: ReplayMode = ReplayMode.VERIFY
    depth: Depth = Depth.SHALLOW
    policy: Annotated[str, Field(max_length=_POLICY_BYTES_MAX)] = Field(
        default="", description="a candidate policy, YAML"
    )
    config: Annotated[str, Field(max_length=_POLICY_BYTES_MAX)] = Field(
        default="", description="its config, JSON; left out = that of the policy in force"
    )
    policy_digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    processes: Count = Field(
        default=0, ge=0, le=PROCESSES_MAX, description="fresh processes that must agree"
    )
    crosscheck: Yes = Field(default=False, description="ask the second engine too")


class ManyIn(ReplayIn):
    """`scope`: all, or run-N/STAGE for the gate of one stage."""

    scope: Annotated[str, Field(max_length=200, pattern=SCOPE)] = ALL
    since_us: Count = Field(default=0, ge=0, le=_SINCE_US_MAX)
    environment: Annotated[str, Field(max_length=200)] = ""
    jobs: Count = Field(default=0, ge=0, le=64, description="worker processes; 0 = every core")


def routes(api: APIRouter, services: Services) -> None:
    _asking(api, services)
    _reading(api, services)
    _reading_one(api, services)


def _asking(api: APIRouter, services: Services) -> None:
    def begin(
        scope: str, body: ReplayIn, request: Request, once: Once, **more: Any
    ) -> dict[str, Any]:
        ask = ReplayAsk(
            scope=scope,
            reason=body.reason,
            mode=body.mode,
            depth=body.depth,
            policy=_candidate(services, scope, body, more.get("environment", "")),
            processes=body.processes,
            crosscheck=body.crosscheck,
            **more,
        )
        with once.doing(body.model_dump(mode="json")) as asked:
            made = services.replaying.request(ask, asker(request), command_id=asked.id)
        return _request(made)

    said = says(ReplayAskedDoc, status=202)

    @api.post("/verdicts/{verdict_id}/replays", status_code=202, responses=said)
    def verdict_replay(
        verdict_id: VerdictId, body: ReplayIn, request: Request, once: OnceOnly
    ) -> Any:
        """Ask for one verdict to be replayed."""
        services.replaying.verdict(verdict_id)
        return begin(verdict_id, body, request, once)

    @api.post("/runs/{run_id}/replays", status_code=202, responses=said)
    def run_replay(run_id: RunId, body: ReplayIn, request: Request, once: OnceOnly) -> Any:
        """Ask for every decision of a run to be replayed."""
        services.service.run(run_id)
        return begin(run_id, body, request, once)

    @api.post("/replays", status_code=202, responses=said)
    def replay(body: ManyIn, request: Request, once: OnceOnly) -> Any:
        """Ask for many decisions to be replayed."""
        return begin(
            body.scope,
            body,
            request,
            once,
            since_us=body.since_us,
            environment=body.environment,
            jobs=body.jobs,
        )


def _candidate(services: Services, scope: str, body: ReplayIn, environment: str) -> Digest | None:
    """The candidate that the body brings or names. Raises `Malformed`, `NotFound`."""
    if body.policy_digest:
        if body.policy or body.config:
            raise Malformed("expected a digest or the texts, found both", where="policy_digest")
        return services.replaying.candidate_of(Digest.parse(body.policy_digest))
    if not body.policy:
        if body.config:
            raise Malformed("expected the policy that it belongs to", where="config")
        return None
    config = body.config.encode() or _config_in_force(services, scope, environment)
    return services.replaying.candidate(body.policy.encode(), config)


def _config_in_force(services: Services, scope: str, environment: str) -> bytes:
    """The limits in force where the replayed decisions belong.

    Raises:
        Malformed: environments with different limits are asked about.
    """
    desk = services.outside.desk
    names = [environment] if environment else list(services.settings.environments)
    if scope.startswith("verdict-"):
        names = [services.replaying.verdict(scope)["environment"]]
    elif scope.startswith("run-"):
        names = [services.service.run(scope.partition("/")[0]).environment]
    found = {
        json.dumps(dict(desk.compiled(desk.policy_digest(name)).policy.config)) for name in names
    }
    if len(found) != 1:
        raise Malformed(
            "expected the candidate's own: the environments asked about have different limits",
            where="config",
        )
    return found.pop().encode()


def _reading(api: APIRouter, services: Services) -> None:
    @api.get("/verdicts/{verdict_id}", responses=says(VerdictDoc))
    def verdict(verdict_id: VerdictId) -> Any:
        """A verdict, and what it rests on, each part looked at now."""
        row = services.replaying.verdict(verdict_id)
        newest = queries.replays(services.store.cursor(), subject=verdict_id, limit=_NEWEST)
        try:
            capsule = services.replaying.capsule(verdict_id)
        except (Malformed, NotFound) as error:
            capsule = {"problem": str(error)}
        return {**row, "capsule": row["capsule"], "rests_on": capsule,
                "newest_replays": newest.to_dicts()}  # fmt: skip

    @api.get("/replays", responses=says(PageOf[ReplayRowDoc]))
    def replays(
        page: Paged,
        run: Place = "",
        verdict: Place = "",
        environment: Place = "",
        mode: Place = "",
        kind: Place = "",
        status: Place = "",
        result: Place = "",
        cause: Place = "",
        since_us: SinceUs = 0,
        n: Annotated[int | None, Query(ge=1, le=1_000_000_000)] = None,
    ) -> Any:
        """Outcomes, and requests under way, the newest first."""
        asked: dict[str, Any] = {
            "run_id": run,
            "subject": verdict,
            "environment": environment,
            "mode": mode,
            "kind": kind,
            "status": status,
            "result": result,
            "cause": cause,
            "since_us": since_us,
            "n": n,
        }
        of = filtered("replays", **asked)
        behind = place_of(of, page.after, (int,))
        rows = queries.replays(
            services.store.cursor(),
            **asked,
            limit=page.limit + 1,
            before=None if behind is None else int(behind[0]),
        )
        items, following = rows_page(rows.to_dicts(), page, of, "key")
        return {"items": items, "next": following}

    @api.get("/determinism", responses=says(DeterminismDoc))
    def determinism(run: Place = "", environment: Place = "", since_us: SinceUs = 0) -> Any:
        """How many recorded decisions replay."""
        return services.replaying.determinism(
            run_id=run, environment=environment, since_us=since_us
        ).document()


def _reading_one(api: APIRouter, services: Services) -> None:
    @api.get("/replays/{n}", responses=says(ReplayProgressDoc))
    def replay(n: Number, wait_s: Annotated[float, Query(ge=0, le=30)] = 0) -> Any:
        """How far a replay is; waits for its end for as long as is asked."""
        found = services.replaying.wait(n, wait_s)
        rows = queries.replays(services.store.cursor(), n=n, limit=100)
        return {**found.document(), "items": rows.to_dicts()}

    @api.get("/replays/{n}/flips", responses=says(FlipsDoc))
    def flips(n: Number) -> Any:
        """Decisions that are others under a candidate policy, or today."""
        found = services.replaying.flips(n)
        unproven = services.replaying.unproven(n)
        return {
            "name": replay_name(n),
            "flips": [one.document() for one in found if one.flipped],
            "changes": [one.document() for one in found if not one.flipped],
            "unproven": [
                {"verdict": one.subject, "run": one.run_id, "cause": one.cause,
                 "sentence": one.sentence}
                for one in unproven
            ],
        }  # fmt: skip

    @api.get(
        "/replays/{n}/report",
        response_class=Response,
        responses=sends("text/markdown", told="the report of a policy pull request"),
    )
    def report(n: Number) -> Response:
        found = services.replaying.pull_request(n)
        return Response(markdown(found), media_type="text/markdown")

    @api.get("/replays/{n}/{idx}", responses=says(OutcomeDoc))
    def outcome(n: Number, idx: Annotated[int, Path(ge=0, le=999_999)]) -> Any:
        """One outcome, with everything that was found."""
        return services.replaying.detail(n, idx)


def _request(request: ReplayRequest) -> dict[str, Any]:
    return {
        "name": replay_name(request.n),
        "n": request.n,
        "asked_us": request.ts_us,
        "actor": request.actor,
        "reason": request.reason,
        "mode": request.mode,
        "depth": request.depth,
        "scope": request.scope,
        "run": request.run_id,
        "environment": request.environment,
        "policy": request.policy,
        "total": request.total,
    }
