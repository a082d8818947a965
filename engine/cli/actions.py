"""What people do to a run: every action goes through the same door and the same rules."""

from __future__ import annotations

import uuid
from typing import Any

import click

from engine.cli.call import Call, Leaf, pass_call
from engine.cli.door import open_door


def _act(call: Call, run_id: str, body: dict[str, Any], key: str) -> None:
    """Do it and say what it caused. `key` makes a repeated call the same call."""
    with open_door(call) as door:
        answer = door.post(f"/runs/{run_id}/actions", body, key=key or f"cli-{uuid.uuid4()}")
    call.give(answer)
    for event in answer["events"]:
        call.say(f"{event['seq']:>4}  {event['kind']}")
    call.say(f"{run_id}: {answer['run']['status']}")


def _simple(name: str, action: str, told: str, *, reason_required: bool = True) -> click.Command:
    @click.command(name, cls=Leaf, help=told)
    @click.argument("run_id", metavar="RUN")
    @click.option("--reason", required=reason_required, default=None, help="Why, in your words.")
    @click.option("--ticket", default="", help="An incident or change number.")
    @click.option("--idempotency-key", "key", default="", metavar="KEY")
    @pass_call
    def command(call: Call, run_id: str, reason: str | None, ticket: str, key: str) -> None:
        body = {"action": action, "reason": reason or "", "ticket": ticket}
        _act(call, run_id, body, key)

    return command


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", default="", help="A comment; needed when the verdict has warnings.")
@click.option("--binding", default="", metavar="DIGEST", help="What you looked at, from run show.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def approve(call: Call, run_id: str, reason: str, binding: str, key: str) -> None:
    """Approve what the run would deploy now.

    The approval is bound to bundle, inputs, policy, verdict and rollout plan; it is void as soon
    as one of them changes.
    """
    _decide(call, run_id, "approve", reason, binding, key)


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", required=True, help="Why it must not go out.")
@click.option("--binding", default="", metavar="DIGEST", help="What you looked at, from run show.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def reject(call: Call, run_id: str, reason: str, binding: str, key: str) -> None:
    """Reject the run; this ends it."""
    _decide(call, run_id, "reject", reason, binding, key)


def _decide(call: Call, run_id: str, action: str, reason: str, binding: str, key: str) -> None:
    """Approve or reject what stands there now, unless `binding` says what was looked at."""
    with open_door(call) as door:
        found = door.get(f"/runs/{run_id}")
    bound = binding or found.get("binding")
    call.say(
        f"{run_id}: {found['bundle_name']} {found['bundle_version']} to {found['environment']}, "
        f"bound to {bound or 'nothing yet'}"
    )
    _act(call, run_id, {"action": action, "reason": reason, "binding": bound}, key)


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", default="", help="Why, in your words; not needed for a preview.")
@click.option("--ticket", default="", help="An incident or change number.")
@click.option(
    "--scope",
    type=click.Choice(["full"]),
    default="full",
    show_default=True,
    expose_value=False,
    help="Every changed target.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def rollback(
    call: Call,
    run_id: str,
    reason: str,
    ticket: str,
    dry_run: bool,
    key: str,
) -> None:
    """Bring targets back to the bundle that each of them had before this run."""
    body: dict[str, Any] = {"action": "rollback", "reason": reason, "ticket": ticket}
    if not dry_run:
        if not reason.strip():
            raise click.UsageError("Missing option '--reason': a rollback says why.")
        _act(call, run_id, body, key)
        return
    with open_door(call) as door:
        plan = door.post(f"/runs/{run_id}/actions", {**body, "dry_run": True})
    call.give(plan)
    call.say(
        f"{len(plan['reverts'])} will revert, {len(plan['unchanged'])} unchanged, "
        f"{len(plan['irreversible'])} cannot go back; plan {plan['digest']}"
    )
    call.table(
        ("TARGET", "FROM", "TO"), [[c["target"], c["from"], c["to"]] for c in plan["reverts"]]
    )
    for stuck in plan["irreversible"]:
        call.say(f"{stuck['target']}: {stuck['reason']}")


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", required=True, help="Why, in your words.")
@click.option("--confirm", required=True, metavar="RUN", help="The run's id once more.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def close(call: Call, run_id: str, reason: str, confirm: str, key: str) -> None:
    """Close a paused run as failed, leaving its targets as they are."""
    _act(call, run_id, {"action": "close_failed", "reason": reason, "confirm": confirm}, key)


COMMANDS: tuple[click.Command, ...] = (
    approve,
    reject,
    _simple("withdraw", "withdraw", "Take back your approval.", reason_required=False),
    _simple("pause", "pause", "Stop the run at the next safe point."),
    _simple("resume", "resume", "Let a paused run go on."),
    _simple("continue", "continue", "Go on past a gate that asked for a person."),
    _simple("retry", "retry_step", "Try the failed step again, with the same inputs."),
    _simple("rerun", "rerun_step", "Run the step again with what is in force now."),
    _simple("mark-failed", "mark_step_failed", "Call the open step failed."),
    rollback,
    _simple("retry-rollback", "retry_rollback", "Try a failed rollback again."),
    _simple("cancel", "cancel", "End a run that has changed nothing yet."),
    close,
    _simple("comment", "comment", "Put a note on the record."),
)
