"""Webhooks and calls from outside over HTTP, through the server's own gate."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from standardwebhooks import Webhook
from starlette.testclient import TestClient

from engine.adapters.guarded_http import GuardedHttp
from engine.core.outbound import Allowed
from engine.services import Services
from engine.settings import InboundConfig
from tests.hooks.receiver import Receiver, receiving

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def listed(services: Services) -> Iterator[None]:
    """Loopback is listed by the admin of this house."""
    room, allowed = services.hooks, Allowed(hosts=frozenset({"127.0.0.1"}))
    before = room.desk._http
    room.desk._http = room.postman._notifier = GuardedHttp(allowed)  # type: ignore[assignment]
    yield
    room.desk._http = room.postman._notifier = before  # type: ignore[assignment]


def until(answer: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    ends_s = time.monotonic() + 30
    while not holds(found := answer()):
        assert time.monotonic() < ends_s, found
        time.sleep(0.05)
    return found


def test_from_adding_to_the_arrival(
    client: TestClient, bearer: Bearer, receiver: Receiver, listed: None
) -> None:
    admin, viewer = bearer("dora.admin"), bearer("eva.roth")
    body = {"name": "ci", "url": receiver.url, "events": ["webhook.test", "run.*"]}
    assert client.post(f"{API}/webhooks", json=body).status_code == 401
    refused = client.post(f"{API}/webhooks", json=body, headers=viewer)
    assert refused.status_code == 403 and "needs the role admin" in refused.json()["detail"]
    made = client.post(f"{API}/webhooks", json=body, headers=admin)
    assert made.status_code == 201, made.text
    secret = made.json()["secret"]
    (one,) = client.get(f"{API}/webhooks", headers=viewer).json()["items"]
    assert one["signed_with"] == "made here" and "secret" not in one
    asked = client.post(f"{API}/webhooks/ci/test", headers=admin)
    assert asked.status_code == 202
    (got,) = receiver.wait_for(1)
    assert Webhook(secret).verify(got.body, got.headers)["type"].startswith("dev.releaseline.")
    sent = until(
        lambda: client.get(f"{API}/webhooks/ci/deliveries", headers=viewer).json(),
        lambda page: page["items"][0]["outcome"] == "DELIVERED",
    )
    assert [item["event"] for item in sent["items"]] == ["webhook.test"] and sent["next"] is None
    turned = client.post(f"{API}/webhooks/ci/rotate", headers=admin).json()["secret"]
    assert turned != secret
    place = {"gseq": sent["items"][0]["gseq"], "idx": 0}
    again = client.post(f"{API}/webhooks/ci/redeliver", json={"messages": [place]}, headers=admin)
    assert again.json() == {"name": "ci", "redelivered": 1}
    for key in (secret, turned):
        Webhook(key).verify(receiver.wait_for(2)[1].body, receiver.got[1].headers)
    tries = until(
        lambda: client.get(
            f"{API}/webhooks/ci/deliveries/{place['gseq']}/0", headers=viewer
        ).json()["items"],
        lambda items: len(items) == 2,
    )
    assert [one["n"] for one in tries] == [1, 1]
    assert client.delete(f"{API}/webhooks/ci", headers=viewer).status_code == 403
    assert client.delete(f"{API}/webhooks/ci", headers=admin).json() == {"removed": "ci"}
    assert client.get(f"{API}/webhooks/ci", headers=viewer).status_code == 404


def test_addresses_inside_are_refused_unless_an_admin_lists_them(
    client: TestClient, bearer: Bearer
) -> None:
    for url in ("http://127.0.0.1:9/", "https://127.0.0.1/", "https://169.254.169.254/latest",
                "https://[::1]/", "https://0x7f000001/", "https://localhost/"):  # fmt: skip
        body = {"name": "inside", "url": url}
        answer = client.post(f"{API}/webhooks", json=body, headers=bearer("dora.admin"))
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    found = client.get(f"{API}/webhooks", headers=bearer("ana.li")).json()
    assert found == {"items": [], "next": None}


def test_half_a_wish_is_not_guessed_at(client: TestClient, bearer: Bearer) -> None:
    admin = bearer("dora.admin")
    for body in ({}, {"all": True, "messages": [{"gseq": 1}]}):
        answer = client.post(f"{API}/webhooks/none/redeliver", json=body, headers=admin)
        assert answer.status_code == 422
    answer = client.post(f"{API}/webhooks/none/redeliver", json={"all": True}, headers=admin)
    assert answer.status_code == 404
    assert client.get(f"{API}/dead-letters", headers=admin).json() == {"items": [], "next": None}


def test_a_call_needs_no_session_and_its_own_signature(
    client: TestClient, services: Services, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "the sender's secret")
    config = InboundConfig(
        name="gh", preset="github", secret="env:HOOK", former_secret="", user="ci-demo",
        environment="eu-stage",
    )  # fmt: skip
    inbound = services.hooks.inbound
    monkeypatch.setattr(inbound, "_settings", replace(services.settings, hooks=(config,)))
    monkeypatch.setattr(inbound, "_hooks", {"gh": config})
    body = json.dumps({
        "action": "created", "deployment": {"payload": {"bundle": bundle}, "ref": "main"},
        "repository": {"name": "shop"},
    }).encode()  # fmt: skip
    mac = hmac.new(b"the sender's secret", body, hashlib.sha256).hexdigest()
    signed = {"X-Hub-Signature-256": f"sha256={mac}", "Content-Type": "application/json"}
    path = f"{API}/hooks/gh"
    assert client.post(path, content=body).status_code == 401
    assert client.post(path, content=body + b" ", headers=signed).status_code == 401
    assert client.post(f"{API}/hooks/other", content=body, headers=signed).status_code == 404
    assert client.get(path).status_code == 405
    done = client.post(path, content=body, headers=signed)
    assert done.status_code == 202, done.text
    (run,) = done.json()["runs"]
    assert services.service.run(run).requested_by == "ci-demo"
    again = client.post(path, content=body, headers=signed)
    assert (again.status_code, again.json()["before"]) == (202, True)
    assert again.json()["runs"] == [run]
    large = client.post(path, content=b"x" * (1024 * 1024 + 1), headers=signed)
    assert large.status_code == 413 and large.json()["code"] == "too_large"
    assert client.get(f"{API}/runs").status_code == 401  # the gate opens for calls alone
