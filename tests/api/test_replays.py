"""Replays over HTTP: who may, what is answered, and problems in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from engine.core.rows import VerdictRow
from engine.services import Services

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"
LOST = "sha256:" + "0" * 64


@pytest.fixture
def verdict(client: TestClient, services: Services, bearer: Bearer, bundle: str) -> str:
    """A verdict on record whose capsule is gone."""
    body = {"bundle": bundle, "environment": "eu-prod", "reason": "replays"}
    answer = client.post(f"{API}/promotions", json=body, headers=bearer("ana.li"))
    run_id: str = answer.json()["id"]
    name = f"verdict-9{run_id[4:]}"
    services.store.record(
        [
            VerdictRow(
                verdict_id=name, run_id=run_id, step="gate-eval", attempt=9, ts_us=5,
                decision="PASS", warn=0, fail=0, error=False, verdict=LOST, policy=LOST,
                policy_input=LOST, capsule=LOST,
            )
        ]
    )  # fmt: skip
    return name


def test_a_replay_is_asked_for_waited_for_and_read(
    client: TestClient, bearer: Bearer, verdict: str
) -> None:
    header = {**bearer("ana.li"), "Idempotency-Key": f"k-{verdict}"}
    body = {"reason": "audit"}
    asked = client.post(f"{API}/verdicts/{verdict}/replays", json=body, headers=header)
    assert asked.status_code == 202, asked.text
    n = asked.json()["n"]
    again = client.post(f"{API}/verdicts/{verdict}/replays", json=body, headers=header)
    assert again.json() == asked.json()
    done = client.get(f"{API}/replays/{n}?wait_s=30", headers=header).json()
    assert (done["status"], done["mismatching"]) == ("COMPLETED", 1)
    one = client.get(f"{API}/replays/{n}/1", headers=header).json()
    assert (one["cause"], one["facet"], one["reason"]) == ("INPUT_MISSING", "capsule", "audit")
    listed = client.get(f"{API}/replays?verdict={verdict}", headers=header).json()
    assert [row["n"] for row in listed["items"]] == [n] and listed["next"] is None
    told = client.get(f"{API}/verdicts/{verdict}", headers=header).json()
    assert (told["last_cause"], told["replays"]) == ("INPUT_MISSING", 1)
    assert "no blob" in told["rests_on"]["problem"]
    numbers = client.get(f"{API}/determinism?run={told['run_id']}", headers=header).json()
    assert numbers["sentence"].startswith("total 1 | matching 0 | mismatches 1 | running 0")


def test_who_may_not_and_what_is_not_there(
    client: TestClient, services: Services, bearer: Bearer, verdict: str
) -> None:
    path = f"{API}/verdicts/{verdict}/replays"
    refused = client.post(path, json={"reason": "why"}, headers=bearer("a.stranger"))
    assert (refused.status_code, refused.json()["code"]) == (403, "role")
    kinds = {(r.actor, r.event.TYPE) for r in services.store.load("admin")}
    assert ("a.stranger", "command.rejected/1") in kinds
    header = bearer("ana.li")
    for method, where, code in (
        ("post", "/verdicts/verdict-404/replays", 404),
        ("post", "/runs/run-404/replays", 404),
        ("get", "/verdicts/verdict-404", 404),
        ("get", "/replays/404", 404),
        ("get", "/replays/404/1", 404),
        ("get", "/replays/404/flips", 404),
    ):
        more = {"json": {"reason": "why"}} if method == "post" else {}
        answer = getattr(client, method)(f"{API}{where}", headers=header, **more)
        assert answer.status_code == code, (where, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    for body, says in (
        ({"reason": ""}, "reason"),
        ({"reason": "x", "mode": "WHAT_IF"}, "candidate"),
        ({"reason": "x", "config": "{}"}, "config"),
        ({"reason": "x", "mode": "WHAT_IF", "policy": "rules: []"}, "policy"),
        ({"reason": "x", "processes": 99}, "processes"),
    ):
        answer = client.post(path, json=body, headers=header)
        assert answer.status_code == 422 and says in answer.text, answer.text
