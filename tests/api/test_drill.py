"""The break-it drill over HTTP, on a run of the server's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from engine.services import Services
from tests.api.ending import cancelled

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"


def _ended(client: TestClient, header: dict[str, str], bundle: str) -> str:
    """A run that ended and was sealed: called off right away, or refused by the gate before."""
    body = {"bundle": bundle, "environment": "eu-prod", "reason": "drill"}
    run_id: str = client.post(f"{API}/promotions", json=body, headers=header).json()["id"]
    cancelled(client, header, run_id)
    return run_id


def test_every_broken_copy_is_shown_with_its_check(
    client: TestClient, services: Services, bearer: Bearer, bundle: str
) -> None:
    header = bearer("ana.li")
    run_id = _ended(client, header, bundle)
    before = services.store.version(run_id)
    answer = client.post(f"{API}/runs/{run_id}/drill", headers=header)
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert (done["run"], done["pack"], done["ok"]) == (run_id, "audit-pack.tar.gz", True)
    assert done["anchored"] and all(case["caughtBy"]["check"] for case in done["cases"])
    assert {"no_key", "own_keys", "stolen_keys"} == {case["by"] for case in done["cases"]}
    assert services.store.version(run_id) == before


def test_who_may_not_and_what_is_not_there(
    client: TestClient, services: Services, bearer: Bearer, bundle: str
) -> None:
    header = bearer("ana.li")
    run_id = _ended(client, header, bundle)
    refused = client.post(f"{API}/runs/{run_id}/drill", headers=bearer("a.stranger"))
    assert (refused.status_code, refused.json()["code"]) == (403, "role")
    assert "may not drill evidence of eu-prod" in refused.json()["detail"]
    last = services.store.load("admin")[-1]
    assert (last.actor, last.event.TYPE) == ("a.stranger", "command.rejected/1")
    nowhere = client.post(f"{API}/runs/run-999/drill", headers=header)
    assert nowhere.status_code == 404

    services.worker.stop()  # what is asked for from now on stays as it is
    body = {"bundle": bundle, "environment": "eu-prod"}
    open_run = client.post(f"{API}/promotions", json=body, headers=header).json()["id"]
    early = client.post(f"{API}/runs/{open_run}/drill", headers=header)
    assert (early.status_code, early.json()["code"]) == (409, "state")
    assert "is not sealed" in early.json()["detail"] and "--kind partial" in early.json()["hint"]
