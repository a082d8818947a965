"""The API's promises: problems, idempotency, pages of facts, streams that resume."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from engine.cli.exits import INVALID_EVIDENCE, of_problem
from engine.core.digest import Digest
from engine.services import Services
from tests.api.ending import cancelled

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"


def _promote(client: TestClient, header: dict[str, str], bundle: str, **more: str) -> str:
    body = {"bundle": bundle, "environment": "eu-prod", **more}
    answer = client.post(f"{API}/promotions", json=body, headers=header)
    assert answer.status_code == 202, answer.text
    run_id: str = answer.json()["id"]
    return run_id


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/runs/run-999", None, 404, "not_found"),
        ("GET", "/runs/run-999/story", None, 404, "not_found"),
        ("GET", "/nowhere", None, 404, "not_found"),
        ("DELETE", "/runs", None, 405, "method_not_allowed"),
        ("GET", "/runs?limit=0", None, 422, "malformed"),
        ("GET", "/runs?after=nonsense", None, 422, "malformed"),
        ("GET", "/bundles/sha256:00", None, 422, "malformed"),
        ("GET", "/bundles/00000000", None, 404, "not_found"),
        ("GET", f"/blobs/sha256:{'0' * 64}", None, 404, "not_found"),
        ("GET", "/blobs/..%2F..%2Fetc", None, 404, "not_found"),
        ("GET", "/blobs/md5:00", None, 422, "malformed"),
        ("POST", "/promotions", {}, 422, "malformed"),
        ("POST", "/promotions", {"bundle": "00000000", "environment": "x"}, 404, "not_found"),
    ],
)
def test_every_refusal_is_a_problem(
    client: TestClient, bearer: Bearer, method: str, path: str, body: object, status: int, code: str
) -> None:
    answer = client.request(method, f"{API}{path}", json=body, headers=bearer("ana.li"))
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"]


def test_a_malformed_body_names_every_field(client: TestClient, bearer: Bearer) -> None:
    answer = client.post(
        f"{API}/promotions", json={"bundle": 1, "extra": 2}, headers=bearer("ana.li")
    )
    fields = {problem["field"] for problem in answer.json()["problems"]}
    assert fields == {"bundle", "environment", "extra"}


def test_the_same_key_is_the_same_promotion(
    client: TestClient, bearer: Bearer, bundle: str
) -> None:
    header = {**bearer("ci-demo", service=True), "Idempotency-Key": "pipeline-7"}
    first = _promote(client, header, bundle)
    assert _promote(client, header, bundle) == first
    body = {"bundle": bundle, "environment": "eu-stage"}
    other = client.post(f"{API}/promotions", json=body, headers=header)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


def test_a_viewer_may_not_ask_and_the_attempt_is_on_record(
    client: TestClient, bearer: Bearer, bundle: str, services: Services
) -> None:
    body = {"bundle": bundle, "environment": "eu-prod"}
    answer = client.post(f"{API}/promotions", json=body, headers=bearer("bob.smith"))
    assert (answer.status_code, answer.json()["code"]) == (403, "role")
    last = services.store.load("admin")[-1]
    assert (last.actor, last.event.TYPE) == ("bob.smith", "command.rejected/1")


def test_evidence_goes_to_nobody_who_only_looks(
    client: TestClient, bearer: Bearer, bundle: str, services: Services
) -> None:
    run_id = _promote(client, bearer("ana.li"), bundle, reason="export")
    path = f"{API}/runs/{run_id}/evidence/export?kind=partial"
    refused = client.get(path, headers=bearer("a.stranger"))
    assert (refused.status_code, refused.json()["code"]) == (403, "role")
    last = services.store.load("admin")[-1]
    assert (last.actor, last.event.TYPE) == ("a.stranger", "command.rejected/1")
    cancelled(client, bearer("ana.li"), run_id)


def test_a_run_is_tagged_with_its_version(client: TestClient, bearer: Bearer, bundle: str) -> None:
    header = bearer("ana.li")
    run_id = _promote(client, header, bundle)
    answer = client.get(f"{API}/runs/{run_id}", headers=header)
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'


def test_facts_come_in_pages_and_resume_as_a_stream(
    client: TestClient, bearer: Bearer, bundle: str
) -> None:
    header = bearer("ana.li")
    run_id = _promote(client, header, bundle, reason="pages")
    cancelled(client, header, run_id)
    stream = {**header, "Accept": "text/event-stream"}
    with client.stream("GET", f"{API}/runs/{run_id}/events", headers=stream) as response:
        whole = _facts(response.read().decode())
    assert [fact["seq"] for fact in whole] == list(range(1, len(whole) + 1))
    assert whole[-1]["kind"] == "run.sealed/1"
    resumed = {**stream, "Last-Event-ID": "3"}
    with client.stream("GET", f"{API}/runs/{run_id}/events", headers=resumed) as response:
        assert _facts(response.read().decode()) == whole[3:]
    paged, after = [], 0
    while after is not None:
        path = f"{API}/runs/{run_id}/events?after={after}&limit=5"
        page = client.get(path, headers=header).json()
        paged += page["items"]
        after = page["next"]
    assert paged == whole


def _facts(text: str) -> list[dict[str, object]]:
    blocks = [block for block in text.split("\n\n") if block.startswith("id: ")]
    return [json.loads(block.partition("data: ")[2]) for block in blocks]


def test_the_openapi_document_lists_every_route(client: TestClient, bearer: Bearer) -> None:
    document = client.get(f"{API}/openapi.json", headers=bearer("ana.li")).json()
    assert document["openapi"].startswith("3.1")
    assert {"/runs", "/promotions", "/bundles", "/runs/{run_id}/actions"} <= set(document["paths"])


def test_damage_of_ours_is_no_mistake_of_the_asker(
    client: TestClient, services: Services, bearer: Callable[[str], dict[str, str]], bundle: str
) -> None:
    """At every door that reads what is stored: the bytes themselves, and what is made of them."""
    path = services.store.blobs.path(Digest.parse(bundle))
    whole = path.read_bytes()
    path.write_bytes(whole + b" ")
    try:
        for door in (f"/blobs/{bundle}", f"/bundles/{bundle}"):
            answer = client.get(f"/api/v1{door}", headers=bearer("ana.li"))
            told = answer.json()
            assert (answer.status_code, told["code"]) == (500, "stored_damaged"), door
            assert told["where"] == f"blob {bundle}" and told["expected"] == bundle
            assert of_problem(answer.status_code, told).code == INVALID_EVIDENCE
        wish = {"bundle": bundle, "environment": "eu-stage"}
        asked = client.post("/api/v1/promotions", json=wish, headers=bearer("ci-demo"))
        assert (asked.status_code, asked.json()["code"]) == (500, "stored_damaged")
    finally:
        path.write_bytes(whole)
    assert client.get(f"/api/v1/bundles/{bundle}", headers=bearer("ana.li")).status_code == 200
