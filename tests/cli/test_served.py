"""The command line against the real server: found by itself, followed over a restart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.home import read_server_file
from engine.homes import create_home
from tests.journeys.product import ROOT, environment, free_port, marked, releaseline, wait_for

pytestmark = pytest.mark.journey

PASS = {"RELEASELINE_KEY_PASSPHRASE": "correct horse"}
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine", *words],
            cwd=ROOT,
            env=environment(**PASS),
            stdout=(tmp_path / f"out-{len(started)}").open("w"),
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
    for pid in marked(tmp_path):  # a stopped server leaves its routers serving
        os.kill(pid, signal.SIGKILL)


def _serve(start: Start, home: Path) -> subprocess.Popen[str]:
    process = start("serve", "--home", str(home), "--port", str(free_port()))

    def answers() -> bool | None:
        server = read_server_file(home)
        return True if server is not None and server.pid == process.pid else None

    wait_for("the server", answers, timeout_s=120)
    return process


def test_a_run_from_outside(start: Start, tmp_path: Path) -> None:
    home = tmp_path / "home"
    create_home(home, passphrase="correct horse")
    first = _serve(start, home)

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return releaseline(*words, "--home", str(home), **PASS)

    def as_person(*words: str) -> subprocess.CompletedProcess[str]:
        return call(*words, "--token", token)

    token = call("token", "create", "--user", "ana.li").stdout.strip()
    link = call("admin", "link", "--user", "ana.li")
    assert f"{read_server_file(home).url}/first-run#" in link.stdout  # type: ignore[union-attr]
    artifact = tmp_path / "app.json"
    artifact.write_text('{"a": 1}')
    made = as_person("bundle", "create", str(artifact), "--name", "n", "--version", "1")
    digest = made.stdout.strip()
    assert digest.startswith("sha256:"), made.stderr

    missing = as_person("promote", "--bundle", digest, "--to", "eu-prod", "--wait",
                        "--idempotency-key", "k1", "--json")  # fmt: skip
    assert missing.returncode == 17, missing.stderr
    assert json.loads(missing.stdout) == {"run": "run-1", "bundle": digest, "status": "PAUSED"}
    again = as_person("promote", "--bundle", digest, "--to", "eu-prod", "--idempotency-key", "k1")
    assert "run-1: PAUSED" in again.stdout

    follower = start("run", "events", "run-1", "--follow", "--json", "--home", str(home))
    followed = tmp_path / "out-1"
    wait_for("the pause", lambda: ("run.paused/1" in followed.read_text()) or None, timeout_s=20)
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 143
    assert read_server_file(home) is None
    second = _serve(start, home)
    closed = as_person("run", "close", "run-1", "--reason", "not now", "--confirm", "run-1")
    assert closed.returncode == 0, closed.stderr
    assert follower.wait(60) == 0
    numbers = [json.loads(line)["seq"] for line in followed.read_text().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))

    no = as_person("promote", "--bundle", digest, "--to", "eu-stage", "--wait")
    assert no.returncode == 10, no.stdout + no.stderr
    assert call("run", "wait", "run-2").returncode == 10
    pack = tmp_path / "pack.tar.gz"
    assert as_person("evidence", "export", "run-2", "-o", str(pack)).returncode == 0
    assert as_person("evidence", "export", "run-2", "-o", str(pack)).returncode == 5
    anchor = ("--trusted-root", str(home / "trusted_root.json"))
    good = releaseline("verify", str(pack), *anchor)
    assert good.returncode == 0, good.stdout
    assert releaseline("verify", f"{pack}.sigstore.json", *anchor).returncode == 0
    note = tmp_path / "note.txt"
    note.write_text("seen")
    added = as_person("evidence", "addendum", "run-2", "--text", "read", "--attach", str(note))
    assert added.returncode == 0 and "Addendum 1 of run-2" in added.stdout
    later = tmp_path / "later.tar.gz"
    taken = as_person("evidence", "export", "run-2", "--kind", "addenda", "-o", str(later))
    assert taken.returncode == 0, taken.stderr
    assert releaseline("verify", str(pack), str(later), *anchor).returncode == 0
    copy = tmp_path / "copy.tar"
    assert as_person("backup", "-o", str(copy)).returncode == 3 and not copy.exists()
    assert call("backup", "-o", str(copy)).returncode == 0
    back = releaseline("restore", str(copy), "--home", str(tmp_path / "again"))
    assert back.returncode == 0, back.stderr
    again = releaseline("run", "list", "--home", str(tmp_path / "again"), "--json", **PASS)
    runs = json.loads(again.stdout)["items"]
    assert [(one["run_id"], one["status"]) for one in runs] == [
        ("run-2", "REJECTED"), ("run-1", "FAILED")
    ]  # fmt: skip
    changed = bytearray(pack.read_bytes())
    changed[len(changed) // 2] ^= 1
    pack.write_bytes(changed)
    bad = releaseline("verify", str(pack), *anchor, "--json")
    assert bad.returncode == 21
    failed = [check for check in json.loads(bad.stdout)["checks"] if not check["ok"]]
    assert failed
    assert all(check["file"] and check["expected"] and check["found"] for check in failed)

    os.kill(second.pid, signal.SIGINT)
    assert second.wait(20) == 130
