"""What waits for approval: for whom, since when, and what is still missing. Pure.

Whether a run waits for somebody is what the engine would answer them, and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from engine.core import approvals
from engine.core.approvals import Actor
from engine.core.commands import Action, Command
from engine.core.decide import refusal
from engine.core.run import Run
from engine.core.statemachine import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A run that asks for approval.

    Attributes:
        why_not: why it does not wait for this person, in one sentence; empty when it does.
        since_us: when approval was asked for, UTC microseconds.
        missing: what the quorum lacks, one phrase each.
    """

    run: Run
    why_not: str
    since_us: int
    missing: tuple[str, ...]

    @property
    def mine(self) -> bool:
        return not self.why_not


def inbox(runs: Iterable[Run], actor_in: Callable[[str], Actor]) -> tuple[Waiting, ...]:
    """Every run that waits for approval, the longest first.

    Args:
        actor_in: the person who looks, with the roles that they hold in an environment.
    """
    return tuple(
        sorted(
            (_waiting(run, actor_in(run.environment)) for run in _asking(runs)),
            key=lambda one: (one.since_us, one.run.number),
        )
    )


def signature(runs: Iterable[Run]) -> str:
    """Changes when an inbox does, whoever looks at it."""
    facts = [
        (run.run_id, str(run.binding), run.approval_expires_us,
         [(a.person, a.decision, a.counts, a.nonce) for a in run.approvals])
        for run in _asking(runs)
    ]  # fmt: skip
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


def _asking(runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if run.status is RunStatus.AWAITING_APPROVAL]


def _waiting(run: Run, actor: Actor) -> Waiting:
    probe = Command(action=Action.APPROVE, reason="-", binding=run.binding)
    refused = refusal(run, probe, actor)
    attempt = run.step(approvals.approval_step(run)).attempt
    return Waiting(
        run=run,
        why_not="" if refused is None else refused.sentence,
        since_us=run.updated_us if attempt is None else attempt.started_us,
        missing=approvals.missing(run),
    )
