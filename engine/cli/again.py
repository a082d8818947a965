"""`run rerun`, `run rollback-promotion`, `run differences`: new runs out of finished ones."""

from __future__ import annotations

from typing import Any, Final

import click

from engine.cli.actions import act, tell_preview
from engine.cli.call import Call, Leaf, pass_call
from engine.cli.door import Door, open_door
from engine.cli.values import attempt_key

_ENDED: Final = frozenset(
    {"CANCELLED", "EXPIRED", "FAILED", "REJECTED", "ROLLED_BACK", "SUCCEEDED"}
)


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", required=True, help="Why, in your words.")
@click.option("--ticket", default="", help="An incident or change number.")
@click.option("--lift-hold", is_flag=True, help="Lift the hold on its bundle, for that reason.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def rerun(call: Call, run_id: str, reason: str, ticket: str, lift_hold: bool, key: str) -> None:
    """Try again: the step at hand of a run under way, or a run that has ended as a new run.

    A new run resolves its inputs afresh and is judged by workflow and policy as they are now; the
    old run and its evidence stay as they are.
    """
    with open_door(call) as door:
        ended = door.get(f"/runs/{run_id}")["status"] in _ENDED
        if ended:
            body = {"action": "rerun", "reason": reason, "ticket": ticket, "lift_hold": lift_hold}
            _new_run(call, door, run_id, body, key)
            return
    if lift_hold:
        raise click.UsageError(f"--lift-hold: {run_id} has not ended.")
    act(call, run_id, {"action": "rerun_step", "reason": reason, "ticket": ticket}, key)


@click.command("rollback-promotion", cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", default="", help="Why, in your words; not needed for a preview.")
@click.option("--ticket", default="", help="An incident or change number.")
@click.option(
    "--plan", default="", metavar="DIGEST", help="From a preview: refuse if it has changed since."
)
@click.option("--lift-hold", is_flag=True, help="Lift the hold on the bundle that it goes back to.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def rollback_promotion(
    call: Call,
    run_id: str,
    reason: str,
    ticket: str,
    plan: str,
    lift_hold: bool,
    dry_run: bool,
    key: str,
) -> None:
    """Take a promotion back that has succeeded: a new run to the bundle that was there before.

    It waits for nobody's approval and does not soak; afterwards somebody else reviews it, and the
    bundle that was left is held.
    """
    body: dict[str, Any] = {"action": "rollback_promotion", "reason": reason, "ticket": ticket}
    with open_door(call) as door:
        if dry_run:
            told = door.post(f"/runs/{run_id}/actions", {**body, "dry_run": True})
            call.give(told)
            tell_preview(call, told)
            return
        if not reason.strip():
            raise click.UsageError("Missing option '--reason': a rollback says why.")
        body |= {"plan": plan or None, "lift_hold": lift_hold}
        _new_run(call, door, run_id, body, key)


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@pass_call
def differences(call: Call, run_id: str) -> None:
    """What a run that was made from another one rests on otherwise than that one."""
    with open_door(call) as door:
        told = door.get(f"/runs/{run_id}/differences")
    call.give(told)
    if not told["items"]:
        call.say(f"{run_id} rests on the same as {told['before']}, as far as both have come")
        return
    call.table(
        ("WHAT", told["before"].upper(), run_id.upper()),
        [[one["name"], one["before"], one["after"]] for one in told["items"]],
    )


def _new_run(call: Call, door: Door, run_id: str, body: dict[str, Any], key: str) -> None:
    answer = door.post(f"/runs/{run_id}/actions", body, key=attempt_key(key))
    call.give(answer)
    made = answer["new_run"]
    call.say(f"{made['id']}: {made['status']}, {made['bundle']} to {made['environment']}")


COMMANDS: tuple[click.Command, ...] = (rerun, rollback_promotion, differences)
