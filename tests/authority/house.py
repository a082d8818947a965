"""One house with a person for each role, and its doors: API and command line over a real port, and
the pages' own code. Nothing steps in it: a run stays in the state that it was made in."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from data.queries_audit import records
from engine import wiring
from engine.api.app import PREFIX, build_api
from engine.api.gate import Gate
from engine.api.sse import Streams
from engine.cli.main import run as command_line
from engine.core.audit import AuditFilter
from engine.core.digest import Digest
from engine.homes import create_home
from engine.services import Services
from engine.settings import read_settings
from tests.authority.book import EVERY
from tests.authority.states import OTHER, States
from tests.journeys.product import free_port
from tests.pages import kit

PASSPHRASE = "a passphrase of the tests"
ENV = "eu-prod"
_PROBED = {"every": "30s", "servers": [
    {"name": "status-page", "kind": "http", "url": "http://127.0.0.1:9/up", "expect": 204},
]}  # fmt: skip


@dataclass
class House:
    services: Services
    states: States
    bundle: Digest
    home: Path
    http: httpx.Client
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, user: str) -> str:
        if user not in self.tokens:
            identity = self.services.identity
            self.tokens[user] = identity.create_token(user, service=False, actor="test").token
        return self.tokens[user]

    def api(self, user: str, method: str, path: str, **more: Any) -> httpx.Response:
        header = {"Authorization": f"Bearer {self.token(user)}"}
        return self.http.request(method, f"{PREFIX}{path}", headers=header, **more)

    def cli(self, user: str, *words: str) -> int:
        where = ["--server", str(self.http.base_url).rstrip("/"), "--token", self.token(user)]
        return command_line([*words, *where])

    def last(self) -> int:
        """The newest record of the trail."""
        return self.services.trail.chain().gseq

    def attempts(self, user: str, *, behind: int) -> set[tuple[str, str]]:
        """What somebody asked for since then, and whether they got it, as the audit trail says."""
        asked = AuditFilter(who=user)
        rows = records(self.services.store.cursor(), asked=asked, before=None, limit=100)
        return {(row["verb"], row["result"]) for row in rows if row["gseq"] > behind}


def person(role: str) -> str:
    return f"the.{role.replace('_', '.')}"


@contextmanager
def opened(folder: Path) -> Iterator[House]:
    home, port = folder / "home", free_port()
    create_home(home, passphrase=PASSPHRASE)
    _settings(home, port)
    services = wiring.build(read_settings(home), speed=15, passphrase=PASSPHRASE)
    app = Starlette(
        routes=[Mount(PREFIX, build_api(services, Streams(services), limited=False))],
        middleware=[Middleware(Gate, services=lambda: services)],
    )
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline_s = time.monotonic() + 30
        while not server.started:
            assert thread.is_alive() and time.monotonic() < deadline_s, "the server did not start"
            time.sleep(0.02)
        bundle, other = (kit.bundle(services, folder, f"1.{n}.0") for n in (0, 1))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            states = States(services, bundle, other)
            yield House(services=services, states=states, bundle=bundle, home=home, http=http)
    finally:
        server.should_exit = True
        thread.join(30)
        services.stop()


def _settings(home: Path, port: int) -> None:
    path = home / "releaseline.yaml"
    settings: dict[str, Any] = yaml.safe_load(path.read_text())
    settings["server"]["port"] = port
    settings["integrations"] = _PROBED
    settings["outbound"] = {"allowed_hosts": ["127.0.0.1:9"]}
    settings["people"] += [_person(person(role), role) for role in EVERY]
    settings["people"].append(_person(OTHER, "release_manager"))
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    limits = home / "policies" / "release-gate.config.json"
    config: dict[str, Any] = json.loads(limits.read_bytes())
    config["exception_approvers"] += [person(role) for role in EVERY]
    limits.write_text(json.dumps(config))


def _person(user: str, role: str) -> dict[str, Any]:
    return {"user": user, "email": f"{user}@example.com", "roles": [{"role": role}]}
