"""The audit trail and the separation of duties as pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.audit import AuditFilter
from engine.core.commands import Action, Command
from engine.core.duties import Duty, DutyConflict
from engine.core.errors import Refused
from engine.core.statemachine import Role
from engine.service import Asker
from pages.ui import audit_models, duties_models, session
from pages.ui.audit_models import FROM_TO, Wish
from tests.pages.reading import House, asker, components, texts

Visit = Callable[..., AppTest]
AUDIT, DUTIES, RUN = "evidence/audit.py", "releases/duties.py", "releases/run.py"
NOW_US = 1_796_032_072_000_000  # 2026-11-30, in the fourth quarter


def ledger(at: AppTest) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = components(at)["ledger"]["rows"]  # type: ignore[assignment]
    return rows


def tried(house: House, run: str, user: str, action: Action, **more: Any) -> None:
    binding = house.services.service.run(run).binding
    command = Command(action=action, reason="mine", binding=binding, **more)
    with pytest.raises(Refused):
        house.services.service.ask(run, command, Asker(user=user))


def test_the_list_shows_attempts_with_their_result(visit: Visit, house: House) -> None:
    tried(house, house.waiting, "ci-demo", Action.APPROVE)
    at = visit(AUDIT)
    assert not at.exception
    rows = ledger(at)
    assert len(rows) > 3
    assert any(row["tone"] == "err" for row in rows)
    denied = visit(AUDIT, denied="true", who="ci-demo")
    cells = [row["cells"] for row in ledger(denied)]
    assert {cell[4]["look"]["word"] for cell in cells} == {"DENIED"}
    assert {cell[2]["text"] for cell in cells} == {"ci-demo"}
    # A try to let through one's own work, whatever it was refused for.
    own = ledger(visit(AUDIT, self_approvals="true"))
    assert own[0]["cells"][3]["text"] == "approve"


def test_a_record_opens_with_its_place_in_the_chain(visit: Visit, house: House) -> None:
    record = house.services.trail.rows(AuditFilter(), asker(), limit=1)[0]
    at = visit(AUDIT, event=str(record["gseq"]))
    assert not at.exception
    said = " ".join(one.proto.json for one in at.get("bidi_component"))
    assert record["kind"] in said and record["actor"] in said
    assert record["hash"] in said and record["prev"] in said
    assert json.loads(at.code[0].value) == json.loads(record["body"])
    for event in ("0", "99999999", "x", "<b>"):
        lost = visit(AUDIT, event=event)
        assert not lost.exception
        assert "There is no event" in texts(lost)


def test_the_chain_is_checked_at_a_click(visit: Visit, house: House) -> None:
    at = visit(AUDIT)
    at.button(key="audit.check").click().run()
    assert not at.exception
    assert "The chain holds up to event" in texts(at)
    newest = house.services.trail.chain()
    assert newest.found is not None and newest.found.ok
    assert newest.checked is not None and newest.checked.actor == "ana.li"


def test_the_auditors_question_is_one_click(visit: Visit, house: House) -> None:
    at = visit(AUDIT)
    at.button(key="audit.quarter").click().run()
    assert not at.exception
    assert at.toggle(key="overrides").value and at.toggle(key="self_approvals").value
    name = audit_models.quarter(house.services.clock.now_us())
    assert at.selectbox(key="period").value == name


def test_older_records_are_a_click_away(visit: Visit, house: House) -> None:
    for n in range(audit_models.PAGE + 2):
        house.services.trail.handed_out("blob", b"x", user="ana.li", asked=str(n))
    first = visit(AUDIT)
    assert len(ledger(first)) == audit_models.PAGE
    newest = min(int(row["cells"][0]["text"].replace(",", "")) for row in ledger(first))
    first.button(key="audit.older").click().run()
    assert not first.exception
    older = [int(row["cells"][0]["text"].replace(",", "")) for row in ledger(first)]
    assert older and max(older) < newest
    first.button(key="audit.newest").click().run()
    assert "before" not in first.query_params


def test_who_may_not_read_it_is_told_so(
    visit: Visit, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = house.services.identity
    secret = identity.redeem_link(identity.create_link("bob.smith", actor="test"))
    monkeypatch.setattr(session, "cookie", lambda: secret)
    at = visit(AUDIT)
    assert not at.exception
    assert "bob.smith may not read the audit trail" in texts(at)
    assert "ledger" not in components(at)


def test_an_auditor_sees_no_button_that_acts(
    visit: Visit, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journey AUD 1. A comment stays offered to everybody: it moves nothing."""
    monkeypatch.setattr(
        type(house.services.settings),
        "roles_of",
        lambda self, user, environment: frozenset({Role.AUDITOR}),
    )
    identity = house.services.identity
    secret = identity.redeem_link(identity.create_link("bob.smith", actor="test"))
    monkeypatch.setattr(session, "cookie", lambda: secret)
    for run in (house.waiting, house.canary, house.paused):
        at = visit(RUN, run=run)
        assert not at.exception
        offered = {b.key for b in at.button if b.key and not b.disabled}
        assert {k for k in offered if k.startswith("actions.")} <= {"actions.comment"}


def test_duties_show_people_deeds_and_what_was_refused(visit: Visit, house: House) -> None:
    tried(house, house.waiting, "ci-demo", Action.APPROVE)
    at = visit(DUTIES, run=house.waiting)
    assert not at.exception
    graph: Any = components(at)["duties"]["graph"]
    assert {"requested it", "made the bundle"} <= {node["text"] for node in graph["left"]}
    assert "approved it" in {node["text"] for node in graph["right"]}
    (red,) = [node for node in graph["people"] if node["tone"] == "err"]
    assert red["text"] == "ci-demo"
    assert any(line["denied"] and line["tone"] == "err" for line in graph["lines"])
    assert "It was refused." in texts(at)
    assert "There is no run" in texts(visit(DUTIES, run="run-99"))


def test_a_page_s_words_are_filters() -> None:
    asked = audit_models.asked(Wish(period="2026-Q4", who="ana.li", verb="approve"), NOW_US)
    assert asked.since_us is not None and asked.until_us is not None
    assert asked.since_us < NOW_US < asked.until_us
    assert (asked.who, asked.verb, asked.environment) == ("ana.li", "approve", "")
    days = audit_models.asked(Wish(period=FROM_TO, since="2026-10-01", until="2026-10-01"), NOW_US)
    assert days.until_us is not None and days.since_us is not None
    assert days.until_us - days.since_us == 86_400_000_000
    assert audit_models.periods(NOW_US)[3:7] == ("2026-Q4", "2026-Q3", "2026-Q2", "2026-Q1")
    address = audit_models.export_address(asked, "csv")
    assert "since=2026-10-01T00%3A00%3A00.000000Z" in address and "who=ana.li" in address


def test_a_conflict_that_happened_is_said_as_one() -> None:
    conflict = DutyConflict(
        person="eve",
        made=Duty.MADE_BUNDLE,
        checked=Duty.APPROVED,
        rule="Who made the bundle may not approve it.",
        prevented=False,
    )
    said = duties_models.conflict_text(conflict)
    assert said == (
        "eve made the bundle and approved it: Who made the bundle may not approve it. It happened."
    )
