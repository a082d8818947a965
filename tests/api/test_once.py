"""Idempotency-Key on every POST: done once, told again, refused with another request."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from starlette.testclient import TestClient

from engine.api.once import KEPT_S
from engine.services import Services
from tests.api.ending import cancelled, ended

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"
POLICIES = Path(__file__).parents[2] / "examples"


def _ended(client: TestClient, header: dict[str, str], bundle: str) -> str:
    """A run that was cancelled and sealed."""
    body = {"bundle": bundle, "environment": "eu-prod"}
    run_id: str = client.post(f"{API}/promotions", json=body, headers=header).json()["id"]
    cancelled(client, header, run_id)
    return run_id


def _policy() -> dict[str, Any]:
    policy = (POLICIES / "release-gate.yaml").read_text()
    return {
        "policy": policy.replace("version: 1.0.0", "version: 1.9.9"),
        "config": (POLICIES / "release-gate.config.json").read_text(),
        "environments": ["eu-stage"],
        "reason": "test",
    }


@pytest.mark.parametrize(
    "deed",
    ["promotion", "action", "bundle", "policy", "token", "link", "replay", "addendum", "rerun"],
)
def test_the_same_key_does_nothing_twice(
    client: TestClient, bearer: Bearer, bundle: str, services: Services, deed: str
) -> None:
    ana = bearer("ana.li")
    user, path, more, other = _deed(client, ana, bundle, deed)
    header = {**bearer(user), "Idempotency-Key": f"once-{deed}"}
    first = client.post(f"{API}{path}", headers=header, **more)
    assert first.is_success, first.text
    assert "idempotent-replayed" not in first.headers
    before = _gseq(services)
    again = client.post(f"{API}{path}", headers=header, **more)
    assert again.status_code == first.status_code
    assert again.headers["idempotent-replayed"] == "true"
    told = first.json()
    for secret in ("token", "secret"):
        if secret in told:
            assert told[secret]
            told[secret] = None
    assert again.json() == told
    assert _gseq(services) == before, "nothing was recorded by the second one"
    refused = client.post(f"{API}{path}", headers=header, **other)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict"), refused.text
    fresh = {**header, "Idempotency-Key": f"other-{deed}"}
    assert "idempotent-replayed" not in client.post(f"{API}{path}", headers=fresh, **more).headers


def _deed(client: TestClient, ana: dict[str, str], bundle: str, deed: str) -> tuple[Any, ...]:
    """User, path, request, and another request to the same path."""
    wish = {"bundle": bundle, "environment": "eu-prod"}
    files = [("component", ("app.json", b'{"once": 1}'))]
    match deed:
        case "promotion":
            return "ana.li", "/promotions", {"json": wish}, {"json": {**wish, "reason": "other"}}
        case "action":
            run_id = client.post(f"{API}/promotions", json=wish, headers=ana).json()["id"]
            body = {"action": "comment", "reason": "seen"}
            path = f"/runs/{run_id}/actions"
            return "ana.li", path, {"json": body}, {"json": {**body, "reason": "else"}}
        case "rerun":
            path = f"/runs/{_ended(client, ana, bundle)}/actions"
            body = {"action": "rerun", "reason": "again"}
            return "ana.li", path, {"json": body}, {"json": {**body, "ticket": "t"}}
        case "bundle":
            data = {"name": "once", "version": "1"}
            same = {"data": data, "files": files}
            changed = [("component", ("app.json", b'{"once": 2}'))]
            return "ana.li", "/bundles", same, {"data": data, "files": changed}
        case "policy":
            return (
                "eva.roth",
                "/policies",
                {"json": _policy()},
                {"json": {**_policy(), "reason": "x"}},
            )
        case "token":
            body = {"user": "ci-demo", "service": True}
            return "dora.admin", "/tokens", {"json": body}, {"json": {"user": "ana.li"}}
        case "link":
            return (
                "dora.admin",
                "/links",
                {"json": {"user": "ana.li"}},
                {"json": {"user": "bob.smith"}},
            )
        case "replay":
            wish["environment"] = "eu-stage"
            run_id = client.post(f"{API}/promotions", json=wish, headers=ana).json()["id"]
            ended(client, ana, run_id)
            body = {"reason": "once", "scope": "all"}
            return "ana.li", "/replays", {"json": body}, {"json": {**body, "reason": "other"}}
        case "addendum":
            path = f"/runs/{_ended(client, ana, bundle)}/evidence/addenda"
            note = [("attach", ("note.txt", b"seen"))]
            same = {"data": {"text": "read"}, "files": note}
            return "ana.li", path, same, {"data": {"text": "read"}}
    raise AssertionError(deed)


def _gseq(services: Services) -> int:
    """Of the newest event that people caused."""
    gseq = services.store.cursor().sql("SELECT max(gseq) FROM events WHERE actor <> 'engine'")
    (found,) = gseq.fetchall()[0]
    return int(found)


def test_the_answer_of_an_action_stays_that_of_then(
    client: TestClient, bearer: Bearer, bundle: str
) -> None:
    ana = bearer("ana.li")
    wish = {"bundle": bundle, "environment": "eu-prod", "reason": "stays"}
    key = {**ana, "Idempotency-Key": "stays"}
    first = client.post(f"{API}/promotions", json=wish, headers=key)
    run_id = first.json()["id"]
    cancel = {"action": "cancel", "reason": "test"}
    client.post(f"{API}/runs/{run_id}/actions", json=cancel, headers=ana)
    again = client.post(f"{API}/promotions", json=wish, headers=key)
    assert again.json() == first.json()
    assert again.json()["status"] == "QUEUED"


def test_what_was_asked_lies_in_the_line_of_its_effect(
    client: TestClient, bearer: Bearer, bundle: str, services: Services
) -> None:
    """One line of the journal is one atomic batch: a power cut leaves both or neither."""
    wish = {"bundle": bundle, "environment": "eu-prod", "reason": "one line"}
    key = {**bearer("ana.li"), "Idempotency-Key": "one-line"}
    run_id = client.post(f"{API}/promotions", json=wish, headers=key).json()["id"]
    lines = [
        json.loads(line)["records"]
        for segment in sorted((services.home / "journal").iterdir())
        for line in segment.read_bytes().splitlines()
        if b"ana.li/one-line" in line
    ]
    assert len(lines) == 1
    kinds = {record["type"]: record for record in lines[0]}
    assert kinds["event"]["stream"] == run_id
    assert kinds["command"]["body"]["command_id"] == "ana.li/one-line"


def test_a_refusal_is_not_kept(client: TestClient, bearer: Bearer, bundle: str) -> None:
    ana = bearer("ana.li")
    wish = {"bundle": bundle, "environment": "eu-prod", "reason": "refused first"}
    run_id = client.post(f"{API}/promotions", json=wish, headers=ana).json()["id"]
    key = {**ana, "Idempotency-Key": "refused"}
    body = {"action": "comment", "reason": ""}
    assert client.post(f"{API}/runs/{run_id}/actions", json=body, headers=key).status_code == 422
    body["reason"] = "now with words"
    assert client.post(f"{API}/runs/{run_id}/actions", json=body, headers=key).status_code == 200


def test_two_people_may_use_the_same_key(client: TestClient, bearer: Bearer, bundle: str) -> None:
    wish = {"bundle": bundle, "environment": "eu-prod", "reason": "two people"}
    made = {
        client.post(
            f"{API}/promotions", json=wish, headers={**bearer(user), "Idempotency-Key": "shared"}
        ).json()["id"]
        for user in ("ana.li", "ci-demo")
    }
    assert len(made) == 2


def test_a_key_counts_for_a_day(client: TestClient, bearer: Bearer, bundle: str) -> None:
    ana = bearer("ana.li")
    key = {**ana, "Idempotency-Key": "day"}
    wish = {"bundle": bundle, "environment": "eu-prod", "reason": "day"}
    runs = [client.post(f"{API}/promotions", json=wish, headers=key).json()["id"]]
    for days in (1, 2):
        with time_machine.travel(timedelta(seconds=days * (KEPT_S + 1)), tick=True):
            for _ in range(2):
                answer = client.post(f"{API}/promotions", json=wish, headers=key)
                runs.append(answer.json()["id"])
    assert runs[1] == runs[2] and runs[3] == runs[4]
    assert len(set(runs)) == 3


@pytest.mark.parametrize("key", ["with blank", "ü", "x" * 201])
def test_a_key_of_another_form_is_a_problem(
    client: TestClient, bearer: Bearer, bundle: str, key: str
) -> None:
    wish = {"bundle": bundle, "environment": "eu-prod"}
    header = {**bearer("ana.li"), "Idempotency-Key": key.encode("utf-8")}
    answer = client.post(f"{API}/promotions", json=wish, headers=header)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed")
