"""The orchestrator over HTTP says what its page says."""

from __future__ import annotations

from collections.abc import Callable

from starlette.testclient import TestClient

from engine.services import Services
from tests.api.ending import ended

API = "/api/v1"


def test_runs_queues_and_jobs_as_the_page_has_them(
    client: TestClient, bearer: Callable[[str], dict[str, str]], bundle: str, services: Services
) -> None:
    ana = bearer("ana.li")
    wish = {"bundle": bundle, "environment": "eu-stage", "reason": "looked at"}
    run_id = client.post(f"{API}/promotions", json=wish, headers=ana).json()["id"]
    told = client.get(f"{API}/orchestrator", headers=ana).json()
    assert told["worker"]["running"] and told["worker"]["threads"] >= 1
    assert told["stuck"] == []
    open_now = {one["run"]: one for one in told["runs"]}
    if run_id in open_now:  # a quick machine may have ended it
        assert open_now[run_id]["environment"] == "eu-stage"
    assert [one["environment"] for one in told["queues"]] == list(services.settings.environments)
    jobs = {one["name"]: one for one in told["jobs"]}
    assert set(jobs) == {one.name for one in services.orchestrator.look().jobs}
    assert {"feed syncs", "SBOM rescan", "replays", "rescans", "firings"} <= set(jobs)
    assert jobs["replays"]["text"] == "none was asked for so far"
    ended(client, ana, run_id)
    asked = client.post(f"{API}/runs/{run_id}/replays", json={"reason": "x"}, headers=ana).json()
    path = f"{API}/replays/{asked['n']}?wait_s=20"
    while client.get(path, headers=ana).json()["status"] == "RUNNING":
        pass  # each look waits for it
    told = client.get(f"{API}/orchestrator", headers=ana).json()
    replays = next(one for one in told["jobs"] if one["kind"] == "replay")
    assert (replays["word"], replays["text"]) == ("IDLE", f"{asked['name']}: 1 of 1 decisions")
    assert replays["last_us"] is not None
    assert client.get(f"{API}/orchestrator").status_code == 401
