"""Separation of duties: who stood on both sides, by a reading of our own."""

from __future__ import annotations

import functools
from dataclasses import replace

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
