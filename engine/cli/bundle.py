"""`bundle`: what can be promoted."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from engine.cli.call import Call, Noun, page, pass_call
from engine.cli.door import open_door
from engine.cli.exits import USAGE, Ended

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Noun)
def bundle() -> None:
    """Create, list and show bundles."""


@bundle.command()
@click.argument(
    "paths", metavar="FILE_OR_DIR...", nargs=-1, required=True,
    type=click.Path(exists=True, path_type=Path),
)  # fmt: skip
@click.option("--name", required=True)
@click.option("--version", required=True)
@click.option("--sbom", "sboms", multiple=True, type=_FILE, help="CycloneDX or SPDX.")
@click.option("--vex", multiple=True, type=_FILE, help="OpenVEX, CycloneDX VEX or CSAF.")
@click.option("--provenance", multiple=True, type=_FILE, help="SLSA provenance.")
@click.option(
    "--reachability", multiple=True, type=_FILE,
    help="A call graph, govulncheck's JSON, or observations at run time.",
)  # fmt: skip
@pass_call
def create(
    call: Call,
    paths: tuple[Path, ...],
    name: str,
    version: str,
    sboms: tuple[Path, ...],
    vex: tuple[Path, ...],
    provenance: tuple[Path, ...],
    reachability: tuple[Path, ...],
) -> None:
    """Make a bundle of files; a folder stands for the files in it. Prints its digest.

    The same files under the same name and version are the same bundle.
    """
    files = [("component", path) for path in _expand(paths)]
    files += [("sbom", path) for path in sboms]
    files += [("vex", path) for path in vex]
    files += [("provenance", path) for path in provenance]
    files += [("reachability", path) for path in reachability]
    with ExitStack() as opened, open_door(call) as door:
        parts: list[tuple[str, tuple[str, Any]]] = [
            (field, (path.name, opened.enter_context(path.open("rb")))) for field, path in files
        ]
        made = door.post("/bundles", data={"name": name, "version": version}, files=parts)
    call.give(made)
    call.say(made["digest"])


@bundle.command("list")
@pass_call
def list_bundles(call: Call) -> None:
    """Every bundle of this home."""
    with open_door(call) as door:
        answer = door.whole("/bundles")
    call.give(answer)
    call.table(("NAME", "VERSION", "DIGEST"), page(answer["items"], "name", "version", "digest"))


@bundle.command()
@click.argument("digest", metavar="DIGEST")
@pass_call
def show(call: Call, digest: str) -> None:
    """One bundle, by its digest or a unique beginning of it (8 digits or more)."""
    with open_door(call) as door:
        found = door.get(f"/bundles/{digest}")
    call.give(found)
    call.say(
        f"{found['name']} {found['version']}", found["digest"], f"made by {found['created_by']}", ""
    )
    manifest = found["manifest"]
    rows = [
        [kind, one.get("name") or one.get("kind"), one.get("size"), one.get("digest")]
        for kind in ("components", "attachments")
        for one in manifest.get(kind, ())
    ]
    call.table(("WHAT", "NAME", "BYTES", "DIGEST"), rows)


def _expand(paths: tuple[Path, ...]) -> list[Path]:
    """Files as given, folders as the files in them (not deeper), sorted by name."""
    found: list[Path] = []
    for path in paths:
        inner = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        if not inner:
            raise Ended(USAGE, f"{path}: expected files in this folder, found none.")
        found += inner
    return found
