"""`attestation`: what others attest of a bundle or a run, taken in and listed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from engine.cli.call import Call, Noun, pass_call
from engine.cli.door import open_door
from engine.cli.exits import USAGE, Ended

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_HEADS = ("DIGEST", "WHAT", "ABOUT", "SAYS", "SIGNED BY", "TRUSTED AS", "")


@click.group(cls=Noun)
def attestation() -> None:
    """Take in what others attest of a bundle or run."""


@attestation.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--bundle", metavar="DIGEST", help="The bundle that they are about.")
@click.option("--run", "run_id", metavar="RUN", help="The run that they are for.")
@pass_call
def import_files(
    call: Call, files: tuple[Path, ...], bundle: str | None, run_id: str | None
) -> None:
    """Take in DSSE envelopes or Sigstore bundles; a .jsonl file has one in each line.

    Each has to be signed by somebody that `trust` in the settings names, and about the bundle's
    manifest or one of its components, by digest. All of them are taken in, or none.
    """
    place = _place(bundle, run_id)
    with ExitStack() as opened, open_door(call) as door:
        parts: list[tuple[str, tuple[str, Any]]] = [
            ("attestation", (path.name, opened.enter_context(path.open("rb")))) for path in files
        ]
        answer = door.post(place, files=parts)
    call.give(answer)
    call.table(_HEADS, [_row(one) for one in answer["items"]])
    if any(one.get("pinned") is False for one in answer["items"]):
        call.say(
            "The gate is asked about what is not pinned once the inputs of the run are resolved."
        )


@attestation.command("list")
@click.option("--bundle", metavar="DIGEST", help="Those of a bundle.")
@click.option("--run", "run_id", metavar="RUN", help="Those that a run rests on.")
@pass_call
def list_attestations(call: Call, bundle: str | None, run_id: str | None) -> None:
    """What was taken in before."""
    place = _place(bundle, run_id)
    with open_door(call) as door:
        answer = door.whole(place)
    call.give(answer)
    call.table(_HEADS, [_row(one) for one in answer["items"]])


def _place(bundle: str | None, run_id: str | None) -> str:
    if (bundle is None) == (run_id is None):
        raise Ended(USAGE, "Expected one of --bundle DIGEST and --run RUN.")
    return f"/runs/{run_id}/attestations" if bundle is None else f"/bundles/{bundle}/attestations"


def _row(one: dict[str, Any]) -> list[object]:
    about = ", ".join(part["name"] for part in one["about"])
    notes = []
    if one.get("new") is False:
        notes.append("known already")
    if "pinned" in one:
        notes.append("pinned by the inputs" if one["pinned"] else "not pinned")
    signer = one["signer"] if len(one["signer"]) <= 60 else f"{one['signer'][:57]}..."
    return [one["digest"][7:19], one["title"], about, one["says"], signer, one["trust"],
            ", ".join(notes)]  # fmt: skip
