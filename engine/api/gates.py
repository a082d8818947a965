"""The health gate over HTTP: stored ticks judged again, as they were and under other limits."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from data import queries
from engine.api.acting import Count
from engine.api.documents.base import says
from engine.api.documents.judging import BacktestDoc, GateReplayDoc
from engine.api.runs import RunId
from engine.backtest import RUNS_MAX, backtest_runs, document
from engine.core.backtest import sentence
from engine.gate_replay import replay_run
from engine.services import Services


class BacktestIn(BaseModel):
    """`changes`: by the names of a workflow's gate, `{"error_rate.max": "2%"}`."""

    model_config = ConfigDict(extra="forbid")
    changes: dict[str, Annotated[str, Field(max_length=40)]] = Field(
        min_length=1, max_length=100, examples=[{"error_rate.max": "2%"}]
    )
    runs: list[Annotated[str, Field(max_length=64)]] = Field(default=[], max_length=RUNS_MAX)
    environment: Annotated[str, Field(max_length=200)] = ""
    limit: Count = Field(default=50, ge=1, le=RUNS_MAX)


def routes(api: APIRouter, services: Services) -> None:
    @api.get("/runs/{run_id}/gate-replay", responses=says(GateReplayDoc))
    def gate_replay(run_id: RunId) -> Any:
        """Judge every stored tick of a run again, and compare."""
        replays = replay_run(services.store, run_id)
        unlike = [one for one in replays if not one.same]
        counted = sum(one.ticks for one in replays)
        return {
            "run": run_id,
            "same": not unlike,
            "ticks": counted,
            "sentence": f"{unlike[0].step}: {unlike[0].sentence()}"
            if unlike
            else f"All {counted} stored ticks of {run_id} replay to the same action at the same "
            "tick under the same rule.",
            "items": [{**one.document(), "sentence": one.sentence()} for one in replays],
        }

    @api.post("/gate-backtests", responses=says(BacktestDoc))
    def gate_backtest(body: BacktestIn) -> Any:
        """What other limits would have done to past stages; it changes nothing."""
        newest = queries.watched_runs(
            services.store.cursor(), environment=body.environment, limit=body.limit
        )
        run_ids = body.runs or newest["run_id"].to_list()
        outcomes = backtest_runs(services.store, run_ids, body.changes)
        return {**document(outcomes, body.changes), "sentence": sentence(outcomes)}
