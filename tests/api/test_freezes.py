"""Freeze windows over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from engine.services import Services

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"


def test_a_window_is_set_told_once_per_key_and_ended(client: TestClient, bearer: Bearer) -> None:
    ana = bearer("ana.li") | {"Idempotency-Key": "freeze-it"}
    wish = {
        "kind": "DENY",
        "name": "year end",
        "reason": "nobody is in",
        "environments": ["eu-prod"],
        "begins": "2036-03-30 03:30",
        "ends": "2037-01-02 08:00",
        "time_zone": "Europe/Sofia",
        "weekly": "FR 18:00-MO 08:00",
    }
    answers = [client.post(f"{API}/freezes", headers=ana, json=wish) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 201]
    made = answers[0].json()
    assert answers[1].json() == made
    assert made["notes"] == [
        "03:30 on 2036-03-30 does not exist there: clocks go forward, and 04:00 is meant instead."
    ]
    assert (made["id"], made["covers"], made["active"]) == ("freeze-1", ["eu-prod"], False)
    assert made["weekly"] == "FR 18:00-MO 08:00" and not made["stops_the_line"]
    stop = {"kind": "DENY", "name": "stop", "reason": "incident", "owner": "bob.smith"}
    stopped = client.post(f"{API}/freezes", headers=bearer("ana.li"), json=stop).json()
    assert stopped["stops_the_line"] and stopped["active"] and stopped["owner"] == "bob.smith"

    listed = client.get(f"{API}/freezes?environment=eu-stage", headers=bearer("ana.li")).json()
    assert [one["id"] for one in listed["items"]] == ["freeze-2"]
    rows = client.get(f"{API}/freezes/calendar?days=3", headers=bearer("ana.li")).json()["items"]
    assert {row["environment"] for row in rows} >= {"eu-stage", "eu-prod"}
    for row in rows:
        (closed,) = row["closed"]
        assert closed["causes"][0]["name"] == "stop" and closed["causes"][0]["until_us"] is None
        assert closed["until_us"] - closed["from_us"] == 3 * 86_400_000_000

    for header, status in ((bearer("a.stranger"), 403), (bearer("ana.li"), 200)):
        end = {"reason": "over"}
        done = client.post(f"{API}/freezes/freeze-2/end", headers=header, json=end)
        assert done.status_code == status, done.text
    assert done.json() == {"ended": "freeze-2", "name": "stop"}
    gone = client.post(f"{API}/freezes/freeze-2/end", headers=bearer("ana.li"), json=end)
    assert gone.status_code == 404
    assert len(client.get(f"{API}/freezes", headers=ana).json()["items"]) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "MAYBE"}, "kind: expected one of"),
        ({"ends": "2020-01-01 00:00"}, "ends: expected a time behind"),
        ({"weekly": "never"}, "weekly: expected MO-FR 09:00-17:00"),
        ({"more": 1}, "more: expected no such field"),
    ],
)
def test_a_bad_wish_is_told_what_is_wrong(
    client: TestClient, bearer: Bearer, change: dict[str, object], told: str
) -> None:
    wish = {"kind": "DENY", "name": "stop", "reason": "incident"} | change
    answer = client.post(f"{API}/freezes", headers=bearer("ana.li"), json=wish)
    assert answer.status_code == 422 and told in answer.json()["detail"], answer.text


def test_environments_tell_what_bars_them_and_who_waits(
    client: TestClient, services: Services, bearer: Bearer, bundle: str
) -> None:
    ana = bearer("ana.li")
    stop = {"kind": "DENY", "name": "stop", "reason": "incident", "environments": ["eu-prod"]}
    freeze = client.post(f"{API}/freezes", headers=ana, json=stop).json()
    services.worker.stop()  # nothing is to move under the test
    wish = {"bundle": bundle, "environment": "eu-prod"}
    run = client.post(f"{API}/promotions", headers=ana, json=wish).json()
    services.runner.advance(run["id"])
    rows = client.get(f"{API}/environments", headers=ana).json()["items"]
    assert [row["environment"] for row in rows] == sorted(services.settings.environments)
    (prod,) = [row for row in rows if row["environment"] == "eu-prod"]
    assert prod["frozen"] and [one["freeze"] for one in prod["frozen_by"]] == [freeze["id"]]
    assert (prod["live_run"], prod["active_run"], prod["queued"]) == (None, None, 1)
    assert prod["opens_us"] is None and "eu-prod is frozen: stop since" in prod["frozen_why"]
    (waiting,) = prod["queue"]
    assert waiting["run"] == run["id"] and waiting["waits_for"] == prod["frozen_why"]
    told = client.get(f"{API}/runs/{run['id']}", headers=ana).json()
    assert told["waits_for"] == prod["frozen_why"]
    (stage,) = [row for row in rows if row["environment"] == "eu-stage"]
    assert not stage["frozen"]

    fix = wish | {"kind": "HOTFIX", "reason": "customers are down"}
    made = client.post(f"{API}/promotions", headers=ana, json=fix).json()
    assert made["kind"] == "HOTFIX"
    assert services.store.run(made["id"]).request.approval.min_approvals == 3
    refused = client.post(f"{API}/promotions", headers=bearer("ci-demo", service=True), json=fix)
    assert refused.status_code == 403 and "by a release manager in person" in refused.text
    lazy = client.post(f"{API}/promotions", headers=ana, json=fix | {"reason": " "})
    assert (lazy.status_code, lazy.json()["code"]) == (422, "reason")
