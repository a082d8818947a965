"""`admin link` and `token`: how people and programs get in."""

from __future__ import annotations

import click

from engine.cli.call import Call, Noun, moment, pass_call
from engine.cli.door import Remote, open_door


@click.group(cls=Noun)
def admin() -> None:
    """Sign-in links."""


@admin.command()
@click.option("--user", required=True, help="Who signs in; a person of the settings.")
@pass_call
def link(call: Call, user: str) -> None:
    """Make a link that signs USER in once, within 15 minutes.

    Works for an admin, and for whoever has a shell on the home.
    """
    with open_door(call) as door:
        made = door.post("/links", {"user": user})
        url = door.url if isinstance(door, Remote) else ""
    path = f"/first-run#{made['secret']}"
    call.give({"user": user, "path": path, "url": f"{url}{path}" if url else ""})
    if url:
        call.say(f"{url}{path}")
    else:
        call.say(path, "No server runs on this home now; open this path on it once it does.")


@click.group(cls=Noun)
def token() -> None:
    """Tokens for people and programs."""


@token.command()
@click.option("--user", required=True, help="Whose roles it has; a person of the settings.")
@click.option("--service", is_flag=True, help="For a program: it never counts as an approver.")
@pass_call
def create(call: Call, user: str, service: bool) -> None:
    """Make a token; it is shown this once."""
    with open_door(call) as door:
        made = door.post("/tokens", {"user": user, "service": service})
    call.give(made)
    call.say(made["token"])


@token.command("list")
@pass_call
def list_tokens(call: Call) -> None:
    """The tokens in force; their secrets are not kept."""
    with open_door(call) as door:
        answer = door.get("/tokens")
    call.give(answer)
    call.table(
        ("ID", "USER", "KIND", "EXPIRES"),
        [
            [t["id"], t["user"], "service" if t["service"] else "person", moment(t["expires_us"])]
            for t in answer["items"]
        ],
    )


@token.command()
@click.argument("token_id", metavar="ID")
@click.option("--reason", default="revoked", show_default=True)
@pass_call
def revoke(call: Call, token_id: str, reason: str) -> None:
    """End a token at once."""
    with open_door(call) as door:
        answer = door.delete(f"/tokens/{token_id}", reason=reason)
    call.give(answer)
    call.say(f"Token {token_id} is revoked.")
