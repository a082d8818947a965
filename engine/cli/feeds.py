"""`feeds`: how fresh the advisory feeds are, and taking new ones from where they are published."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click

from engine.cli.call import Call, Noun, moment, pass_call, short
from engine.cli.door import Door, open_door
from engine.cli.exits import DONE, INPUT, UNREACHABLE, Ended
from engine.cli.values import write_file
from engine.core.digest import Digest
from engine.core.feeds import is_url
from engine.live_text import span

_ASK_EVERY_S: Final = 0.5


@click.group(cls=Noun)
def feeds() -> None:
    """Advisory feeds: their age against the policy's limits, and syncing them."""


@feeds.command()
@click.argument("name", required=False)
@pass_call
def status(call: Call, name: str | None) -> None:
    """Every feed against its limits; with NAME also what was tried, newest first."""
    with open_door(call) as door:
        answer = door.get(f"/feeds/{name}") if name else door.whole("/feeds")
    call.give(answer)
    if answer["trouble"]:
        call.say(f"The snapshots cannot be read: {answer['trouble']}")
    rows = [answer] if name else answer["items"]
    call.table(
        ("FEED", "STATE", "AGE", "WARN", "FAIL", "AS OF", "RECORDS", "DIGEST", "FROM", "NEXT"),
        [_row(one) for one in rows],
    )
    for one in rows:
        if one["tried"] and one["tried"]["word"] in {"FAILED", "INTERRUPTED"}:
            call.say(f"{one['name']}: the last sync brought nothing: {one['tried']['text']}")
        if one["overdue"]:
            call.say(f"{one['name']}: a sync that brings an answer is {one['overdue']}.")
    if name:
        call.say("")
        call.table(
            ("AT", "BY", "RESULT", "WHAT", "FROM"),
            [
                [moment(one["at_us"]), one["by"], one["word"], one["text"], one["source"]]
                for one in answer["history"]
            ],
        )


@feeds.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--from",
    "origin",
    metavar="DIR|URL",
    help="Take them from here, not from the configured sources. For several feeds it has a folder "
    "for each (osv, ghsa, kev, nvd, epss); for one it may be that feed's own address.",
)
@click.option(
    "--ecosystem", "ecosystems", multiple=True, help="Of OSV and GHSA, with --from; repeat it."
)
@click.option("--full", is_flag=True, help="Fetch everything anew, whatever is here.")
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Take it also when it holds much less, or is older, than what is here.",
)
@pass_call
def sync(
    call: Call,
    names: tuple[str, ...],
    origin: str | None,
    ecosystems: tuple[str, ...],
    full: bool,
    accept_loss: bool,
) -> int:
    """Take new snapshots of NAME..., or of every feed that has a source in the settings.

    What is in force stays in force until the new one is whole, checked and recorded. A failed sync
    changes nothing and says why.
    """
    body = {
        "names": list(names),
        "from": _place(origin or "", call),
        "ecosystems": list(ecosystems),
        "full": full,
        "accept_loss": accept_loss,
    }
    with open_door(call) as door:
        started = door.post("/feeds/sync", body)["started"]
        done = _followed(call, door, started)
    call.give({"items": done})
    for one in done:
        call.say(f"{one['name']:<5} {one['tried']['word']:<12} {one['tried']['text']}")
        for problem in one["tried"]["problems"]:
            call.say(f"      {problem}")
    codes = {one["tried"]["code"] for one in done} - {""}
    if not codes:
        return DONE
    return UNREACHABLE if codes <= {"unreachable", "stopped", "interrupted"} else INPUT


@feeds.command(name="export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Write over FILE where there is one.")
@pass_call
def export_them(call: Call, file: Path, force: bool) -> None:
    """Write the snapshots in force into one signed FILE, for a home that no network reaches.

    The same snapshots give the same bytes. `feeds key` prints what the other home has to trust.
    """
    with open_door(call) as door:
        _, content = door.download("/feeds/export")
    write_file(file, content, force=force)
    call.give({"file": str(file), "size": len(content), "digest": str(Digest.of(content))})
    call.say(f"{file}: {len(content):,} bytes, {Digest.of(content)}")


@feeds.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Take it also when it is older, or holds much less, than what is here.",
)
@pass_call
def import_them(call: Call, file: Path, accept_loss: bool) -> None:
    """Check FILE, and bring its snapshots into force: all of them or none.

    It has to be signed by this home, or by a key under feeds.import_keys of the settings.
    """
    with open_door(call) as door, file.open("rb") as content:
        answer = door.post(
            "/feeds/import",
            files={"file": (file.name, content, "application/gzip")},
            data={"accept_loss": str(accept_loss).lower()},
        )
    call.give(answer)
    call.table(
        ("FEED", "AS OF", "RECORDS", "ADDED", "CHANGED", "REMOVED", "FROM"),
        [
            [
                one["name"],
                moment(one["as_of_s"] * 1_000_000),
                one["records"],
                one["added"],
                one["changed"],
                one["removed"],
                one["source"],
            ]
            for one in answer["taken"]
        ],
    )
    if answer["known"]:
        call.say(f"In force already: {', '.join(answer['known'])}")
    call.say(f"Signed by {answer['signed_by']}")


@feeds.command()
@pass_call
def key(call: Call) -> None:
    """Print the public key that this home signs its exports with, as PEM."""
    with open_door(call) as door:
        _, content = door.download("/feeds/key")
    call.give({"pem": content.decode("ascii")})
    call.say(content.decode("ascii").rstrip())


def _place(origin: str, call: Call) -> str:
    """An address as it is; a folder as the server finds it."""
    if not origin or is_url(origin) or call.remote:
        return origin
    path = Path(origin)
    if not path.is_dir():
        raise Ended(INPUT, f"--from: expected a folder or an address, found {origin!r}")
    return str(path.resolve())


def _followed(call: Call, door: Door, names: list[str]) -> list[dict[str, Any]]:
    """Wait for the end of each sync, and tell on the way how far it is."""
    told: dict[str, str] = {}
    while True:
        rows = {one["name"]: one for one in door.whole("/feeds")["items"]}
        for name in names:
            said = _progress(rows[name]["progress"]) if name in rows else ""
            if said and told.get(name) != said:
                told[name] = said
                call.say(f"{name:<5} {said}")
        if not any(name in rows and rows[name]["progress"] for name in names):
            ended = [rows[name] for name in names if name in rows and rows[name]["tried"]]
            if len(ended) < len(names):
                raise Ended(UNREACHABLE, "A sync could not be recorded; the server's log says why.")
            return ended
        time.sleep(_ASK_EVERY_S)


def _progress(progress: dict[str, Any] | None) -> str:
    if not progress or not progress["what"]:
        return ""
    if not progress["unit"]:
        return str(progress["what"])
    what, done, of, unit = (progress[key] for key in ("what", "done", "of", "unit"))
    if unit == "bytes":
        done, of, unit = round(done / 1e6, 1), round(of / 1e6, 1), "MB"
    return f"{what}: {done:,} of {of:,} {unit}" if of else f"{what}: {done:,} {unit}"


def _row(one: dict[str, Any]) -> list[object]:
    limits = one["limits"]
    return [
        one["name"],
        one["word"],
        _span(one["age_s"]),
        _span(limits["warn_s"]) if limits else None,
        _span(limits["fail_s"]) if limits else None,
        moment(one["as_of_s"] * 1_000_000) if one["as_of_s"] is not None else None,
        one["records"],
        short(one["digest"]),
        one["source"],
        _next(one),
    ]


def _next(one: dict[str, Any]) -> str:
    if one["next_sync_us"] is None:
        return str(one["next_sync"])
    return f"{moment(one['next_sync_us'])} ({one['next_sync']})"


def _span(seconds: int | None) -> str | None:
    return None if seconds is None else span(seconds * 1_000_000)
