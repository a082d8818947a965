"""A pipeline against the real server: every way that a promotion ends, as its exit code says it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from engine.demo.bundles import build
from tests.journeys.pipeline import (
    PASS,
    SCOPES,
    Caller,
    caller,
    pipeline_home,
    under_load,
)
from tests.journeys.product import ROOT, Product, environment, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.long]

EXAMPLES = ROOT / "examples" / "ci"
Start = Callable[..., Product]


@pytest.fixture
def server(tmp_path: Path, start: Start) -> Product:
    return _serve(start, pipeline_home(tmp_path / "home"))


def _serve(start: Start, home: Path, port: int | None = None) -> Product:
    product = start("serve", home=home, port=port, **PASS)
    wait_for("the server", lambda: product.get("/environments"), timeout_s=300)
    return product


def _limited(server: Product, *environments: str) -> Caller:
    words = [word for scope in SCOPES for word in ("--scope", scope)]
    words += [word for name in environments for word in ("--env", name)]
    return caller(server, "ci-demo", "--service", *words)


def _bundle(who: Caller, folder: Path, kind: str = "healthy", name: str = "shop") -> str:
    made = build(kind, folder / kind)
    code, out, err = who(
        "bundle", "create", *map(str, made.components), "--sbom", str(made.sbom),
        "--name", name, "--version", made.version,
    )  # fmt: skip
    assert code == 0, err
    return out.strip()


def _promote(who: Caller, bundle: str, to: str, *more: str) -> tuple[int, str, str]:
    return who("promote", "--bundle", bundle, "--to", to, *more)


def test_every_exit_code_of_a_promotion(server: Product, tmp_path: Path) -> None:
    pipeline, ana = _limited(server, "open", "asks", "strict"), caller(server, "ana.li")
    first, second = (_bundle(pipeline, tmp_path, kind) for kind in ("before", "healthy"))
    under_load(server, "open")
    code, out, err = _promote(pipeline, first, "open", "--wait", "--idempotency-key", "a", "--json")
    assert code == 0, out + err
    promoted = json.loads(out)
    assert promoted == {"run": "run-1", "bundle": first, "status": "SUCCEEDED"}
    pack = tmp_path / "pack.tar.gz"
    assert pipeline("evidence", "export", "run-1", "-o", str(pack))[0] == 0
    root = str(server.home / "trusted_root.json")
    assert pipeline("verify", str(pack), "--trusted-root", root)[0] == 0
    # The same key is the same promotion; with another wish it is a conflict.
    assert "run-1: SUCCEEDED" in _promote(pipeline, first, "open", "--idempotency-key", "a")[1]
    assert _promote(pipeline, second, "open", "--idempotency-key", "a")[0] == 5

    # Not for this environment; not for a pipeline at all; not with this token.
    assert _promote(pipeline, first, "needs")[0] == 3
    assert Caller(server, "rl_unknown")("run", "list")[0] == 3
    assert _promote(pipeline, "0" * 16, "open")[0] == 4
    rejected = [e for e in _admin_events(server) if e == "command.rejected/1"]
    assert rejected

    assert _promote(pipeline, first, "strict", "--wait")[0] == 10
    refused = _bundle(pipeline, tmp_path, "before", name="forbidden")
    assert _promote(pipeline, refused, "open", "--wait")[0] == 10

    # Waiting ends before the run does; the run goes on and is rejected by a person.
    code, out, err = _promote(pipeline, first, "asks", "--wait", "--timeout", "3s", "--json")
    assert code == 124, out + err
    waiting = ana.json("run", "list", "--environment", "asks")["items"][0]["run_id"]
    assert pipeline("run", "approve", waiting, "--reason", "me")[0] == 3
    bob = caller(server, "bob.smith")
    assert bob("run", "reject", waiting, "--reason", "not today")[0] == 0
    assert pipeline("run", "wait", waiting, "--timeout", "120s")[0] == 11

    # Paused by a person, rolled back by a person.
    code, out, err = _promote(pipeline, second, "open")
    going = re.search(r"run-\d+", out)[0]  # type: ignore[index]
    wait_for("a changed target", lambda: _changed(server, going), timeout_s=120)
    assert ana("run", "pause", going, "--reason", "look")[0] == 0
    assert pipeline("run", "wait", going, "--timeout", "120s")[0] == 13
    assert ana("run", "rollback", going, "--reason", "incident 1")[0] == 0
    assert pipeline("run", "wait", going, "--timeout", "120s")[0] == 12
    assert _promote(pipeline, second, "open")[0] == 5, "it is held now"

    code, out, err = _promote(ana, first, "needs", "--wait")
    assert code == 17, out + err
    stuck = re.search(r"run-\d+", out)[0]  # type: ignore[index]
    assert ana("run", "cancel", stuck, "--reason", "no")[0] == 0
    assert ana("run", "wait", stuck, "--timeout", "120s")[0] == 16


def _changed(server: Product, run_id: str) -> bool | None:
    run = server.run(run_id)
    return True if run and any(t["changed"] for t in run["targets"]) else None


def _admin_events(server: Product) -> list[str]:
    lines = [
        json.loads(line)
        for segment in sorted((server.home / "journal").iterdir())
        for line in segment.read_bytes().splitlines()
    ]
    return [record["kind"] for line in lines for record in line["records"] if "kind" in record]


def test_a_kill_between_request_and_answer_is_one_promotion(
    server: Product, tmp_path: Path, start: Start
) -> None:
    """The server dies with the answer on its way; the repeated job gets the same run."""
    pipeline = _limited(server, "asks")
    bundle = _bundle(pipeline, tmp_path)
    headers = {"Authorization": f"Bearer {pipeline.token}", "Idempotency-Key": "job-7"}
    body = {"bundle": bundle, "environment": "asks"}
    asked = json.dumps(body).encode()
    lines = [
        "POST /api/v1/promotions HTTP/1.1", f"Host: 127.0.0.1:{server.port}",
        "Content-Type: application/json", f"Content-Length: {len(asked)}",
        *(f"{name}: {value}" for name, value in headers.items()), "", "",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.sendall("\r\n".join(lines).encode() + asked)
        wait_for("the request on record", lambda: _recorded(server, "job-7"), timeout_s=30,
                 every_s=0.002)  # fmt: skip
        os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    again = _serve(start, server.home, server.port)
    with httpx.Client(base_url=f"{again.url}/api/v1", headers=headers, timeout=30) as http:
        repeated = http.post("/promotions", json=body)
        assert repeated.status_code == 202, repeated.text
        assert repeated.json()["id"] == "run-1"
        other = http.post("/promotions", json={**body, "reason": "other"})
        assert (other.status_code, other.json()["code"]) == (409, "conflict")
    runs = again.get("/runs")["items"]
    assert [run["run_id"] for run in runs] == ["run-1"]
    follower = subprocess.Popen(
        [sys.executable, "-m", "engine", "run", "events", "run-1", "--follow", "--json",
         "--server", again.url, "--token", pipeline.token],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for("the wait for approval", lambda: _in(again, "AWAITING_APPROVAL"), timeout_s=120)
    again.end(signal.SIGTERM, timeout_s=30)
    third = _serve(start, server.home, server.port)
    assert caller(third, "ana.li")("run", "cancel", "run-1", "--reason", "done")[0] == 0
    out, _ = follower.communicate(timeout=90)
    assert follower.returncode == 0
    numbers = [json.loads(line)["seq"] for line in out.splitlines()]
    assert numbers == list(range(1, len(numbers) + 1)), "nothing lost, nothing twice"
    third.end(signal.SIGTERM, timeout_s=30)
    assert pipeline("run", "list")[0] == 75


def _recorded(server: Product, key: str) -> bool | None:
    journal = (server.home / "journal").iterdir()
    return True if any(key.encode() in segment.read_bytes() for segment in journal) else None


def _in(server: Product, status: str) -> bool | None:
    run = server.run()
    return True if run and run["status"] == status else None


def _shell_of(platform: str) -> list[str]:
    """The shell of a platform's example, in the order in which it runs there."""
    if platform == "Jenkinsfile":
        text = (EXAMPLES / platform).read_text()
        # In a Groovy ''' string a backslash is written twice, and a line's last one joins lines.
        found = re.findall(r"sh '''\n(.*?)'''", text, re.DOTALL)
        return [part.replace("\\\n", "\x00").replace("\\\\", "\\").replace("\x00", "\\\n")
                for part in found]  # fmt: skip
    document = yaml.safe_load((EXAMPLES / platform).read_text())
    if platform == "gitlab-ci.yml":
        job = document["promote"]
        return [*job["script"], *job["after_script"]]
    steps = document["jobs"]["promote"]["steps"]
    return [step["run"] for step in steps if "run" in step]


@pytest.mark.parametrize("platform", ["github-actions.yml", "gitlab-ci.yml", "Jenkinsfile"])
def test_each_example_is_of_its_platforms_form(platform: str) -> None:
    parts = _shell_of(platform)
    assert len(parts) == 3
    for part, words in zip(parts, ("bundle create", "run wait", "evidence export"), strict=True):
        assert words in part
    if platform == "Jenkinsfile":
        text = (EXAMPLES / platform).read_text()
        assert text.count("{") == text.count("}")
        for section in ("agent", "environment", "stages", "post"):
            assert re.search(rf"^  {section}\b", text, re.MULTILINE)
        return
    # YAML 1.1 reads a bare `on` as true; GitHub does not.
    document: dict[Any, Any] = yaml.safe_load((EXAMPLES / platform).read_text())
    if platform == "gitlab-ci.yml":
        assert set(document) == {"stages", "promote"}
        assert document["promote"]["stage"] in document["stages"]
        assert document["promote"]["artifacts"]["when"] == "always"
        return
    assert {True, "name", "jobs", "permissions"} <= set(document)
    job = document["jobs"]["promote"]
    assert job["runs-on"] and all(("run" in s) != ("uses" in s) for s in job["steps"])
    assert [s.get("if") for s in job["steps"][-2:]] == ["always()", "always()"]


def _done(shell: str, folder: Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        ["sh", "-e", "-c", shell], cwd=folder, env=env, capture_output=True, text=True,
        timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (shell, done.stdout, done.stderr)


def test_the_examples_run_as_they_stand(server: Product, tmp_path: Path) -> None:
    """Each platform's shell, line for line, with a real token for one environment."""
    pipeline = _limited(server, "open")
    under_load(server, "open")
    tools = tmp_path / "tools"
    tools.mkdir()
    command = tools / "releaseline"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m engine "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    for number, platform in enumerate(("github-actions.yml", "gitlab-ci.yml", "Jenkinsfile"), 1):
        work = tmp_path / platform
        made = build("healthy" if number % 2 else "before", work / "built")
        (work / "dist").mkdir()
        for path in made.components:
            (work / "dist" / path.name).write_bytes(path.read_bytes())
        (work / "sbom.cdx.json").write_bytes(made.sbom.read_bytes())
        env = environment(
            RELEASELINE_SERVER=server.url, RELEASELINE_TOKEN=pipeline.token, ENVIRONMENT="open",
            VERSION=f"1.0.{number}", KEY=f"{platform}-1",
        )  # fmt: skip
        env["PATH"] = f"{tools}:{env['PATH']}"
        create, promote, keep = _shell_of(platform)
        # A job that was called off before it promoted starts nothing when it keeps its evidence.
        for part in (create, keep):
            _done(part, work, env)
        assert len(server.get("/runs")["items"]) == number - 1
        for part in (promote, keep):
            _done(part, work, env)
        root = str(server.home / "trusted_root.json")
        pack = work / "audit-pack.tar.gz"
        assert pipeline("verify", str(pack), "--trusted-root", root)[0] == 0
    assert len(server.get("/runs")["items"]) == 3
