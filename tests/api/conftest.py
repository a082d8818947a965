"""The server's routes behind its gate, over a real home, without the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine import wiring
from engine.api.server import Server
from engine.homes import create_home
from engine.services import Services

URL = "http://127.0.0.1:8501"
# Somebody who may sign in and has no role anywhere.
STRANGER = "people:\n  - user: a.stranger\n    email: a.stranger@example.com\n"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    home = tmp_path_factory.mktemp("house") / "home"
    create_home(home, passphrase="correct horse")
    (home / "releaseline.d").mkdir()
    (home / "releaseline.d" / "stranger.yaml").write_text(STRANGER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELEASELINE_HOME", str(home))
        patch.setenv("RELEASELINE_KEY_PASSPHRASE", "correct horse")
        server = Server()
        app = Starlette(
            routes=server.routes(), middleware=server.middleware(), lifespan=server.lifespan
        )
        with TestClient(app, base_url=URL, follow_redirects=False) as made:
            fleets = server.services.fleets
            yield made
        for fleet in fleets.values():
            fleet.stop()


@pytest.fixture
def services(client: TestClient) -> Services:
    return wiring.running()


@pytest.fixture
def bearer(services: Services) -> Callable[[str], dict[str, str]]:
    def header(user: str, *, service: bool = False) -> dict[str, str]:
        made = services.identity.create_token(user, service=service, actor="test")
        return {"Authorization": f"Bearer {made.token}"}

    return header


@pytest.fixture
def bundle(client: TestClient, bearer: Callable[[str], dict[str, str]], tmp_path: Path) -> str:
    """Digest of a bundle that was made over the API."""
    answer = client.post(
        "/api/v1/bundles",
        headers=bearer("ci-demo"),
        data={"name": "shop", "version": "1.0.0"},
        files=[("component", ("app.json", b'{"hello": "world"}'))],
    )
    assert answer.status_code == 201, answer.text
    digest: str = answer.json()["digest"]
    return digest
