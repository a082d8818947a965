"""Deciding about a run: what is shown is printed, and its digest goes along with the decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from engine.cli.actions import told
from engine.cli.call import Call, Leaf, pass_call
from engine.cli.door import open_door
from engine.cli.values import attempt_key

_VIEW = click.option(
    "--view",
    default="",
    metavar="DIGEST",
    help="What you looked at, from run approval-view; without it the view is printed and meant.",
)


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", default="", help="A comment; needed when the verdict has warnings.")
@_VIEW
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def approve(call: Call, run_id: str, reason: str, view: str, key: str) -> None:
    """Approve what the run would deploy now.

    The approval is bound to bundle, inputs, policy, verdict and rollout plan, and to the view on
    which you gave it; it is void as soon as one of them changes.
    """
    _decide(call, run_id, "approve", reason, view, key)


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", required=True, help="Why it must not go out.")
@_VIEW
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def reject(call: Call, run_id: str, reason: str, view: str, key: str) -> None:
    """Reject the run; this ends it."""
    _decide(call, run_id, "reject", reason, view, key)


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", default="", help="Why, in your words.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def withdraw(call: Call, run_id: str, reason: str, key: str) -> None:
    """Take back your approval."""
    body = {"action": "withdraw", "reason": reason}
    with open_door(call) as door:
        answer = door.post(f"/runs/{run_id}/approvals", body, key=attempt_key(key))
    told(call, run_id, answer)


@click.command("approval-view", cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option(
    "--decision",
    type=click.IntRange(1),
    default=None,
    help="What was shown for this decision, in order; without it what is shown now.",
)
@pass_call
def approval_view(call: Call, run_id: str, decision: int | None) -> None:
    """What is shown to whoever decides about the run, and the digest of it."""
    with open_door(call) as door:
        shown = door.get(f"/runs/{run_id}/approval-view", decision=decision or 0)
    call.give(shown)
    say_view(call, shown["document"])
    call.say(f"view {shown['digest']}")


def _decide(call: Call, run_id: str, action: str, reason: str, view: str, key: str) -> None:
    with open_door(call) as door:
        if not view:
            shown = door.get(f"/runs/{run_id}/approval-view")
            say_view(call, shown["document"])
            view = shown["digest"]
        body = {"action": action, "reason": reason, "view": view}
        answer = door.post(f"/runs/{run_id}/approvals", body, key=attempt_key(key))
    call.say(f"on view {view}")
    told(call, run_id, answer)


def say_view(call: Call, document: Mapping[str, Any]) -> None:
    from engine.approving import telling  # noqa: PLC0415 (brings the engine: a second)

    call.say(f"{document['run']}: {telling.headline(document)}", "")
    for section in telling.sections(document):
        head, *more = section.lines
        call.say(f"{section.title:<12} {head}")
        for line in more:
            call.say(f"{'':<12} {line}")
    call.say("")


COMMANDS: tuple[click.Command, ...] = (approve, reject, withdraw, approval_view)
