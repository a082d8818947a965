"""The one door for commands: everybody, everywhere, over the real store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.commands import Action, Command
from engine.core.digest import Digest
from engine.core.errors import Conflict, NotFound, Refused
from engine.core.house import ADMIN, CommandRejected
from engine.core.run_events import RunPaused, RunStarted
from engine.core.state import Run
from engine.core.statemachine import TRANSITIONS, Role, RunStatus
from engine.service import LOCAL_ADMIN, Asker
from tests.faults.small_house import ENV, SmallHouse, session_keys

pytestmark = pytest.mark.house

PEOPLE = {
    "ana": {Role.RELEASE_MANAGER, Role.SRE},
    "mia": {Role.RELEASE_MANAGER},
    "sam": {Role.SRE},
    "bob": {Role.APPROVER},
    "eve": {Role.VIEWER},
    "root": {Role.ADMIN},
    "ci": {Role.CI},
    "audrey": {Role.AUDITOR},
    "pol": {Role.POLICY_AUTHOR},
    "stranger": set(),
    LOCAL_ADMIN: {Role.ADMIN, Role.VIEWER},
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path / "home", session_keys(), approvals=2)
    yield house
    house.close()


def denied(house: SmallHouse) -> list[CommandRejected]:
    return [r.event for r in house.real.load(ADMIN) if isinstance(r.event, CommandRejected)]


def started(house: SmallHouse, run: Run) -> Run:
    house.real.append(
        run.run_id, (RunStarted(via="lock_acquired", epoch=1),), after=run.version, actor="engine"
    )
    return house.real.run(run.run_id)


def test_who_somebody_is_comes_from_the_settings(house: SmallHouse) -> None:
    for user, roles in PEOPLE.items():
        actor = house.service.actor(Asker(user=user, service=user == "ci"), ENV)
        assert actor.roles == roles
        assert actor.service is (user == "ci")


@pytest.mark.parametrize("user", PEOPLE)
def test_who_may_request(house: SmallHouse, user: str) -> None:
    bundle = house.bundle()
    if PEOPLE[user] & {Role.RELEASE_MANAGER, Role.CI}:
        run = house.service.promote(bundle, ENV, Asker(user=user), reason=" why ", ticket=" T-1 ")
        assert (run.run_id, run.requested_by, run.status) == ("run-1", user, RunStatus.QUEUED)
        assert (run.request.reason, run.request.ticket) == ("why", "T-1")
        assert denied(house) == []
    else:
        with pytest.raises(Refused, match=f"{user} may not request promotions to {ENV}") as no:
            house.service.promote(bundle, ENV, Asker(user=user))
        assert no.value.code == "role"
        assert [(d.action, d.run, d.code) for d in denied(house)] == [("promote", "", "role")]
        assert house.real.last_run_number() == 0


def test_unknown_things_are_named(house: SmallHouse) -> None:
    with pytest.raises(NotFound, match="There is no environment 'mars'"):
        house.service.promote(house.bundle(), "mars", Asker(user="ana"))
    with pytest.raises(NotFound, match="There is no bundle sha256:"):
        house.service.promote(Digest.of(b"?"), ENV, Asker(user="ana"))
    with pytest.raises(NotFound):
        house.service.ask("run-9", Command(action=Action.PAUSE, reason="x"), Asker(user="ana"))
    with pytest.raises(NotFound):
        house.service.allowed("run-9", Asker(user="ana"))
    assert house.real.last_run_number() == 0


# Roles x actions where each action stands in the table, over the real store: the answer at the
# door is that of the table, the denied attempt is on record, and nothing else is.
CASES = [
    (Action.PAUSE, RunStatus.RUNNING),
    (Action.CANCEL, RunStatus.QUEUED),
    (Action.CANCEL, RunStatus.RUNNING),
    (Action.RESUME, RunStatus.PAUSED),
    (Action.CLOSE_FAILED, RunStatus.PAUSED),
]


@pytest.mark.parametrize("user", PEOPLE)
@pytest.mark.parametrize(("action", "status"), CASES, ids=lambda v: str(v))
def test_roles_and_actions(house: SmallHouse, user: str, action: Action, status: RunStatus) -> None:
    run = house.promote()
    if status is not RunStatus.QUEUED:
        run = started(house, run)
    if status is RunStatus.PAUSED:
        house.ask(run.run_id, Action.PAUSE, "ana")
    run = house.real.run(run.run_id)
    assert run.status is status
    (row,) = {t.actors for t in TRANSITIONS if (t.source, t.event) == (status, action.value)}
    state = next(
        s for s in house.service.allowed(run.run_id, Asker(user=user)) if s.action is action
    )
    if {r.value for r in PEOPLE[user]} & set(row):
        assert state.ok
        house.ask(run.run_id, action, user)
        log = house.real.load(run.run_id, after=run.version)
        assert log and {r.actor for r in log} == {user}
        assert denied(house) == []
    else:
        assert not state.ok
        with pytest.raises(Refused) as refused:
            house.ask(run.run_id, action, user)
        assert str(refused.value) == state.why_not
        (one,) = denied(house)
        assert (one.action, one.run, one.code) == (action.value, run.run_id, "role")
        assert one.reason == state.why_not
        (entry,) = [r for r in house.real.load(ADMIN) if r.event is one or r.event == one]
        assert entry.actor == user
        assert house.real.run(run.run_id).version == run.version


class TestTheSameCommandTwice:
    def test_a_promotion(self, house: SmallHouse) -> None:
        first = house.promote(command_id="c-1")
        assert house.promote(command_id="c-1").run_id == first.run_id
        assert house.real.last_run_number() == 1
        assert house.promote(command_id="c-2").run_id == "run-2"

    def test_an_action_is_done_once_and_answered_as_then(self, house: SmallHouse) -> None:
        run = started(house, house.promote())
        pause = Command(action=Action.PAUSE, reason="look")
        first = house.service.ask(run.run_id, pause, Asker(user="ana"), command_id="c-9")
        # The run is paused by now: decided anew, the repetition would be refused.
        again = house.service.ask(run.run_id, pause, Asker(user="ana"), command_id="c-9")
        assert again == first and isinstance(first[0].event, RunPaused)
        assert denied(house) == []
        assert house.real.version(run.run_id) == first[-1].seq

    def test_its_id_belongs_to_one_run(self, house: SmallHouse) -> None:
        one, two = started(house, house.promote(command_id="c-1")), house.promote(command_id="c-2")
        pause = Command(action=Action.PAUSE, reason="look")
        house.service.ask(one.run_id, pause, Asker(user="ana"), command_id="c-9")
        with pytest.raises(Conflict, match="was used for run-1 already"):
            house.service.ask(two.run_id, pause, Asker(user="ana"), command_id="c-9")


def test_numbers_have_no_gaps_and_no_twins(house: SmallHouse) -> None:
    bundle = house.bundle()
    runs: list[str] = []

    def request(n: int) -> None:
        for m in range(5):
            run = house.service.promote(bundle, ENV, Asker(user="ana"), command_id=f"c-{n}-{m}")
            runs.append(run.run_id)

    threads = [threading.Thread(target=request, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(runs, key=lambda r: int(r[4:])) == [f"run-{n}" for n in range(1, 21)]


class Overtaken:
    """A store in which somebody else is faster: `times` appends to a run meet a newer version."""

    def __init__(self, inner: Any, times: int) -> None:
        self._inner, self.times = inner, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def append(self, stream: str, events: Any, **fields: Any) -> Any:
        if stream.startswith("run-") and self.times > 0:
            self.times -= 1
            raise Conflict("somebody was faster")
        return self._inner.append(stream, events, **fields)


@pytest.mark.parametrize(("times", "ok"), [(0, True), (19, True), (20, False)])
def test_a_lost_race_is_decided_again(house: SmallHouse, times: int, ok: bool) -> None:
    run = started(house, house.promote())
    house.service._store = Overtaken(house.real, times)  # type: ignore[assignment]
    wish, asker = Command(action=Action.PAUSE, reason="look"), Asker(user="ana")
    if ok:
        house.service.ask(run.run_id, wish, asker)
        assert house.real.run(run.run_id).status is RunStatus.PAUSED
    else:
        with pytest.raises(Conflict, match="changing too fast"):
            house.service.ask(run.run_id, wish, asker)
        assert house.real.run(run.run_id).status is RunStatus.RUNNING


def test_of_two_at_once_one_wins_and_the_other_is_told(house: SmallHouse) -> None:
    run = started(house, house.promote())
    answers: list[str] = []

    def pause() -> None:
        try:
            house.ask(run.run_id, Action.PAUSE, "ana")
            answers.append("done")
        except Refused as refused:
            answers.append(str(refused))

    threads = [threading.Thread(target=pause) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count("done") == 1
    assert set(answers) == {"done", "Not possible while the run is paused."}
    assert house.real.run(run.run_id).version == run.version + 1
    assert len(denied(house)) == 5


def test_what_stops_an_effect_raises_its_flag(house: SmallHouse) -> None:
    run = started(house, house.promote())
    flag = house.outside.interrupts.flag(run.run_id)
    house.ask(run.run_id, Action.COMMENT, "bob")
    assert not flag.is_set()
    house.ask(run.run_id, Action.PAUSE, "ana")
    assert flag.is_set()
    assert not house.outside.interrupts.flag(run.run_id).is_set()


def test_an_approval_gets_a_nonce_of_its_own(house: SmallHouse) -> None:
    run = house.drive(house.promote().run_id)
    assert run.status is RunStatus.AWAITING_APPROVAL
    for who in ("bob", "carol"):
        house.ask(run.run_id, Action.APPROVE, who)
    one, two = house.real.run(run.run_id).approvals
    assert len(one.nonce) == len(two.nonce) == 32 and one.nonce != two.nonce
    assert one.binding == run.binding
