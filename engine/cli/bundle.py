"""`bundle`: what can be promoted."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from engine.cli.call import Call, Noun, page, pass_call
from engine.cli.door import open_door
from engine.cli.exits import INPUT, USAGE, Ended
from engine.core.oci import SCHEME, parse_reference
from engine.core.outbound import Allowed

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Noun)
def bundle() -> None:
    """Create, list and show bundles."""


@bundle.command()
@click.argument("sources", metavar="FILE_OR_DIR_OR_OCI...", nargs=-1, required=True)
@click.option("--name", required=True)
@click.option("--version", required=True)
@click.option("--sbom", "sboms", multiple=True, type=_FILE, help="CycloneDX or SPDX.")
@click.option("--vex", multiple=True, type=_FILE, help="OpenVEX, CycloneDX VEX or CSAF.")
@click.option("--provenance", multiple=True, type=_FILE, help="SLSA provenance.")
@click.option(
    "--reachability", multiple=True, type=_FILE,
    help="A call graph, govulncheck's JSON, or observations at run time.",
)  # fmt: skip
@click.option(
    "--registry-user", default="", metavar="USER",
    help="At the registry of oci://; the password is in RELEASELINE_REGISTRY_PASSWORD.",
)  # fmt: skip
@click.option("--plain-http", is_flag=True, help="Ask the registry of oci:// without TLS.")
@pass_call
def create(
    call: Call,
    sources: tuple[str, ...],
    name: str,
    version: str,
    sboms: tuple[Path, ...],
    vex: tuple[Path, ...],
    provenance: tuple[Path, ...],
    reachability: tuple[Path, ...],
    registry_user: str,
    plain_http: bool,
) -> None:
    """Make a bundle of files; a folder stands for the files in it. Prints its digest.

    oci://HOST/REPOSITORY:TAG is pulled here, and is then its manifest, its config and its layers,
    each under its digest; of an index its manifests. The tag is resolved once: what it means later
    changes no bundle.

    The same files under the same name and version are the same bundle.
    """
    with tempfile.TemporaryDirectory(prefix="rl-oci-") as folder:
        paths = _sources(sources, Path(folder), registry_user, plain_http)
        made = _made(call, paths, name, version, sboms, vex, provenance, reachability)
    call.give(made)
    call.say(made["digest"])


def _sources(sources: Sequence[str], folder: Path, user: str, plain_http: bool) -> tuple[Path, ...]:
    """Every source as files and folders; images are pulled into `folder`."""
    images = [one for one in sources if one.startswith(SCHEME)]
    if len(images) > 1:
        raise Ended(USAGE, "expected one oci:// image: the parts of two have the same names.")
    paths: list[Path] = []
    for one in sources:
        if one in images:
            paths += _pulled(one, folder, user, plain_http)
        elif Path(one).exists():
            paths.append(Path(one))
        else:
            raise Ended(USAGE, f"{one}: there is no such file or folder.")
    return tuple(paths)


def _pulled(text: str, folder: Path, user: str, plain_http: bool) -> tuple[Path, ...]:
    from engine.adapters.guarded_http import GuardedHttp  # noqa: PLC0415 (the network loads slowly)
    from engine.adapters.oci_registry import DigestMismatch, Registry  # noqa: PLC0415

    wanted = parse_reference(text)
    host = wanted.host.replace("[", "").replace("]", "")
    registry = Registry(
        http=GuardedHttp(Allowed(hosts=frozenset({host}))),  # named by whoever types
        host=wanted.host,
        user=user,
        password=os.environ.get("RELEASELINE_REGISTRY_PASSWORD", ""),
        secure=not plain_http,
    )
    try:
        pulled = registry.pull(wanted, folder)
    except DigestMismatch as mismatch:
        raise Ended(INPUT, str(mismatch)) from None
    click.echo(f"{text} is {pulled.digest} now", err=True)
    return pulled.files


def _made(
    call: Call,
    paths: tuple[Path, ...],
    name: str,
    version: str,
    sboms: tuple[Path, ...],
    vex: tuple[Path, ...],
    provenance: tuple[Path, ...],
    reachability: tuple[Path, ...],
) -> Any:
    files = [("component", path) for path in _expand(paths)]
    files += [("sbom", path) for path in sboms]
    files += [("vex", path) for path in vex]
    files += [("provenance", path) for path in provenance]
    files += [("reachability", path) for path in reachability]
    with ExitStack() as opened, open_door(call) as door:
        parts: list[tuple[str, tuple[str, Any]]] = [
            (field, (path.name, opened.enter_context(path.open("rb")))) for field, path in files
        ]
        return door.post("/bundles", data={"name": name, "version": version}, files=parts)


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
