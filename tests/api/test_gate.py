"""Who may talk to the server at all: host, origin, session, token."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from engine.services import Services
from tests.api.conftest import URL

pytestmark = pytest.mark.house

Bearer = Callable[[str], dict[str, str]]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "localhost:8502"])
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/v1/runs", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["code"] == "wrong_host"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:8502", "http://127.0.0.1", "null"]
)
def test_a_foreign_origin_is_refused(client: TestClient, bearer: Bearer, origin: str) -> None:
    answer = client.get("/api/v1/runs", headers={**bearer("ana.li"), "Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["code"] == "wrong_origin"


def test_strangers_get_no_page_no_api_and_no_websocket(client: TestClient) -> None:
    assert client.get("/api/v1/runs").status_code == 401
    page = client.get("/")
    assert (page.status_code, page.headers["location"]) == (303, "/signed-out")
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/_stcore/stream"):
        pass
    assert refused.value.code == 1008


def test_a_wrong_token_is_no_token(client: TestClient) -> None:
    for value in ("Bearer rl_00000000_x", "Bearer ", "Basic YTpi", "Bearer rl_ä"):
        headers = {"Authorization": value.encode()}
        assert client.get("/api/v1/runs", headers=headers).status_code == 401  # type: ignore[arg-type]


def test_a_revoked_token_works_no_more_at_the_next_request(
    client: TestClient, services: Services, bearer: Bearer
) -> None:
    header = bearer("ana.li")
    assert client.get("/api/v1/runs", headers=header).status_code == 200
    token_id = header["Authorization"].split("_")[1]
    services.identity.revoke_token(token_id, actor="test", reason="test")
    assert client.get("/api/v1/runs", headers=header).status_code == 401


def test_a_link_signs_in_once(client: TestClient, services: Services) -> None:
    secret = services.identity.create_link("ana.li", actor="test")
    origin = {"Origin": URL}
    first = client.post("/sign-in", json={"secret": secret}, headers=origin)
    assert first.status_code == 200
    flags = first.headers["set-cookie"]
    assert "HttpOnly" in flags
    assert "samesite=lax" in flags.lower()  # a link to a run in a ticket opens it
    client.cookies.clear()
    again = client.post("/sign-in", json={"secret": secret}, headers=origin)
    assert again.status_code == 403
    assert "used" in again.json()["detail"]
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize("body", [b"", b"[]", b'{"secret": 1}', b"\xff", b'{"secret": "unknown"}'])
def test_nonsense_signs_nobody_in(client: TestClient, body: bytes) -> None:
    answer = client.post("/sign-in", content=body, headers={"Origin": URL})
    assert answer.status_code in {403, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_cookie_alone_changes_nothing(client: TestClient, services: Services) -> None:
    """A cookie comes along by itself; only our own page can name our Origin."""
    secret = services.identity.create_link("ana.li", actor="test")
    session = services.identity.redeem_link(secret)
    cookie = {"Cookie": f"rl_session={session}"}
    body = {"action": "comment", "reason": "hello"}
    forged = client.post("/api/v1/runs/run-1/actions", json=body, headers=cookie)
    assert (forged.status_code, forged.json()["code"]) == (403, "no_origin")
    ours = client.post("/api/v1/runs/run-999/actions", json=body, headers={**cookie, "Origin": URL})
    assert ours.status_code == 404
    services.identity.revoke_session(session, reason="test")
    assert client.get("/api/v1/runs", headers=cookie).status_code == 401


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    for path in ("/healthz", "/signed-out", "/api/v1/runs", "/"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"], path
        assert "unsafe-eval" not in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"].startswith("req_")


def test_what_is_open_tells_nothing_of_the_runs(client: TestClient) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json() == {"ready": True, "why": "ok"}
    text = client.get("/metrics").text
    assert 'releaseline_runs_open{status="RUNNING"} 0' in text


def test_a_page_of_another_site_signs_nobody_out(client: TestClient, services: Services) -> None:
    secret = services.identity.redeem_link(services.identity.create_link("ana.li", actor="test"))
    cookie = {"Cookie": f"rl_session={secret}"}
    sent = client.get("/sign-out", headers={**cookie, "Sec-Fetch-Site": "cross-site"})
    assert sent.headers["location"] == "/"
    assert client.get("/api/v1/runs", headers=cookie).status_code == 200
    ours = client.get("/sign-out", headers={**cookie, "Sec-Fetch-Site": "same-origin"})
    assert ours.headers["location"].startswith("/signed-out")
    assert client.get("/api/v1/runs", headers=cookie).status_code == 401


def test_a_foreign_address_is_refused_whatever_host_it_names(client: TestClient) -> None:
    """As when somebody starts the application on 0.0.0.0 by hand."""
    outside = TestClient(client.app, base_url="http://192.0.2.7:8501", follow_redirects=False)
    answer = outside.get("/healthz", headers={"Host": "127.0.0.1:8501"})
    assert (answer.status_code, answer.json()["code"]) == (421, "wrong_address")


def test_without_a_provider_nobody_is_sent_to_one(client: TestClient) -> None:
    for path in ("/sign-in/oidc", "/auth/login?provider=x", "/oauth2callback?code=x&state=y"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/signed-out")
    assert "Sign in with" not in client.get("/signed-out").text
