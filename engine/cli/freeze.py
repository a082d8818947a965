"""`freeze`: windows in which promotions may not start, or may at all."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.call import Call, Noun, moment, pass_call
from engine.cli.door import open_door

_WALL = "'YYYY-MM-DD HH:MM'"


@click.group(cls=Noun)
def freeze() -> None:
    """Windows in which promotions may not start (DENY), or may at all (ALLOW)."""


@freeze.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; it goes on record.")
@click.option("--owner", default="", metavar="USER", help="Who answers for it (default: you).")
@click.option(
    "--env", "environments", multiple=True, metavar="ENV", help="Left out: every one; repeat it."
)
@click.option(
    "--region", "regions", multiple=True, metavar="REGION", help="Left out: every one; repeat it."
)
@click.option("--allow", is_flag=True, help="Promotions only inside of it (default: none inside).")
@click.option("--from", "begins", default="", metavar=_WALL, help="Left out: from now on.")
@click.option("--until", "ends", default="", metavar=_WALL, help="Left out: until it is ended.")
@click.option(
    "--weekly",
    default="",
    metavar="DAYS HH:MM-[DAY ]HH:MM",
    help="Only then, every week: 'MO-FR 09:00-17:00', 'FR 18:00-MO 08:00'.",
)
@click.option(
    "--zone", default="UTC", metavar="NAME", show_default=True, help="Of all these times."
)
@click.option("--hotfix", is_flag=True, help="Hotfixes may pass, with one more approval.")
@click.option("--ticket", default="", help="A change or incident number.")
@pass_call
def add(call: Call, /, allow: bool, zone: str, **wish: Any) -> None:
    """Set a freeze. Without --until and --weekly it stops the line until somebody ends it.

    A run under way finishes its step and then pauses. Rolling back is never barred.
    """
    body = wish | {
        "kind": "ALLOW" if allow else "DENY",
        "time_zone": zone,
        "environments": list(wish["environments"]),
        "regions": list(wish["regions"]),
    }
    with open_door(call) as door:
        made = door.post("/freezes", body)
    call.give(made)
    call.say(f"{made['id']} {made['name']}: {made['does']}; {', '.join(made['covers'])}")
    call.say(*(f"  {note}" for note in made["notes"]))


@freeze.command("list")
@click.option("--environment", default="", help="Only what applies there.")
@pass_call
def list_freezes(call: Call, environment: str) -> None:
    """Every freeze that nobody has ended: what it does, where, whose, and when next."""
    with open_door(call) as door:
        answer = door.whole("/freezes", environment=environment)
    call.give(answer)
    call.table(
        ("ID", "KIND", "NAME", "WHERE", "NOW", "FROM", "UNTIL", "WEEKLY", "OWNER", "WHY"),
        [
            [
                one["id"],
                one["kind"],
                one["name"],
                ", ".join(one["covers"]),
                "inside" if one["active"] else "outside",
                moment(one["window_from_us"]),
                moment(one["window_until_us"]),
                f"{one['weekly']} {one['time_zone']}" if one["weekly"] else "",
                one["owner"],
                one["reason"],
            ]
            for one in answer["items"]
        ],
    )


@freeze.command()
@click.argument("freeze_id", metavar="ID")
@click.option("--reason", required=True, help="Why promotions may start again.")
@click.option("--ticket", default="", help="A change or incident number.")
@pass_call
def end(call: Call, freeze_id: str, reason: str, ticket: str) -> None:
    """End a freeze now, whatever its window says."""
    with open_door(call) as door:
        answer = door.post(f"/freezes/{freeze_id}/end", {"reason": reason, "ticket": ticket})
    call.give(answer)
    call.say(f"{answer['ended']} {answer['name']} has ended")
