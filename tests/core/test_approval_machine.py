"""Approvals in any order: people, roles, digests, time and broken glass. One oracle watches.

The oracle keeps its own books in plain sets and knows none of the functions that it judges: a
deploy may begin only when enough people who may approve said yes to exactly what is deployed, in
time and while they held the role, or when two people broke the glass for exactly that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.core import approvals, break_glass, effects, eligibility, overrides
from engine.core.approvals import Actor
from engine.core.commands import Action, Command, Now
from engine.core.decide import decide
from engine.core.digest import Digest
from engine.core.effect_kinds import ApplyStage, EvaluateGate, Record, SeeApprovers, Wait
from engine.core.errors import Refused
from engine.core.fact_events import ApprovalRequested
from engine.core.people_events import ApproversSeen
from engine.core.spec import ApprovalGroup
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus, StepStatus
from tests.core.simulated import Book, D, Walk, request

MINUTE_US = 60_000_000
PEOPLE = ("author", "bob", "carol", "ci", "dan", "engineer", "mia")
RELEASE = {"ci": {Role.RELEASE_MANAGER}, "mia": {Role.RELEASE_MANAGER}, "engineer": {Role.SRE}}
RELEASE |= {"author": {Role.RELEASE_MANAGER}}
PART_OF_IT = {"ci", "author"}  # who asked for the run, and who made the bundle
GROUP = ApprovalGroup(name="sec", members=("carol", "engineer"), required=True)


class Approving(RuleBasedStateMachine):
    """`given`: who said yes: to which verdict, until when it is good. `roles`: approvers now."""

    @initialize(needed=st.sampled_from([1, 2, 3]), grouped=st.booleans())
    def begin(self, needed: int, grouped: bool) -> None:
        self.needed, self.grouped = needed, grouped
        self.roles = set(PEOPLE)
        self.given: dict[str, tuple[Digest, int]] = {}
        self.verdict, self.nth = D, 0
        self.bound: Digest | None = None  # the verdict that people are asked about
        self.asked: tuple[str, int] | None = None  # the glass: by whom, until when
        self.glass: tuple[frozenset[str], Digest, int] | None = None  # who, for what, until when
        groups = (GROUP,) if grouped else ()
        self.book = Book(request(min_approvals=needed, groups=groups), requested_by="ci")
        self.outside = Walk(0)
        self.outside.luck, self.outside.stuck = 1.0, False
        self.outside.fleet = dict.fromkeys(self.outside.fleet, D)
        self.engine()

    @property
    def run(self) -> Run:
        return self.book.current

    @property
    def waits(self) -> bool:
        return self.run.status is RunStatus.AWAITING_APPROVAL

    def actor(self, who: str) -> Actor:
        own = {Role.APPROVER} if who in self.roles else set()
        return Actor(user=who, roles=frozenset(own | RELEASE.get(who, set())))

    def ask(self, who: str, action: Action, **fields: Any) -> bool:
        wish = Command(
            action=action, reason="because", binding=self.run.binding, nonce="n", **fields
        )
        now = Now(now_us=self.book.now_us, unhealthy=())
        try:
            events = decide(self.run, wish, self.actor(who), now)
        except Refused:
            return False
        self.book.append(events, actor=who)
        return True

    def standing(self) -> set[str]:
        """Whose yes counts now, by the oracle's own books."""
        now_us = self.book.now_us
        return {
            who
            for who, (verdict, until_us) in self.given.items()
            if who in self.roles and verdict == self.verdict and now_us < until_us
        }

    def enough(self) -> bool:
        said = self.standing()
        return len(said) >= self.needed and (not self.grouped or bool(said & {*GROUP.members}))

    def broken(self) -> bool:
        glass = self.glass
        return glass is not None and glass[1] == self.verdict and self.book.now_us < glass[2]

    @rule(who=st.sampled_from(PEOPLE))
    def approve(self, who: str) -> None:
        may = (
            self.waits
            and self.bound == self.verdict
            and who in self.roles - PART_OF_IT
            and who not in {a.person for a in self.run.counting_approvals}
            and (self.glass is None or who not in self.glass[0])
        )
        until_us = self.run.approval_expires_us
        assert self.ask(who, Action.APPROVE) == may, who
        if may:
            assert until_us is not None
            self.given[who] = (self.verdict, until_us)

    @rule(who=st.sampled_from(PEOPLE))
    def withdraw(self, who: str) -> None:
        may = (
            self.waits
            and who in self.roles
            and who in {a.person for a in self.run.counting_approvals}
        )
        assert self.ask(who, Action.WITHDRAW) == may
        if may:
            del self.given[who]

    @precondition(lambda self: len(self.given) > 1)
    @rule(who=st.sampled_from(PEOPLE))
    def reject(self, who: str) -> None:
        if self.ask(who, Action.REJECT):
            assert who in self.roles - PART_OF_IT
            assert self.run.outcome is RunStatus.REJECTED
            self.begin(self.needed, self.grouped)

    @rule(who=st.sampled_from(PEOPLE))
    def roles_change(self, who: str) -> None:
        self.roles ^= {who}
        if who not in self.roles:
            self.given.pop(who, None)  # given back later, the role does not bring it back

    @precondition(lambda self: bool(self.given))
    @rule(nth=st.integers(0, len(PEOPLE)))
    def whoever_approved_leaves(self, nth: int) -> None:
        self.roles_change(sorted(self.given)[nth % len(self.given)])

    @rule()
    def the_server_starts_again(self) -> None:
        if self.waits and self.run.approvers is not None:
            self.book.append((self.seen("approval"),))

    @rule()
    def something_bound_changes(self) -> None:
        if self.waits and self.run.approvers_fresh:
            self.nth += 1
            self.verdict = Digest.of(f"verdict {self.nth}".encode())
            evaluated = self.outside.verdict(self.run, "gate-eval", 1, good=True)
            self.book.append((replace(evaluated, verdict=self.verdict, warn=0),))

    @rule(minutes=st.sampled_from([1, 29, 61]))
    def time_goes_by(self, minutes: int) -> None:
        self.book.now_us += minutes * MINUTE_US

    @rule(
        who=st.sampled_from(["bob", "ci", "engineer", "engineer", "mia", "mia"]),
        incident=st.sampled_from(["INC-1", "INC-1", "INC-1", ""]),
    )
    def break_the_glass(self, who: str, incident: str) -> None:
        before, asked, now_us = self.run, self.asked, self.book.now_us
        if asked is not None and (before.override is None or now_us >= asked[1]):
            asked = None  # the situation, or its hour, is over
        done = self.ask(who, Action.BREAK_GLASS, ticket=incident)
        if not done:
            return
        assert RELEASE.get(who)
        if asked is None:
            assert incident and self.run.overrides == before.overrides
            self.asked = (who, now_us + 60 * MINUTE_US)
            return
        assert who != asked[0] and who not in PART_OF_IT
        until_us = now_us + 60 * MINUTE_US
        self.glass = (frozenset({who, asked[0]}), self.verdict, until_us)
        self.asked = None
        (review,) = self.run.reviews[-1:]
        assert review.kind == "break_glass" and {*review.doers} == {who, asked[0]}

    @precondition(lambda self: self.waits)
    @rule()
    def two_break_it_at_once(self) -> None:
        for who in ("mia", "engineer", "mia"):
            self.break_the_glass(who, "INC-1")

    def seen(self, step: str) -> ApproversSeen:
        number = len(self.run.step(step).attempts)
        return ApproversSeen(step=step, attempt=number, approvers=tuple(sorted(self.roles)))

    @rule()
    def engine(self) -> None:
        """As far as it goes by itself, up to the first target."""
        for _ in range(60):
            effect = effects.next_effect(self.run, self.book.now_us)
            match effect:
                case Wait():
                    assert not (self.waits and self.enough()), "enough said yes, and it waits"
                    return
                case ApplyStage():
                    if self.deploys():
                        return
                    continue
                case SeeApprovers(step=step):
                    events: Any = (self.seen(step),)
                case Record() if self.run.status is RunStatus.SEALING:
                    self.begin(self.needed, self.grouped)
                    return
                case _:
                    self.outside.run = self.run
                    events = self.outside.answer(effect)
                    if isinstance(effect, EvaluateGate):
                        events = tuple(
                            replace(e, warn=0, verdict=self.verdict) if hasattr(e, "warn") else e
                            for e in events
                        )
            self.book.append(events)
            if any(isinstance(event, ApprovalRequested) for event in events):
                self.bound = self.verdict
        raise AssertionError("no rest")

    def deploys(self) -> bool:
        """The last look before the first target: from here on there is only the way back."""
        events = eligibility.before_deploy(self.run, self.seen("approval"), self.book.now_us)
        if events:
            self.book.append(events)
        if self.run.step("approval").status is not StepStatus.SUCCEEDED:
            return False
        assert self.enough() or self.broken(), (self.given, self.roles)
        assert not self.standing() & PART_OF_IT
        self.begin(self.needed, self.grouped)
        return True


QUIET = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def test_no_order_of_events_deploys_what_was_not_agreed_to() -> None:
    run_state_machine_as_test(Approving, settings=QUIET)


# Where a fault is planted the first history that shows it is enough; nobody reads a shorter one.
FAULTY = settings(QUIET, phases=(Phase.generate,))


def nothing(*_: Any, **__: Any) -> Any:
    return None


def none_lapses(*_: Any) -> Any:
    return ()


def same_binding(_: Run) -> Digest:
    return D


def whoever(*_: Any) -> str:
    return ""


def for_ever(run: Run, _: int) -> bool:
    return run.glass is not None


@pytest.mark.parametrize(
    ("where", "name", "fault"),
    [
        (approvals, "own_work", nothing),
        (eligibility, "lapsed", none_lapses),
        (approvals, "binding", same_binding),
        (overrides, "_may_not_confirm", whoever),
        (break_glass, "stands_for_approvals", for_ever),
    ],
    ids=["authors-approve", "lost-roles-count", "changes-unseen", "one-breaks", "glass-for-ever"],
)
def test_the_machine_catches_a_planted_fault(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, fault: Any
) -> None:
    """The machine above proves something only if it fails when a rule is taken out."""
    monkeypatch.setattr(where, name, fault)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Approving, settings=FAULTY)
