"""`admin` and `token`: how people and programs get in, and are kept out again."""

from __future__ import annotations

import re
from typing import Final

import click

from engine.cli.call import Call, Noun, moment, pass_call
from engine.cli.door import Remote, open_door
from engine.core.scopes import Scope
from engine.identity.values import TOKEN_DAYS, TOKEN_DAYS_MAX

_DAYS: Final = re.compile(r"([1-9][0-9]{0,3})d", re.ASCII)


@click.group(cls=Noun)
def admin() -> None:
    """Sign-in links and sessions."""


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


@admin.command()
@pass_call
def sessions(call: Call) -> None:
    """Who is signed in: everybody for an admin, your own sessions else."""
    with open_door(call) as door:
        answer = door.whole("/sessions")
    call.give(answer)
    call.table(
        ("ID", "USER", "BY", "OPENED", "LAST USED", "ENDS UNUSED"),
        [
            [
                one["id"],
                one["user"],
                one["method"],
                moment(one["opened_us"]),
                moment(one["used_us"]),
                moment(one["ends_us"]),
            ]
            for one in answer["items"]
        ],
    )


@admin.command("end-session")
@click.argument("session_id", metavar="ID")
@click.option("--reason", default="revoked", show_default=True)
@pass_call
def end_session(call: Call, session_id: str, reason: str) -> None:
    """End a session at once, also in an open page."""
    with open_door(call) as door:
        answer = door.delete(f"/sessions/{session_id}", reason=reason)
    call.give(answer)
    call.say(f"Session {session_id} is ended.")


@admin.command("release-account")
@click.option("--user", required=True, help="Whose account it is; a person of the settings.")
@click.option("--reason", default="released", show_default=True)
@pass_call
def release_account(call: Call, user: str, reason: str) -> None:
    """Let another account of the OpenID provider sign in as USER.

    The first one that did stays theirs until then, since a name can be given to somebody else.
    """
    with open_door(call) as door:
        answer = door.delete(f"/people/{user}/account", reason=reason)
    call.give(answer)
    call.say(f"The next account that signs in as {user} is theirs.")


@click.group(cls=Noun)
def token() -> None:
    """Tokens for people and programs."""


def _days(_: click.Context, __: click.Parameter, text: str) -> int:
    match = _DAYS.fullmatch(text)
    if match is None or int(match[1]) > TOKEN_DAYS_MAX:
        raise click.BadParameter(f"expected 1d to {TOKEN_DAYS_MAX}d, found {text!r}")
    return int(match[1])


@token.command()
@click.option("--user", required=True, help="Whose roles it has; a person of the settings.")
@click.option("--service", is_flag=True, help="For a program: it never counts as an approver.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may do at most; may be given several times. Every scope lets read. Left out: "
    "read, bundles, attest and promote with --service, else whatever the user's roles give.",
)
@click.option(
    "--env",
    "environments",
    multiple=True,
    metavar="ENV",
    help="Where it may be used; may be given several times. Left out: wherever.",
)
@click.option(
    "--expires-in",
    "days",
    default=f"{TOKEN_DAYS}d",
    show_default=True,
    callback=_days,
    metavar="DAYS",
    help=f"At most {TOKEN_DAYS_MAX}d.",
)
@pass_call
def create(
    call: Call,
    user: str,
    service: bool,
    scopes: tuple[str, ...],
    environments: tuple[str, ...],
    days: int,
) -> None:
    """Make a token; it is shown this once.

    It never lets do more than the user's roles; scopes and environments let do less.
    """
    wish = {"user": user, "service": service, "environments": environments, "days": days}
    if scopes:
        wish["scopes"] = scopes
    with open_door(call) as door:
        made = door.post("/tokens", wish)
    call.give(made)
    call.say(made["token"])


@token.command("list")
@pass_call
def list_tokens(call: Call) -> None:
    """The tokens in force; their secrets are not kept."""
    with open_door(call) as door:
        answer = door.whole("/tokens")
    call.give(answer)
    call.table(
        ("ID", "USER", "KIND", "SCOPES", "ENVIRONMENTS", "EXPIRES", "LAST USED"),
        [
            [
                t["id"],
                t["user"],
                "service" if t["service"] else "person",
                ",".join(t["scopes"]) or "all",
                ",".join(t["environments"]) or "all",
                moment(t["expires_us"]),
                moment(t["used_us"]),
            ]
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
