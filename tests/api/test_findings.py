"""The findings of a promotion over HTTP, from a bundle that was sent over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.inputs.documents import CDX, dump

pytestmark = pytest.mark.house

Bearer = Callable[[str], dict[str, str]]


@pytest.fixture
def judged(client: TestClient, bearer: Bearer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A promotion that the gate will judge. Its bundle ships what is known to be exploited."""
    monkeypatch.setenv("DB_PASSWORD", "an input of the demo's workflow")
    part = {"type": "library", "name": "x"}
    purls = ("pkg:pypi/salt@3000", "pkg:pypi/jinja2@2.10", "pkg:npm/left@1")
    sbom = CDX | {"components": [part | {"purl": purl} for purl in purls]}
    line = {"purl": "pkg:pypi/salt@2999", "observed_at": "2020-01-01T00:00:00Z"}
    made = client.post(
        "/api/v1/bundles",
        headers=bearer("ci-demo"),
        data={"name": "shop", "version": "2.0.0"},
        files=[
            ("component", ("app.zip", b"app")),
            ("sbom", ("sbom.json", dump(sbom))),
            ("reachability", ("seen.ndjson", dump(line))),
        ],
    )
    assert made.status_code == 201, made.text
    asked = client.post(
        "/api/v1/promotions",
        headers=bearer("ana.li"),
        json={"bundle": made.json()["digest"], "environment": "eu-prod"},
    )
    assert asked.status_code == 202, asked.text
    run: str = asked.json()["id"]
    return run


def answer(client: TestClient, headers: dict[str, str], **params: Any) -> Any:
    return client.get("/api/v1/findings", headers=headers, params=params)


def test_a_run_has_its_findings_once_it_is_judged(
    client: TestClient, bearer: Bearer, judged: str
) -> None:
    me, until = bearer("ana.li"), time.monotonic() + 60
    while (found := answer(client, me, run=judged)).status_code == 404:
        assert "has no verdict yet" in found.json()["detail"]
        assert time.monotonic() < until
        time.sleep(0.2)
    assert found.status_code == 200, found.text
    document = found.json()
    assert (document["run"], document["decision"], document["packages"]) == (judged, "FAIL", 3)
    scans = {one["id"].partition(":")[0]: one["status"] for one in document["scans"]}
    assert (scans["match"], scans["reachability"]) == ("INCOMPLETE", "COMPLETE")
    salt = document["items"][0]
    assert (salt["id"], salt["kev"], salt["fixed_in"]) == ("CVE-2020-11651", True, ["3000.2"])
    assert {"level": "FAIL", "rule": "vuln.kev"} in salt["fired"]

    first = answer(client, me, run=judged, limit=1).json()
    rest = answer(client, me, run=judged, after=first["next"]).json()
    assert first["items"] + rest["items"] == document["items"]
    assert document["next"] is None

    for params, status in (
        ({"run": "run-99"}, 404),
        ({}, 422),
        ({"run": judged, "limit": 101}, 422),
        ({"run": judged, "after": "x"}, 422),
    ):
        assert answer(client, me, **params).status_code == status, params
    assert answer(client, {}, run=judged).status_code == 401
