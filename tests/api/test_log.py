"""The log over HTTP: its files for monitors, what of it is open, and the commands' routes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from engine.evidence.checkpoint import parse_vkey
from engine.evidence.merkle import verify_consistency
from engine.evidence.tiles import follow
from engine.services import Services
from engine.transparency import Wish

pytestmark = pytest.mark.house

Bearer = Callable[[str], dict[str, str]]


@pytest.fixture
def size(services: Services) -> int:
    """Two more leaves in the log of the house."""
    log = services.logbook.log
    wish = Wish(payload=b"{}", identity="https://releaseline.local/run-engine")
    for _ in range(2):
        with log.writing() as tree:
            _, rows = log.sign(tree, (wish,), now_us=services.clock.now_us(), anchor=None)
            services.store.record(rows)
    found: int = services.logbook.head()["size"]
    return found


def test_a_monitor_follows_it_over_http(
    client: TestClient, bearer: Bearer, size: int, services: Services
) -> None:
    head = client.get("/api/v1/log", headers=bearer("ana.li")).json()
    key = parse_vkey(head["vkey"])
    signed_in = bearer("ana.li")

    def fetch(path: str) -> bytes:
        answer = client.get(f"/log/{path}", headers=signed_in)
        assert answer.status_code == 200, (path, answer.text)
        return answer.content

    found = follow(fetch, key)
    assert found.head.size == size == head["size"] and found.note == head["checkpoint"]
    assert follow(lambda path: fetch(f"{key.name}/{path}"), key) == found
    assert len(head["cosigned_at_s"]) == 1 and head["shards"] == [key.name]
    assert services.logbook.check().ok


def test_heads_and_hashes_are_open_and_entries_are_not(
    client: TestClient, bearer: Bearer, size: int
) -> None:
    note = client.get("/log/checkpoint")
    assert note.status_code == 200 and note.headers["cache-control"] == "no-cache"
    assert note.headers["content-type"].startswith("text/plain")
    tile = client.get(f"/log/tile/0/000.p/{size}")
    assert tile.status_code == 200 and len(tile.content) == 32 * size
    assert "immutable" in tile.headers["cache-control"]
    assert tile.headers["cache-control"].startswith("public")
    origin = note.text.partition("\n")[0]
    for path in (f"tile/entries/000.p/{size}", f"{origin}/tile/entries/000.p/{size}"):
        for spelled in (path, path.replace("entries", "%65ntries"), path.replace("/", "%2F")):
            assert client.get(f"/log/{spelled}").status_code in {303, 400, 404}, spelled
        answer = client.get(f"/log/{path}", headers=bearer("ana.li"))
        assert answer.status_code == 200
        assert answer.headers["cache-control"].startswith("private")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("tile/0/999", 404),
        ("tile/0/0", 400),
        ("other.example/checkpoint", 400),
        ("..%2Fkeys%2Fkeystore.json", 400),
        ("tile/0/..%2F..%2Fcheckpoint", 400),
        ("", 400),
    ],
)
def test_other_paths(client: TestClient, size: int, path: str, status: int) -> None:
    assert client.get(f"/log/{path}").status_code == status
    assert client.post("/log/checkpoint").status_code in {303, 403, 405}


def test_proofs_and_a_check(client: TestClient, bearer: Bearer, size: int) -> None:
    answer = client.get(
        "/api/v1/log/consistency", params={"first": 1}, headers=bearer("ana.li")
    ).json()
    verify_consistency(
        first=answer["first"],
        second=answer["second"],
        first_root=bytes.fromhex(answer["first_root"]),
        second_root=bytes.fromhex(answer["second_root"]),
        proof=[bytes.fromhex(one) for one in answer["hashes"]],
    )
    assert (answer["first"], answer["second"]) == (1, size)
    wrong = client.get(
        "/api/v1/log/consistency", params={"first": size + 1}, headers=bearer("ana.li")
    )
    assert wrong.status_code == 404 and f"has {size} leaves" in wrong.json()["detail"]
    assert client.post("/api/v1/log/fsck", headers=bearer("ci-demo")).status_code == 403
    assert client.get("/api/v1/log").status_code == 401
