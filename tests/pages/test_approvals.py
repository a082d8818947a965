"""The inbox of approvals, the decision on what is shown, and what somebody saw back then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.commands import Action, Command
from engine.core.errors import Refused
from engine.core.fact_events import ApprovalsStale
from engine.core.run import Run
from engine.core.statemachine import RunStatus
from engine.service import Asker
from pages.ui import approval_models, session
from tests.pages import kit
from tests.pages.conftest import SCRIPT
from tests.pages.reading import House, components, texts

pytestmark = pytest.mark.house

INBOX, APPROVAL = "releases/approvals.py", "releases/approval.py"
BOB, CAROL = "bob.smith", "carol.wu"
Open = Callable[..., AppTest]


@pytest.fixture
def page(house: House, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open a page as somebody: `page(INBOX, as_="bob.smith")`."""

    def open_page(name: str, *, as_: str, **parameters: str) -> AppTest:
        identity = house.services.identity
        secret = identity.redeem_link(identity.create_link(as_, actor="test"))
        monkeypatch.setattr(session, "cookie", lambda: secret)
        at = AppTest.from_file(str(SCRIPT), default_timeout=30)
        at.run()
        at.switch_page(name)
        for key, value in parameters.items():
            at.query_params[key] = value
        return at.run()

    return open_page


@pytest.fixture
def asking(house: House, tmp_path: Path) -> Iterator[str]:
    """A run of its own that waits for two approvals."""
    number = house.services.store.last_run_number()
    run_id = kit.awaiting(house.services, kit.bundle(house.services, tmp_path, f"2.0.{number}"))
    yield run_id
    if house.services.service.run(run_id).status is RunStatus.AWAITING_APPROVAL:
        command = Command(action=Action.CANCEL, reason="the test is over")
        house.services.service.ask(run_id, command, Asker(user=kit.OPERATOR))


def run_of(house: House, run_id: str) -> Run:
    return house.services.service.run(run_id)


def approve(house: House, run_id: str, who: str) -> None:
    view = house.services.views.now(run_of(house, run_id))
    command = Command(action=Action.APPROVE, reason="fine with me", view=view.digest)
    house.services.service.ask(run_id, command, Asker(user=who))


def listed(at: AppTest, key: str) -> str:
    found = [element.proto.json for element in at.get("bidi_component") if key in element.proto.id]
    return "".join(found)


def test_the_inbox_says_what_waits_for_me_for_others_and_what_i_decided(
    page: Open, house: House, asking: str
) -> None:
    at = page(INBOX, as_=BOB)
    assert not at.exception
    assert asking in listed(at, "approvals.mine")
    assert "2 more of 2" in listed(at, "approvals.mine")
    assert any("for you)" in link.label for link in at.get("page_link"))
    approve(house, asking, BOB)
    after = page(INBOX, as_=BOB)
    assert asking not in listed(after, "approvals.mine")
    assert "has approved already" in listed(after, "approvals.others")
    assert asking in listed(after, "approvals.decided")
    assert "as you saw it" in listed(after, "approvals.decided")
    assert "1 more of 2" in listed(page(INBOX, as_=CAROL), "approvals.mine")


def test_somebody_without_the_role_is_told_so_and_sees_what_waits(page: Open, asking: str) -> None:
    at = page(INBOX, as_=kit.OPERATOR)
    assert "You have no approver role" in texts(at)
    assert asking in listed(at, "approvals.others")
    assert "Nothing waits for you" in texts(at)
    shown = page(APPROVAL, as_=kit.OPERATOR, run=asking)
    assert not shown.exception
    assert "needs the role approver" in texts(shown)
    assert not [b for b in shown.button if str(b.key).startswith("approval.")]


def test_the_view_shows_everything_that_is_decided_on(
    page: Open, house: House, asking: str
) -> None:
    said = texts(page(APPROVAL, as_=BOB, run=asking))
    run = run_of(house, asking)
    assert "PASS (2 WARN)" in said
    for note in kit.NOTES:
        assert note.removeprefix("WARN ") in said
    assert "NVD is stale" in said
    assert "is not known" in said  # the capsule of this run is made up
    assert "Asked for by ci\\-demo" in said or "Asked for by ci-demo" in said
    assert "dev.eva" in said.replace("\\", "")
    assert all(target in said for target in run.request.targets[:1])
    assert kit.OLD.short in said and run.bundle.short in said
    assert "Missing: 0 of 2 approvals" in said.replace("\\", "")
    assert "the same as of" in said or "another than of" in said


def test_approving_binds_the_view_that_is_on_the_screen(
    page: Open, house: House, asking: str
) -> None:
    at = page(APPROVAL, as_=BOB, run=asking)
    at.button(key="approval.approve").click().run()
    assert "say in a comment" in texts(at)
    at.text_area[0].input("seen, fine with me").run()
    at.button(key="approval.approve").click().run()
    (given,) = run_of(house, asking).approvals
    assert (given.person, given.comment) == (BOB, "seen, fine with me")
    shown = house.services.views.then(given.view)
    assert given.view != given.binding
    assert shown["quorum"]["decisions"] == []
    assert "On record" in [one.proto.title for one in at.success] or "approved" in texts(at)
    assert "take it back" in texts(at)
    at.button(key="approval.withdraw").click().run()
    assert not run_of(house, asking).counting_approvals


def test_an_approval_by_another_is_seen_before_my_click_counts(
    page: Open, house: House, asking: str
) -> None:
    at = page(APPROVAL, as_=CAROL, run=asking)
    at.text_area[0].input("fine").run()
    approve(house, asking, BOB)
    at.button(key="approval.approve").click().run()
    assert [one.person for one in run_of(house, asking).approvals] == [BOB]
    assert "Changed since you opened it: People, Approvals" in texts(at).replace("\\", "")
    assert at.button(key="approval.approve").disabled
    at.button(key="approval.look").click().run()
    assert "bob.smith approved" in texts(at).replace("\\", "")
    at.button(key="approval.approve").click().run()
    run = run_of(house, asking)
    assert [one.person for one in run.approvals] == [BOB, CAROL]
    seen = house.services.views.then(run.approvals[1].view)
    assert [one["person"] for one in seen["quorum"]["decisions"]] == [BOB]


def test_rejecting_ends_the_run(page: Open, house: House, asking: str) -> None:
    at = page(APPROVAL, as_=BOB, run=asking)
    at.button(key="approval.reject").click().run()
    assert "reason is required" in texts(at)
    at.text_area[0].input("wait for the fix of CVE-1").run()
    at.button(key="approval.reject").click().run()
    run = run_of(house, asking)
    assert run.outcome is RunStatus.REJECTED
    assert run.approvals[0].view != run.approvals[0].binding


def test_what_somebody_saw_is_opened_again_byte_for_byte(
    page: Open, house: House, asking: str
) -> None:
    before = house.services.views.now(run_of(house, asking))
    approve(house, asking, BOB)
    stale = ApprovalsStale(step="approval", attempt=1, reason="a feed changed")
    house.services.store.append(
        asking, (stale,), after=run_of(house, asking).version, actor="engine"
    )
    run = run_of(house, asking)
    (given,) = run.approvals
    assert house.services.store.blobs.get(given.view) == before.content
    at = page(APPROVAL, as_=kit.OPERATOR, run=asking, decision="1")
    assert not at.exception
    said = texts(at).replace("\\", "")
    assert f"What {BOB} saw" in said
    assert "Missing: 0 of 2 approvals" in said
    assert f"sha256:{given.view.short}" in said
    nothing = page(APPROVAL, as_=kit.OPERATOR, run=asking, decision="9")
    assert f"What {BOB} saw" not in texts(nothing) and not nothing.exception


def test_a_view_that_is_no_longer_current_is_refused_and_on_record(
    house: House, asking: str
) -> None:
    services = house.services
    old = services.views.now(run_of(house, asking))
    approve(house, asking, BOB)
    command = Command(action=Action.APPROVE, reason="fine", view=old.digest)
    with pytest.raises(Refused, match="has changed since") as refused:
        services.service.ask(asking, command, Asker(user=CAROL))
    assert refused.value.code == "stale"
    assert services.store.load("admin")[-1].actor == CAROL
    assert not services.store.blobs.has(services.views.now(run_of(house, asking)).digest)


def test_a_run_that_asks_nobody_says_so(page: Open, house: House) -> None:
    at = page(APPROVAL, as_=BOB, run=house.done)
    assert not at.exception
    assert "Nobody is asked about this run now" in texts(at)
    assert BOB in texts(at).replace("\\", "")
    # These were given on the binding alone: there is nothing to open.
    assert all(one.number == 0 for one in approval_models.decisions(run_of(house, house.done)))


def test_the_run_page_leads_to_the_approval(page: Open, asking: str) -> None:
    at = page("releases/run.py", as_=BOB, run=asking)
    at.button(key="actions.approve").click().run()
    assert not at.exception
    assert at.title[0].value == "Approval"


def test_the_watcher_follows_the_stream_of_all_approvals(page: Open) -> None:
    data = components(page(INBOX, as_=BOB))["log"]
    assert data["stream"] == "/api/v1/approvals/stream"
    assert (data["leads"], data["hidden"]) == (True, True)
    assert json.loads(json.dumps(data["live"]))["end"] is False
