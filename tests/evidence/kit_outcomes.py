"""Runs that end in each way there is, played over the real store by the real sealer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.core.approvals import Actor
from engine.core.commands import Action, Command
from engine.core.decide import decide
from engine.core.effect_kinds import Record, Wait, Watch
from engine.core.effects import next_effect
from engine.core.statemachine import Role, RunStatus
from tests.evidence.kit import World


def ask(one: World, action: Action, user: str, role: Role, **rest: Any) -> None:
    """A person acts; what it causes is recorded as theirs."""
    command = Command(action=action, reason=rest.pop("reason", "because"), **rest)
    actor = Actor(user=user, roles=frozenset({role}))
    one.append(decide(one.run, command, actor), actor=user)


def _rejects(one: World, effect: object) -> None:
    if isinstance(effect, Wait) and one.run.status is RunStatus.AWAITING_APPROVAL:
        ask(one, Action.REJECT, "bob", Role.APPROVER, binding=one.run.binding, nonce="nonce-no")


def _expires(one: World, effect: object) -> None:
    run = one.run
    if isinstance(effect, Wait) and run.approval_expires_us is not None:
        if not run.approvals:
            one.approve("bob")
            return
        one.clock.at_us = run.approval_expires_us
        late = next_effect(one.run, one.clock.now_us())
        assert isinstance(late, Record)
        one.append(late.events)


def _withdraws(one: World, effect: object) -> None:
    """bob approves, takes it back, and the run is cancelled."""
    if not isinstance(effect, Wait) or one.run.status is not RunStatus.AWAITING_APPROVAL:
        return
    if not one.run.approvals:
        one.approve("bob")
    elif one.run.counting_approvals:
        ask(one, Action.WITHDRAW, "bob", Role.APPROVER, reason="saw the incident")
    else:
        ask(one, Action.CANCEL, "ana", Role.RELEASE_MANAGER)


def _closes(one: World, effect: object) -> None:
    """The first stage is paused by hand, and the run is closed with its targets as they are."""
    if one.run.status is RunStatus.PAUSED:
        ask(one, Action.CLOSE_FAILED, "ana", Role.RELEASE_MANAGER, confirm=one.run.run_id)
    elif isinstance(effect, Watch):
        ask(one, Action.PAUSE, "ana", Role.RELEASE_MANAGER)


WAYS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "succeeded": ("SUCCEEDED", {}),
    "rolled back": ("ROLLED_BACK", {"breach": "canary-10"}),
    "policy said no": ("REJECTED", {"decision": "FAIL"}),
    "a person said no": ("REJECTED", {"before": _rejects}),
    "closed as failed": ("FAILED", {"before": _closes}),
    "approval expired": ("EXPIRED", {"before": _expires}),
    "cancelled": ("CANCELLED", {"before": _withdraws}),
}
