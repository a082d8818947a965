"""`audit`: who attempted what, whether the record of it is whole, and exports of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from engine.cli.call import Call, Leaf, Noun, moment, pass_call
from engine.cli.door import open_door
from engine.cli.exits import DONE, INVALID_EVIDENCE
from engine.cli.unpack import unpacked

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FORMATS: Final = click.Choice(["csv", "jsonl", "parquet"])


def _filters(command: _Command) -> _Command:
    """The filters that listing and exporting share."""
    for option in (
        click.option("--everything", is_flag=True, help="Also what the engine did by itself."),
        click.option(
            "--self-approvals",
            is_flag=True,
            help="Attempts to let through one's own work; with --overrides, either.",
        ),
        click.option("--overrides", is_flag=True, help="Going on although something was against."),
        click.option("--denied", is_flag=True, help="Only what was not allowed."),
        click.option("--environment", default="", metavar="ENV"),
        click.option("--run", default="", metavar="RUN"),
        click.option("--quarter", default="", metavar="2026-Q4"),
        click.option("--until", default="", metavar="WHEN", help="A day means its end."),
        click.option("--since", default="", metavar="WHEN", help="2026-10-01, or a time."),
        click.option("--verb", default="", help="What was asked for: approve, rollback, sign_in."),
        click.option("--who", default="", metavar="USER"),
    ):
        command = option(command)
    return command


@click.group(cls=Noun)
def audit() -> None:
    """Who attempted what, by which proof, and what came of it."""


@audit.command("list")
@_filters
@click.option("--limit", default=50, type=click.IntRange(1, 100), help="Of one page.")
@click.option("--after", default="", help="The `next` of an earlier page.")
@pass_call
def list_records(call: Call, /, limit: int, after: str, **asked: Any) -> None:
    """Attempts, the newest first, denied ones among them."""
    with open_door(call) as door:
        answer = door.get("/audit", limit=limit, after=after, **asked)
    call.give(answer)
    call.table(
        ("EVENT", "WHEN", "WHO", "BY", "WHAT", "RESULT", "ABOUT", "WHY"),
        [
            [
                one["gseq"],
                moment(one["ts_us"]),
                one["actor"],
                f"{one['method']} {one['credential']}".strip(),
                one["verb"],
                f"{one['result']} {one['code']}".strip(),
                one["run_id"] or one["subject"].removeprefix("sha256:")[:20],
                one["why"] or one["reason"],
            ]
            for one in answer["items"]
        ],
    )
    if answer["next"]:
        call.say("", f"More behind it: --after {answer['next']}")


@audit.command()
@click.argument("event", type=int)
@pass_call
def show(call: Call, event: int) -> None:
    """One record as a whole, with its place in the chain."""
    with open_door(call) as door:
        answer = door.get(f"/audit/{event}")
    call.give(answer)
    told = {name: value for name, value in answer.items() if value not in {"", None}}
    told["body"] = json.loads(answer["body"])
    call.say(json.dumps(told, ensure_ascii=False, indent=2))


@audit.command()
@pass_call
def check(call: Call) -> int:
    """Read the chain from its beginning: is every record there, as it was written?"""
    with open_door(call) as door:
        found = door.post("/audit/check")
    call.give(found)
    if found["ok"]:
        call.say(
            f"The chain holds up to event {found['gseq']} ({found['hash'][:12]}): "
            f"{found['events']} events in {found['lines']} lines, {found['took_ms']} ms."
        )
        return DONE
    call.say(f"THE CHAIN IS BROKEN at event {found['broken_at']}: {found['problem']}")
    return INVALID_EVIDENCE


@audit.command()
@_filters
@click.option("--format", "form", type=_FORMATS, default="csv", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE")
@pass_call
def export(call: Call, /, form: str, output: Path, **asked: Any) -> None:
    """Write what the filters ask for, and FILE.manifest.json beside it."""
    with open_door(call) as door:
        _, content = door.download("/audit/export", format=form, **asked)
    unpacked(call, content, output)


@click.command("export", cls=Leaf)
@click.argument("table")
@click.option("--run", default="", metavar="RUN", help="Only rows of one run.")
@click.option("--format", "form", type=_FORMATS, default="parquet", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE")
@pass_call
def export_table(call: Call, table: str, run: str, form: str, output: Path) -> None:
    """Write TABLE as a file: runs, steps, events, verdicts, replays, approvals, ticks, samples.

    FILE.manifest.json beside it says what each column means.
    """
    with open_door(call) as door:
        _, content = door.download(f"/tables/{table}/export", format=form, run=run)
    unpacked(call, content, output)
