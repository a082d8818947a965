"""Sessions and tokens over the API: who sees which, what each lets do, and that they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from engine.services import Services
from tests.api.conftest import URL
from tests.api.ending import cancelled

pytestmark = pytest.mark.house
API = "/api/v1"
Bearer = Callable[[str], dict[str, str]]


def cookie(services: Services, user: str) -> dict[str, str]:
    secret = services.identity.redeem_link(services.identity.create_link(user, actor="test"))
    return {"Cookie": f"rl_session={secret}", "Origin": URL}


def denied(services: Services) -> tuple[str, str, str]:
    last: Any = services.store.load("admin")[-1]
    assert last.event.TYPE == "command.rejected/1"
    return last.actor, last.event.action, last.event.code


def limited(client: TestClient, bearer: Bearer, user: str, **wish: Any) -> dict[str, str]:
    """A token made over the API by an admin."""
    body = {"user": user, "service": True, **wish}
    made = client.post(f"{API}/tokens", json=body, headers=bearer("dora.admin"))
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['token']}"}


def test_everybody_sees_their_own_sessions_and_an_admin_all(
    client: TestClient, services: Services
) -> None:
    ana, dora = cookie(services, "ana.li"), cookie(services, "dora.admin")
    mine = client.get(f"{API}/sessions", headers=ana).json()["items"]
    assert {one["user"] for one in mine} == {"ana.li"}
    (here,) = [one for one in mine if one["current"]]
    assert here["method"] == "link" and here["id"] not in ana["Cookie"]
    everybody = client.get(f"{API}/sessions", headers=dora).json()["items"]
    assert {one["user"] for one in everybody} >= {"ana.li", "dora.admin"}


def test_a_session_is_ended_by_its_owner_or_an_admin_and_nobody_else(
    client: TestClient, services: Services, bearer: Bearer
) -> None:
    ana, bob, dora = (cookie(services, user) for user in ("ana.li", "bob.smith", "dora.admin"))

    def key(who: dict[str, str]) -> str:
        items = client.get(f"{API}/sessions", headers=who).json()["items"]
        return next(str(one["id"]) for one in items if one["current"])

    ana_key, bob_key = key(ana), key(bob)
    refused = client.delete(f"{API}/sessions/{ana_key}", headers=bob)
    assert (refused.status_code, refused.json()["code"]) == (403, "role")
    assert denied(services) == ("bob.smith", "sign_out", "role")
    unknown = client.delete(f"{API}/sessions/s-0", headers=bob)
    assert unknown.status_code == 403  # nor does it tell whether there is one
    assert client.delete(f"{API}/sessions/{ana_key}", headers=dora).status_code == 200
    assert client.get(f"{API}/runs", headers=ana).status_code == 401
    assert client.delete(f"{API}/sessions/{bob_key}", headers=bob).status_code == 200
    assert client.get(f"{API}/runs", headers=bob).status_code == 401
    assert client.delete(f"{API}/sessions/{bob_key}", headers=dora).status_code == 404
    read = limited(client, bearer, "dora.admin", service=False, scopes=["read"])
    assert client.delete(f"{API}/sessions/{key(dora)}", headers=read).json()["code"] == "scope"


def test_signing_out_ends_the_session_on_the_server(client: TestClient, services: Services) -> None:
    ana = cookie(services, "ana.li")
    assert client.get(f"{API}/whoami", headers=ana).json()["method"] == "link"
    assert client.post("/sign-out", headers=ana).status_code == 303
    assert client.get(f"{API}/whoami", headers=ana).status_code == 401
    client.cookies.clear()


def test_scopes_and_environments_leave_less_and_never_more(
    client: TestClient, services: Services, bearer: Bearer, bundle: str
) -> None:
    wish = {"bundle": bundle, "environment": "eu-prod"}
    only = limited(client, bearer, "ci-demo", scopes=["bundles"], environments=["eu-prod"])
    refused = client.post(f"{API}/promotions", json=wish, headers=only)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope")
    assert denied(services) == ("ci-demo", "promote", "scope")

    stage = limited(client, bearer, "ci-demo", scopes=["promote"], environments=["eu-stage"])
    elsewhere = client.post(f"{API}/promotions", json=wish, headers=stage)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "environment")
    assert "is for eu-stage, not for eu-prod" in elsewhere.json()["detail"]

    default = limited(client, bearer, "ci-demo")
    who = client.get(f"{API}/whoami", headers=default).json()
    assert who["scopes"] == ["attest", "bundles", "promote", "read"]
    asked = client.post(f"{API}/promotions", json=wish, headers=default)
    assert asked.status_code == 202
    run_id = asked.json()["id"]
    states = client.get(f"{API}/runs/{run_id}/actions", headers=default).json()["items"]
    cancel = next(one for one in states if one["action"] == "cancel")
    assert not cancel["ok"] and "cancel is in none of them" in cancel["reason"]
    body = {"action": "cancel", "reason": "x"}
    said = client.post(f"{API}/runs/{run_id}/actions", json=body, headers=default)
    assert (said.status_code, said.json()["detail"]) == (403, cancel["reason"])
    assert client.post(f"{API}/fsck", headers=default).json()["code"] == "scope"

    # A scope that the roles have nothing for gives nothing.
    approver = limited(client, bearer, "ci-demo", scopes=["approve", "admin"], service=False)
    body = {"action": "approve"}
    said = client.post(f"{API}/runs/{run_id}/actions", json=body, headers=approver)
    assert said.status_code in {403, 409}
    assert client.get(f"{API}/tokens", headers=approver).json()["code"] == "role"
    cancelled(client, bearer("ana.li"), run_id)


def test_a_pipeline_keeps_evidence_only_when_its_token_says_so(
    client: TestClient, bearer: Bearer, bundle: str
) -> None:
    wish = {"bundle": bundle, "environment": "eu-prod"}
    run_id = client.post(f"{API}/promotions", json=wish, headers=bearer("ci-demo")).json()["id"]
    path = f"{API}/runs/{run_id}/evidence/export?kind=partial"
    without = limited(client, bearer, "ci-demo")
    assert client.get(path, headers=without).json()["code"] == "scope"
    keeper = limited(client, bearer, "ci-demo", scopes=["promote", "evidence"])
    kept = client.get(path, headers=keeper)  # a pack, where something was sealed by now
    assert kept.status_code == 200 or kept.json()["code"] == "state"
    stranger = limited(client, bearer, "a.stranger", scopes=["evidence"])
    assert client.get(path, headers=stranger).json()["code"] == "role"
    cancelled(client, bearer("ana.li"), run_id)


def test_a_limited_token_makes_no_credentials(client: TestClient, bearer: Bearer) -> None:
    for wish in ({"scopes": ["admin"]}, {"environments": ["eu-prod"]}):
        header = limited(client, bearer, "dora.admin", service=False, **wish)
        for path in ("/tokens", "/links"):
            said = client.post(f"{API}{path}", json={"user": "ana.li"}, headers=header)
            assert said.status_code == 403 and said.json()["code"] in {"scope", "environment"}


@pytest.mark.parametrize(
    "wish",
    [
        {"days": 0},
        {"days": 91},
        {"scopes": ["everything"]},
        {"environments": ["mars"]},
        {"user": "nobody.here"},
    ],
)
def test_nonsense_makes_no_token(client: TestClient, bearer: Bearer, wish: dict[str, Any]) -> None:
    body = {"user": "ci-demo", **wish}
    answer = client.post(f"{API}/tokens", json=body, headers=bearer("dora.admin"))
    assert answer.status_code in {404, 422}


def test_a_token_is_shown_once_and_listed_with_its_last_use(
    client: TestClient, services: Services, bearer: Bearer
) -> None:
    header = limited(client, bearer, "ci-demo", days=90, environments=["eu-prod"])
    token_id = header["Authorization"].split("_")[1]

    def listed() -> dict[str, Any]:
        answer = client.get(f"{API}/tokens", headers=bearer("dora.admin"))
        assert header["Authorization"].removeprefix("Bearer ") not in answer.text
        return next(one for one in answer.json()["items"] if one["id"] == token_id)

    before = listed()
    assert before["used_us"] is None and before["created_by"] == "dora.admin"
    assert before["expires_us"] - before["created_us"] > 89 * 86_400_000_000
    size = services.store.version("admin")
    assert client.get(f"{API}/runs", headers=header).status_code == 200
    assert services.store.version("admin") == size  # a use is no event
    assert listed()["used_us"] is not None
    assert client.delete(f"{API}/tokens/{token_id}", headers=bearer("dora.admin")).json()
    assert client.get(f"{API}/runs", headers=header).status_code == 401


def test_only_an_admin_makes_links_and_tokens(
    client: TestClient, services: Services, bearer: Bearer
) -> None:
    for method, path in (("post", "/tokens"), ("post", "/links"), ("get", "/tokens")):
        body = {} if method == "get" else {"json": {"user": "ana.li"}}
        answer = getattr(client, method)(f"{API}{path}", headers=bearer("ana.li"), **body)
        assert (answer.status_code, answer.json()["code"]) == (403, "role")
        assert denied(services)[0] == "ana.li"
