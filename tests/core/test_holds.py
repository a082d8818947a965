"""Holds: they begin with the way back, end with a lift that means them, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import holds, queueing
from engine.core.approvals import Actor
from engine.core.digest import Digest
from engine.core.errors import Refused
from engine.core.events import Event, Recorded
from engine.core.house import HoldLifted
from engine.core.run_events import RollbackStarted, RunRequested, RunStarted
from engine.core.spec import ROLLBACK
from engine.core.standing import Hold
from engine.core.statemachine import Role
from tests.core.book import NEW, OLD, PEOPLE, Book, request

BACK = RollbackStarted(via="health_breach", trigger="health", reason="5 % errors.")
ZERO = Digest.of(b"")


def at(event: Event, stream: str = "run-1", actor: str = "engine", gseq: int = 1) -> Recorded:
    return Recorded(
        gseq=gseq,
        stream=stream,
        seq=gseq,
        ts_us=gseq * 1_000,
        actor=actor,
        command_id="",
        event=event,
        prev=ZERO,
        hash=ZERO,
    )


def held(**fields: Any) -> Hold:
    found = holds.evolve({}, at(BACK), request())
    (hold,) = found.values()
    return replace(hold, **fields)


def test_going_back_holds_the_bundle_there_and_only_there() -> None:
    found = holds.evolve({}, at(BACK), request())
    (key,) = found
    assert key == ("prod", NEW)
    assert found[key].run == "run-1" and found[key].by == "engine"
    assert found[key].why == "5 % errors." and found[key].since_us == 1_000
    assert holds.sentence(found[key]).count("..") == 0


def test_a_rollback_that_is_tried_again_keeps_the_first_word() -> None:
    once = holds.evolve({}, at(BACK), request())
    again = RollbackStarted(via="retry_rollback", trigger="retry", reason="tried again")
    assert holds.evolve(once, at(again, gseq=2), request()) == once


def test_taking_a_promotion_back_holds_what_is_left_from_its_start_on() -> None:
    wish = replace(
        request(), kind=ROLLBACK, bundle=OLD, takes_back=NEW, takes_back_label="app 2", reason="bad"
    )
    start = RunStarted(via="lock_acquired", epoch=2)
    assert holds.evolve({}, at(wish), wish, requested_by="ana") == {}
    found = holds.evolve({}, at(start, "run-2"), wish, requested_by="ana")
    hold = found["prod", NEW]
    assert (hold.run, hold.label, hold.trigger, hold.by, hold.why) == (
        "run-2", "app 2", "promotion", "ana", "bad",
    )  # fmt: skip
    # Its own breach holds what it went to; what it left stays held.
    after = holds.evolve(found, at(BACK, "run-2", gseq=2), wish)
    assert set(after) == {("prod", NEW), ("prod", OLD)}
    assert holds.evolve({}, at(start), request()) == {}  # a promotion that starts holds nothing


def test_a_lift_ends_the_hold_that_it_names_and_no_newer_one() -> None:
    found = holds.evolve({}, at(BACK), request())
    lift = HoldLifted(environment="prod", bundle=NEW, run="run-1", reason="fixed")
    assert holds.evolve(found, at(lift, "admin"), None) == {}
    for other in (
        replace(lift, run="run-9"),
        replace(lift, environment="stage"),
        replace(lift, bundle=OLD),
    ):
        assert holds.evolve(found, at(other, "admin"), None) == found


@pytest.mark.parametrize("role", Role)
def test_who_may_lift(role: Role) -> None:
    actor = Actor(user="x", roles=frozenset({role}))
    found = holds.lift_refusal(held(), actor, environment="prod", reason="why", ended=True)
    if role in {Role.RELEASE_MANAGER, Role.SRE}:
        assert found is None
    else:
        assert found is not None and found.code == "role"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"reason": "  "}, "reason", "A reason is required"),
        ({"ended": False}, "state", "run-1 is not over yet"),
        ({"hold": None}, "state", "not held in prod"),
        ({"actor": replace(PEOPLE["ana"], service=True)}, "role", "service account"),
    ],
)
def test_what_a_lift_needs(change: dict[str, Any], code: str, words: str) -> None:
    given_: dict[str, Any] = {
        "hold": held(),
        "actor": PEOPLE["ana"],
        "reason": "ok",
        "ended": True,
    } | change
    hold, actor = given_.pop("hold"), given_.pop("actor")
    found = holds.lift_refusal(hold, actor, environment="prod", **given_)
    assert found is not None and found.code == code and words in found.sentence
    with pytest.raises(Refused, match=words):
        holds.lifted(hold, actor, environment="prod", **given_)


def test_a_rollback_waits_behind_no_promotion() -> None:
    one, two = Book(request()).current, Book(request()).current
    two = replace(two, request=replace(two.request, number=2))
    back = replace(two, request=replace(two.request, number=3, kind=ROLLBACK))
    assert queueing.goes_first(one, two) and not queueing.goes_first(two, one)
    assert queueing.goes_first(back, one) and not queueing.goes_first(one, back)


# --- any history ------------------------------------------------------------------------------

_REQUESTS: Mapping[str, RunRequested] = {
    "run-1": request(),
    "run-2": replace(request(), number=2, environment="stage"),
    "run-3": replace(request(), number=3, bundle=OLD, kind=ROLLBACK, takes_back=NEW),
}
_EVENTS = st.one_of(
    st.tuples(st.sampled_from(sorted(_REQUESTS)), st.just(BACK)),
    st.tuples(
        st.sampled_from(sorted(_REQUESTS)), st.just(RunStarted(via="lock_acquired", epoch=1))
    ),
    st.builds(
        lambda environment, bundle, run: (
            "admin",
            HoldLifted(environment=environment, bundle=bundle, run=run, reason="r"),
        ),
        st.sampled_from(["prod", "stage"]),
        st.sampled_from([OLD, NEW]),
        st.sampled_from(sorted(_REQUESTS)),
    ),
)


@given(history=st.lists(_EVENTS, max_size=30))
def test_a_bundle_gets_free_by_a_lift_and_by_nothing_else(
    history: list[tuple[str, Event]],
) -> None:
    found: holds.Holds = {}
    for gseq, (stream, event) in enumerate(history, start=1):
        before = dict(found)
        found = holds.evolve(found, at(event, stream, gseq=gseq), _REQUESTS.get(stream))
        gone = set(before) - set(found)
        assert all(found[key] == before[key] for key in set(before) & set(found))
        assert len(gone) <= 1
        if gone:
            assert isinstance(event, HoldLifted)
            assert gone == {(event.environment, event.bundle)}
        if event is BACK:
            wish = _REQUESTS[stream]
            assert (wish.environment, wish.bundle) in found
