"""What people do to a run: every action goes through the same door and the same rules."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.call import Call, Leaf, moment, pass_call, short
from engine.cli.door import open_door
from engine.cli.review import said_after
from engine.cli.values import DURATION, attempt_key


def act(call: Call, run_id: str, body: dict[str, Any], key: str) -> None:
    """Do it and say what it caused. `key` makes a repeated call the same call."""
    with open_door(call) as door:
        answer = door.post(f"/runs/{run_id}/actions", body, key=attempt_key(key))
    told(call, run_id, answer)


def told(call: Call, run_id: str, answer: Any) -> None:
    """Say what an action caused."""
    call.give(answer)
    for event in answer["events"]:
        call.say(f"{event['seq']:>4}  {event['kind']}")
    call.say(f"{run_id}: {said_after(answer) or answer['run']['status']}")


def _simple(name: str, action: str, told: str, *, reason_required: bool = True) -> click.Command:
    @click.command(name, cls=Leaf, help=told)
    @click.argument("run_id", metavar="RUN")
    @click.option("--reason", required=reason_required, default=None, help="Why, in your words.")
    @click.option("--ticket", default="", help="An incident or change number.")
    @click.option("--idempotency-key", "key", default="", metavar="KEY")
    @pass_call
    def command(call: Call, run_id: str, reason: str | None, ticket: str, key: str) -> None:
        body = {"action": action, "reason": reason or "", "ticket": ticket}
        act(call, run_id, body, key)

    return command


def _overridable(name: str, action: str, told: str) -> click.Command:
    """An action that two people may take although something stands against it."""

    @click.command(name, cls=Leaf, help=told)
    @click.argument("run_id", metavar="RUN")
    @click.option("--reason", required=True, help="Why, in your words.")
    @click.option("--ticket", default="", help="An incident or change number.")
    @click.option(
        "--override",
        is_flag=True,
        help="Although something stands against it: the first person asks, a second confirms.",
    )
    @click.option("--idempotency-key", "key", default="", metavar="KEY")
    @pass_call
    def command(
        call: Call, run_id: str, reason: str, ticket: str, override: bool, key: str
    ) -> None:
        body = {"action": action, "reason": reason, "ticket": ticket, "override": override}
        act(call, run_id, body, key)

    return command


@click.command("break-glass", cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", required=True, help="Why it cannot wait, in your words.")
@click.option("--incident", default="", help="The incident's id; who asks first has to give it.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def break_glass(call: Call, run_id: str, reason: str, incident: str, key: str) -> None:
    """Let a run go on without its missing approvals, or into a burning environment.

    The first person asks, a second one confirms with the same command within 60 minutes. What it
    opens has to begin within 60 minutes more. A third person reviews it within 72 hours. A verdict
    of FAIL is never passed by.
    """
    act(call, run_id, {"action": "break_glass", "reason": reason, "ticket": incident}, key)


@click.command("review", cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", required=True, help="What you found, in a sentence.")
@click.option("--ticket", default="", help="Something is left to do, and goes on under this one.")
@click.option("--number", type=click.IntRange(1), default=None, help="Which of the run's reviews.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def close_review(
    call: Call, run_id: str, reason: str, ticket: str, number: int | None, key: str
) -> None:
    """Close a review of a rollback or an override that another person made.

    Without a ticket you agree to what was done. The run and its sealed evidence stay as they are.
    """
    body = {"action": "review", "reason": reason, "ticket": ticket, "review": number or 0}
    act(call, run_id, body, key)


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", default="", help="Why, in your words; not needed for a preview.")
@click.option("--ticket", default="", help="An incident or change number.")
@click.option(
    "--scope",
    type=click.Choice(["full", "target"]),
    default=None,
    help="Every changed target (the default), or only those named with --target.",
)
@click.option(
    "--target", "targets", multiple=True, metavar="TARGET", help="Only this one; may be repeated."
)
@click.option(
    "--plan", default="", metavar="DIGEST", help="From a preview: refuse if it has changed since."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def rollback(
    call: Call,
    run_id: str,
    reason: str,
    ticket: str,
    scope: str | None,
    targets: tuple[str, ...],
    plan: str,
    dry_run: bool,
    key: str,
) -> None:
    """Bring targets back to the bundle that each of them had before this run.

    Without targets by name the run itself goes back and ends. With --target it is paused, only
    those go back, and it stays paused: retry, rollback or close says how it goes on.
    """
    if scope == "target" and not targets:
        raise click.UsageError("--scope target: name at least one --target.")
    if scope == "full" and targets:
        raise click.UsageError("--scope full takes no --target.")
    body: dict[str, Any] = {
        "action": "rollback",
        "reason": reason,
        "ticket": ticket,
        "targets": list(targets),
    }
    if not dry_run:
        if not reason.strip():
            raise click.UsageError("Missing option '--reason': a rollback says why.")
        act(call, run_id, {**body, "plan": plan or None}, key)
        return
    with open_door(call) as door:
        told = door.post(f"/runs/{run_id}/actions", {**body, "dry_run": True})
    call.give(told)
    tell_preview(call, told)


def tell_preview(call: Call, told: dict[str, Any]) -> None:
    counts = told["counts"]
    call.say(
        f"{counts['revert']} will revert, {counts['unchanged']} unchanged, "
        f"{counts['irreversible']} cannot go back, {counts['unknown']} give no answer",
        f"plan {told['digest']}, seen {moment(told['observed_at_us'])}",
        "",
    )
    call.table(
        ("TARGET", "FROM", "TO", "WHAT", "NOTE"),
        [
            [row["target"], short(row["from"]), short(row["to"]), row["action"], row["note"]]
            for row in told["rows"]
        ],
    )
    for warning in told["warnings"]:
        call.say(f"warning: {warning}")


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--reason", required=True, help="Why, in your words.")
@click.option("--confirm", required=True, metavar="RUN", help="The run's id once more.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def close(call: Call, run_id: str, reason: str, confirm: str, key: str) -> None:
    """Close a paused run as failed, leaving its targets as they are."""
    act(call, run_id, {"action": "close_failed", "reason": reason, "confirm": confirm}, key)


@click.command(cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--at", "at_", required=True, metavar="YYYY-MM-DDTHH:MM", help="Local wall time.")
@click.option("--zone", default="UTC", show_default=True, help="IANA time zone.")
@click.option("--window", type=DURATION, required=True, help="For so long after that it may start.")
@click.option("--reason", default="", help="Why, in your words.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def reschedule(
    call: Call, run_id: str, at_: str, zone: str, window: int, reason: str, key: str
) -> None:
    """Let a scheduled run start at another time than its schedule says."""
    wanted = {"at": at_, "time_zone": zone, "window_s": window // 1000}
    act(call, run_id, {"action": "reschedule", "reason": reason, "window": wanted}, key)


@click.command("schedule-step", cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--step", required=True, help="One that has not begun, such as full-100.")
@click.option("--at", "at_", required=True, metavar="YYYY-MM-DDTHH:MM", help="Local wall time.")
@click.option("--zone", default="UTC", show_default=True, help="IANA time zone.")
@click.option("--window", type=DURATION, required=True, help="For so long after that it may begin.")
@click.option("--reason", default="", help="Why, in your words.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def schedule_step(
    call: Call, run_id: str, step: str, at_: str, zone: str, window: int, reason: str, key: str
) -> None:
    """Let a step begin at a time, and not before; the stage before it stays under its gate.

    A step that has not begun when its window closes does not begin late: the run pauses, and
    `run retry` lets it begin then.
    """
    wanted = {"at": at_, "time_zone": zone, "window_s": window // 1000}
    body = {"action": "schedule_step", "step": step, "reason": reason, "window": wanted}
    act(call, run_id, body, key)


@click.command("unschedule-step", cls=Leaf)
@click.argument("run_id", metavar="RUN")
@click.option("--step", required=True, help="The step whose time is taken away.")
@click.option("--reason", default="", help="Why, in your words.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def unschedule_step(call: Call, run_id: str, step: str, reason: str, key: str) -> None:
    """Let a step begin as soon as its turn comes again."""
    act(call, run_id, {"action": "unschedule_step", "step": step, "reason": reason}, key)


COMMANDS: tuple[click.Command, ...] = (
    _simple("pause", "pause", "Stop the run at the next safe point."),
    _overridable("resume", "resume", "Let a paused run go on."),
    _overridable("continue", "continue", "Let a stage pass now, when its criteria are met."),
    _simple("retry", "retry_step", "Try the failed step again, with the same inputs."),
    _simple("mark-failed", "mark_step_failed", "Call the open step failed."),
    rollback,
    _simple("retry-rollback", "retry_rollback", "Try a failed rollback again."),
    _simple("cancel", "cancel", "End a run that has changed nothing yet."),
    close,
    _simple("comment", "comment", "Put a note on the record."),
    close_review,
    _simple("start-now", "start_now", "Start a scheduled run now.", reason_required=False),
    reschedule,
    schedule_step,
    unschedule_step,
    break_glass,
    _simple("drop-override", "drop_override", "Take back, or decline, an override asked for."),
)
