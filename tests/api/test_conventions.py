"""Size, speed, kind and patience, and what versions are for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.api.conventions import JSON_BYTES_MAX, Conventions
from engine.api.rate import Buckets
from engine.identity import Principal
from tests.api.ending import cancelled

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"


def _is_problem(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == (code, status)
    assert problem["detail"] and problem["request_id"]


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/runs", "GET"),
        ("/bundles", "GET, POST"),
        ("/runs/run-1/approvals", "GET, POST"),
        ("/runs/run-1/actions", "GET, POST"),
        ("/tokens/x", "DELETE"),
    ],
)
def test_405_names_every_method_of_the_path(
    client: TestClient, bearer: Bearer, path: str, allow: str
) -> None:
    answer = client.request("PATCH", f"{API}{path}", headers=bearer("ana.li"))
    _is_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x"]
)
def test_a_body_of_another_kind(client: TestClient, bearer: Bearer, kind: str) -> None:
    header = {**bearer("ana.li"), "Content-Type": kind}
    answer = client.post(f"{API}/promotions", content=b"{}", headers=header)
    _is_problem(answer, 415, "unsupported_media_type")


def test_a_body_that_is_no_json(client: TestClient, bearer: Bearer) -> None:
    header = {**bearer("ana.li"), "Content-Type": "application/json"}
    answer = client.post(f"{API}/promotions", content=b"{", headers=header)
    _is_problem(answer, 422, "malformed")
    broken = {**bearer("ana.li"), "Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post(f"{API}/bundles", content=b"--y\r\n", headers=broken)
    assert answer.status_code in {400, 422}
    _is_problem(answer, answer.status_code, "malformed")


def test_a_body_that_is_too_long(client: TestClient, bearer: Bearer) -> None:
    header = {**bearer("ana.li"), "Content-Type": "application/json"}
    told = {**header, "Content-Length": str(JSON_BYTES_MAX + 1)}
    _is_problem(client.post(f"{API}/promotions", content=b"{}", headers=told), 413, "too_large")

    def chunks() -> Any:
        for _ in range(JSON_BYTES_MAX // (1 << 20) + 1):
            yield b" " * (1 << 20)

    untold = client.post(f"{API}/promotions", content=chunks(), headers=header)
    _is_problem(untold, 413, "too_large")


def test_a_run_is_acted_on_as_it_was_looked_at(
    client: TestClient, bearer: Bearer, bundle: str
) -> None:
    ana = bearer("ana.li")
    wish = {"bundle": bundle, "environment": "eu-prod", "reason": "versions"}
    run_id = client.post(f"{API}/promotions", json=wish, headers=ana).json()["id"]
    cancelled(client, ana, run_id)
    seen = client.get(f"{API}/runs/{run_id}", headers=ana)
    tag = seen.headers["etag"]
    same = client.get(f"{API}/runs/{run_id}", headers={**ana, "If-None-Match": f'"0", W/{tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    listed = client.get(f"{API}/runs/{run_id}/actions", headers=ana)
    assert listed.headers["etag"].strip('"') == str(listed.json()["version"])
    body = {"action": "rerun", "reason": "again"}
    path = f"{API}/runs/{run_id}/actions"
    stale = client.post(path, json=body, headers={**ana, "If-Match": '"1"'})
    _is_problem(stale, 412, "outdated")
    assert stale.json()["version"] == seen.json()["version"]
    assert stale.headers["etag"] == f'"{seen.json()["version"]}"'
    key = {**ana, "If-Match": tag, "Idempotency-Key": "versions"}
    first = client.post(path, json=body, headers=key)
    assert first.status_code == 200, first.text
    # The run has a new run now, which its ETag tells, and the same request is still the same.
    assert client.get(f"{API}/runs/{run_id}", headers=ana).headers["etag"] != tag
    assert client.post(path, json=body, headers=key).json() == first.json()
    odd = client.post(path, json=body, headers={**ana, "If-Match": "yesterday"})
    _is_problem(odd, 422, "malformed")


def test_unchanged_bytes_are_not_sent_again(
    client: TestClient, bearer: Bearer, bundle: str
) -> None:
    ana = bearer("ana.li")
    for path in (f"/bundles/{bundle}", f"/blobs/{bundle}"):
        first = client.get(f"{API}{path}", headers=ana)
        tag = first.headers["etag"]
        assert first.status_code == 200 and bundle in tag
        again = client.get(f"{API}{path}", headers={**ana, "If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
    unknown = f"{API}/blobs/sha256:{'0' * 64}"
    assert client.get(unknown, headers={**ana, "If-None-Match": "*"}).status_code == 404


def _app(**more: Any) -> FastAPI:
    api = FastAPI()

    @api.get("/")
    async def quick() -> dict[str, str]:
        return {"said": "ok"}

    @api.get("/slow")
    async def slow() -> dict[str, str]:
        await asyncio.sleep(30)
        return {"said": "late"}

    @api.post("/")
    async def take(body: dict[str, str]) -> dict[str, str]:
        return body

    api.add_middleware(Conventions, **{
        "routes": api.routes, "buckets": None, "clock_s": lambda: 0.0, **more
    })  # fmt: skip
    return api


def _let_in(api: ASGIApp) -> ASGIApp:
    """As the gate leaves it: whoever shows `Bearer a` is a person of that name."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scheme, _, name = Headers(scope=scope).get("authorization", "").partition(" ")
        inner = dict(scope)
        if scheme == "Bearer":
            inner["rl_principal"] = Principal(user=name, method="token", key=f"key-{name}")
        await api(inner, receive, send)

    return application


def test_whoever_has_proven_nothing_has_one_limit_whatever_they_say() -> None:
    api = _let_in(_app(buckets=Buckets(per_second=1, burst=2), clock_s=lambda: 0.0))
    client = TestClient(api)
    said = [client.get("/", headers={"Authorization": f"Basic {n}"}) for n in range(3)]
    assert [answer.status_code for answer in said] == [200, 200, 429]
    # And what they say of a person is not counted for that person.
    assert client.get("/", headers={"Authorization": "Bearer a"}).status_code == 200
    more = {"Authorization": "Bearer a", "Cookie": "rl_session=other"}
    assert client.get("/", headers=more).status_code == 200
    assert client.get("/", headers={**more, "Cookie": "rl_session=third"}).status_code == 429


def test_a_caller_who_asks_too_often_waits() -> None:
    now_s = [0.0]
    buckets = Buckets(per_second=2, burst=3)
    client = TestClient(_let_in(_app(buckets=buckets, clock_s=lambda: now_s[0])))
    ana, bob = {"Authorization": "Bearer a"}, {"Authorization": "Bearer b"}
    assert [client.get("/", headers=ana).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = client.get("/", headers=ana)
    _refused_with(refused, 429, "too_many_requests")
    assert refused.headers["retry-after"] == "1"
    assert client.get("/", headers=bob).status_code == 200
    now_s[0] = 0.5
    assert [client.get("/", headers=ana).status_code for _ in range(2)] == [200, 429]


def test_an_answer_that_does_not_begin_is_given_up() -> None:
    client = TestClient(_app(answer_s=0.05))
    _refused_with(client.get("/slow"), 504, "deadline")
    assert client.get("/").json() == {"said": "ok"}


def test_a_body_that_does_not_come_is_given_up() -> None:
    sent: list[Message] = []
    first = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Message:
        if first:
            return first.pop()
        await asyncio.sleep(30)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")],
        "http_version": "1.1", "scheme": "http", "server": ("x", 1), "client": ("x", 2),
    }  # fmt: skip
    asyncio.run(_app(silence_s=0.05)(scope, receive, send))
    assert sent[0]["status"] == 408


def _refused_with(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
