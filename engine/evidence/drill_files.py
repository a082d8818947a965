"""Drills on the files of a pack without any key, and on what the pack says of itself.

Where it makes the drill harder to notice, SHA256SUMS is written anew, so that the list fits the
files again and only its signature, or another one, can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.core.exporting import WATERMARK
from engine.core.jcs import canonical
from engine.evidence.chain import FILE, STEM
from engine.evidence.drill_copy import (
    BUNDLE_ENDING,
    LeftOut,
    Original,
    Scratch,
    flipped,
    unsigned,
    without,
)
from engine.evidence.statement import MANIFEST_NAME
from engine.evidence.strict import parse_object
from engine.evidence.verify import MANIFEST, STORY, SUMS_BUNDLE, TRUST

_FINAL_NAME: Final = "audit-pack.tar.gz"


def file_drills(original: Original) -> Iterator[Scratch]:
    """Every drill that needs no key and is about no item."""
    yield from _materials(original)
    yield from _claims(original)
    yield from _ends(original)


def _materials(original: Original) -> Iterator[Scratch]:
    """Files that no item of their own signs: every byte of them hangs on the signed list."""
    files = original.files
    logs = sorted(path for path in files if path.startswith("logs/") and files[path])
    for name, paths, told in (
        ("flip.story", [STORY], "the story"),
        ("flip.step-log", logs[:1], "a step's log"),
        ("flip.head", ["log/checkpoint"], "the log's newest checkpoint"),
    ):
        path = next((one for one in paths if one in files), None)
        if path is None:
            yield LeftOut(name=name, why=f"the pack has no file for {told}")
            continue
        changed = {**files, path: flipped(files[path])}
        yield unsigned(
            name, f"One bit of {told} ({path}) was turned.", original.pack(changed), path
        )
    if STORY in files:
        lines = files[STORY].splitlines(keepends=True)
        yield unsigned(
            "story.shortened",
            "The last sentence of the story was taken out, and SHA256SUMS written anew.",
            original.relisted({**files, STORY: b"".join(lines[:-1])}),
            STORY,
        )


def _claims(original: Original) -> Iterator[Scratch]:
    """What the pack says of itself: its list, its trust root, its bundle."""
    files = original.files
    yield unsigned(
        "list.unsigned",
        "The signature over SHA256SUMS was taken out.",
        original.pack(without(files, SUMS_BUNDLE)),
        SUMS_BUNDLE,
    )
    others = sorted(path for path in files if path.endswith(BUNDLE_ENDING) and path != SUMS_BUNDLE)
    yield unsigned(
        "list.borrowed",
        f"The signature over SHA256SUMS was exchanged for the good one of {others[-1]}.",
        original.pack({**files, SUMS_BUNDLE: files[others[-1]]}),
        SUMS_BUNDLE,
    )
    yield unsigned(
        "flip.trust-root",
        "One bit of the trust root inside the pack was turned.",
        original.relisted({**files, TRUST: flipped(files[TRUST])}),
        TRUST,
    )
    yield unsigned(
        "swap.manifest",
        "The release bundle's manifest was exchanged for another.",
        original.relisted({**files, MANIFEST_NAME: b'{"another":"bundle"}'}),
        MANIFEST_NAME,
    )


def _ends(original: Original) -> Iterator[Scratch]:
    """Whether the run had ended when the pack was made, and how."""
    files = original.files
    manifest = parse_object(files[MANIFEST], where=MANIFEST)
    if original.partial:
        yield LeftOut(name="drop.chain", why="a partial pack has no proof chain")
        final = {**manifest, "partial": False, "watermark": ""}
        story = files[STORY].removeprefix(WATERMARK.encode())
        changed = {**files, MANIFEST: canonical(final), STORY: story}
        what = f"The partial pack was passed off as final, under the name {_FINAL_NAME}."
        yield unsigned(
            "partial.as-final", what, original.relisted(changed), MANIFEST, STORY,
            file_name=_FINAL_NAME,
        )  # fmt: skip
    else:
        chain_files = [path for path in files if path.startswith(f"{STEM}.")]
        yield unsigned(
            "drop.chain",
            "The proof chain was taken out, and SHA256SUMS written anew without it.",
            original.relisted(without(files, *chain_files)),
            *chain_files,
        )
        marked = {**manifest, "partial": True, "watermark": WATERMARK}
        chain = parse_object(files[FILE], where=FILE)
        outcome = "FAILED" if chain["outcome"] != "FAILED" else "SUCCEEDED"
        yield unsigned(
            "final.as-partial",
            "The whole pack was passed off as a partial one, so that its end is not asked for.",
            original.relisted({**files, MANIFEST: canonical(marked)}),
            MANIFEST,
        )
        yield unsigned(
            "outcome.changed",
            f"The outcome in {FILE} was changed from {chain['outcome']} to {outcome}.",
            original.relisted({**files, FILE: canonical({**chain, "outcome": outcome})}),
            FILE,
        )
