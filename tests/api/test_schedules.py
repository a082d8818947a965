"""Schedules over HTTP: made once per key, shown, cancelled, and the ticks of their firings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

pytestmark = pytest.mark.house

Bearer = Callable[..., dict[str, str]]
API = "/api/v1"


def wish(bundle: str, **more: Any) -> dict[str, Any]:
    return {
        "bundle": bundle,
        "environment": "eu-stage",
        "at": "2036-03-30T03:30",
        "time_zone": "Europe/Sofia",
        "window_s": 7_200,
        "rule": "FREQ=DAILY",
        "preconditions": [
            {"name": "feeds_fresh", "limit_s": 3_600},
            {"name": "integrations_healthy", "mode": "WARN"},
        ],
        "reason": "at night",
    } | more


def test_a_schedule_is_made_once_shown_and_cancelled(
    client: TestClient, bearer: Bearer, bundle: str
) -> None:
    key = bearer("ana.li") | {"Idempotency-Key": "every-night"}
    answers = [client.post(f"{API}/schedules", headers=key, json=wish(bundle)) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 201], answers[0].text
    made = answers[0].json()
    assert answers[1].json() == made
    assert made["status"] == "ACTIVE" and made["waits"] and made["firing"] == "2036-03-30"
    assert made["said"] == "every day from 2036-03-30 at 03:30 Europe/Sofia, for 2 h"
    assert [one["date"] for one in made["next"]] == ["2036-03-30", "2036-03-31", "2036-04-01"]
    assert [(one["name"], one["mode"]) for one in made["preconditions"]][:3] == [
        ("feeds_fresh", "ENFORCE"),
        ("scans_complete", "OFF"),
        ("integrations_healthy", "WARN"),
    ]
    run = client.get(f"{API}/runs/{made['run']}", headers=bearer("ana.li")).json()
    assert run["status"] == "SCHEDULED" and run["requested_by"] == "ana.li"
    assert run["schedule"]["id"] == made["id"]
    assert run["schedule"]["window_start_us"] == made["next"][0]["start_us"]

    address = f"{API}/schedules/{made['id']}"
    assert client.get(address, headers=bearer("ana.li")).json() == made
    for user, status in (("bob.smith", 403), ("ana.li", 200)):
        ended = client.post(f"{address}/cancel", headers=bearer(user), json={"reason": "no"})
        assert ended.status_code == status, ended.text
    assert ended.json()["status"] == "CANCELLED"
    ticks = client.get(
        f"{API}/scheduler/ticks?schedule={made['id']}", headers=bearer("ana.li")
    ).json()["items"]
    assert [(t["word"], t["firing"], t["run"]) for t in ticks] == [
        ("CANCELLED", "2036-03-30", made["run"])
    ]
    assert ticks[0]["environment"] == "eu-stage" and ticks[0]["label"] == "shop 1.0.0"
    active = client.get(f"{API}/schedules?status=ACTIVE", headers=bearer("ana.li")).json()
    assert active["items"] == []


def test_ticks_come_in_pages(client: TestClient, bearer: Bearer, bundle: str) -> None:
    ana = bearer("ana.li")
    for _ in range(3):
        made = client.post(f"{API}/schedules", headers=ana, json=wish(bundle)).json()
        address = f"{API}/schedules/{made['id']}/cancel"
        client.post(address, headers=ana, json={"reason": "no"})
    first = client.get(f"{API}/scheduler/ticks?limit=2", headers=ana).json()
    second = client.get(
        f"{API}/scheduler/ticks", headers=ana, params={"limit": 2, "after": first["next"]}
    ).json()
    seen = [one["gseq"] for one in (*first["items"], *second["items"])]
    assert len(first["items"]) == 2 and seen == sorted(set(seen), reverse=True)
    of_one = client.get(f"{API}/scheduler/ticks?run={made['run']}", headers=ana).json()["items"]
    assert [(one["run"], one["word"]) for one in of_one] == [(made["run"], "CANCELLED")]
    whole = client.get(f"{API}/scheduler/ticks?word=STARTED", headers=ana).json()
    assert whole["items"] == []


def test_a_preview_says_what_clocks_do(client: TestClient, bearer: Bearer) -> None:
    asked = {
        "at": "2036-10-25T03:30",
        "window_s": 3_600,
        "time_zone": "Europe/Sofia",
        "rule": "FREQ=DAILY",
        "count": 2,
    }
    told = client.get(f"{API}/schedules/preview", headers=bearer("bob.smith"), params=asked)
    assert told.status_code == 200, told.text
    notes = [one["note"] for one in told.json()["items"]]
    assert notes == ["", "03:30 on 2036-10-26 comes twice there: clocks go back, and the first one "
                     "is meant."]  # fmt: skip


def test_a_run_is_rescheduled_by_its_action(
    client: TestClient, bearer: Bearer, bundle: str
) -> None:
    ana = bearer("ana.li")
    made = client.post(f"{API}/schedules", headers=ana, json=wish(bundle, rule="")).json()
    act = f"{API}/runs/{made['run']}/actions"
    without = client.post(act, headers=ana, json={"action": "reschedule"})
    assert without.status_code == 422 or without.status_code == 400, without.text
    window = {"at": "2036-04-01T05:00", "time_zone": "UTC", "window_s": 600}
    done = client.post(act, headers=ana, json={"action": "reschedule", "window": window})
    assert done.status_code == 200, done.text
    run = done.json()["run"]
    assert run["schedule"]["time_zone"] == "UTC"
    assert run["schedule"]["window_end_us"] - run["schedule"]["window_start_us"] == 600_000_000
    wrong = client.post(act, headers=ana, json={"action": "pause", "window": window})
    assert "window" in wrong.json()["detail"]
    cancel = {"action": "cancel", "reason": "not needed"}
    assert client.post(act, headers=ana, json=cancel).status_code == 200


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"time_zone": "Europe/Nowhere"}, "expected an IANA time zone"),
        ({"at": "2036-02-30T03:30"}, "expected a date such as"),
        ({"at": "2020-02-20T03:30", "rule": ""}, "expected a window that closes after now"),
        ({"rule": "FREQ=DAILY;COUNT=2;UNTIL=20370101"}, "expected COUNT or UNTIL, found both"),
        ({"window_s": 86_400}, "shorter than a day"),
        ({"preconditions": [{"name": "feeds_fresh"}]}, "expected feeds_fresh with a limit"),
        (
            {"preconditions": [{"name": "rollback_ready"}, {"name": "rollback_ready"}]},
            "expected rollback_ready once",
        ),
        (
            {"preconditions": [{"name": "previous_soaked", "limit_s": 60}]},
            "expected an environment that promotes from another one",
        ),
    ],
)
def test_what_cannot_be_scheduled_is_said(
    client: TestClient, bearer: Bearer, bundle: str, changed: dict[str, Any], said: str
) -> None:
    answer = client.post(f"{API}/schedules", headers=bearer("ana.li"), json=wish(bundle, **changed))
    assert answer.status_code in {400, 422}, answer.text
    assert said in answer.json()["detail"]


def test_who_may_not_promote_schedules_nothing(
    client: TestClient, bearer: Bearer, bundle: str
) -> None:
    answer = client.post(f"{API}/schedules", headers=bearer("bob.smith"), json=wish(bundle))
    assert (answer.status_code, answer.json()["code"]) == (403, "role")
