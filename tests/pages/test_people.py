"""People, tokens and sessions on their page: an admin rules over all, others see their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.scopes import Scope
from pages.ui import access_models, session
from tests.pages.reading import House

pytestmark = pytest.mark.house
PAGE = "operations/people.py"
Visit = Callable[..., AppTest]


@pytest.fixture
def admin(house: House, signed_in: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A session of dora.admin, as the browser would send it."""
    identity = house.services.identity
    secret = identity.redeem_link(identity.create_link("dora.admin", actor="test"))
    monkeypatch.setattr(session, "cookie", lambda: secret)
    return secret


def ledgers(at: AppTest) -> dict[str, list[dict[str, Any]]]:
    """Rows of the page's lists, by caption."""
    found = {}
    for one in at.get("bidi_component"):
        data = json.loads(one.proto.json or "{}")
        if "caption" in data:
            found[data["caption"]] = data["rows"]
    return found


def cell(rows: list[dict[str, Any]], column: int) -> list[str]:
    return [str(row["cells"][column]["text"]) for row in rows]


def test_others_see_their_own_sessions_and_no_more(house: House, visit: Visit) -> None:
    at = visit(PAGE)
    assert not at.exception
    assert [h.value for h in at.header] == ["Your sessions"]
    (rows,) = ledgers(at).values()
    assert set(cell(rows, 1)) == {"ana.li"}


def test_an_admin_makes_a_token_that_is_shown_once_and_revokes_it(
    house: House, admin: str, visit: Visit
) -> None:
    at = visit(PAGE)
    assert [h.value for h in at.header] == ["Tokens", "Sessions", "People"]
    at.button(key="tokens.new").click().run()
    at.selectbox(key="token.user").select("ci-demo").run()
    at.multiselect(key="token.places").select("eu-prod").run()
    at.button(key="token.do").click().run()
    shown = at.code[0].value
    assert shown.startswith("rl_")
    who = house.services.identity.token(shown)
    assert (who.user, who.service, who.limits.environments) == ("ci-demo", True, {"eu-prod"})
    assert who.limits.scopes == {"read", "bundles", "attest", "promote"}

    at.run()  # the next click of any kind
    assert not at.code
    again = visit(PAGE)
    assert shown not in str(again)
    rows = next(rows for name, rows in ledgers(again).items() if "Tokens" in name)
    assert who.key in cell(rows, 0) and "eu-prod" in cell(rows, 3)
    again.selectbox(key="token.chosen").select(f"{who.key} of ci-demo").run()
    again.text_input(key="token.reason").input("no longer needed").run()
    again.button(key="tokens.end").click().run()
    last: Any = house.services.store.load("admin")[-1]
    assert (last.actor, last.event.token_id, last.event.reason) == (
        "dora.admin",
        who.key,
        "no longer needed",
    )


def test_an_ended_session_is_out_at_the_next_click(
    house: House, signed_in: str, visit: Visit
) -> None:
    at = visit(PAGE)
    here = house.services.identity.session(signed_in).key
    at.selectbox(key="session.chosen").select(f"{here} of ana.li, this one").run()
    at.button(key="sessions.end").click().run()
    assert [h.value for h in at.header] == ["You are not signed in"]


def test_what_an_admin_may_is_looked_up_at_the_click(
    house: House, admin: str, visit: Visit
) -> None:
    at = visit(PAGE)
    at.button(key="tokens.new").click().run()
    house.services.identity.revoke_session(admin, reason="test")
    at.button(key="token.do").click().run()
    assert [h.value for h in at.header] == ["You are not signed in"]
    assert not [one.value for one in at.code if "rl_" in one.value]


def test_every_scope_is_explained() -> None:
    for scope in access_models.SCOPES:
        assert access_models.scope_text(scope).startswith(f"{scope}: ")
    assert set(access_models.SCOPES) == set(Scope)
