"""Approvals over the API and the command line, on a verdict that the real gate gave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from engine import wiring
from engine.api.app import PREFIX, in_process
from engine.approving import telling
from engine.cli.main import run as releaseline
from engine.core.approval_view import SCHEMA
from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.core.statemachine import RunStatus
from engine.homes import create_home
from engine.identity import Principal
from engine.services import Services
from engine.settings import read_settings
from tests.pages import approval_kit as kit

pytestmark = pytest.mark.house

PASS = "correct horse"
FEEDS = {"NVD": 3 * 3600, "OSV": 20 * 60, "KEV": 5 * 3600}


@dataclass
class Asked:
    """`live` is what runs there, `waiting` what asks for approval."""

    services: Services
    live: str
    waiting: str

    def as_(self, user: str, *, service: bool = False) -> TestClient:
        principal = Principal(user=user, method="token", service=service)
        return TestClient(in_process(self.services, principal), base_url=f"http://home{PREFIX}")

    def decide(self, user: str, action: str = "approve", **body: Any) -> Any:
        body = {"action": action, "reason": "looked at", **body}
        return self.as_(user).post(f"/runs/{self.waiting}/approvals", json=body)

    def view(self, **params: Any) -> Any:
        return self.as_("bob.smith").get(f"/runs/{self.waiting}/approval-view", params=params)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped home in which one run is live and the next one asks for approval."""
    folder = tmp_path_factory.mktemp("prepared")
    create_home(folder / "home", passphrase=PASS)
    services = wiring.build(read_settings(folder / "home"), passphrase=PASS)
    try:
        kit.feeds(services, **FEEDS)
        live = kit.bundle(services, folder / "1", "1.2.9", "idna@3.6", "click@8.1.7")
        new = kit.bundle(services, folder / "2", "1.3.0", "idna@3.7", "urllib3@1.26.5")
        kit.live(services, live)
        kit.waiting(services, new)
    finally:
        services.stop()
    return folder / "home"


@pytest.fixture
def asked(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    home = tmp_path / "home"
    shutil.copytree(prepared, home)
    monkeypatch.setenv("RELEASELINE_KEY_PASSPHRASE", PASS)
    services = wiring.build(read_settings(home), passphrase=PASS)
    kit.feeds(services, **FEEDS)
    try:
        yield Asked(services=services, live="run-1", waiting="run-2")
    finally:
        services.stop()


def test_the_view_tells_what_is_new_against_what_is_live(asked: Asked) -> None:
    answer = asked.view().json()
    shown = answer["document"]
    assert shown["schema"] == SCHEMA
    assert answer["digest"] == str(Digest.of(canonical(shown)))
    found = shown["findings"]
    assert found["known"] and found["against"]["run"] == asked.live
    added = {one["id"] for one in found["added"]}
    assert "CVE-2023-43804" in added  # urllib3 1.26.5, which nothing live holds
    assert all("urllib3" in one["purl"] for one in found["added"])
    gone = {one["purl"] for one in found["gone"]}
    assert gone == {"pkg:pypi/idna@3.6"}
    assert {one["level"] for one in shown["verdict"]["results"]} == {"WARN"}
    nvd = next(one for one in shown["dataHealth"]["sources"] if one["name"] == "NVD")
    assert (nvd["level"], nvd["state"]) == ("WARN", "STALE")
    assert shown["people"]["may"] == ["bob.smith", "carol.wu"]
    assert shown["policy"]["changes"] == []
    assert {one["before"] for one in shown["targets"]} == {str(kit.kit.OLD)}
    # The same facts again are the same bytes, whoever asks.
    again = asked.as_("ana.li").get(f"/runs/{asked.waiting}/approval-view").json()
    assert again == answer


def test_a_decision_rests_on_the_view_and_is_opened_again(asked: Asked) -> None:
    before = asked.view().json()
    answer = asked.decide("bob.smith", view=before["digest"])
    assert answer.status_code == 200, answer.text
    (given,) = answer.json()["run"]["approvals"]["decisions"]
    assert given["view"] == before["digest"]
    kit.feeds(asked.services, **{**FEEDS, "NVD": 60})  # much is another now
    assert asked.view().json()["document"]["dataHealth"]["level"] == "OK"
    then = asked.view(decision=1).json()
    assert then == before
    blob = asked.as_("ana.li").get(f"/blobs/{given['view']}")
    assert blob.content == canonical(before["document"])
    assert asked.view(decision=2).status_code == 404


@pytest.mark.parametrize("action", ["approve", "reject"])
def test_a_view_of_before_is_refused_with_the_one_of_now(asked: Asked, action: str) -> None:
    old = asked.view().json()
    assert asked.decide("bob.smith", view=old["digest"]).status_code == 200
    refused = asked.decide("carol.wu", action, view=old["digest"])
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "stale")
    assert problem["detail"] == (
        "What you saw has changed since; look at it again and decide then."
    )
    now = problem["view"]
    assert now == asked.view().json()
    assert telling.changed(old["document"], now["document"]) == ("People", "Approvals")
    assert asked.decide("carol.wu", action, view=now["digest"]).status_code == 200


def test_a_feed_that_goes_stale_changes_what_is_decided_on(asked: Asked) -> None:
    kit.feeds(asked.services, **{**FEEDS, "NVD": 60})
    old = asked.view().json()
    kit.feeds(asked.services, **{**FEEDS, "NVD": 50})  # synced, and as fresh as before
    assert asked.view().json() == old
    kit.feeds(asked.services, **FEEDS)
    refused = asked.decide("bob.smith", view=old["digest"])
    assert refused.json()["code"] == "stale"
    now = refused.json()["view"]["document"]
    assert telling.changed(old["document"], now) == ("Data health",)


def test_what_cannot_be_a_view_and_who_may_not(asked: Asked) -> None:
    malformed = asked.decide("bob.smith", view="sha256:00")
    assert malformed.json()["code"] == "malformed"
    assert (
        asked.decide("bob.smith", "withdraw", view=asked.view().json()["digest"]).json()["where"]
        == "view"
    )
    assert asked.decide("bob.smith", "pause").json()["where"] == "action"
    unknown = asked.decide("bob.smith", view=f"sha256:{'0' * 64}")
    assert unknown.json()["code"] == "stale"
    admin = asked.decide("ana.li", view=asked.view().json()["digest"])
    assert (admin.status_code, admin.json()["code"]) == (403, "role")
    assert not asked.services.service.run(asked.waiting).approvals
    nobody = asked.as_("bob.smith").get(f"/runs/{asked.live}/approval-view")
    assert (nobody.status_code, nobody.json()["code"]) == (409, "state")
    alone = asked.as_("bob.smith").get(f"/runs/{asked.live}/approval-view?decision=1")
    assert "the binding alone" in alone.json()["detail"]


def test_the_inbox_over_the_api(asked: Asked) -> None:
    def mine(user: str) -> list[Any]:
        items = asked.as_(user).get("/approvals").json()["items"]
        assert [item["run"] for item in items] == [asked.waiting]
        return [items[0]["mine"], items[0]["missing"]]

    assert mine("bob.smith")[0] is True
    assert mine("ana.li")[0] is False
    assert asked.decide("bob.smith", view=asked.view().json()["digest"]).status_code == 200
    assert mine("bob.smith")[0] is False
    assert mine("carol.wu") == [True, ["1 of 2 approvals"]]


@pytest.fixture
def command(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command line on the stopped home, as somebody."""
    home = asked.services.home
    tokens = {
        user: asked.services.identity.create_token(user, service=False, actor="test").token
        for user in ("bob.smith", "carol.wu")
    }
    asked.services.stop()

    def call(user: str, *words: str) -> tuple[int, str, str]:
        code = releaseline([*words, "--home", str(home), "--token", tokens[user]])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_approving_on_the_command_line_prints_what_it_binds(
    asked: Asked, command: Callable[..., tuple[int, str, str]]
) -> None:
    run = asked.waiting
    code, out, err = command("bob.smith", "run", "approve", run, "--reason", "fine with me")
    assert code == 0, err
    for part in ("PASS (", "NVD is stale", "new: CVE-2023-43804", "May approve: bob.smith", "10 t"):
        assert part in out
    digest = next(line for line in out.splitlines() if line.startswith("on view ")).split()[-1]
    code, out, _ = command("carol.wu", "run", "approval-view", run, "--decision", "1", "--json")
    assert code == 0
    assert json.loads(out)["digest"] == digest
    code, _, err = command(
        "carol.wu", "run", "approve", run, "--reason", "me too", "--view", digest
    )
    assert code != 0
    assert "has changed since" in err
    code, out, _ = command("carol.wu", "run", "approval-view", run)
    now = out.splitlines()[-1].split()[-1]
    code, out, err = command("carol.wu", "run", "approve", run, "--reason", "now", "--view", now)
    assert code == 0, err
    assert "approval.approved/1" in out
    reopened = wiring.build(read_settings(asked.services.home), passphrase=PASS)
    try:
        found = reopened.service.run(run)
        assert found.status is RunStatus.AWAITING_APPROVAL
        assert [str(one.view) for one in found.approvals] == [digest, now]
        seen = reopened.views.then(found.approvals[1].view)
        assert [one["person"] for one in seen["quorum"]["decisions"]] == ["bob.smith"]
    finally:
        reopened.stop()
