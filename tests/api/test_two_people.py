"""Overrides and reviews over the API: the same words and the same refusals as everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from engine.core.people_events import ReviewOpened
from engine.recording import append_to
from engine.services import Services
from tests.api.test_api import _promote

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"


def act(client: TestClient, header: dict[str, str], run: str, **body: Any) -> Any:
    return client.post(f"{API}/runs/{run}/actions", json=body, headers=header)


@pytest.fixture
def run(client: TestClient, bearer: Bearer, bundle: str) -> str:
    return _promote(client, bearer("ci-demo"), bundle)


def test_what_cannot_be_overridden_is_malformed(
    client: TestClient, bearer: Bearer, run: str
) -> None:
    answer = act(client, bearer("ana.li"), run, action="pause", reason="x", override=True)
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed")
    assert "pause cannot be overridden" in answer.json()["detail"]
    answer = act(client, bearer("ana.li"), run, action="pause", reason="x", review=1)
    assert answer.status_code == 422
    answer = act(client, bearer("ana.li"), run, action="review", reason="x", review=-1)
    assert answer.status_code == 422


def test_every_action_says_whether_an_override_is_possible(
    client: TestClient, bearer: Bearer, run: str
) -> None:
    items = client.get(f"{API}/runs/{run}/actions", headers=bearer("ana.li")).json()["items"]
    assert {item["action"] for item in items} >= {"continue", "resume", "review", "drop_override"}
    assert all("override" in item for item in items)
    found = client.get(f"{API}/runs/{run}", headers=bearer("ana.li")).json()
    assert (found["override"], found["overrides"], found["reviews"]) == (None, [], [])


def test_a_review_is_listed_and_closed_by_another(
    client: TestClient, bearer: Bearer, services: Services, run: str
) -> None:
    opened = ReviewOpened(kind="rollback", doers=("ana.li",), what="rollback", due_after_s=86_400)
    append_to(services.store, run, opened, actor="ana.li")  # the engine is at work on it, too
    listed = client.get(f"{API}/reviews?open=1", headers=bearer("bob.smith")).json()["items"]
    (row,) = [item for item in listed if item["run_id"] == run]
    assert (row["number"], row["kind"], row["doers"], row["overdue"]) == (
        1, "rollback", ["ana.li"], False,
    )  # fmt: skip
    answer = act(client, bearer("ana.li"), run, action="review", reason="fine")
    assert (answer.status_code, answer.json()["code"]) == (403, "conflict_of_interest")
    answer = act(client, bearer("bob.smith"), run, action="review", reason="fine", ticket="T-1")
    assert answer.status_code == 200, answer.text
    (review,) = answer.json()["run"]["reviews"]
    assert (review["closed_by"], review["verdict"], review["ticket"]) == (
        "bob.smith", "follow_up", "T-1",
    )  # fmt: skip
    listed = client.get(f"{API}/reviews?open=1", headers=bearer("bob.smith")).json()["items"]
    assert all(item["run_id"] != run for item in listed)
    everything = client.get(f"{API}/reviews", headers=bearer("bob.smith")).json()["items"]
    assert any(item["run_id"] == run and item["closed_us"] for item in everything)
