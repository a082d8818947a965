"""Approvals as statements: each decision as it was made, and at the end what no longer counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from engine.core import approvals
from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.events import Event, Recorded
from engine.core.fact_events import ApprovalsStale, ApprovalWithdrawn, EvidenceCaptured
from engine.core.people_events import ApprovalsLapsed
from engine.core.run import Run, fold
from engine.core.spec import StepKind
from engine.core.state import Attempt
from engine.evidence import predicate_approval
from engine.evidence.predicate_approval import Withdrawal
from engine.evidence.predicates import Draft


class _Facts(Protocol):
    """What of `engine.drafting.Facts` is needed here."""

    @property
    def run(self) -> Run: ...
    @property
    def log(self) -> Sequence[Recorded]: ...
    @property
    def base(self) -> str: ...
    @property
    def identity(self) -> Callable[[str], str]: ...
    @property
    def blob(self) -> Callable[[Digest], bytes]: ...
    def events(self) -> Iterator[Event]: ...


def approval(facts: _Facts, attempt: Attempt) -> Draft:
    """The next decision; they are captured one by one, in the order in which they were made.

    After the last one: how the step ended.

    Raises:
        NotFound, Malformed: what the approver was shown is gone or damaged.
    """
    decisions = [a for a in facts.run.approvals if a.attempt == attempt.number]
    done = len(attempt.evidence)
    if done >= len(decisions):
        return predicate_approval.approval_outcome(
            facts.run,
            attempt,
            base=facts.base,
            given=decisions,
            withdrawals=_withdrawals(facts, attempt.number),
        )
    given = decisions[done]
    before = _before(facts, given.nonce)
    return predicate_approval.approval(
        facts.run,
        given,
        number=done + 1,
        base=facts.base,
        approver=facts.identity(given.person),
        basis=_judged(facts.run, before),
        bound=approvals.binding_document(fold(facts.run.run_id, before)),
        saw=None if given.view == given.binding else facts.blob(given.view),
    )


def _before(facts: _Facts, nonce: str) -> list[Recorded]:
    """The log as it was when somebody decided."""
    before: list[Recorded] = []
    for recorded in facts.log:
        if getattr(recorded.event, "nonce", None) == nonce:
            break
        before.append(recorded)
    return before


def _judged(run: Run, before: Sequence[Recorded]) -> tuple[NamedDigest, ...]:
    """The policy decision on which a decision was based: the last one sealed before it."""
    gates = {s.id for s in run.steps if s.spec.kind is StepKind.GATE_EVAL}
    basis: tuple[NamedDigest, ...] = ()
    for recorded in before:
        event = recorded.event
        if isinstance(event, EvidenceCaptured) and event.step in gates:
            basis = (NamedDigest(name=event.name, digest=event.payload),)
    return basis


def _withdrawals(facts: _Facts, attempt: int) -> list[Withdrawal]:
    kinds = ApprovalWithdrawn | ApprovalsStale | ApprovalsLapsed
    return [
        Withdrawal(
            by=recorded.actor,
            at_us=recorded.ts_us,
            reason=recorded.event.reason,
            event=recorded.hash,
        )
        for recorded in facts.log
        if isinstance(recorded.event, kinds) and recorded.event.attempt == attempt
    ]
