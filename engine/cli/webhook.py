"""`webhook`: who is told what happens here, and what became of what was sent."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.call import Call, Noun, moment, pass_call
from engine.cli.door import open_door
from engine.cli.exits import USAGE, Ended


@click.group(cls=Noun)
def webhook() -> None:
    """Who is told what happens here: add, list, remove, and what became of what was sent."""


@webhook.command()
@click.argument("name")
@click.argument("url")
@click.option(
    "--secret", metavar="env:NAME|file:PATH", help="Left out, one is made and shown once."
)
@click.option(
    "--event", "events", multiple=True, help="A stable name, FAMILY.*, * or waiting; repeat it."
)
@click.option("--env", "environments", multiple=True, help="Left out: every one; repeat it.")
@click.option("--format", "format_", type=click.Choice(["cdevents", "slack"]), default="cdevents")
@pass_call
def add(
    call: Call,
    name: str,
    url: str,
    secret: str | None,
    events: tuple[str, ...],
    environments: tuple[str, ...],
    format_: str,
) -> None:
    """Tell URL what happens here, under NAME. Needs an admin."""
    body = {
        "name": name,
        "url": url,
        "secret": secret or "",
        "events": list(events),
        "environments": list(environments),
        "format": format_,
    }
    with open_door(call) as door:
        made = door.post("/webhooks", body)
    call.give(made)
    call.say(f"{made['name']} is told {', '.join(made['events'])}.")
    if made["secret"]:
        call.say("Its secret, shown this once:", made["secret"])


@webhook.command("list")
@pass_call
def list_webhooks(call: Call) -> None:
    """Every webhook, and how much of what it was told has arrived."""
    with open_door(call) as door:
        answer = door.get("/webhooks")
    call.give(answer)
    call.table(
        ("NAME", "FORMAT", "URL", "EVENTS", "ENVIRONMENTS", "ARRIVED", "WAITING", "DEAD", "LAST"),
        [_row(one) for one in answer["items"]],
    )


@webhook.command()
@click.argument("name")
@click.option("--reason", default="removed", show_default=True)
@pass_call
def remove(call: Call, name: str, reason: str) -> None:
    """End a webhook; what still waits for it is dropped."""
    with open_door(call) as door:
        answer = door.delete(f"/webhooks/{name}", reason=reason)
    call.give(answer)
    call.say(f"{name} is told nothing any more.")


@webhook.command()
@click.argument("name")
@pass_call
def rotate(call: Call, name: str) -> None:
    """Make a new secret, shown this once; the one before signs beside it for a day."""
    with open_door(call) as door:
        answer = door.post(f"/webhooks/{name}/rotate")
    call.give(answer)
    call.say(answer["secret"])


@webhook.command()
@click.argument("name")
@pass_call
def test(call: Call, name: str) -> None:
    """Send a test message; `deliveries` then says whether it arrived."""
    with open_door(call) as door:
        answer = door.post(f"/webhooks/{name}/test")
    call.give(answer)
    call.say(f"A test message to {name} is on its way.")


@webhook.command()
@click.argument("name", required=False)
@click.option("--dead", is_flag=True, help="Only what was given up on; without NAME, of all.")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@pass_call
def deliveries(call: Call, name: str | None, dead: bool, limit: int) -> None:
    """What NAME was told, newest first; without it what is dead, of every webhook."""
    with open_door(call) as door:
        if name is None:
            answer = door.get("/dead-letters", limit=limit)
        else:
            outcome = {"outcome": "DEAD"} if dead else {}
            answer = door.get(f"/webhooks/{name}/deliveries", limit=limit, **outcome)
    call.give(answer)
    call.table(
        ("WEBHOOK", "MESSAGE", "EVENT", "RUN", "SINCE", "OUTCOME", "TRIES", "LAST ANSWER"),
        [_delivery(one) for one in answer["items"]],
    )


@webhook.command()
@click.argument("name")
@click.argument("messages", metavar="[MESSAGE]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Everything that is dead.")
@click.option("--reason", default="")
@pass_call
def redeliver(call: Call, name: str, messages: tuple[str, ...], all_: bool, reason: str) -> None:
    """Send MESSAGE... (as `deliveries` names them) once more, from the first try on."""
    if all_ == bool(messages):
        raise Ended(USAGE, "Name the messages, or say --all.")
    body = {"messages": [_message(one) for one in messages], "all": all_, "reason": reason}
    with open_door(call) as door:
        answer = door.post(f"/webhooks/{name}/redeliver", body)
    call.give(answer)
    call.say(f"{answer['redelivered']} sent again to {name}.")


def _message(text: str) -> dict[str, int]:
    gseq, _, idx = text.partition(".")
    if not (gseq.isdecimal() and (idx or "0").isdecimal()):
        raise Ended(USAGE, f"MESSAGE: expected NUMBER or NUMBER.NUMBER, found {text!r}")
    return {"gseq": int(gseq), "idx": int(idx or 0)}


def _row(one: dict[str, Any]) -> list[object]:
    last = f"{one['last_outcome']} {moment(one['last_us'])}" if one["last_us"] else None
    return [
        one["name"],
        one["format"],
        one["url"],
        ", ".join(one["events"]),
        ", ".join(one["environments"]) or "all",
        one["delivered"],
        one["waiting"],
        one["dead"],
        last,
    ]


def _delivery(one: dict[str, Any]) -> list[object]:
    status = f"{one['status']} " if one["status"] else ""
    return [
        one["webhook"],
        f"{one['gseq']}.{one['idx']}",
        one["event"],
        one["run"],
        moment(one["since_us"]),
        one["outcome"],
        one["tries"],
        f"{status}{one['note']}".strip(),
    ]
