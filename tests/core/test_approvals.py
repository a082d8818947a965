"""Who may approve, what an approval is bound to, and when there are enough of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.core import approvals, effects
from engine.core.approvals import Actor
from engine.core.commands import Action, Now
from engine.core.decide import decide, refusal
from engine.core.effect_kinds import EvaluateGate, Record, Wait
from engine.core.errors import Refused
from engine.core.run_events import RunExpired
from engine.core.spec import ApprovalGroup
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus, StepStatus
from tests.core.book import knows
from tests.core.simulated import OTHER, PEOPLE, Book, D, Walk, command, request

HOUR_US = 3_600_000_000


def asking(*, warn: int = 0, requested_by: str = "ci", **changes: Any) -> Book:
    """A run that waits for approval, got there through the engine's own effects."""
    book = Book(request(**changes), requested_by=requested_by)
    outside = Walk(0)
    outside.luck, outside.stuck = 1.0, False
    outside.fleet = dict.fromkeys(outside.fleet, D)
    for _ in range(40):
        if book.current.status is RunStatus.AWAITING_APPROVAL:
            return book
        outside.run = book.current
        effect = effects.next_effect(book.current, book.now_us)
        events = outside.answer(effect)
        if isinstance(effect, EvaluateGate):
            events = tuple(replace(e, warn=warn) if hasattr(e, "warn") else e for e in events)
        book.append([e for e in events if e.TYPE != "evidence.missing/1"] or events)
    raise AssertionError(f"still {book.current.status}")


def step_on(book: Book) -> object:
    """Let the engine go on until it waits; evidence is captured as it falls due."""
    outside = Walk(0)
    for _ in range(20):
        outside.run = book.current
        effect = effects.next_effect(book.current, book.now_us)
        if isinstance(effect, Wait) or book.current.status is not RunStatus.AWAITING_APPROVAL:
            return effect
        book.append(outside.answer(effect))
    raise AssertionError("no rest")


def approve(book: Book, who: str) -> None:
    wish = command(book.current, Action.APPROVE)
    book.append(decide(book.current, wish, PEOPLE[who]), actor=who)


@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        (Actor(user="robot", roles=frozenset({Role.APPROVER}), service=True), "service account"),
        (Actor(user="bob", roles=frozenset({Role.ADMIN})), "no approver role in prod"),
        (Actor(user="ci", roles=frozenset({Role.APPROVER})), "requested this promotion"),
        (Actor(user="author", roles=frozenset({Role.APPROVER})), "an author cannot approve"),
        (Actor(user="engine", roles=frozenset({Role.APPROVER})), "started this promotion"),
    ],
)
def test_conflicts(who: Actor, sentence: str) -> None:
    run = asking().current
    assert sentence in (approvals.conflict(run, who) or "")
    for action in (Action.APPROVE, Action.REJECT):
        refused = refusal(run, command(run, action), who)
        assert refused is not None and refused.code in {"role", "conflict_of_interest"}


def test_the_same_person_counts_once() -> None:
    book = asking(min_approvals=2)
    approve(book, "bob")
    assert approvals.missing(book.current) == ("1 of 2 approvals",)
    with pytest.raises(Refused, match="bob has approved already"):
        approve(book, "bob")
    approve(book, "carol")
    assert approvals.missing(book.current) == ()
    step_on(book)
    assert book.current.status is RunStatus.RUNNING
    assert book.current.step("approval").summary == "approved by bob, carol"


def test_a_required_group_has_to_be_among_them() -> None:
    group = ApprovalGroup(name="sec", members=("carol",), required=True)
    book = asking(min_approvals=1, groups=(group,))
    approve(book, "bob")
    assert approvals.missing(book.current) == ("one from sec",)
    assert isinstance(step_on(book), Wait)
    approve(book, "carol")
    assert approvals.missing(book.current) == ()


def test_a_withdrawn_approval_stays_on_record_and_counts_no_more() -> None:
    book = asking(min_approvals=2)
    with pytest.raises(Refused, match="bob has not approved this run"):
        decide(book.current, command(book.current, Action.WITHDRAW), PEOPLE["bob"])
    approve(book, "bob")
    book.append(
        decide(book.current, command(book.current, Action.WITHDRAW), PEOPLE["bob"]), actor="bob"
    )
    assert book.current.counting_approvals == ()
    assert [a.person for a in book.current.approvals] == ["bob"]
    approve(book, "bob")  # and may be given again
    assert len(book.current.counting_approvals) == 1


def test_one_rejection_ends_the_run() -> None:
    book = asking(min_approvals=2)
    book.append(
        decide(book.current, command(book.current, Action.REJECT), PEOPLE["bob"]), actor="bob"
    )
    assert book.current.outcome is RunStatus.REJECTED
    assert book.current.failure_class == "approval"
    assert book.current.step("approval").status is StepStatus.FAILED
    assert [a.decision for a in book.current.approvals] == ["rejected"]


def test_warnings_are_approved_with_a_comment() -> None:
    book = asking(warn=2)
    run, now = book.current, knows(book.current, book.now_us)
    silent = refusal(run, command(run, Action.APPROVE, reason=" "), PEOPLE["bob"], now)
    assert silent is not None and silent.sentence == (
        "The verdict has warnings: say in a comment why this is all right."
    )
    calm = asking(warn=0).current
    assert refusal(calm, command(calm, Action.APPROVE, reason=""), PEOPLE["bob"], now) is None


@pytest.mark.parametrize(
    ("unhealthy", "sentence"),
    [
        (None, "Data health is not known: say"),
        (("NVD stale, 3 h old",), "Data health is not OK (NVD stale, 3 h old): say"),
    ],
)
def test_data_that_is_not_healthy_is_approved_with_a_comment(
    unhealthy: tuple[str, ...] | None, sentence: str
) -> None:
    run = asking(warn=0).current
    silent = refusal(
        run, command(run, Action.APPROVE, reason=""), PEOPLE["bob"], Now(unhealthy=unhealthy)
    )
    assert silent is not None and silent.code == "reason"
    assert silent.sentence.startswith(sentence)


def test_only_what_was_seen_is_approved() -> None:
    run = asking().current
    stale = replace(command(run, Action.APPROVE), binding=OTHER)
    refused = refusal(run, stale, PEOPLE["bob"])
    assert refused is not None and refused.code == "stale"


def changed(run: Run, what: str) -> Run:
    assert run.verdict is not None
    match what:
        case "verdict":
            return replace(run, verdict=replace(run.verdict, verdict=OTHER))
        case "policy":
            return replace(run, verdict=replace(run.verdict, policy=OTHER))
        case "inputs":
            return replace(run, resolved_inputs=OTHER)
        case "plan":
            return replace(run, plan=OTHER)
        case "bundle":
            return replace(run, request=replace(run.request, bundle=OTHER))
        case "environment":
            return replace(run, request=replace(run.request, environment="other"))
        case _:
            return replace(run, run_id="run-2")


@pytest.mark.parametrize(
    "what", ["verdict", "policy", "inputs", "plan", "bundle", "environment", "run"]
)
def test_whatever_is_bound_voids_the_approvals_when_it_changes(what: str) -> None:
    book = asking(min_approvals=2)
    approve(book, "bob")
    before = approvals.binding(book.current)
    assert before == book.current.binding
    step_on(book)
    book.run = changed(book.current, what)
    assert approvals.binding(book.current) != before
    effect = effects.next_effect(book.current, book.now_us)
    assert isinstance(effect, Record)
    assert [e.TYPE for e in effect.events] == [
        "approval.stale/1",
        "step.cancelled/1",
        "run.resumed/1",
        "step.started/1",
    ]
    if what == "run":
        return  # such a log is not its own any more
    book.append(effect.events)
    run = book.current
    assert (run.status, run.binding) == (RunStatus.RUNNING, None)
    assert run.counting_approvals == () and len(run.approvals) == 1
    gate = run.step("gate-eval")
    assert (gate.status, len(gate.attempts)) == (StepStatus.RUNNING, 2)
    assert run.step("approval").status is StepStatus.CANCELLED


def test_nothing_to_bind_to_yet() -> None:
    with pytest.raises(Refused, match="must exist before anyone can approve"):
        approvals.binding(Book(request()).current)


def test_an_unanswered_request_expires() -> None:
    book = asking(min_approvals=2)
    approve(book, "bob")
    step_on(book)
    book.now_us += HOUR_US
    effect = effects.next_effect(book.current, book.now_us)
    assert isinstance(effect, Record)
    expired = effect.events[0]
    assert isinstance(expired, RunExpired)
    assert expired.reason == "approval expired with 1 of 2 approvals"
    book.append(effect.events)
    assert book.current.outcome is RunStatus.EXPIRED


def test_a_quorum_met_in_time_counts_although_the_engine_slept() -> None:
    book = asking(min_approvals=1)
    approve(book, "bob")
    book.now_us += 2 * HOUR_US  # the engine was down from here on
    step_on(book)
    assert book.current.status is RunStatus.RUNNING


def test_nobody_is_asked_where_the_rule_asks_nobody() -> None:
    book = Book(request(min_approvals=0))
    outside = Walk(0)
    outside.luck = 1.0
    while not book.current.step("approval").attempts or book.current.step("approval").open:
        outside.run = book.current
        book.append(outside.answer(effects.next_effect(book.current, book.now_us)))
    attempt = book.current.step("approval").attempt
    assert attempt is not None and attempt.result == "NOT_REQUIRED"
    assert "prod/approval" in book.current.step("approval").summary
