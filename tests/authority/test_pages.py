"""The pages' door: every role's buttons, on one's own run and on another's, as in the book."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import session
from tests.authority.book import (
    ADMIN,
    AUTHOR,
    BUT_VIEWER_AND_CI,
    CARES_FOR_SOURCES,
    EVERY,
    READS_THE_TRAIL,
    RM_CI,
    RUN_VERBS,
    Verb,
)
from tests.authority.house import House, opened, person
from tests.authority.states import OTHER

SCRIPT = Path(__file__).resolve().parents[2] / "pages" / "console.py"
# A page asks for these on a page of their own, or has them under another key.
_BUTTON = {
    "confirm_continue": "actions.continue.override",
    "continue": "actions.continue.override",
    "break_glass": "actions.break_glass.override",
}
_ON_THE_RUN = [verb for verb in RUN_VERBS if verb.record != "" or verb.name not in {
    "export", "drill", "annotate_addendum", "replay", "reschedule",
}]  # fmt: skip
# Pages about no run: a button, and who may press it.
HOUSE_PAGES = (
    ("operations/integrations.py?name=status-page", "integrations.probe", CARES_FOR_SOURCES),
    ("operations/people.py", "tokens.new", ADMIN),
    ("releases/schedule.py?run=RUN", "schedule.create", RM_CI),
    ("evidence/audit.py", "audit.check", READS_THE_TRAIL),
    ("insights/waivers.py", "waivers.ask", AUTHOR),
    ("evidence/replay_run.py?run=RUN", "replay.run.first.do", BUT_VIEWER_AND_CI),
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened(tmp_path_factory.mktemp("authority")) as made:
        yield made


class Visitor:
    """A browser in which one person after another signs in."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self._house, self._patch = house, monkeypatch
        self._secrets: dict[str, str] = {}
        self._at: AppTest | None = None

    def buttons(self, user: str, page: str, **parameters: str) -> dict[str, bool]:
        """Whether each button can be pressed, by its key."""
        if user not in self._secrets:
            identity = self._house.services.identity
            link = identity.create_link(user, actor="test")
            self._secrets[user] = identity.redeem_link(link)
        self._patch.setattr(session, "cookie", lambda: self._secrets[user])
        if self._at is None:
            self._at = AppTest.from_file(str(SCRIPT), default_timeout=30).run()
        at = self._at
        at.switch_page(page)
        at.query_params.clear()
        for name, value in parameters.items():
            at.query_params[name] = value
        at.run()
        assert not at.exception, at.exception
        return {button.key: not button.disabled for button in at.button if button.key}


@pytest.fixture
def visitor(house: House, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    return Visitor(house, monkeypatch)


def _states() -> list[str]:
    return list(dict.fromkeys(verb.state for verb in _ON_THE_RUN))


@pytest.mark.parametrize("state", _states())
def test_the_buttons_of_a_run_are_as_the_book_says(
    house: House, visitor: Visitor, state: str, request: pytest.FixtureRequest
) -> None:
    """One's own runs in states where it matters; in every state under --long."""
    wrong = []
    verbs = [verb for verb in _ON_THE_RUN if verb.state == state]
    own_too = request.config.getoption("--long") or any(verb.own != "same" for verb in verbs)
    other = _approver("") if state == "approved" else OTHER
    theirs = house.states.make(state, by=OTHER, mine=other)
    for role in EVERY:
        user = person(role)
        by, mine = (user, user) if state != "approved" else ("ci-demo", _approver(role))
        runs = [(False, theirs)]
        if own_too:
            runs.append((True, house.states.make(state, by=by, mine=mine)))
        for own, run_id in runs:
            found = visitor.buttons(user, "releases/run.py", run=run_id)
            for verb in verbs:
                key = _BUTTON.get(verb.name, f"actions.{verb.name}")
                may = _may(verb, role, own=own)
                if found.get(key, False) != may:
                    wrong.append((verb.name, role, own, found.get(key), sorted(found)))
    assert not wrong, "\n".join(map(str, wrong))


def _approver(role: str) -> str:
    """Whoever can have approved, where the person of the role cannot."""
    return person(role) if role == "approver" else "bob.smith"


def _may(verb: Verb, role: str, *, own: bool) -> bool:
    if verb.own == "only" and not own:
        return False
    return verb.allows(role, own=own) and verb.done != frozenset({409})


@pytest.mark.parametrize(
    ("address", "button", "roles"), HOUSE_PAGES, ids=[button for _, button, _ in HOUSE_PAGES]
)
def test_the_buttons_of_the_house_are_as_the_book_says(
    house: House, visitor: Visitor, address: str, button: str, roles: frozenset[str]
) -> None:
    page, _, query = address.partition("?")
    run_id = house.states.make("done", by=OTHER, mine=OTHER)
    parameters = dict(parse_qsl(query.replace("RUN", run_id)))
    for role in EVERY:
        found = visitor.buttons(person(role), page, **parameters)
        assert found.get(button, False) == (role in roles), (role, found)
