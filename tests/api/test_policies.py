"""Publishing a policy through the door: who may, what is refused, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from starlette.testclient import TestClient

from engine.core.approvals import own_work
from engine.core.house import ADMIN, CommandRejected
from engine.core.policy_versions import HOME, PolicyPublished
from engine.policy.cases import with_inputs
from engine.service import Asker
from engine.services import Services

pytestmark = pytest.mark.house

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Kind = TypeVar("Kind", PolicyPublished, CommandRejected)
Bearer = Callable[[str], dict[str, str]]


def publication(**change: Any) -> dict[str, Any]:
    tests = with_inputs(
        (EXAMPLES / "release-gate.tests.yaml").read_bytes(),
        lambda name: (EXAMPLES / name).read_bytes(),
    )
    return {
        "policy": (EXAMPLES / "release-gate.yaml").read_text("utf-8"),
        "config": (EXAMPLES / "release-gate.config.json").read_text("utf-8"),
        "tests": json.loads(tests),
        "environments": ["eu-prod"],
        "reason": "less patience with NVD",
        **change,
    }


def recorded(services: Services, kind: type[Kind]) -> list[tuple[str, Kind]]:
    found = services.store.load(ADMIN)
    return [(one.actor, one.event) for one in found if isinstance(one.event, kind)]


def stricter(version: str, budget: int = 9) -> dict[str, str]:
    policy = (EXAMPLES / "release-gate.yaml").read_text("utf-8").replace("1.0.0", version)
    config = json.loads((EXAMPLES / "release-gate.config.json").read_text("utf-8"))
    config["thresholds"]["budget"]["HIGH"] = budget
    return {"policy": policy, "config": json.dumps(config)}


def test_the_homes_files_are_the_first_versions(client: TestClient, bearer: Bearer) -> None:
    items = client.get("/api/v1/policies", headers=bearer("ana.li")).json()["items"]
    first = [one for one in items if one["source"] == HOME]
    assert {one["environment"] for one in first} >= {"eu-prod"}
    assert all(one["by"] == "engine" and one["before"] is None for one in first)


def test_a_published_policy_is_in_force_for_the_next_run(
    client: TestClient, bearer: Bearer, services: Services, bundle: str
) -> None:
    before = services.outside.desk.policy_digest("eu-prod")
    stage = services.outside.desk.policy_digest("eu-stage")
    answer = client.post(
        "/api/v1/policies", json=publication(**stricter("1.1.0")), headers=bearer("eva.roth")
    )
    assert answer.status_code == 201, answer.text
    (item,) = answer.json()["items"]
    assert item["before"] == str(before) and item["passed"] >= 13
    in_force = services.outside.desk.policy_digest("eu-prod")
    assert str(in_force) == item["policy"] != str(before)
    assert services.outside.desk.policy_digest("eu-stage") == stage
    actor, event = recorded(services, PolicyPublished)[-1]
    assert (actor, event.reason) == ("eva.roth", "less patience with NVD")
    shown = client.get(f"/api/v1/policies/{item['policy']}", headers=bearer("ana.li")).json()
    assert shown["config"]["thresholds"]["budget"]["HIGH"] == 9 and shown["lint"] == []

    run = services.service.promote(
        services.catalog.find(bundle).digest, "eu-prod", Asker(user="ci-demo"), command_id="p-1"
    )
    assert run.request.policy_digest == in_force
    assert run.request.policy_authors == ("eva.roth",)
    assert own_work(run, "eva.roth", "approve it") == (
        "eva.roth changed this environment's policy less than 14 days before this run; somebody "
        "else has to approve it."
    )
    assert own_work(run, "bob.smith", "approve it") is None


def test_the_same_request_publishes_once(
    client: TestClient, bearer: Bearer, services: Services
) -> None:
    headers = {**bearer("eva.roth"), "Idempotency-Key": "k-1"}
    body = publication(**stricter("1.2.0"))
    first = client.post("/api/v1/policies", json=body, headers=headers)
    count = len(services.policies.versions())
    again = client.post("/api/v1/policies", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json() and len(services.policies.versions()) == count
    other = client.post("/api/v1/policies", json=body, headers=bearer("eva.roth"))
    assert other.status_code == 409 and "in force in eu-prod already" in other.text


@pytest.mark.parametrize("user", ["ana.li", "dora.admin", "bob.smith", "ci-demo"])
def test_nobody_else_may(user: str, client: TestClient, bearer: Bearer, services: Services) -> None:
    body = publication(policy="not even a policy")
    answer = client.post("/api/v1/policies", json=body, headers=bearer(user))
    assert answer.status_code == 403 and answer.json()["code"] == "role"
    actor, event = recorded(services, CommandRejected)[-1]
    assert (actor, event.action) == (user, "publish_policy")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"policy": "rules: ["}, "expected YAML"),
        ({"config": '{"a": 1.5}'}, "expected an integer"),
        ({"config": "{}"}, "unknown-field"),
        ({"environments": ["mars"]}, "mars"),
        ({"reason": " "}, "Say in one line why"),
        (stricter("1.3.0") | {"tests": {"cases": []}}, "tests"),
        (stricter("1.3.1", budget=0), None),
    ],
)
def test_what_is_not_sound_changes_nothing(
    change: dict[str, Any], says: str | None, client: TestClient, bearer: Bearer, services: Services
) -> None:
    before = services.policies.versions()
    body = publication(**change)
    if says is None:  # a test of its own says no
        (case,) = (c for c in body["tests"]["cases"] if "passes with two" in c["name"])
        case["expect"]["warn"] = 1
        says = "the example passes with two warnings: warn: expected 1, found 2"
    answer = client.post("/api/v1/policies", json=body, headers=bearer("eva.roth"))
    assert 400 <= answer.status_code < 500 and says in answer.json()["detail"], answer.text
    assert services.policies.versions() == before


def test_a_check_changes_nothing(client: TestClient, bearer: Bearer, services: Services) -> None:
    before = services.policies.versions()
    body = {k: v for k, v in publication(**stricter("2.0.0")).items() if k not in _FOR_PUBLISHING}
    answer = client.post("/api/v1/policies/check", json=body, headers=bearer("ana.li"))
    assert answer.status_code == 200 and answer.json()["ok"]
    assert services.policies.versions() == before


_FOR_PUBLISHING = {"environments", "reason"}
