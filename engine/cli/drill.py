"""`drill`: break scratch copies of a pack, and show which check sees it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Final

import click

from engine.cli.call import Call, Leaf, pass_call
from engine.cli.exits import DONE, INVALID_EVIDENCE, NOT_FOUND, USAGE, Ended
from engine.evidence.drill import Drill, DrillCase, Thief, own_root, run_drill

_LONG: Final = 120
_BY: Final = {
    Thief.NO_KEY: "By somebody without any key:",
    Thief.OWN_KEYS: "By somebody who signs with keys of their own:",
    Thief.STOLEN_KEYS: "By a thief of every key, played with scratch keys in their place:",
}


@click.command("drill", cls=Leaf)
@click.argument("pack", metavar="PACK", type=click.Path(path_type=Path))
@click.option(
    "--trusted-root", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="trusted_root.json, got by another way than the pack.",
)  # fmt: skip
@pass_call
def drill(call: Call, pack: Path, trusted_root: Path | None) -> int:
    """Break scratch copies of PACK in every known way, and show which check catches each.

    PACK is an audit pack, an evidence bundle or a partial pack; it is only read. Exit code 0 when
    the untouched pack verifies and every broken copy is caught, 21 when not.
    """
    if not pack.exists():
        raise Ended(NOT_FOUND, f"{pack}: there is no such file.")
    if pack.is_dir():
        raise Ended(USAGE, f"{pack}: expected a pack as one file, found a folder.")
    content = pack.read_bytes()
    root = own_root(content) if trusted_root is None else trusted_root.read_bytes()
    done = run_drill(content, root, anchored=trusted_root is not None)
    call.give({"path": str(pack), **done.document()})
    _say(call, pack, done)
    return DONE if done.ok else INVALID_EVIDENCE


def _say(call: Call, pack: Path, done: Drill) -> None:
    call.say(f"{pack}: verified as it is, {len(done.untouched.checks)} checks passed.")
    for by, cases in groupby(done.cases, key=lambda case: case.by):
        call.say("", _BY[by])
        for case in cases:
            call.say(*_lines(case))
    if done.left_out:
        call.say("", "Not played on this pack:")
        call.say(*(f"  {one.name}: {one.why}" for one in done.left_out))
    call.say("", done.sentence())
    if not done.anchored:
        call.say(
            "The trust root was taken from the pack itself. One that comes from outside is what",
            "catches a pack that was signed anew as a whole: give --trusted-root.",
        )


def _lines(case: DrillCase) -> list[str]:
    check = case.caught_by
    if check is None:
        found = "    NOT CAUGHT"
    else:
        more = f" (and {case.more} more)" if case.more else ""
        found = (
            f"    caught by {check.check} of {check.file}: expected {_short(check.expected)}, "
            f"found {_short(check.found)}{more}"
        )
    note = [f"    {case.note}"] if case.note else []
    return [f"  {case.name}: {case.what}", found, *note]


def _short(text: str) -> str:
    """One line of it, cut where it gets too long to be read beside others."""
    line = " ".join(text.split())
    return line if len(line) <= _LONG else f"{line[: _LONG - 1]}…"
