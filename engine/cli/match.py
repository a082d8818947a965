"""`match`: which known flaws the packages of an SBOM have, asked without a promotion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from engine.adapters.feeds_dir import FeedsDir
from engine.cli.call import Call, Leaf, pass_call
from engine.cli.door import open_door
from engine.cli.exits import INPUT, Ended
from engine.core.digest import Digest
from engine.inputs.facts import SbomSource, whole_of_sbom
from engine.inputs.feeds import FeedFacts, read_feeds
from engine.inputs.match import Match, match_packages
from engine.inputs.sbom import read_sbom
from engine.inputs.vex import HARMLESS, Statement, VexDocument, Voices
from engine.inputs.vex_reading import read_vex
from engine.ports import FeedSnapshot

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOREVER_S = 1 << 40

FEEDS = click.option(
    "--feeds",
    "feeds_dir",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of advisory feeds; without it those of the home or server.",
)
VEX = click.option(
    "--vex", "vex_files", multiple=True, type=_FILE, help="What a vendor says of them; repeatable."
)


@click.command(cls=Leaf)
@click.argument("sbom_file", metavar="SBOM", type=_FILE)
@FEEDS
@VEX
@pass_call
def match(call: Call, sbom_file: Path, feeds_dir: Path | None, vex_files: tuple[Path, ...]) -> None:
    """Match an SBOM against advisories: one line for each flaw in each package."""
    content = sbom_file.read_bytes()
    sbom = read_sbom(content, where=str(sbom_file))
    documents = [read_vex(path.read_bytes(), where=str(path)) for path in vex_files]
    facts = facts_of(snapshots_of(call, feeds_dir))
    found, gaps = match_packages(sbom.packages, facts)
    voices = _voices(documents, SbomSource(digest=Digest.of(content), sbom=sbom), sbom_file.name)
    by_flaw = voices.by_flaw()
    said = [
        voices.choose({s for name in one.names for s in by_flaw.get(name, ())}, one.package)
        for one in found
    ]
    call.give(
        [_row(one, word, with_vex=bool(documents)) for one, word in zip(found, said, strict=True)]
    )
    call.table(
        ("PACKAGE", "FLAW", "SEVERITY", "KEV", "SOURCE", "VEX"),
        [
            (one.package.purl, one.id, one.severity.word, "KEV" if one.kev else "",
             ", ".join(one.sources), "" if word is None else word.status)
            for one, word in zip(found, said, strict=True)
        ],
    )  # fmt: skip
    kev = sum(one.kev for one in found)
    call.say(f"{len(sbom.packages)} packages, {len(found)} findings, {kev} in CISA KEV.")
    unread = [*sbom.gaps, *gaps, *(gap for one in documents for gap in one.gaps)]
    if unread:
        call.say(f"Not looked at, so not known to be clean: {len(unread)}")
        call.say(*(f"  {gap}" for gap in unread))


def snapshots_of(call: Call, folder: Path | None) -> Sequence[FeedSnapshot]:
    """The feeds of a folder, or those in force in the home or on the server."""
    if folder is not None:
        return FeedsDir(folder).snapshots()
    found = []
    with open_door(call) as door:
        answer = door.whole("/feeds")
        if answer["trouble"]:
            raise Ended(INPUT, f"The feeds cannot be read: {answer['trouble']}")
        for one in answer["items"]:
            if one["digest"]:
                _, content = door.download(f"/feeds/{one['name']}/snapshot")
                found.append(
                    FeedSnapshot(
                        name=one["name"],
                        digest=Digest.parse(one["digest"]),
                        as_of_s=one["as_of_s"],
                        content=content,
                    )
                )
    return found


def facts_of(snapshots: Sequence[FeedSnapshot]) -> FeedFacts:
    """What the feeds say. Without a feed of advisories nothing would be found in anything."""
    facts = read_feeds(snapshots)
    if not facts.ecosystems:
        told = "; ".join(f"{one.id}: {one.detail}" for one in facts.scans if one.status == "FAILED")
        raise Ended(INPUT, f"There is no advisory to match against. {told}".strip())
    return facts


def _voices(documents: Sequence[VexDocument], source: SbomSource, name: str) -> Voices:
    """Whoever wrote the documents counts: whom to trust is a policy's to say, and here is none."""
    statements = tuple(one for document in documents for one in document.statements)
    return Voices(
        statements=statements,
        whole=whole_of_sbom(source, name),
        trusted=frozenset(one.author for one in statements),
        now_s=_FOREVER_S,
    )


def _row(match: Match, said: Statement | None, *, with_vex: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "purl": match.package.purl,
        "id": match.id,
        "aliases": list(match.aliases),
        "severity": match.severity.word,
        "kev": match.kev,
        "source": ", ".join(match.sources),
    }
    if with_vex:
        row["vex"] = None if said is None else {
            "status": said.status,
            "justification": said.justification,
            "author": said.author,
            "suppresses": said.status in HARMLESS and said.justification != "",
        }  # fmt: skip
    return row
