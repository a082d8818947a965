"""Replays over HTTP: ask for recorded decisions to be asked again, and read what came of it.

`POST` answers 202 at once; `GET /replays/{n}?wait_s=` waits for the end. Every request is on
record with who asked and why, a refused one too.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

import data.queries_replays as queries
from engine.api.runs import IdempotencyKey, Limit, asker
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
from engine.services import Services

_POLICY_BYTES_MAX = 1 << 20
_NEWEST = 10


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
    policy_digest: str = ""
    processes: int = Field(
        default=0, ge=0, le=PROCESSES_MAX, description="fresh processes that must agree"
    )
    crosscheck: bool = Field(default=False, description="ask the second engine too")


class ManyIn(ReplayIn):
    """`scope`: all, or run-N/STAGE for the gate of one stage."""

    scope: str = ALL
    since_us: int = Field(default=0, ge=0)
    environment: str = ""
    jobs: int = Field(default=0, ge=0, le=64, description="worker processes; 0 = every core")


def router(services: Services) -> APIRouter:
    api = APIRouter()
    _asking(api, services)
    _reading(api, services)
    _reading_one(api, services)
    return api


def _asking(api: APIRouter, services: Services) -> None:
    def begin(
        scope: str, body: ReplayIn, request: Request, key: str, **more: Any
    ) -> dict[str, Any]:
        who = asker(request)
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
        command_id = f"{who.user}/{key}" if key else ""
        return _request(services.replaying.request(ask, who, command_id=command_id))

    @api.post("/verdicts/{verdict_id}/replays", status_code=202)
    def verdict_replay(
        verdict_id: str, body: ReplayIn, request: Request, key: IdempotencyKey = ""
    ) -> Any:
        services.replaying.verdict(verdict_id)
        return begin(verdict_id, body, request, key)

    @api.post("/runs/{run_id}/replays", status_code=202)
    def run_replay(run_id: str, body: ReplayIn, request: Request, key: IdempotencyKey = "") -> Any:
        services.service.run(run_id)
        return begin(run_id, body, request, key)

    @api.post("/replays", status_code=202)
    def replay(body: ManyIn, request: Request, key: IdempotencyKey = "") -> Any:
        return begin(
            body.scope,
            body,
            request,
            key,
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
    @api.get("/verdicts/{verdict_id}")
    def verdict(verdict_id: str) -> Any:
        row = services.replaying.verdict(verdict_id)
        newest = queries.replays(services.store.cursor(), subject=verdict_id, limit=_NEWEST)
        try:
            capsule = services.replaying.capsule(verdict_id)
        except (Malformed, NotFound) as error:
            capsule = {"problem": str(error)}
        return {**row, "capsule": row["capsule"], "rests_on": capsule,
                "newest_replays": newest.to_dicts()}  # fmt: skip

    @api.get("/replays")
    def replays(
        run: str = "",
        verdict: str = "",
        environment: str = "",
        mode: str = "",
        kind: str = "",
        status: str = "",
        result: str = "",
        cause: str = "",
        since_us: Annotated[int, Query(ge=0)] = 0,
        n: int | None = None,
        limit: Limit = 50,
        before: int | None = None,
    ) -> Any:
        rows = queries.replays(
            services.store.cursor(),
            run_id=run,
            subject=verdict,
            environment=environment,
            mode=mode,
            kind=kind,
            status=status,
            result=result,
            cause=cause,
            since_us=since_us,
            n=n,
            limit=limit,
            before=before,
        ).to_dicts()
        return {"items": rows, "next": rows[-1]["key"] if len(rows) == limit else None}

    @api.get("/determinism")
    def determinism(
        run: str = "", environment: str = "", since_us: Annotated[int, Query(ge=0)] = 0
    ) -> Any:
        return services.replaying.determinism(
            run_id=run, environment=environment, since_us=since_us
        ).document()


def _reading_one(api: APIRouter, services: Services) -> None:
    @api.get("/replays/{n}")
    def replay(n: int, wait_s: Annotated[float, Query(ge=0, le=30)] = 0) -> Any:
        found = services.replaying.wait(n, wait_s)
        rows = queries.replays(services.store.cursor(), n=n, limit=100)
        return {**found.document(), "items": rows.to_dicts()}

    @api.get("/replays/{n}/flips")
    def flips(n: int) -> Any:
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

    @api.get("/replays/{n}/report")
    def report(n: int) -> Response:
        found = services.replaying.pull_request(n)
        return Response(markdown(found), media_type="text/markdown")

    @api.get("/replays/{n}/{idx}")
    def outcome(n: int, idx: int) -> Any:
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
