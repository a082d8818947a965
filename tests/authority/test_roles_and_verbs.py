"""Every role at every verb, on one's own things and on another's, at every door: as in the book."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.authority.book import EVERY, HOUSE_VERBS, RUN_VERBS, Verb
from tests.authority.deeds import DEEDS, Deed
from tests.authority.house import House, opened, person
from tests.authority.states import OTHER

pytestmark = pytest.mark.house
_NO = 403
_FORBIDDEN = 3


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened(tmp_path_factory.mktemp("authority")) as made:
        yield made


class Asking:
    """One verb. What a refused attempt was about is as it was, so the next one is about it too."""

    def __init__(self, house: House, verb: Verb, folder: Path, *, every: bool) -> None:
        self.house, self.verb, self.folder = house, verb, folder
        refused = [role for role in EVERY if not verb.allows(role, own=False)]
        # Another role for another verb, the same one each time.
        turn = len(verb.name) % max(1, len(refused))
        self._by_command = set(refused if every else refused[turn : turn + 1])
        self.wrong: list[tuple[object, ...]] = []
        self._kept: dict[tuple[str, str], Deed] = {}

    def as_(self, role: str, *, own: bool) -> None:
        user, allowed = person(role), self.verb.allows(role, own=own)
        whose = self._whose(user, own=own)
        lacking = self.verb.own == "only" and not own
        done = frozenset({409}) if lacking else self.verb.done
        deed = self._deed(whose)
        before = self.house.last()
        answer = self.house.api(user, deed.method, deed.path, **deed.more)
        attempts = self.house.attempts(user, behind=before)
        if allowed:
            result = "denied" if answer.status_code == 409 else "allowed"
            told = (self.verb.recorded_as, result) in attempts if self.verb.told else not attempts
            right = answer.status_code in done and told
            self._kept.pop(whose)
        else:
            right = answer.status_code == _NO and attempts == {(self.verb.recorded_as, "denied")}
        if not right:
            found = answer.status_code, attempts, answer.text[:300]
            self.wrong.append((role, whose, "api", *found))
        if self.verb.cli and (allowed or role in self._by_command):
            deed = self._deed(whose)
            code = self.house.cli(user, *deed.words)
            codes = frozenset({5}) if lacking else self.verb.cli
            if not (code in codes if allowed else code == _FORBIDDEN):
                self.wrong.append((role, whose, "cli", code, deed.words))
            if allowed:
                self._kept.pop(whose)

    def _whose(self, user: str, *, own: bool) -> tuple[str, str]:
        """Who asked for the run, and who did what the verb is about."""
        if self.verb.name == "withdraw":
            return "ci-demo", user if own and user == person("approver") else "bob.smith"
        if self.verb.name in {"review", "confirm_continue"}:  # it matters who did it, not whose run
            return "ci-demo", user if own else OTHER
        return (user, user) if own else (OTHER, OTHER)

    def _deed(self, whose: tuple[str, str]) -> Deed:
        if whose not in self._kept:
            by, mine = whose
            state = self.verb.state
            run_id = self.house.states.make(state, by=by, mine=mine) if state else ""
            self._kept[whose] = DEEDS[self.verb.name](self.house, run_id, self.folder)
        return self._kept[whose]


@pytest.mark.parametrize("verb", [*RUN_VERBS, *HOUSE_VERBS], ids=lambda verb: verb.name)
def test_the_api_and_the_command_line_answer_as_the_book_says(
    house: House, verb: Verb, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One's own things where it matters, and one refusal by command line; all under --long."""
    every = bool(request.config.getoption("--long"))
    asking = Asking(house, verb, tmp_path, every=every)
    own_too = verb.state and (every or verb.own != "same")
    for role in EVERY:
        asking.as_(role, own=False)
        if own_too:
            asking.as_(role, own=True)
    assert not asking.wrong, "\n".join(map(str, asking.wrong))
