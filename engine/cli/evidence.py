"""`evidence`: what a run can prove, to look at and to hand over."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from engine.cli.call import Call, Noun, page, pass_call
from engine.cli.door import open_door
from engine.cli.exits import BAD_CONFIG, CONFLICT, Ended


@click.group(cls=Noun)
def evidence() -> None:
    """List and export the evidence of a run."""


@evidence.command("list")
@click.argument("run_id", metavar="RUN")
@pass_call
def list_evidence(call: Call, run_id: str) -> None:
    """What was sealed, in order."""
    with open_door(call) as door:
        answer = door.get(f"/runs/{run_id}/evidence")
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
    type=click.Choice(["partial", "bundle", "audit-pack"]),
    default="audit-pack",
    show_default=True,
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file or a folder.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@pass_call
def export(call: Call, run_id: str, kind: str, output: Path | None, force: bool) -> None:
    """Write the evidence into one file that can be verified without us."""
    with open_door(call) as door:
        name, content = door.download(f"/runs/{run_id}/evidence/export", kind=kind)
    path = output or Path(name)
    if path.is_dir():
        path /= name
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(content)
    except FileExistsError:
        raise Ended(CONFLICT, f"{path} exists.", hint="--force overwrites it.") from None
    except OSError as error:
        raise Ended(BAD_CONFIG, f"{path}: can't be written: {error.strerror}") from None
    digest = hashlib.sha256(content).hexdigest()
    call.give({"file": str(path), "sha256": digest, "size": len(content), "kind": kind})
    call.say(str(path), f"sha256 {digest}, {len(content)} bytes", f"releaseline verify {path}")
