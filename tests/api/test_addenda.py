"""Adding to a sealed run over HTTP, and taking its packs away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from engine.core.digest import Digest
from engine.core.fact_events import EvidenceExported
from engine.evidence.verify import verify_envelope, verify_pack
from engine.services import Services
from tests.api.ending import cancelled

pytestmark = pytest.mark.house

API = "/api/v1"
Bearer = Callable[[str], dict[str, str]]


def _sealed(client: TestClient, header: dict[str, str], bundle: str) -> str:
    """A run that was cancelled at once, and sealed."""
    body = {"bundle": bundle, "environment": "eu-prod", "reason": "addenda"}
    run_id: str = client.post(f"{API}/promotions", json=body, headers=header).json()["id"]
    cancelled(client, header, run_id)
    return run_id


def test_added_to_signed_and_handed_out(
    client: TestClient, bearer: Bearer, bundle: str, services: Services
) -> None:
    ana = bearer("ana.li")
    run_id = _sealed(client, ana, bundle)
    path = f"{API}/runs/{run_id}/evidence"
    root = (services.home / "trusted_root.json").read_bytes()

    nothing = client.get(f"{path}/export?kind=addenda", headers=ana)
    assert nothing.status_code == 409 and "Nothing was added" in nothing.json()["detail"]
    made = client.post(
        f"{path}/addenda",
        headers=ana,
        data={"text": "looked at again"},
        files=[("attach", ("mail.txt", b"all good"))],
    )
    assert made.status_code == 201, made.text
    (listed,) = client.get(f"{path}/addenda", headers=ana).json()["items"]
    assert (listed["number"], listed["author"]) == (1, "ana.li")
    assert listed["envelope"] == made.json()["envelope"]

    packs = {}
    for kind in ("audit-pack", "bundle", "addenda"):
        answer = client.get(f"{path}/export?kind={kind}", headers=ana)
        assert answer.headers["content-length"] == str(len(answer.content))
        name = answer.headers["content-disposition"].partition('filename="')[2].rstrip('"')
        report = verify_pack(answer.content, name=name, trusted_root=root)
        assert report.ok, [str(check) for check in report.failed]
        packs[kind] = answer.content
    beside = client.get(f"{path}/export?kind=audit-pack.sigstore.json", headers=ana).content
    assert verify_envelope(beside, trusted_root=root).ok
    exported = [
        (recorded.actor, recorded.event.digest)
        for recorded in services.store.load(run_id)
        if isinstance(recorded.event, EvidenceExported)
    ]
    assert exported[:3] == [("ana.li", Digest.of(content)) for content in packs.values()]


def test_who_may_not_add_and_what_is_not_taken(
    client: TestClient, bearer: Bearer, bundle: str, services: Services
) -> None:
    ana = bearer("ana.li")
    run_id = _sealed(client, ana, bundle)
    path = f"{API}/runs/{run_id}/evidence/addenda"
    refused = client.post(path, headers=bearer("a.stranger"), data={"text": "me too"})
    assert (refused.status_code, refused.json()["code"]) == (403, "role")
    last = services.store.load("admin")[-1]
    assert (last.actor, last.event.TYPE) == ("a.stranger", "command.rejected/1")
    empty = client.post(path, headers=ana, data={"text": "  "})
    assert empty.status_code == 422 and "addendum.text" in empty.json()["detail"]
    twice = [("attach", ("a.txt", b"1")), ("attach", ("a.txt", b"2"))]
    doubled = client.post(path, headers=ana, data={"text": "x"}, files=twice)
    assert doubled.status_code == 422 and "twice" in doubled.json()["detail"]
    assert client.get(path, headers=ana).json()["items"] == []
    assert (
        client.post(
            f"{API}/runs/run-999/evidence/addenda", headers=ana, data={"text": "x"}
        ).status_code
        == 404
    )
