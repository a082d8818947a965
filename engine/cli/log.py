"""`log`: the transparency log's head, a proof that it only grew, and a check of all of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from engine.cli.call import Call, Noun, moment, pass_call
from engine.cli.door import Door, open_door
from engine.cli.exits import DONE, INVALID_EVIDENCE, USAGE, Ended
from engine.core.errors import ReleaselineError
from engine.evidence.checkpoint import is_size, open_checkpoint, parse_vkey
from engine.evidence.merkle import verify_consistency


@dataclass(frozen=True, slots=True)
class _Point:
    """A tree of the log. `root` None: whatever the log says it was."""

    size: int
    root: bytes | None


@click.group(cls=Noun)
def log() -> None:
    """The transparency log of a home."""


@log.command()
@click.option("--origin", default="", help="Of a former log; by default the present one.")
@pass_call
def checkpoint(call: Call, origin: str) -> None:
    """Print the newest signed head, as an auditor may keep it."""
    with open_door(call) as door:
        head = door.get("/log", origin=origin)
    call.give(head)
    call.say(head["checkpoint"].rstrip("\n"))
    seen = ", ".join(moment(at * 1_000_000) for at in head["cosigned_at_s"])
    call.say(
        "",
        f"log      {head['vkey']}",
        f"witness  {head['witness'] or 'none'}{f', signed {seen}' if seen else ''}",
    )


@log.command()
@click.argument("first", metavar="FROM")
@click.argument("second", metavar="[TO]", required=False)
@click.option("--origin", default="", help="Of a former log; by default the present one.")
@pass_call
def consistency(call: Call, first: str, second: str | None, origin: str) -> int:
    """Prove that the log at FROM is the beginning of the log at TO (default: its newest head).

    FROM and TO are sizes, or files with a checkpoint that was kept: its signature is verified, and
    its root has to be the one that the log had.
    """
    with open_door(call) as door:
        head = door.get("/log", origin=origin)
        start = _point(first, head)
        end = (
            _Point(head["size"], bytes.fromhex(head["root"]))
            if second is None
            else _point(second, head)
        )
        proof = _proof(door, start, end, head)
    problem = _problem(start, end, proof)
    call.give({**proof, "ok": not problem, "problem": problem})
    if problem:
        call.say(f"NOT CONSISTENT: {problem}")
        return INVALID_EVIDENCE
    call.say(*proof["hashes"])
    call.say(f"The {start.size} leaves are the beginning of the {end.size} of {proof['origin']}.")
    return DONE


@log.command()
@pass_call
def fsck(call: Call) -> int:
    """Read every leaf, head, file, and what the journal says of them, and compare them all."""
    with open_door(call) as door:
        report = door.post("/log/fsck")
    call.give(report)
    call.say(*report["findings"])
    counted = f"{report['leaves']} leaves, {report['heads']} heads, {report['receipts']} receipts"
    call.say(f"{counted}: {'nothing is wrong' if report['ok'] else 'NOT AS IT WAS SIGNED'}.")
    return DONE if report["ok"] else INVALID_EVIDENCE


def _point(text: str, head: dict[str, Any]) -> _Point:
    if is_size(text):
        return _Point(int(text), None)
    path = Path(text)
    try:
        note = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Ended(
            USAGE, f"{text}: expected a size or a file with a checkpoint: {error}"
        ) from None
    kept = open_checkpoint(note, parse_vkey(head["vkey"]), where=text)
    return _Point(kept.size, kept.root)


def _proof(door: Door, start: _Point, end: _Point, head: dict[str, Any]) -> dict[str, Any]:
    if start.size > end.size or end.size > head["size"]:
        for point in (start, end):
            if point.size > head["size"] and point.root is not None:
                raise Ended(
                    INVALID_EVIDENCE,
                    f"The log has {head['size']} leaves, and a checkpoint of {point.size} was "
                    "signed: leaves are missing.",
                )
        raise Ended(USAGE, f"expected FROM <= TO <= {head['size']}.")
    proof: dict[str, Any] = door.get(
        "/log/consistency", first=start.size, second=end.size, origin=head["origin"]
    )
    return proof


def _problem(start: _Point, end: _Point, proof: dict[str, Any]) -> str:
    try:
        verify_consistency(
            first=start.size,
            second=end.size,
            first_root=start.root or bytes.fromhex(proof["first_root"]),
            second_root=end.root or bytes.fromhex(proof["second_root"]),
            proof=[bytes.fromhex(one) for one in proof["hashes"]],
        )
    except ReleaselineError as error:
        return str(error)
    return ""
