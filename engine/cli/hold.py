"""`hold`: bundles that may not start again because they were rolled back."""

from __future__ import annotations

import click

from engine.cli.call import Call, Noun, moment, pass_call, short
from engine.cli.door import open_door


@click.group(cls=Noun)
def hold() -> None:
    """Bundles that may not start again because they were rolled back."""


@hold.command("list")
@click.option("--environment", default="", help="Only holds in this environment.")
@pass_call
def list_holds(call: Call, environment: str) -> None:
    """Every hold in force: what, where, by which run, since when and why."""
    with open_door(call) as door:
        answer = door.whole("/holds", environment=environment)
    call.give(answer)
    call.table(
        ("ENVIRONMENT", "BUNDLE", "NAME", "RUN", "BY", "SINCE", "WHY"),
        [
            [
                one["environment"],
                short(one["bundle"]),
                one["label"],
                one["run"],
                one["by"],
                moment(one["since_us"]),
                one["why"],
            ]
            for one in answer["items"]
        ],
    )


@hold.command()
@click.option(
    "--bundle", required=True, metavar="DIGEST", help="Or a unique beginning of 8 digits or more."
)
@click.option("--from", "environment", required=True, metavar="ENV", help="The environment.")
@click.option("--reason", required=True, help="Why it may start there again.")
@pass_call
def lift(call: Call, bundle: str, environment: str, reason: str) -> None:
    """Let a bundle be promoted again to the environment that went back from it."""
    body = {"environment": environment, "bundle": bundle, "reason": reason}
    with open_door(call) as door:
        answer = door.post("/holds/lift", body)
    call.give(answer)
    one = answer["lifted"]
    call.say(f"{one['label']} may be promoted to {one['environment']} again ({one['run']})")
