"""Separation of duties: who stood on both sides, by a reading of our own."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pytest

from engine.core.commands import Action, Command
from engine.core.digest import Digest
from engine.core.duties import CHECKING, DOING, MAKING, Duties, Duty, duties, self_approval
from engine.core.events import Event, Recorded
from engine.core.fact_events import ApprovalApproved
from engine.core.house import CommandRejected
from engine.core.people_events import OverrideUsed, ReviewClosed
from engine.core.run import Run, fold
from tests.core.simulated import Walk


@functools.cache
def walked(seed: int) -> tuple[Recorded, ...]:
    return tuple(Walk(seed).play().log)


def read(seed: int, *denials: Recorded) -> tuple[Run, Duties]:
    log = walked(seed)
    run = fold("run-1", log)
    return run, duties(run, log, denials)


def recorded(event: Event, actor: str, *, stream: str = "admin", gseq: int = 900) -> Recorded:
    return Recorded(
        gseq=gseq,
        stream=stream,
        seq=1,
        ts_us=9_000_000_000_000_000,
        actor=actor,
        command_id="",
        event=event,
        prev=Digest("0" * 64),
        hash=Digest("0" * 64),
    )


def denial(action: str, code: str = "conflict_of_interest", run: str = "run-1") -> CommandRejected:
    return CommandRejected(action=action, run=run, code=code, reason="may not")


@pytest.mark.parametrize("seed", range(60))
def test_every_deed_of_the_log_is_an_edge_and_no_other(seed: int) -> None:
    run, found = read(seed)
    log = walked(seed)
    approved = [r.actor for r in log if isinstance(r.event, ApprovalApproved)]
    assert [e.person for e in found.edges if e.duty is Duty.APPROVED] == approved
    confirmed = [r.event.confirmed_by for r in log if isinstance(r.event, OverrideUsed)]
    assert [e.person for e in found.edges if e.duty is Duty.CONFIRMED_OVERRIDE] == confirmed
    reviewed = [r.actor for r in log if isinstance(r.event, ReviewClosed)]
    assert [e.person for e in found.edges if e.duty is Duty.REVIEWED] == reviewed
    makers = {e.person for e in found.edges if e.duty in {Duty.MADE_BUNDLE, Duty.AUTHORED_COMMITS}}
    assert makers == {*run.request.bundle_authors, *run.authors}
    assert run.requested_by in found.people
    assert "engine" not in found.people
    # The engine holds the rule, so nothing that happened may be a conflict.
    assert [c for c in found.conflicts if not c.prevented] == []


def test_duties_are_told_in_full() -> None:
    assert set(Duty) == {*MAKING, *DOING, *CHECKING}


def test_a_refused_approval_of_ones_own_is_a_prevented_conflict() -> None:
    run, _ = read(1)
    tried = recorded(denial("approve"), run.requested_by)
    _, found = read(1, tried)
    (conflict,) = {c for c in found.conflicts if c.made is Duty.REQUESTED}
    assert (conflict.person, conflict.checked, conflict.prevented) == (
        run.requested_by,
        Duty.APPROVED,
        True,
    )
    assert "requested" in conflict.rule and "approve" in conflict.rule
    (edge,) = (e for e in found.edges if e.denied)
    assert (edge.gseq, edge.note) == (900, "may not")


def test_who_lacks_the_role_may_still_have_tried_to_let_through_their_own() -> None:
    run, _ = read(1)
    assert self_approval(run, Command(action=Action.APPROVE), run.requested_by)
    assert not self_approval(run, Command(action=Action.APPROVE), "nobody")
    assert not self_approval(run, Command(action=Action.PAUSE), run.requested_by)
    tried = recorded(replace(denial("approve", "role"), own=True), run.requested_by)
    _, found = read(1, tried)
    assert any(c.prevented and c.made is Duty.REQUESTED for c in found.conflicts)


@pytest.mark.parametrize(
    ("action", "code", "run"),
    [
        ("approve", "role", "run-1"),
        ("approve", "conflict_of_interest", "run-2"),
        ("pause", "conflict_of_interest", "run-1"),
    ],
)
def test_other_refusals_are_no_edges(action: str, code: str, run: str) -> None:
    _, found = read(1, recorded(denial(action, code, run), "ana"))
    assert not any(edge.denied for edge in found.edges)


def test_a_conflict_that_happened_is_named_whatever_the_engine_holds() -> None:
    """As in a log that somebody else wrote, or from a time with other rules."""
    log = walked(1)
    run = fold("run-1", log)
    approval = ApprovalApproved(
        via="approve",
        step="approval",
        attempt=1,
        binding=Digest.of(b"b"),
        view=Digest.of(b"b"),
        nonce="n",
        expires_us=1,
        comment="mine",
        groups=(),
    )
    forged = recorded(approval, run.requested_by, stream="run-1")
    found = duties(run, (*log, forged), ())
    assert any(
        c.person == run.requested_by and c.checked is Duty.APPROVED and not c.prevented
        for c in found.conflicts
    )


def approved(by: str, gseq: int) -> Recorded:
    approval = ApprovalApproved(
        via="approve",
        step="approval",
        attempt=1,
        binding=Digest.of(b"b"),
        view=Digest.of(b"b"),
        nonce="n",
        expires_us=1,
        comment="",
        groups=(),
    )
    return recorded(approval, by, stream="run-1", gseq=gseq)


def judged() -> tuple[Recorded, ...]:
    """A run that got a verdict and that nobody has approved."""
    logs = (walked(seed) for seed in range(60))
    return next(
        log
        for log in logs
        if fold("run-1", log).verdict
        and not any(isinstance(r.event, ApprovalApproved) for r in log)
    )


def pinned(**fields: Any) -> Run:
    run = fold("run-1", judged())
    return replace(run, request=replace(run.request, **fields))


def test_the_owner_of_the_token_and_the_author_of_a_waiver_are_part_of_it() -> None:
    run = pinned(token_owner="olga")
    assert run.verdict is not None
    run = replace(run, verdict=replace(run.verdict, waived_by=("wim",)))
    found = duties(run, (*judged(), approved("olga", 700), approved("wim", 701)), ())
    made = {(c.person, c.made) for c in found.conflicts}
    assert made == {("olga", Duty.OWNED_TOKEN), ("wim", Duty.WROTE_WAIVER)}


def test_a_part_that_the_rule_leaves_out_is_no_conflict() -> None:
    rule = replace(pinned().request.approval, conflicts=("bundle_creator",))
    run = pinned(approval=rule)
    log = (*judged(), approved(run.requested_by, 700))
    assert duties(run, log, ()).conflicts == ()
    assert not self_approval(run, Command(action=Action.APPROVE), run.requested_by)
    # Commit authors are no choice of a rule.
    written = replace(run, authors=("wanda",))
    found = duties(written, (*log, approved("wanda", 701)), ())
    assert [(c.person, c.made) for c in found.conflicts] == [("wanda", Duty.AUTHORED_COMMITS)]


def test_whoever_broke_the_glass_lets_nothing_through_afterwards() -> None:
    glass = OverrideUsed(
        action="break_glass",
        step="",
        attempt=0,
        asked_by="ann",
        confirmed_by="bert",
        asked_reason="down",
        reason="down indeed",
        rule=0,
        against="",
        missing=(),
        until_us=9,
    )
    broke = recorded(glass, "bert", stream="run-1", gseq=700)
    run = replace(pinned(), overrides=(glass,))
    log = (*judged(), approved("bert", 600), broke, approved("ann", 800))
    found = duties(run, log, ())
    assert [(c.person, c.made, c.checked) for c in found.conflicts] == [
        ("ann", Duty.BROKE_GLASS, Duty.APPROVED)
    ]
    assert {e.person for e in found.edges if e.duty is Duty.BROKE_GLASS} == {"ann", "bert"}
