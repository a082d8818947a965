"""What people owe each other: overrides that wait for a second person, and reviews."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.call import Call, Noun, moment, pass_call
from engine.cli.door import open_door

_WHAT_MAX = 60


@click.group(cls=Noun)
def review() -> None:
    """Reviews that follow a rollback or an override."""


@review.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only those that nobody has closed yet.")
@pass_call
def list_reviews(call: Call, only_open: bool) -> None:
    """Reviews, the one that is due first, first."""
    with open_door(call) as door:
        answer = door.whole("/reviews", open=only_open)
    call.give(answer)
    call.table(
        ("RUN", "NO", "KIND", "BY", "DUE", "STATE", "WHAT"),
        [
            [
                row["run_id"],
                row["number"],
                row["kind"],
                " and ".join(row["doers"]),
                moment(row["due_us"]),
                _state(row),
                row["what"][:_WHAT_MAX],
            ]
            for row in answer["items"]
        ],
    )


def _state(row: dict[str, Any]) -> str:
    if row["closed_us"] is None:
        return "OVERDUE" if row["overdue"] else "open"
    word = row["verdict"].replace("_", " ")
    ticket = f" {row['ticket']}" if row["ticket"] else ""
    return f"{word}{ticket} ({row['closed_by']})"


def say_owed(call: Call, found: dict[str, Any]) -> None:
    """Below a run: the override that waits, and the reviews that are open."""
    ask = found["override"]
    if ask is not None:
        call.say(
            f"override: {ask['asked_by']} asks to {ask['action'].replace('_', ' ')} although "
            f"{ask['against'].rstrip('.')}. "
            f'Reason: "{ask["reason"]}". A second person confirms it until '
            f"{moment(ask['expires_us'])}."
        )
    for one in found["reviews"]:
        if one["closed_us"] is None:
            late, who = " OVERDUE" if one["overdue"] else "", " and ".join(one["doers"])
            call.say(
                f"review {one['number']}{late}: {one['what']} (by {who}), due "
                f"{moment(one['due_us'])}"
            )


def said_after(answer: dict[str, Any]) -> str:
    """What an action that only asked for an override amounts to; empty for any other."""
    ask = answer["run"]["override"]
    asked = any(event["kind"] == "override.requested/1" for event in answer["events"])
    if not asked or ask is None:
        return ""
    return (
        f"asked for, nothing has moved: a second person confirms it with the same command until "
        f"{moment(ask['expires_us'])}"
    )
