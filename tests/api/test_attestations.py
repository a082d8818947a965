"""Imports over HTTP: who may, what comes back, and what is refused in which words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.api.server import Server
from engine.core.digest import Digest
from engine.evidence.imported import SIZE_MAX
from engine.homes import create_home
from tests.evidence.foreign_kit import envelope, pem, provenance, statement

pytestmark = pytest.mark.house

URL = "http://127.0.0.1:8501"
API = "/api/v1"
APP = b'{"hello": "world"}'
Bearer = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A house that trusts one key."""
    home = tmp_path_factory.mktemp("house") / "home"
    create_home(home, passphrase="correct horse")
    (home / "build.pem").write_bytes(pem("p256"))
    with (home / "releaseline.yaml").open("a") as file:
        file.write("\ntrust:\n  - {name: build, key: build.pem}\n")
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


def send(
    client: TestClient, place: str, header: dict[str, str], *contents: bytes
) -> tuple[int, dict[str, Any]]:
    files = [("attestation", (f"file-{n}.dsse", one)) for n, one in enumerate(contents)]
    answer = client.post(f"{API}{place}/attestations", headers=header, files=files)
    body: dict[str, Any] = answer.json()
    return answer.status_code, body


def test_a_bundle_takes_one_in_once(client: TestClient, bearer: Bearer, bundle: str) -> None:
    content = envelope(statement(Digest.of(APP)), "p256")
    header = bearer("ci-demo", service=True)
    place = f"/bundles/{bundle[7:19]}"
    status, body = send(client, place, header, content)
    assert status == 201 and body["bundle"] == bundle, body
    (one,) = body["items"]
    assert (one["new"], one["kind"], one["trust"]) == (True, "provenance", "build")
    assert one["about"] == [{"name": "app.json", "digest": str(Digest.of(APP))}]
    status, body = send(client, place, header, content)
    assert status == 201 and body["items"][0]["new"] is False
    listed = client.get(f"{API}{place}/attestations", headers=bearer("bob.smith")).json()
    assert [item["digest"] for item in listed["items"]] == [one["digest"]]
    stored = client.get(f"{API}/blobs/{one['digest']}", headers=header)
    assert json.loads(stored.content)["payload"] == json.loads(content)["payload"]


def test_a_run_takes_one_in(client: TestClient, bearer: Bearer, bundle: str) -> None:
    ana = bearer("ana.li")
    body = {"bundle": bundle, "environment": "eu-prod"}
    run = client.post(f"{API}/promotions", json=body, headers=bearer("ci-demo")).json()["id"]
    content = envelope(statement(Digest.of(APP), predicate=provenance(n=2)), "p256")
    status, answer = send(client, f"/runs/{run}", ana, content)
    assert status == 201, answer
    assert answer["items"][0]["new"] is True and "pinned" in answer["items"][0]
    listed = client.get(f"{API}/runs/{run}/attestations", headers=ana).json()["items"]
    assert answer["items"][0]["digest"] in {one["digest"] for one in listed}


@pytest.mark.parametrize(
    ("content", "status", "code", "detail"),
    [
        (envelope(statement(Digest.of(APP)), "p384"), 409, "unverified",
         "file-0.dsse: attestation.signature: expected a signature by build (P-256 SHA256:"),
        (envelope(statement(), "p256"), 409, "unverified",
         "file-0.dsse: attestation.subject: expected the manifest sha256:"),
        (b"{}", 422, "malformed", "file-0.dsse: expected the key 'payload', found none"),
        (b"", 422, "malformed", "file-0.dsse: expected JSON"),
        (b"x" * (SIZE_MAX + 1), 422, "malformed", f"file-0.dsse: expected at most {SIZE_MAX} by"),
    ],
)  # fmt: skip
def test_what_is_refused(
    client: TestClient, bearer: Bearer, bundle: str, content: bytes, status: int, code: str,
    detail: str,
) -> None:  # fmt: skip
    found, body = send(client, f"/bundles/{bundle}", bearer("ci-demo"), content)
    assert (found, body["code"]) == (status, code), body
    assert body["detail"].startswith(detail), body["detail"]


def test_who_may_not_and_what_is_not_there(client: TestClient, bearer: Bearer, bundle: str) -> None:
    content = envelope(statement(Digest.of(APP)), "p256")
    status, body = send(client, f"/bundles/{bundle}", bearer("bob.smith"), content)
    assert (status, body["code"]) == (403, "role")
    status, body = send(client, "/runs/run-99", bearer("ana.li"), content)
    assert (status, body["code"]) == (404, "not_found")
    status, body = send(client, f"/bundles/sha256:{'0' * 64}", bearer("ana.li"), content)
    assert (status, body["code"]) == (404, "not_found")
    assert client.get(f"{API}/bundles/{bundle}/attestations").status_code == 401


def test_the_answers_are_in_the_schema(client: TestClient, bearer: Bearer) -> None:
    paths = client.get(f"{API}/openapi.json", headers=bearer("ana.li")).json()["paths"]
    for place in ("/bundles/{digest}/attestations", "/runs/{run_id}/attestations"):
        assert set(paths[place]) == {"get", "post"}
