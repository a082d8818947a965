"""New runs from finished ones: who may ask when, and what the targets go back to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core import heirs
from engine.core.approvals import Actor
from engine.core.commands import Action, Command, Now
from engine.core.decide import allowed, decide
from engine.core.digest import Digest
from engine.core.errors import Refused
from engine.core.plan import Observation, TargetObservation
from engine.core.spec import ROLLBACK
from engine.core.standing import Standing
from engine.core.state import Run
from engine.core.statemachine import TERMINAL, Role, RunStatus
from tests.core.book import NEW, OLD, OTHER, PEOPLE, TARGETS, Book, request
from tests.core.test_holds import held

NEW_RUN = [Action.RERUN, Action.ROLLBACK_PROMOTION]
FREE = Now(standing=Standing())


def ended(status: RunStatus = RunStatus.SUCCEEDED, *, before: Digest | None = OLD) -> Run:
    run = Book(request()).current
    targets = tuple(replace(t, baseline=before, current=NEW) for t in run.targets)
    return replace(run, status=status, targets=targets)


def why(
    run: Run, action: Action, who: str = "ana", now: Now = FREE, *, lift_hold: bool = False
) -> str:
    wish = Command(action=action, reason="because", lift_hold=lift_hold)
    found = heirs.refusal(run, wish, PEOPLE[who], now)
    return "" if found is None else f"{found.code}: {found.sentence}"


@pytest.mark.parametrize("status", RunStatus)
def test_only_what_has_ended_is_made_anew(status: RunStatus) -> None:
    run = ended(status)
    assert (why(run, Action.RERUN) == "") == (status in TERMINAL)
    assert (why(run, Action.ROLLBACK_PROMOTION) == "") == (status is RunStatus.SUCCEEDED)


@pytest.mark.parametrize("role", Role)
def test_roles(role: Role) -> None:
    actor = Actor(user="x", roles=frozenset({role}))
    may = {
        action
        for action in NEW_RUN
        if heirs.refusal(ended(), Command(action=action, reason="r"), actor, FREE) is None
    }
    assert may == {
        Role.RELEASE_MANAGER: set(NEW_RUN),
        Role.SRE: {Action.ROLLBACK_PROMOTION},
        Role.CI: {Action.RERUN},
    }.get(role, set())


def test_the_old_run_is_not_moved_and_a_reason_is_needed() -> None:
    for action in NEW_RUN:
        assert decide(ended(), Command(action=action, reason="r"), PEOPLE["ana"], FREE) == ()
        with pytest.raises(Refused, match="A reason is required"):
            decide(ended(), Command(action=action, reason=" "), PEOPLE["ana"], FREE)


def test_what_is_not_known_of_the_house_allows_nothing() -> None:
    for action in NEW_RUN:
        assert why(ended(), action, now=Now()).startswith("state: It is not known")
    states = {s.action: s for s in allowed(ended(), PEOPLE["ana"])}
    assert all(states[action].shown and not states[action].ok for action in NEW_RUN)


def test_a_held_bundle_needs_a_lift_by_somebody_who_may() -> None:
    now = Now(standing=Standing(hold=held()))
    assert why(ended(), Action.RERUN, now=now).startswith("held: ")
    assert why(ended(), Action.RERUN, now=now, lift_hold=True) == ""
    assert why(ended(), Action.RERUN, "mia", now, lift_hold=True) == ""
    bot = replace(PEOPLE["bot"], roles=frozenset({Role.CI}))
    wish = Command(action=Action.RERUN, reason="r", lift_hold=True)
    found = heirs.refusal(ended(), wish, bot, now)
    assert found is not None and found.code == "role"
    # What a promotion is taken back to is another bundle; its own hold is no hindrance.
    assert why(ended(), Action.ROLLBACK_PROMOTION, now=now) == ""
    before = Now(standing=Standing(hold_before=held(bundle=OLD)))
    assert why(ended(), Action.ROLLBACK_PROMOTION, now=before).startswith("held: ")
    assert why(ended(), Action.ROLLBACK_PROMOTION, now=before, lift_hold=True) == ""


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing(under_way="run-9"), "run-9 is under way in prod"),
        (Standing(overtaken_by="run-9"), "run-9 came after it"),
    ],
)
def test_only_what_is_current_is_taken_back(standing: Standing, words: str) -> None:
    assert words in why(ended(), Action.ROLLBACK_PROMOTION, now=Now(standing=standing))
    assert why(ended(), Action.RERUN, now=Now(standing=standing)) == ""


def test_a_rollback_is_neither_taken_back_nor_run_again() -> None:
    run = ended()
    wish = replace(run.request, kind=ROLLBACK, rolls_back="run-0", takes_back=OTHER)
    run = replace(run, request=wish)
    assert "is a rollback itself" in why(run, Action.ROLLBACK_PROMOTION)
    assert "roll back run-0 once more" in why(run, Action.RERUN)


class TestTheBundleBefore:
    def test_is_the_one_that_all_had(self) -> None:
        assert heirs.bundle_before(ended()) == OLD

    @pytest.mark.parametrize(
        ("odd", "words"),
        [
            (OTHER, "ran 2 bundles"),
            (None, "not known what t-01 ran"),
        ],
    )
    def test_several_or_unknown_are_refused(self, odd: Digest | None, words: str) -> None:
        run = ended()
        first, *rest = run.targets
        run = replace(run, targets=(replace(first, baseline=odd), *rest))
        with pytest.raises(Refused, match=words):
            heirs.bundle_before(run)
        assert words in why(run, Action.ROLLBACK_PROMOTION)

    def test_a_run_that_changed_nothing_has_none(self) -> None:
        with pytest.raises(Refused, match="changed no target"):
            heirs.bundle_before(ended(before=NEW))


def seen(**odd: Digest | None) -> Observation:
    return Observation(
        observed_at_us=1,
        source="test",
        targets=tuple(
            TargetObservation(
                target=t,
                digest=odd.get(t.replace("-", "_"), NEW),
                healthy=True,
                present=(OLD, NEW),
            )
            for t in TARGETS
        ),
    )


def test_a_target_that_somebody_else_changed_stops_the_way_back() -> None:
    run = ended()
    wish = replace(run.request, kind=ROLLBACK, bundle=OLD, rolls_back="run-1", takes_back=NEW)
    run = replace(run, request=wish)
    assert heirs.strangers(run, seen()) == ()
    assert heirs.strangers(run, seen(t_01=OLD, t_02=None)) == ()  # back already; no answer
    (said,) = heirs.strangers(run, seen(t_03=OTHER))
    assert said == f"t-03 runs {OTHER.short}, which run-1 did not bring"
    assert heirs.held_by_targets(run, seen())
    assert not heirs.held_by_targets(replace(run, request=replace(wish, bundle=OTHER)), seen())
    assert not heirs.held_by_targets(run, replace(seen(), targets=seen().targets[1:]))


def test_differences_name_what_is_not_the_same() -> None:
    found = heirs.differences({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"})
    assert [(d.name, d.before, d.after) for d in found] == [
        ("b", "2", "9"),
        ("c", "3", ""),
        ("d", "", "4"),
    ]
