"""Rollback over the API: one way to preview it, half a wish is refused, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.ending import cancelled

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"


@pytest.fixture
def run_id(client: TestClient, bearer: Bearer, bundle: str) -> str:
    body = {"bundle": bundle, "environment": "eu-prod", "reason": "going back"}
    answer = client.post(f"{API}/promotions", json=body, headers=bearer("ana.li"))
    found: str = answer.json()["id"]
    cancelled(client, bearer("ana.li"), found)
    return found


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"action": "rollback", "scope": "target"}, "targets: expected at least one"),
        ({"action": "rollback", "scope": "full", "targets": ["a"]}, "targets: expected none"),
        ({"action": "pause", "targets": ["a"]}, "targets: pause takes none"),
        ({"action": "pause", "plan": f"sha256:{'0' * 64}"}, "plan: pause takes none"),
        ({"action": "rollback", "scope": "stage"}, "scope"),
        ({"action": "rollback", "plan": "abc"}, "sha256:"),
        ({"action": "pause", "dry_run": True}, "dry_run: only rollback has a preview"),
    ],
)
def test_half_a_wish_is_not_guessed_at(
    client: TestClient, bearer: Bearer, run_id: str, body: dict[str, Any], where: str
) -> None:
    wish = {"reason": "because", **body}
    answer = client.post(f"{API}/runs/{run_id}/actions", json=wish, headers=bearer("ana.li"))
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed"), answer.text
    assert where in answer.text


def test_a_preview_says_what_becomes_of_every_target(
    client: TestClient, bearer: Bearer, run_id: str
) -> None:
    path, header = f"{API}/runs/{run_id}/actions", bearer("ana.li")
    run = client.get(f"{API}/runs/{run_id}", headers=header).json()
    names = [t["target"] for t in run["targets"]]
    wish: dict[str, Any] = {"action": "rollback", "dry_run": True}
    full = client.post(path, json=wish, headers=header).json()
    assert [row["target"] for row in full["rows"]] == names
    assert (full["scope"], full["counts"]["revert"]) == ("full", 0)
    assert sum(full["counts"].values()) == len(names)
    one = client.post(path, json={**wish, "targets": names[:1]}, headers=header).json()
    assert (one["scope"], [row["target"] for row in one["rows"]]) == ("target", names[:1])
    unknown = client.post(path, json={**wish, "targets": ["nowhere"]}, headers=header)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert client.get(f"{API}/runs/{run_id}", headers=header).json()["ways_back"] == []


def test_a_run_tells_of_its_way_back(client: TestClient, bearer: Bearer, run_id: str) -> None:
    run = client.get(f"{API}/runs/{run_id}", headers=bearer("ana.li")).json()
    assert {"rollback_readiness", "rollback_suppressed", "sent_back", "ways_back"} <= set(run)
