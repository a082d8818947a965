"""Holds and new runs over HTTP, and by the command line's own application."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from engine.core.run_events import RollbackStarted, RunStarted
from engine.core.statemachine import RunStatus
from engine.services import Services

pytestmark = pytest.mark.house

Bearer = Callable[[str], dict[str, str]]
API = "/api/v1"


def held_run(client: TestClient, services: Services, bearer: Bearer, bundle: str) -> str:
    """A run whose way back has begun, recorded as the engine would."""
    answer = client.post(
        f"{API}/promotions",
        headers=bearer("ana.li"),
        json={"bundle": bundle, "environment": "eu-prod"},
    )
    assert answer.status_code == 202, answer.text
    run_id: str = answer.json()["id"]
    run = services.store.run(run_id)
    events = (
        RunStarted(via="lock_acquired", epoch=services.store.next_epoch("eu-prod")),
        RollbackStarted(via="rollback", trigger="operator", reason="incident #1"),
    )
    services.store.append(run_id, events, after=run.version, actor="ana.li")
    assert services.store.run(run_id).status is RunStatus.ROLLING_BACK
    return run_id


def test_a_hold_is_told_everywhere_and_lifted_by_nobody_without_a_role(
    client: TestClient, services: Services, bearer: Bearer, bundle: str
) -> None:
    services.worker.stop()  # what follows is recorded by hand
    run_id = held_run(client, services, bearer, bundle)
    (hold,) = client.get(f"{API}/holds", headers=bearer("ana.li")).json()["items"]
    assert (hold["environment"], hold["bundle"], hold["run"]) == ("eu-prod", bundle, run_id)
    assert (hold["why"], hold["by"]) == ("incident #1", "ana.li")
    nowhere = client.get(f"{API}/holds?environment=eu-stage", headers=bearer("ana.li"))
    assert nowhere.json()["items"] == []
    run = client.get(f"{API}/runs/{run_id}", headers=bearer("ana.li")).json()
    assert run["hold"] == hold and run["new_runs"] == []
    rows = client.get(f"{API}/environments", headers=bearer("ana.li")).json()["items"]
    assert {row["environment"]: row["holds"] for row in rows} == {"eu-prod": [hold], "eu-stage": []}

    again = client.post(
        f"{API}/promotions",
        headers=bearer("ana.li"),
        json={"bundle": bundle, "environment": "eu-prod"},
    )
    assert again.status_code == 409 and again.json()["code"] == "held"
    assert run_id in again.json()["detail"] and "hold lift" in again.json()["hint"]

    lift = {"environment": "eu-prod", "bundle": bundle[:20], "reason": "fixed"}
    for user, status, code in (("bob.smith", 403, "role"), ("ana.li", 409, "state")):
        answer = client.post(f"{API}/holds/lift", headers=bearer(user), json=lift)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    unknown = client.post(
        f"{API}/holds/lift", headers=bearer("ana.li"), json=lift | {"environment": "mars"}
    )
    assert unknown.status_code == 404


def test_bad_wishes_are_told_what_is_wrong(
    client: TestClient, services: Services, bearer: Bearer
) -> None:
    run_id = f"run-{services.store.last_run_number()}"

    def act(**body: object) -> tuple[int, str]:
        answer = client.post(f"{API}/runs/{run_id}/actions", headers=bearer("ana.li"), json=body)
        return answer.status_code, answer.json()["detail"]

    assert act(action="rerun", reason="r") == (409, "Opens when the run has ended.")
    status, told = act(action="pause", reason="r", lift_hold=True)
    assert status == 422 and "pause lifts none" in told
    status, told = act(action="rollback_promotion", dry_run=True)
    assert status == 409 and "there is no way back" in told
    answer = client.get(f"{API}/runs/{run_id}/differences", headers=bearer("ana.li"))
    assert answer.status_code == 404 and "was not made from another run" in answer.json()["detail"]
