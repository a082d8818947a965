"""`evidence`: what a run can prove, to look at and to hand over."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from engine.cli.call import Call, Noun, page, pass_call
from engine.cli.door import open_door
from engine.cli.exits import CONFLICT, Ended
from engine.cli.values import write_file
from engine.core.exporting import AUDIT_PACK, KINDS, SEALED_KINDS, SIGNATURE


@click.group(cls=Noun)
def evidence() -> None:
    """List and export the evidence of a run, and add to it after its seal."""


@evidence.command("list")
@click.argument("run_id", metavar="RUN")
@pass_call
def list_evidence(call: Call, run_id: str) -> None:
    """What was sealed, in order."""
    with open_door(call) as door:
        answer = door.whole(f"/runs/{run_id}/evidence")
    call.give(answer)
    rows = answer["items"]
    call.table(
        ("SEQ", "WHAT", "STEP", "NAME", "LOG INDEX"),
        page(rows, "seq", "what", "step", "name", "log_index"),
    )


@evidence.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default=AUDIT_PACK,
    show_default=True,
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file or a folder.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@pass_call
def export(call: Call, run_id: str, kind: str, output: Path | None, force: bool) -> None:
    """Write the evidence into one file that can be verified without us.

    Beside a sealed pack lies its signature as one file, PACK.sigstore.json. `addenda` is what was
    added after the seal; verify it together with the audit pack.
    """
    source = f"/runs/{run_id}/evidence/export"
    with open_door(call) as door:
        name, content = door.download(source, kind=kind)
        beside = b""
        if kind in SEALED_KINDS:  # signed as one file as well
            _, beside = door.download(source, kind=f"{kind}{SIGNATURE}")
    path = output or Path(name)
    if path.is_dir():
        path /= name
    signature = path.with_name(f"{path.name}{SIGNATURE}")
    if beside and not force and signature.exists():
        raise Ended(CONFLICT, f"{signature} exists.", hint="--force overwrites it.")
    write_file(path, content, force=force)
    if beside:
        write_file(signature, beside, force=force)
    digest = hashlib.sha256(content).hexdigest()
    given = {"file": str(path), "sha256": digest, "size": len(content), "kind": kind}
    call.give({**given, "signature": str(signature)} if beside else given)
    call.say(str(path), f"sha256 {digest}, {len(content)} bytes", f"releaseline verify {path}")


@evidence.command()
@click.argument("run_id", metavar="RUN")
@click.option("--text", required=True, help="What is to be added, in your words.")
@click.option(
    "--attach", "attached", multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file to go with it; may be given several times.",
)  # fmt: skip
@pass_call
def addendum(call: Call, run_id: str, text: str, attached: tuple[Path, ...]) -> None:
    """Add a signed note to a sealed run. What was sealed stays as it is."""
    with ExitStack() as opened, open_door(call) as door:
        parts: list[tuple[str, tuple[str, Any]]] = [
            ("attach", (path.name, opened.enter_context(path.open("rb")))) for path in attached
        ]
        made = door.post(
            f"/runs/{run_id}/evidence/addenda", data={"text": text}, files=parts or None
        )
    call.give(made)
    call.say(
        f"Addendum {made['number']} of {run_id} is signed and logged (index {made['log_index']}).",
        f"{made['envelope']}  {made['name']}",
    )
