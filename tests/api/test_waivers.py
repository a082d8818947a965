"""The waiver register over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"
WISH = {
    "finding": "CVE-2024-3651",
    "purl": "pkg:pypi/idna@3.6",
    "reason": "not reachable",
    "days": 14,
    "environments": ["eu-prod"],
    "ticket": "SEC-12",
}


def test_one_is_asked_for_once_per_key_granted_by_another_and_revoked(
    client: TestClient, bearer: Bearer
) -> None:
    eva, bob = bearer("eva.roth"), bearer("bob.smith")
    key = eva | {"Idempotency-Key": "ask-it"}
    answers = [client.post(f"{API}/waivers", headers=key, json=WISH) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 201]
    made = answers[0].json()
    assert answers[1].json() == made
    assert (made["id"], made["state"], made["by"]) == ("waiver-1", "REQUESTED", "eva.roth")
    assert made["may_judge"] == ["bob.smith", "carol.wu"] and made["says"].startswith("waits for")
    assert made["expires_us"] - made["asked_us"] <= 14 * 86_400_000_000

    own = client.post(f"{API}/waivers/waiver-1/grant", headers=eva, json={"reason": "fine"})
    assert (own.status_code, own.json()["code"]) == (403, "role")
    once = bob | {"Idempotency-Key": "grant-it"}
    for _ in range(2):
        done = client.post(f"{API}/waivers/waiver-1/grant", headers=once, json={"reason": "fine"})
        assert done.status_code == 200, done.text
    granted = done.json()
    assert granted["state"] == "GRANTED" and granted["granted"]["by"] == "bob.smith"
    again = client.post(f"{API}/waivers/waiver-1/refuse", headers=bob, json={"reason": "no"})
    assert (again.status_code, again.json()["code"]) == (409, "state")

    client.post(f"{API}/waivers", headers=eva, json=WISH | {"environments": []})
    page = client.get(f"{API}/waivers?limit=1", headers=bob).json()
    assert [one["id"] for one in page["items"]] == ["waiver-2"]
    rest = client.get(f"{API}/waivers?limit=1&after={page['next']}", headers=bob).json()
    assert [one["id"] for one in rest["items"]] == ["waiver-1"] and rest["next"] is None
    stage = client.get(f"{API}/waivers?environment=eu-stage", headers=bob).json()["items"]
    assert [one["id"] for one in stage] == ["waiver-2"]
    assert stage[0]["may_judge"] == []  # nobody is an approver in eu-stage
    held = client.get(f"{API}/waivers?state=GRANTED", headers=bob).json()["items"]
    assert [one["id"] for one in held] == ["waiver-1"]

    end = client.post(f"{API}/waivers/waiver-1/revoke", headers=eva, json={"reason": "over"})
    assert end.json()["state"] == "REVOKED" and end.json()["revoked"]["by"] == "eva.roth"
    assert client.get(f"{API}/waivers/waiver-1", headers=bob).json() == end.json()
    assert client.get(f"{API}/waivers/waiver-9", headers=bob).status_code == 404


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"purl": "idna"}, 422, "purl: expected a package URL"),
        ({"finding": "no name"}, 422, "finding: expected a name"),
        ({"days": 91}, 422, "days: expected 1 to 90"),
        ({"environments": ["mars"]}, 404, "There is no environment mars"),
        ({"bundle": f"sha256:{'0' * 64}"}, 404, "There is no bundle"),
        ({"reason": " "}, 422, "A reason is required"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(
    client: TestClient, bearer: Bearer, change: dict[str, object], status: int, told: str
) -> None:
    answer = client.post(f"{API}/waivers", headers=bearer("eva.roth"), json=WISH | change)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status, "application/problem+json",
    )  # fmt: skip
    assert told in answer.json()["detail"]
