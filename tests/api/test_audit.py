"""The audit trail over HTTP: every attempt is on record, and who may read it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

from engine.core.house import ADMIN, BundleCreated
from engine.services import Services

pytestmark = pytest.mark.house

API = "/api/v1"
Bearer = Callable[..., dict[str, str]]
READERS = ("ana.li", "dan.ops", "dora.admin")
OTHERS = ("bob.smith", "eva.roth", "ci-demo")


@pytest.fixture
def run_id(client: TestClient, bearer: Bearer, bundle: str) -> str:
    body = {"bundle": bundle, "environment": "eu-prod", "reason": "because"}
    answer = client.post(f"{API}/promotions", headers=bearer("ana.li"), json=body)
    assert answer.status_code == 202, answer.text
    run: str = answer.json()["id"]
    return run


@pytest.fixture
def records(client: TestClient, bearer: Bearer) -> Callable[..., list[dict[str, Any]]]:
    def found(**asked: Any) -> list[dict[str, Any]]:
        answer = client.get(f"{API}/audit", headers=bearer("ana.li"), params=asked)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    return found


def test_who_may_read(client: TestClient, bearer: Bearer, records: Any) -> None:
    for user in READERS:
        assert client.get(f"{API}/audit", headers=bearer(user)).status_code == 200, user
    for user in OTHERS:
        for path in ("/audit", "/audit/1", "/audit/chain", "/audit/export", "/tables/runs/export"):
            answer = client.get(f"{API}{path}", headers=bearer(user))
            expected = 200 if user == "ci-demo" else 403  # it is a release manager as well
            assert answer.status_code == expected, (user, path, answer.text)
    denied = records(denied=True, who="eva.roth")
    assert {row["verb"] for row in denied[:5]} == {"read_audit", "export"}
    assert {row["code"] for row in denied[:5]} == {"role"}


def test_an_auditor_is_refused_and_on_record(
    client: TestClient, bearer: Bearer, run_id: str, records: Any
) -> None:
    """Journey AUD 1: a direct call to approve is 403, and a row."""
    header = bearer("eva.roth")
    answer = client.post(
        f"{API}/runs/{run_id}/actions",
        headers=header,
        json={"action": "pause", "reason": "look", "ticket": "T-7"},
    )
    assert answer.status_code == 403, answer.text
    row = records(run=run_id, denied=True)[0]
    token = header["Authorization"].removeprefix("Bearer ")
    assert (row["actor"], row["verb"], row["result"], row["code"]) == (
        "eva.roth",
        "pause",
        "denied",
        "role",
    )
    assert (row["reason"], row["ticket"]) == ("look", "T-7")
    assert (row["method"], row["credential"]) == ("token", token.split("_")[1])
    assert row["request_id"] == answer.headers["x-request-id"]
    assert row["environment"] == "eu-prod"
    assert token not in json.dumps(row)


def test_what_was_allowed_says_by_which_proof(
    client: TestClient, bearer: Bearer, run_id: str, records: Any
) -> None:
    (row,) = records(run=run_id, verb="promote")
    assert (row["actor"], row["method"], row["reason"]) == ("ana.li", "token", "because")
    assert row["request_id"].startswith("req_")
    whole = client.get(f"{API}/audit/{row['gseq']}", headers=bearer("ana.li")).json()
    assert json.loads(whole["body"])["bundle"].startswith("sha256:")
    assert len(whole["hash"]) == len(whole["prev"]) == 64
    assert client.get(f"{API}/audit/999999", headers=bearer("ana.li")).status_code == 404


def test_the_engine_s_own_deeds_have_no_proof(records: Any, run_id: str) -> None:
    rows = records(who="engine", everything=True, limit=100)
    assert rows
    assert all(row["method"] == row["request_id"] == "" for row in rows)


def test_exports_and_downloads_are_on_record(
    client: TestClient, bearer: Bearer, bundle: str, records: Any
) -> None:
    header = bearer("ana.li")
    blob = client.get(f"{API}/blobs/{bundle}", headers=header)
    assert blob.status_code == 200
    row = records(verb="export")[0]
    assert (row["actor"], row["subject"], row["after"]) == ("ana.li", "blob", bundle)
    assert row["request_id"] == blob.headers["x-request-id"]
    before = len(records(verb="export", limit=100))
    assert client.get(f"{API}/bundles/{bundle}", headers=header).status_code == 200
    assert len(records(verb="export", limit=100)) == before  # reading is not


def test_evidence_without_a_session_is_no_bytes(
    client: TestClient, bundle: str, run_id: str
) -> None:
    for path in (
        f"/blobs/{bundle}",
        f"/runs/{run_id}/evidence/export?kind=partial",
        f"/runs/{run_id}/steps/inputs/logs?format=text",
        "/audit/export",
        "/tables/events/export",
    ):
        for header in ({}, {"Authorization": "Bearer rl_00000000_x"}, {"Cookie": "rl_session=x"}):
            answer = client.get(f"{API}{path}", headers=header)
            assert answer.status_code == 401, path
            assert answer.json()["code"] == "not_signed_in"


def test_failed_sign_ins_are_on_record_without_their_secret(
    client: TestClient, services: Services, records: Any
) -> None:
    secret = "very-secret-thing"
    services.trail.sign_ins.stop()  # what other tests left
    for _ in range(30):
        client.get(f"{API}/runs", headers={"Authorization": f"Bearer rl_feedbee5_{secret}"})
    client.post("/sign-in", json={"secret": secret}, headers={"Origin": "http://127.0.0.1:8501"})
    services.trail.sign_ins.stop()
    rows = records(verb="sign_in", denied=True, limit=100)
    tokens = [row for row in rows if row["method"] == "token"]
    counts = [
        record.event.count
        for record in services.store.of_kinds(["sign_in.failed/1"])
        if getattr(record.event, "method", "") == "token"
    ]
    assert sum(counts) >= 30
    assert len(tokens) == len(counts) < 15
    assert "feedbee5" in {row["credential"] for row in tokens}
    assert any(row["method"] == "link" and row["code"] == "link_used" for row in rows)
    texts = services.store.texts(ADMIN)
    assert not any(secret in text for text in texts)


def test_pages_follow_one_another(client: TestClient, bearer: Bearer, run_id: str) -> None:
    header, seen, after = bearer("ana.li"), [], ""
    first = client.get(f"{API}/audit", headers=header, params={"limit": 100}).json()["items"]
    while True:
        page = client.get(
            f"{API}/audit", headers=header, params={"limit": 7, "after": after}
        ).json()
        seen += [row["gseq"] for row in page["items"]]
        after = page["next"]
        if after is None or len(seen) > 90:
            break
    assert seen[: len(first)] == [row["gseq"] for row in first][: len(seen)]
    for bad in ("x", "bm90IGpzb24="):
        answer = client.get(f"{API}/audit", headers=header, params={"after": bad})
        assert answer.status_code == 422


@pytest.mark.parametrize(
    "asked",
    [
        {"since": "yesterday"},
        {"until": "2026-10-01T08:00:00"},
        {"quarter": "2026-Q5"},
        {"quarter": "2026-Q4", "since": "2026-10-01"},
        {"limit": 0},
    ],
    ids=str,
)
def test_bad_filters_are_named(client: TestClient, bearer: Bearer, asked: Any) -> None:
    answer = client.get(f"{API}/audit", headers=bearer("ana.li"), params=asked)
    assert answer.status_code == 422
    assert next(iter(asked)) in answer.json()["detail"]


def test_a_moment_before_all_records_is_one_that_an_export_can_name(
    client: TestClient, bearer: Bearer, records: Any
) -> None:
    asked = {"since": "0973-02-21T18:07:47Z", "until": "9999-12-31", "verb": "rescan"}
    assert records(**asked) == []
    answer = client.get(f"{API}/audit/export", params=asked, headers=bearer("ana.li"))
    assert answer.status_code == 200, answer.text


def test_a_quarter_is_its_two_moments(records: Any, run_id: str) -> None:
    assert records(quarter="2020-Q4") == []
    assert records(since="2020-01-01", limit=5)
    assert records(until="2020-01-01") == []


def test_the_chain_is_checked_and_that_is_on_record(
    client: TestClient, bearer: Bearer, run_id: str, records: Any
) -> None:
    header = bearer("ana.li")
    found = client.post(f"{API}/audit/check", headers=header).json()
    assert found["ok"] and found["events"] > 3, found
    chain = client.get(f"{API}/audit/chain", headers=header).json()
    assert chain["gseq"] == found["gseq"] + 1  # the check itself is on record
    assert (chain["checked"]["by"], chain["checked"]["gseq"]) == ("ana.li", found["gseq"])
    assert records(verb="check_audit")[0]["actor"] == "ana.li"
    assert client.post(f"{API}/audit/check", headers=bearer("bob.smith")).status_code == 403


def unzipped(content: bytes) -> tuple[dict[str, Any], bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        return manifest, archive.read(manifest["file"]["name"])


def test_cells_of_an_export_are_literal(
    client: TestClient, bearer: Bearer, services: Services, run_id: str, records: Any
) -> None:
    """Journey RM 10: what somebody wrote calculates nothing in anybody's spreadsheet."""
    reasons = ['=cmd()|<img onerror="x">', "+1", "-1", "@x", "\t=1", "fine", "a\n=b", "=1,2"]
    for reason in reasons:
        body = {"action": "comment", "reason": reason}
        done = client.post(f"{API}/runs/{run_id}/actions", headers=bearer("ana.li"), json=body)
        assert done.status_code == 200, done.text
    asked = {"run": run_id, "verb": "comment"}
    answer = client.get(f"{API}/audit/export", headers=bearer("dan.ops"), params=asked)
    manifest, content = unzipped(answer.content)
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    # Comments are kept without the blanks around them.
    written = [reason.strip() for reason in reversed(reasons)]
    literal = [f"'{text}" if text[0] in "=+-@" else text for text in written]
    assert [row["reason"] for row in rows] == literal
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for r in rows for cell in r.values())
    assert manifest["filter"] == asked
    assert manifest["rows"] == len(rows) == len(reasons)
    assert manifest["file"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert [column["name"] for column in manifest["columns"]] == list(rows[0])
    row = records(verb="export")[0]
    assert (row["actor"], row["subject"]) == ("dan.ops", "audit")
    assert row["after"] == f"sha256:{manifest['file']['sha256']}"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_every_format_holds_what_the_list_shows(
    client: TestClient, bearer: Bearer, run_id: str, records: Any, form: str
) -> None:
    shown = records(run=run_id, limit=100)
    answer = client.get(
        f"{API}/audit/export", headers=bearer("ana.li"), params={"run": run_id, "format": form}
    )
    manifest, content = unzipped(answer.content)
    frame = {
        "csv": lambda: pl.read_csv(content, infer_schema_length=None),
        "jsonl": lambda: pl.read_ndjson(io.BytesIO(content)),
        "parquet": lambda: pl.read_parquet(io.BytesIO(content)),
    }[form]()
    assert frame["gseq"].to_list() == [row["gseq"] for row in shown]
    assert frame["hash"].to_list() == [row["hash"] for row in shown]
    assert manifest["chain"]["gseq"] >= shown[0]["gseq"]


def test_tables_are_explained_and_exported(
    client: TestClient, bearer: Bearer, run_id: str, services: Services
) -> None:
    header = bearer("ana.li")
    told = client.get(f"{API}/tables", headers=header).json()["items"]
    names = {one["name"] for one in told}
    assert names >= {"runs", "steps", "events", "samples", "verdicts", "replays", "approvals"}
    for one in told:
        if one["name"] == "audit":
            continue
        answer = client.get(
            f"{API}/tables/{one['name']}/export", headers=header, params={"run": run_id}
        )
        manifest, content = unzipped(answer.content)
        frame = pl.read_parquet(io.BytesIO(content))
        assert frame.columns == [column["name"] for column in one["columns"]]
        assert frame.height == manifest["rows"]
    events = client.get(f"{API}/tables/events/export", headers=header)
    frame = pl.read_parquet(io.BytesIO(unzipped(events.content)[1]))
    made = [r for r in services.store.load("bundles") if isinstance(r.event, BundleCreated)]
    assert frame.filter(pl.col("kind") == "bundle.created/1").height == len(made)
    for path, status in (
        ("/tables/samples/export", 422),
        ("/tables/secrets/export", 404),
        ("/tables/runs/export?format=xls", 422),
    ):
        assert client.get(f"{API}{path}", headers=header).status_code == status, path


def test_a_run_s_duties_name_who_stood_where(
    client: TestClient, bearer: Bearer, run_id: str
) -> None:
    found = client.get(f"{API}/runs/{run_id}/duties", headers=bearer("bob.smith")).json()
    deeds = {(edge["person"], edge["duty"]) for edge in found["edges"]}
    assert {("ana.li", "requested"), ("ci-demo", "made_bundle")} <= deeds
    assert found["conflicts"] == []
    assert client.get(f"{API}/runs/run-99/duties", headers=bearer("ana.li")).status_code == 404
