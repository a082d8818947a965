"""The OpenAPI document: whole, and true of what is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from engine.api.openapi import PROBLEMS
from tests.api.ending import ended

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"


@pytest.fixture
def document(client: TestClient, bearer: Bearer) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{API}/openapi.json", headers=bearer("ana.li")).json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_answer_and_every_problem_has_a_schema(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["securitySchemes"]) == {"token", "session"}
    bare = []
    for name, operation in operations(document):
        answers = operation["responses"]
        assert {str(status) for status in PROBLEMS} <= set(answers), name
        good = [answers[status] for status in answers if status.startswith("2")]
        assert len(good) == 1, name
        contents = good[0]["content"]
        if any("schema" not in one for one in contents.values()):
            bare.append(name)
        if "application/json" in contents and not contents["application/json"]["schema"]:
            bare.append(name)
    assert bare == ["GET /feeds/{name}/snapshot"], "a feed's snapshot is somebody else's document"


def test_every_list_has_a_page_and_every_post_that_does_something_a_key(
    document: dict[str, Any],
) -> None:
    reads_only = {
        "POST /policies/check", "POST /gate-backtests", "POST /fsck", "POST /log/fsck",
        "POST /runs/{run_id}/drill", "POST /retention", "POST /audit/check",
        "POST /integrations/{name}/probe",
        "POST /hooks/{name}",  # what its sender signed is its key
    }  # fmt: skip
    for name, operation in operations(document):
        given = {one["name"] for one in operation.get("parameters", ())}
        if name.startswith("POST") and name not in reads_only:
            assert "Idempotency-Key" in given, name
        schema = json.dumps(operation["responses"].get("200", {}))
        if "PageOf" in schema:
            assert {"limit", "after"} <= given, name


def test_what_is_answered_is_what_is_described(
    client: TestClient, bearer: Bearer, bundle: str, document: dict[str, Any]
) -> None:
    ana, dora = bearer("ana.li"), bearer("dora.admin")
    wish = {"bundle": bundle, "environment": "eu-stage", "reason": "described"}
    run_id = client.post(f"{API}/promotions", json=wish, headers=ana).json()["id"]
    ended(client, ana, run_id)
    asked = client.post(f"{API}/runs/{run_id}/replays", json={"reason": "x"}, headers=ana).json()
    client.get(f"{API}/replays/{asked['n']}?wait_s=20", headers=ana)
    verdict = client.get(f"{API}/runs/{run_id}", headers=ana).json()["verdict"]["id"]
    looked = set()
    for template in document["paths"]:
        if "get" not in document["paths"][template]:
            continue
        path = (
            template.replace("{run_id}", run_id)
            .replace("{step}", "gate-eval")
            .replace("{digest}", bundle)
            .replace("{name}", "KEV")
            .replace("{verdict_id}", verdict)
            .replace("{n}", str(asked["n"]))
            .replace("{idx}", "1")
        )
        header = dora if template == "/tokens" else ana
        query = {"run": run_id} if template == "/findings" else {}
        query |= {"first": "1"} if template == "/log/consistency" else {}
        answer = client.get(f"{API}{path}", headers=header, params=query)
        _holds(document, template, answer)
        if answer.status_code == 200:
            looked.add(template)
    assert len(looked) >= 30, sorted(set(document["paths"]) - looked)


def _holds(document: dict[str, Any], template: str, answer: Any) -> None:
    said = document["paths"][template]["get"]["responses"]
    assert str(answer.status_code) in said, (template, answer.text)
    kind = answer.headers["content-type"].partition(";")[0]
    if answer.status_code != 200:
        assert kind == "application/problem+json", template
        schema: Any = {"$ref": "#/components/schemas/ProblemDoc"}
    else:
        assert kind in said["200"]["content"], (template, kind)
        schema = said["200"]["content"][kind]["schema"]
    if kind.endswith("json"):
        whole = {**schema, "components": document["components"]}
        problems = list(Draft202012Validator(whole).iter_errors(answer.json()))
        assert not problems, (template, [str(one)[:600] for one in problems])
