"""An auditor against the real server: what they can see, prove and take away, and nothing else.

One release was refused by the policy, another one waits for approvals that somebody tried to give
to their own work. Nothing of it needs a deploy; the way back does, and is played under --long.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx
import polars as pl
import pytest
import yaml

from engine.demo.bundles import build
from engine.evidence.pack import read_file
from tests.journeys.pipeline import PASS, Caller, caller, pipeline_home, under_load
from tests.journeys.product import ROOT, Product, releaseline, starting, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.ci]

AUDITOR, BOTH = "nina.audit", "kim.both"
FORBIDDEN, FLIPPED, INVALID = 3, 10, 21


@dataclass(frozen=True)
class House:
    """`refused`, `waiting`: runs. `pack`: the audit pack of the refused one."""

    server: Product
    auditor: Caller
    refused: str
    waiting: str
    pack: Path

    def get(self, path: str, **query: Any) -> Any:
        """As the auditor."""
        answer = self.ask(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask(self, path: str, **query: Any) -> httpx.Response:
        header = {"Authorization": f"Bearer {self.auditor.token}"}
        url = f"{self.server.url}/api/v1{path}"
        return httpx.get(url, headers=header, params=query, timeout=30)

    def denied(self, **query: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get("/audit", denied=True, **query)["items"]
        return rows


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Product]]:
    with starting(tmp_path_factory.mktemp("said")) as begin:
        yield begin


def served(start: Callable[..., Product], home: Path) -> Product:
    pipeline_home(home)
    path = home / "releaseline.yaml"
    settings = yaml.safe_load(path.read_text())
    for user, roles in ((AUDITOR, ["auditor"]), (BOTH, ["release_manager", "approver"])):
        held = [{"role": role} for role in roles]
        settings["people"].append({"user": user, "email": f"{user}@x.org", "roles": held})
    settings["integrity"] = {"every": "2s"}
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    server = start("serve", home=home, **PASS)
    wait_for("the server", lambda: server.get("/environments"), timeout_s=300)
    return server


def bundled(who: Caller, folder: Path, kind: str) -> str:
    made = build(kind, folder / kind)
    words = ("--sbom", str(made.sbom), "--name", "shop", "--version", made.version)
    code, out, err = who("bundle", "create", *map(str, made.components), *words)
    assert code == 0, err
    return out.strip()


def promoted(who: Caller, bundle: str, to: str, *more: str) -> tuple[int, str]:
    code, out, err = who("promote", "--bundle", bundle, "--to", to, *more)
    found = re.search(r"run-\d+", out + err)
    assert found, out + err
    return code, found[0]


@pytest.fixture(scope="module")
def house(start: Callable[..., Product], tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("auditor")
    server = served(start, folder / "home")
    both, auditor = caller(server, BOTH), caller(server, AUDITOR)
    bundle = bundled(both, folder, "before")
    code, refused = promoted(both, bundle, "strict", "--wait")
    assert code == FLIPPED
    _, waiting = promoted(both, bundle, "asks")
    wait_for(
        "the wait for approval",
        lambda: ((r := server.run(waiting)) and r["status"] == "AWAITING_APPROVAL") or None,
        timeout_s=120,
    )
    pack = folder / "audit-pack.tar.gz"
    assert auditor("evidence", "export", refused, "-o", str(pack))[0] == 0
    return House(server, auditor, refused, waiting, pack)


def test_1_looks_and_touches_nothing(house: House) -> None:
    offered = house.get(f"/runs/{house.waiting}/actions")["items"]
    assert offered and not [one["action"] for one in offered if one["ok"]]
    before = len(house.denied(who=AUDITOR))
    assert house.auditor("run", "approve", house.waiting, "--reason", "me")[0] == FORBIDDEN
    newest, *rest = house.denied(who=AUDITOR)
    assert len(rest) == before
    assert (newest["verb"], newest["run_id"], newest["code"]) == ("approve", house.waiting, "role")
    assert newest["method"] == "token" and newest["credential"]


def test_2_reads_the_whole_story(house: House) -> None:
    told = house.auditor.json("run", "story", house.refused)["lines"]
    log = house.get(f"/runs/{house.refused}/events", limit=100)["items"]
    hashes = {event["seq"]: event["hash"] for event in log}
    assert told and all(line["hash"] == hashes[line["seq"]] for line in told)
    run = house.get(f"/runs/{house.refused}")
    text = " ".join(line["text"] for line in told)
    for fact in (BOTH, "strict", "shop"):
        assert fact in text
    assert run["verdict"]["decision"] == "FAIL" and run["status"] == "REJECTED"
    shown = house.auditor("run", "show", house.refused)[1]
    assert run["bundle"] in shown and re.search(r"\d\d:\d\d:\d\dZ by kim\.both", shown)
    # Every digest that the run names leads to the thing that has it.
    assert house.get(f"/bundles/{run['bundle']}")["digest"] == run["bundle"]
    assert house.get(f"/verdicts/{run['verdict']['id']}")["run_id"] == house.refused
    duties = house.get(f"/runs/{house.refused}/duties")
    assert BOTH in json.dumps(duties)


def test_3_takes_packs_that_verify_without_us(house: House, tmp_path: Path) -> None:
    root = str(house.server.home / "trusted_root.json")
    partial = tmp_path / "partial"
    words = ("evidence", "export", house.waiting, "--kind", "partial", "-o", str(tmp_path))
    assert house.auditor(*words)[0] == 0
    (partial,) = tmp_path.iterdir()
    assert "PARTIAL" in partial.name.upper()
    said = releaseline("verify", str(partial), "--trusted-root", root)
    assert said.returncode == 0, said.stdout + said.stderr
    told = read_file(partial, where="pack").files.values()
    assert any(b"THIS PACK IS PARTIAL" in content and b"no proof" in content for content in told)
    whole = releaseline("verify", str(house.pack), "--trusted-root", root)
    assert whole.returncode == 0, whole.stdout + whole.stderr


def test_4_sees_whatever_was_changed(house: House, tmp_path: Path) -> None:
    root = house.server.home / "trusted_root.json"
    folder = tmp_path / "pack"
    for name, content in read_file(house.pack, where="pack").files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    victim = next(path for path in sorted(folder.rglob("*.json")) if "gate-eval" in str(path))
    changed = bytearray(victim.read_bytes())
    changed[len(changed) // 2] ^= 1
    victim.write_bytes(changed)
    said = releaseline("verify", str(folder), "--trusted-root", str(root))
    assert said.returncode == INVALID and victim.name in said.stdout + said.stderr
    # Receipts swapped, items dropped, everything signed with other keys, and more.
    drilled = releaseline("drill", str(house.pack), "--trusted-root", str(root), "--json")
    assert drilled.returncode == 0, drilled.stdout[-2_000:] + drilled.stderr[-2_000:]


def test_4_sees_what_was_changed_in_the_store(house: House) -> None:
    """Within one sweep, at every door, until the bytes are put right again."""
    items = house.get(f"/runs/{house.refused}/evidence")["items"]
    file = next(f for one in items for f in one["files"] if f["name"].endswith(".sigstore.json"))
    digest = file["digest"].removeprefix("sha256:")
    path = house.server.home / "blobs" / digest[:2] / digest
    whole = path.read_bytes()
    path.write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])

    def known() -> Any:
        return house.get(f"/runs/{house.refused}")["damaged"]

    try:
        (found,) = wait_for("the sweep", lambda: known() or None, timeout_s=60)
        assert (found["item"], found["check"]) == (file["name"], "blob.sha256")
        assert found["expected"] == file["digest"] and house.refused in found["runs"]
        assert house.get("/integrity")["ok"] is False
        health = house.get("/data-health")
        assert health["level"] == "FAIL" and f"damaged: {house.refused}" in health["line"]
        code, out, err = house.auditor("integrity")
        assert code == INVALID and file["name"].casefold() in (out + err).casefold()
        assert "DAMAGED" in house.auditor("run", "show", house.refused)[1]
        answer = house.ask(f"/blobs/{file['digest']}")
        assert (answer.status_code, answer.json()["code"]) == (500, "stored_damaged")
    finally:
        path.write_bytes(whole)
    wait_for("the repair", lambda: None if known() else True, timeout_s=60)
    assert house.get("/integrity")["ok"] is True
    kinds = [one["kind"] for one in house.get("/audit", everything=True, limit=100)["items"]]
    assert "integrity.damaged/1" in kinds and "integrity.repaired/1" in kinds


def test_5_replays_a_verdict_from_the_pack_alone(house: House, tmp_path: Path) -> None:
    alone = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}

    def replay(*more: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "engine", "replay", str(house.pack), *more]
        return subprocess.run(
            words, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False
        )

    same = replay("--json")
    assert same.returncode == 0, same.stdout + same.stderr
    (one,) = json.loads(same.stdout)["items"]
    assert one["result"] == "MATCH" and one["named_by_decision"]
    milder = tmp_path / "milder.yaml"
    shipped = (house.server.home / "policies" / "release-gate.yaml").read_text()
    milder.write_text(shipped.replace("level: FAIL", "level: WARN"))
    config = str(house.server.home / "policies" / "release-gate.config.json")
    other = replay("--policy", str(milder), "--config", config)
    assert other.returncode == FLIPPED and "FLIPPED" in other.stdout, other.stdout + other.stderr
    verdict = house.get(f"/runs/{house.refused}")["verdict"]["id"]
    assert house.auditor("replay", verdict, "--reason", "audit")[0] == 0
    rate = house.get("/determinism")["match_bp"]
    asked = ("replay", verdict, "--policy", str(milder), "--config", config, "--reason", "audit")
    assert house.auditor(*asked)[0] == FLIPPED
    assert house.get("/determinism")["match_bp"] == rate


def test_6_counts_what_the_determinism_page_says(house: House, tmp_path: Path) -> None:
    assert house.auditor("replay", house.refused, "--reason", "counted")[0] == 0
    table = tmp_path / "replays.parquet"
    assert house.auditor("export", "replays", "-o", str(table))[0] == 0
    said, frame = house.get("/determinism"), pl.read_parquet(table)
    verified = frame.filter((pl.col("mode") == "VERIFY") & (pl.col("result") != ""))
    counted = (verified["result"] == "MATCH").sum(), (verified["result"] == "MISMATCH").sum()
    assert (said["matching"], said["mismatching"]) == counted and said["matching"] >= 2


def test_7_asks_the_trail_what_was_attempted(house: House) -> None:
    both = caller(house.server, BOTH)
    assert both("run", "approve", house.waiting, "--reason", "mine is fine")[0] == FORBIDDEN
    question = ("--overrides", "--self-approvals", "--since", "2026-01-01")
    rows = house.auditor.json("audit", "list", *question)["items"]
    mine = [row for row in rows if row["actor"] == BOTH]
    assert [(row["verb"], row["result"], row["run_id"]) for row in mine] == [
        ("approve", "denied", house.waiting)
    ]
    assert house.auditor("audit", "check")[0] == 0


def test_8_an_address_without_a_session_has_no_bytes(house: House) -> None:
    bundle = house.get(f"/runs/{house.refused}")["bundle"]
    for path in (f"/runs/{house.refused}/evidence/export", f"/blobs/{bundle}"):
        bare = httpx.get(f"{house.server.url}/api/v1{path}")
        assert bare.status_code == 401
        assert bare.headers["content-type"] == "application/problem+json"


def test_a_record_that_is_gone_is_named_by_its_place(house: House) -> None:
    """Last: the server is ended, and somebody has its file and a copy of DuckDB."""
    bob = caller(house.server, "bob.smith")
    code, _, err = bob("run", "reject", house.waiting, "--reason", "no")
    assert code == 0, err
    house.server.end(signal.SIGTERM, timeout_s=60)
    with duckdb.connect(str(house.server.home / "releaseline.duckdb")) as connection:
        connection.execute("DROP TRIGGER events_no_delete ON events")
        connection.execute("DELETE FROM events WHERE gseq = 7")
    said = releaseline("audit", "check", "--home", str(house.server.home), **PASS)
    assert said.returncode == INVALID and "event 7" in said.stdout, said.stdout + said.stderr


@pytest.mark.long
def test_9_a_second_attempt_leaves_the_evidence_of_the_first(
    start: Callable[..., Product], tmp_path: Path
) -> None:
    server = served(start, tmp_path / "home")
    who, auditor = caller(server, "ana.li"), caller(server, AUDITOR)
    before, healthy = (bundled(who, tmp_path, kind) for kind in ("before", "healthy"))
    under_load(server, "open")
    assert promoted(who, before, "open", "--wait")[0] == 0
    _, first = promoted(who, healthy, "open")
    wait_for(
        "a changed target",
        lambda: ((r := server.run(first)) and any(t["changed"] for t in r["targets"])) or None,
        timeout_s=120,
    )
    assert who("run", "rollback", first, "--reason", "incident 1")[0] == 0
    assert who("run", "wait", first, "--timeout", "120s")[0] == 12
    kept = auditor.json("evidence", "list", first)
    assert who("run", "rerun", first, "--reason", "mended", "--lift-hold")[0] == 0
    second = server.get("/runs")["items"][0]["run_id"]
    assert second != first and who("run", "wait", second, "--timeout", "240s")[0] == 0
    assert auditor.json("evidence", "list", first) == kept
    assert auditor.json("evidence", "list", second)["items"]
