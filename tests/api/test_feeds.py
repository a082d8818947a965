"""The feeds over HTTP: how they stand, and who may sync them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from engine.core.digest import Digest
from engine.services import Services
from tests.feeds.mirror import kev

pytestmark = pytest.mark.house

Bearer = Callable[[str], dict[str, str]]


def test_every_feed_stands_against_its_limits(client: TestClient, bearer: Bearer) -> None:
    answer = client.get("/api/v1/feeds", headers=bearer("ana.li"))
    assert answer.status_code == 200
    rows = {one["name"]: one for one in answer.json()["items"]}
    assert list(rows) == ["EPSS", "KEV", "NVD", "OSV"]  # no policy and no file names GHSA
    assert (rows["EPSS"]["word"], rows["EPSS"]["level"]) == ("MISSING", "UNKNOWN")
    assert rows["KEV"]["kept"] == "folder" and rows["KEV"]["word"] == "CRITICAL"
    assert rows["KEV"]["limits"] == {"warn_s": 172800, "fail_s": 604800, "required": True}
    assert rows["KEV"]["age_s"] > 604800
    assert all(one["next_sync"] == "not scheduled" for one in rows.values())
    for row in rows.values():
        got = client.get(f"/api/v1/feeds/{row['name']}/snapshot", headers=bearer("ana.li"))
        assert got.status_code == (200 if row["digest"] else 404)
        if row["digest"]:
            assert row["digest"] == str(Digest.of(got.content))
    assert client.get("/api/v1/feeds").status_code == 401
    assert client.get("/api/v1/feeds/none", headers=bearer("ana.li")).status_code == 404


def test_a_sync_on_request(
    client: TestClient, bearer: Bearer, services: Services, tmp_path: Path
) -> None:
    (tmp_path / "kev").mkdir()
    (tmp_path / "kev" / "kev.json").write_bytes(kev("CVE-1", released="2026-05-01T00:00:00Z"))
    body = {"names": ["KEV"], "from": str(tmp_path)}
    refused = client.post("/api/v1/feeds/sync", json=body, headers=bearer("ana.li"))
    assert refused.status_code == 403 and "needs the role admin" in refused.json()["detail"]
    refused = client.post("/api/v1/feeds/sync", json={}, headers=bearer("ana.li"))
    assert refused.status_code == 409 and "No feed has a source" in refused.json()["detail"]
    refused = client.post("/api/v1/feeds/sync", json={"name": []}, headers=bearer("ana.li"))
    assert refused.status_code == 422
    asked = client.post("/api/v1/feeds/sync", json=body, headers=bearer("local-admin"))
    assert asked.status_code == 202 and asked.json() == {"started": ["KEV"]}
    services.feeds.wait()
    row = client.get("/api/v1/feeds/kev", headers=bearer("ana.li")).json()
    assert (row["kept"], row["records"], row["tried"]["word"]) == ("synced", 1, "NEW DATA")
    assert [one["by"] for one in row["history"]] == ["local-admin"]
    blob = client.get(f"/api/v1/blobs/{row['digest']}", headers=bearer("ana.li"))
    assert blob.status_code == 200 and b"CVE-1" in blob.content
    # What the gate will be asked about is what is shown.
    gate = {one.name: one.digest for one in services.outside.desk.feeds()}
    assert str(gate["KEV"]) == row["digest"]
    # The same folder again, by its own name: nothing in it is new, and it is no fresher for that.
    client.post("/api/v1/feeds/sync", json=body, headers=bearer("local-admin"))
    services.feeds.wait()
    again = client.get("/api/v1/feeds/KEV", headers=bearer("ana.li")).json()
    assert again["tried"]["word"] == "NOTHING NEW" and again["as_of_s"] == row["as_of_s"]


def test_rescans_say_how_they_stand_and_who_may_not(client: TestClient, bearer: Bearer) -> None:
    answer = client.get("/api/v1/rescans", headers=bearer("ana.li")).json()
    assert (answer["level"], answer["bundles"], answer["items"]) == ("OK", 0, [])
    refused = client.post("/api/v1/rescans", json={}, headers=bearer("bob.smith"))
    assert (refused.status_code, refused.json()["code"]) == (403, "role")
    refused = client.post("/api/v1/rescans", json={}, headers=bearer("ana.li"))
    assert refused.status_code == 409 and "has an SBOM to rescan" in refused.json()["detail"]


def test_the_snapshots_in_force_as_one_file_and_back(client: TestClient, bearer: Bearer) -> None:
    got = client.get("/api/v1/feeds/export", headers=bearer("bob.smith"))
    assert got.status_code == 200 and got.headers["content-type"] == "application/gzip"
    assert got.content == client.get("/api/v1/feeds/export", headers=bearer("ana.li")).content
    key = client.get("/api/v1/feeds/key", headers=bearer("ana.li"))
    assert key.text.startswith("-----BEGIN PUBLIC KEY-----")
    files = {"file": ("feeds.tar.gz", got.content, "application/gzip")}
    refused = client.post("/api/v1/feeds/import", files=files, headers=bearer("bob.smith"))
    assert (refused.status_code, refused.json()["code"]) == (403, "role")
    done = client.post("/api/v1/feeds/import", files=files, headers=bearer("ana.li"))
    assert done.status_code == 200 and done.json()["taken"] == []
    assert "KEV" in done.json()["known"]
    spoilt = {"file": ("feeds.tar.gz", got.content[:-9], "application/gzip")}
    wrong = client.post("/api/v1/feeds/import", files=spoilt, headers=bearer("ana.li"))
    assert wrong.status_code == 422 and "feeds.tar.gz: expected" in wrong.json()["detail"]
