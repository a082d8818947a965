"""`waiver`: findings that two people accept for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from engine.cli.call import Call, Noun, moment, pass_call
from engine.cli.door import open_door

_STATES: Final = ("REQUESTED", "GRANTED", "REFUSED", "REVOKED", "EXPIRED")


@click.group(cls=Noun)
def waiver() -> None:
    """Findings that two people accept for a while: one asks, another one grants."""


@waiver.command()
@click.argument("finding")
@click.argument("purl")
@click.option("--reason", required=True, help="Why it may be accepted; it goes on record.")
@click.option("--days", type=click.IntRange(min=1), required=True, help="It ends after so many.")
@click.option(
    "--env", "environments", multiple=True, metavar="ENV", help="Left out: every one; repeat it."
)
@click.option("--bundle", default="", metavar="DIGEST", help="Only for this one.")
@click.option("--ticket", default="", help="A change or incident number.")
@pass_call
def request(call: Call, /, **wish: Any) -> None:
    """Ask for FINDING (CVE, GHSA or PYSEC id) in the package PURL to be accepted.

    PURL is the package as the gate names it, version included. It has no effect before a second
    person, whom the policy's config names in exception_approvers, has granted it.
    """
    with open_door(call) as door:
        made = door.post("/waivers", wish | {"environments": list(wish["environments"])})
    call.give(made)
    call.say(f"{made['id']} {made['finding']} in {made['purl']}: {made['says']}")
    who = ", ".join(made["may_judge"])
    where = ", ".join(made["environments"])
    call.say(f"  for {where}; {who} may grant it" if who else f"  for {where}; {_NOBODY}")


_NOBODY: Final = (
    "nobody may grant it: that takes an approver there whom the policy names in exception_approvers"
)


@waiver.command("list")
@click.option("--environment", default="", help="Only those for it.")
@click.option(
    "--state", type=click.Choice(_STATES, case_sensitive=False), help="Only those that are so now."
)
@pass_call
def list_waivers(call: Call, environment: str, state: str | None) -> None:
    """Every waiver that was ever asked for, the newest first."""
    with open_door(call) as door:
        answer = door.whole("/waivers", environment=environment, **_given(state))
    call.give(answer)
    call.table(
        ("ID", "STATE", "FINDING", "PACKAGE", "WHERE", "UNTIL", "BY", "GRANTED BY", "WHY"),
        [
            [
                one["id"],
                one["state"],
                one["finding"],
                one["purl"],
                ", ".join(one["environments"]),
                moment(one["expires_us"]),
                one["by"],
                one["granted"]["by"] if one["granted"] else "",
                one["reason"],
            ]
            for one in answer["items"]
        ],
    )


def _given(state: str | None) -> dict[str, str]:
    return {} if state is None else {"state": state.upper()}


@waiver.command()
@click.argument("waiver_id", metavar="ID")
@pass_call
def show(call: Call, waiver_id: str) -> None:
    """One waiver: what it is now, who did what, and which open runs rest on it."""
    with open_door(call) as door:
        one = door.get(f"/waivers/{waiver_id}")
    call.give(one)
    ticket = f" ({one['ticket']})" if one["ticket"] else ""
    call.say(
        f"{one['id']} is {one['state']}: {one['says']}",
        f"  {one['finding']} in {one['purl']}",
        f"  for {', '.join(one['environments'])}, {one['bundle'] or 'every bundle'}",
        f"  asked for by {one['by']} at {moment(one['asked_us'])}{ticket}: {one['reason']}",
    )
    for word in ("granted", "refused", "revoked"):
        deed = one[word]
        if deed:
            call.say(f"  {word} by {deed['by']} at {moment(deed['at_us'])}: {deed['reason']}")
    if one["may_judge"]:
        call.say(f"  may grant or refuse it: {', '.join(one['may_judge'])}")
    elif one["state"] == "REQUESTED":
        call.say(f"  {_NOBODY}")
    if one["runs"]:
        call.say(f"  rests on it: {', '.join(one['runs'])}")


def _saying_why(why: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What every deed about a waiver is given: which one, why, and under which ticket."""

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        for one in (
            click.option("--ticket", default="", help="A change or incident number."),
            click.option("--reason", required=True, help=f"{why}; it goes on record."),
            click.argument("waiver_id", metavar="ID"),
        ):
            command = one(command)
        return command

    return decorated


@waiver.command()
@_saying_why("Why you agree")
@pass_call
def grant(call: Call, waiver_id: str, reason: str, ticket: str) -> None:
    """Agree as the second person: from now on it holds."""
    _act(call, "grant", waiver_id, reason, ticket)


@waiver.command()
@_saying_why("Why not")
@pass_call
def refuse(call: Call, waiver_id: str, reason: str, ticket: str) -> None:
    """Say no as the second person."""
    _act(call, "refuse", waiver_id, reason, ticket)


@waiver.command()
@_saying_why("Why it holds no more")
@pass_call
def revoke(call: Call, waiver_id: str, reason: str, ticket: str) -> None:
    """End it now, or take it back. A run that waits for approval on it is judged anew."""
    _act(call, "revoke", waiver_id, reason, ticket)


def _act(call: Call, word: str, waiver_id: str, reason: str, ticket: str) -> None:
    with open_door(call) as door:
        one = door.post(f"/waivers/{waiver_id}/{word}", {"reason": reason, "ticket": ticket})
    call.give(one)
    call.say(f"{one['id']} is {one['state']}: {one['says']}")
