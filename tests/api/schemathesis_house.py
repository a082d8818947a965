"""A house behind a real port, with one finished run in it, and schemathesis asking it everything.

The server is uvicorn in a thread of this process; schemathesis is a process of its own, as a user
of the API would be.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from engine.api.server import Server
from engine.core.statemachine import TERMINAL
from engine.homes import create_home
from tests.journeys.product import ROOT, environment, free_port

PASSPHRASE = "correct horse"
CONFIG = Path(__file__).with_name("schemathesis.toml")
# Nobody is held up by the limit of requests here; somebody who may sign in has no role anywhere.
_MORE = """\
people:
  - {user: a.stranger, email: a.stranger@example.com}
"""


@dataclass(frozen=True)
class House:
    """`tokens`: of each identity; empty for nobody."""

    url: str
    tokens: dict[str, str]

    def ask(self, method: str, path: str, who: str, **more: Any) -> httpx.Response:
        header = {"Authorization": f"Bearer {self.tokens[who]}"}
        url = f"{self.url}/api/v1{path}"
        return httpx.request(method, url, headers=header, timeout=60, **more)


@contextmanager
def house(home: Path) -> Iterator[House]:
    create_home(home, passphrase=PASSPHRASE)
    port = free_port()
    settings = home / "releaseline.yaml"
    text = settings.read_text().replace("port: 8501", f"port: {port}")
    limit = "{per_second: 100, burst: 400}"
    assert limit in text
    settings.write_text(text.replace(limit, "{per_second: 100000, burst: 100000}"))
    (home / "releaseline.d").mkdir()
    (home / "releaseline.d" / "stranger.yaml").write_text(_MORE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELEASELINE_HOME", str(home))
        patch.setenv("RELEASELINE_KEY_PASSPHRASE", PASSPHRASE)
        server = Server()
        app = Starlette(
            routes=server.routes(), middleware=server.middleware(), lifespan=server.lifespan
        )
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")
        http = uvicorn.Server(config)
        thread = threading.Thread(target=http.run, daemon=True)
        thread.start()
        deadline_s = time.monotonic() + 60
        while not http.started:
            assert thread.is_alive() and time.monotonic() < deadline_s, "the server did not start"
            time.sleep(0.05)
        fleets = server.services.fleets
        tokens = {
            who: server.services.identity.create_token(who, service=False, actor="test").token
            for who in ("dora.admin", "a.stranger", "ana.li")
        }
        made = House(url=f"http://127.0.0.1:{port}", tokens={**tokens, "": ""})
        _one_run(made)
        try:
            yield made
        finally:
            http.should_exit = True
            thread.join(60)
            for fleet in fleets.values():
                fleet.stop()


def _one_run(made: House) -> None:
    """`run-1` was judged, has ended, and was replayed: one of each thing to be asked for."""
    bundle = made.ask(
        "POST", "/bundles", "ana.li", data={"name": "shop", "version": "1.0.0"},
        files=[("component", ("app.json", b'{"hello": "world"}'))],
    ).json()["digest"]  # fmt: skip
    wish = {"bundle": bundle, "environment": "eu-stage", "reason": "to be looked at"}
    assert made.ask("POST", "/promotions", "ana.li", json=wish).json()["id"] == "run-1"
    deadline_s = time.monotonic() + 60
    while (run := made.ask("GET", "/runs/run-1", "ana.li").json())["status"] not in TERMINAL:
        assert time.monotonic() < deadline_s, run["status"]
        time.sleep(0.1)
    asked = made.ask("POST", "/runs/run-1/replays", "ana.li", json={"reason": "looked at"}).json()
    made.ask("GET", f"/replays/{asked['n']}?wait_s=30", "ana.li")


def schemathesis(made: House, who: str, folder: Path, *options: str) -> dict[str, Any]:
    """Run it as `who` and return its own report; any failure fails the test with all it says."""
    report, document = folder / "report.json", folder / "openapi.json"
    document.write_bytes(made.ask("GET", "/openapi.json", "dora.admin").content)
    words = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run",
        str(document), "--url", f"{made.url}/api/v1", "--no-color", "--report", "json",
        "--report-json-path", str(report), *options,
    ]  # fmt: skip
    if who:
        words += ["--header", f"Authorization: Bearer {made.tokens[who]}"]
    own = made.tokens[who].split("_")[1] if who else ""
    done = subprocess.run(
        words, cwd=folder, env=environment(PYTHONPATH=str(ROOT), OWN_TOKEN=own),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-40_000:] + done.stderr[-4_000:]
    found: dict[str, Any] = json.loads(report.read_text())
    return found
