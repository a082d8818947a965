"""View-models of the export centre: what can be taken, what was taken, whose a digest is. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.audit_exports import Exported, Known, Use
from engine.core.exporting import (
    ADDENDA,
    AUDIT_PACK,
    BUNDLE,
    PARTIAL,
    SIGNATURE,
    ExportState,
    file_name,
)
from engine.live_text import day_time, plural
from pages.ui import evidence_words

COLUMNS: Final = (
    {"name": "Pack"},
    {"name": "Run"},
    {"name": "Who"},
    {"name": "When", "cls": "nowrap"},
    {"name": "Size", "cls": "num"},
    {"name": "Digest"},
)
NAMES: Final = {
    PARTIAL: "Partial pack",
    BUNDLE: "Evidence bundle",
    AUDIT_PACK: "Audit pack",
    ADDENDA: "Addenda",
}
HOLDS: Final = {
    PARTIAL: "What is signed so far, with story and logs; marked PARTIAL and signed as partial.",
    BUNDLE: "Every signed statement, its proofs, the seal and the trust files. No story, no logs.",
    AUDIT_PACK: "The bundle, the story with the event behind each sentence, the logs and the "
    "instructions for tools that are not ours.",
    ADDENDA: "What people added after the seal, each signed by whoever wrote it.",
}
EMPTY: Final = (
    "No pack has left this house yet. Each one that does is listed here, with who took it."
)
NO_RUNS: Final = "There is nothing to export yet: no run has signed evidence."
EXPLAINED: Final = (
    "Each pack that was handed out, and each that a seal made. Packs of sealed runs are made once: "
    "whoever exports one gets the same bytes."
)
OURS: Final = "Is the file you hold one of ours?"
HASH_LABEL: Final = "Choose or drop the file you hold"
HASH_NOTE: Final = "Its SHA-256 is reckoned in your browser. The file is not uploaded."
NO_CRYPTO: Final = (
    "This browser reckons digests only over https or on localhost. Type what "
    "`sha256sum FILE` prints instead."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A pack that can be taken; `why_not` says why it can't be now."""

    kind: str
    name: str
    file: str
    holds: str
    href: str
    why_not: str

    @property
    def said(self) -> str:
        return self.why_not or self.holds


def offers(run_id: str, states: Iterable[ExportState]) -> tuple[Offer, ...]:
    return tuple(
        Offer(
            kind=state.kind,
            name=NAMES[state.kind],
            file=file_name(state.kind, run_id),
            holds=HOLDS[state.kind],
            href=href(run_id, state.kind),
            why_not="" if state.refusal is None else state.refusal.sentence,
        )
        for state in states
    )


def href(run_id: str, kind: str) -> str:
    return f"/api/v1/runs/{run_id}/evidence/export?kind={kind}"


def pack_name(kind: str) -> str:
    bare = kind.removesuffix(SIGNATURE)
    name = NAMES.get(bare, bare)
    return f"{name}, its signature" if kind != bare else name


def rows(exports: Sequence[Exported]) -> list[dict[str, Any]]:
    return [_row(one) for one in exports]


def _row(one: Exported) -> dict[str, Any]:
    run = {"run": one.run_id}
    return {
        "cells": [
            {
                "text": pack_name(one.kind),
                "sub": "made by the seal" if one.sealed else f"handed out · event {one.seq}",
            },
            {
                "text": one.run_id,
                "href": evidence_words.address("proof-chains", **run),
                "open": json.dumps(["proof-chains", run]),
                "sub": f"{one.bundle} → {one.environment}",
            },
            {"text": "engine" if one.sealed else one.who},
            {"text": day_time(one.ts_us)},
            {"text": evidence_words.size(one.size)},
            {"text": evidence_words.short(one.digest), "digest": one.digest},
        ]
    }


def narrowed(exports: Iterable[Exported], *, which: str, run: str) -> tuple[Exported, ...]:
    return tuple(
        one
        for one in exports
        if (which != HANDED or not one.sealed)
        and (which != MADE or one.sealed)
        and run in {"", one.run_id}
    )


ALL: Final = "All"
HANDED: Final = "Handed out"
MADE: Final = "Made by seals"


def count_text(exports: Sequence[Exported]) -> str:
    out = sum(not one.sealed for one in exports)
    people = len({one.who for one in exports if not one.sealed})
    by = f" by {people:,} {'person' if people == 1 else 'people'}" if out else ""
    return f"{out:,} handed out{by}, {len(exports) - out:,} made by seals; newest first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`level`: OK, INFO or WARN; `lines` tell where the digest stands."""

    level: str
    head: str
    lines: tuple[str, ...]


def answer(known: Known, *, given: str = "") -> Answer:
    """Whose the bytes are, in words. `given`: the name of the file that was compared."""
    what = f"{given} is" if given else "Yes:"
    if known.trusted_root:
        text = f"{what} the trusted root that this home signs under now."
        return Answer(level="OK", head=text, lines=_uses(known.uses))
    if known.packs:
        first = known.packs[-1]
        name = pack_name(first.kind).lower()
        head = f"{what} one of ours: {name} of {first.run_id}, the same bytes."
        return Answer(level="OK", head=head, lines=tuple(_taken(one) for one in known.packs[::-1]))
    if known.uses:
        named = next((use for use in known.uses if use.name), known.uses[0])
        as_what = named.name or named.field.replace("_", " ") or "a part"
        head = f"{what} known here, as {as_what} in {named.stream}. It is not a pack."
        return Answer(level="INFO", head=head, lines=_uses(known.uses))
    return Answer(
        level="WARN",
        head="No: nothing in this house has that digest.",
        lines=(
            "A pack that was changed, even by one byte, has another digest. So has one that was "
            "unpacked and packed again.",
            "Files that exist only inside a pack (README.txt, SHA256SUMS, story.txt) are not "
            "listed one by one: verify the pack instead.",
        ),
    )


def _taken(one: Exported) -> str:
    if one.sealed:
        return f"{day_time(one.ts_us)}: made by the seal of {one.run_id}."
    return f"{day_time(one.ts_us)}: taken by {one.who} (event {one.seq} of {one.run_id})."


def _uses(uses: Sequence[Use], *, most: int = 6) -> tuple[str, ...]:
    lines = []
    for use in uses[:most]:
        step = f", step {use.step}" if use.step else ""
        name = f" as {use.name}" if use.name else ""
        event = use.kind.partition("/")[0]
        lines.append(
            f"{day_time(use.ts_us)}: event {use.seq} of {use.stream} ({event}{step}){name}."
        )
    if len(uses) > most:
        lines.append(f"and {plural(len(uses) - most, 'more event')}.")
    return tuple(lines)


def with_evidence(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Runs that have something to export, newest first: id to label."""
    return {
        str(row["run_id"]): f"{row['run_id']} · {row['bundle_name']} {row['bundle_version']} → "
        f"{row['environment']}"
        for row in rows
        if row["evidence_count"]
    }
