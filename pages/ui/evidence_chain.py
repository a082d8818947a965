"""View-models of proof chains: the list of them, and one as a graph that can be read. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.audit_packets import Packet
from engine.audit_proofs import Proof, ProofChain
from engine.core.run import Run
from engine.core.statemachine import RunStatus
from engine.evidence.report import Report
from engine.live_text import day_time, plural
from pages.ui import evidence_words, words
from pages.ui.evidence_chain_graph import graph

COLUMNS: Final = (
    {"name": "Run"},
    {"name": "Outcome"},
    {"name": "Seal"},
    {"name": "Items", "cls": "num"},
    {"name": "Ended", "cls": "nowrap"},
    {"name": "Chain", "cls": "wide"},
)
EMPTY: Final = "No proof chain yet. One begins with the first step of a promotion that has ended."
EXPLAINED: Final = (
    "Every item of a run names the one before it by digest; the seal signs the list of all of "
    "them. So nothing can be taken out, put in or changed without a break."
)
LEGEND: Final = (
    "Thick line: the item before, by digest. Thin lines: what a statement rests on, by digest. "
    "One lane for each signer. Arrow keys move between items, Enter opens one."
)
_SEAL: Final = words.EVIDENCE["SEALED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainView:
    """Attributes:
    badge: how the chain stands, as Markdown; `sentence` says it in words.
    broken: what does not fit; loud.
    graph, rows: for the component.
    """

    badge: str
    sentence: str
    broken: tuple[str, ...]
    signers: tuple[str, ...]
    graph: dict[str, Any]
    rows: list[dict[str, Any]]
    caption: str


def list_rows(found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Args:
    found: `data.queries.runs_list`; runs without evidence have no chain.
    """
    return [_list_row(row) for row in found if row["evidence_count"]]


def _list_row(row: Mapping[str, Any]) -> dict[str, Any]:
    run = str(row["run_id"])
    ended = row["ended_us"]
    sealed = row["seal_status"] == "SEALED"
    unsealed = row["seal_status"] == "UNSEALED"
    return {
        "tone": "err" if unsealed else "",
        "cells": [
            {
                "text": run,
                "href": evidence_words.address("proof-chains", run=run),
                "open": json.dumps(["proof-chains", {"run": run}]),
                "sub": f"{row['bundle_name']} {row['bundle_version']} → {row['environment']}",
            },
            {"look": words.RUN[RunStatus(row["status"])].document()},
            {"look": seal_look(sealed=sealed, unsealed=unsealed).document()},
            {"text": str(row["evidence_count"])},
            {"text": "not yet" if ended is None else day_time(ended)},
            {"text": "sealed" if sealed else "open"},
        ],
    }


def seal_look(*, sealed: bool, unsealed: bool) -> words.Look:
    if sealed:
        return _SEAL
    if unsealed:
        return words.Look(word="UNSEALED", shape="cross", tone="err", material="error")
    return words.Look(word="OPEN", shape="ring", tone="idle", material="radio_button_unchecked")


def view(chain: ProofChain, run: Run) -> ChainView:
    """The whole page of one chain."""
    packets = [proof.packet for proof in chain.proofs]
    ends = [] if chain.seal is None else [chain.seal]
    signers = [evidence_words.signer_of(p) for p in (*packets, *ends)]
    rests = {number: [p - 1 for p in proof.rests_on] for number, proof in enumerate(chain.proofs)}
    drawn = graph(signers, rests)
    look = seal_look(sealed=run.seal_status == "SEALED", unsealed=run.seal_status == "UNSEALED")
    broken_at = {number for number, proof in enumerate(chain.proofs) if proof.broken}
    rows = [_row(proof, x) for proof, x in zip(chain.proofs, drawn.xs, strict=False)]
    if chain.seal is not None:
        rows.append(_seal_row(chain.seal, len(packets), drawn.xs[-1]))
    return ChainView(
        badge=look.badge,
        sentence=sentence(chain, run),
        broken=chain.broken,
        signers=tuple(dict.fromkeys(signers)),
        graph={
            "width": drawn.width,
            "rows": drawn.rows,
            "edges": [{"d": w.d, "from": w.start, "to": w.end} for w in drawn.wires],
            "spine": [{"d": s.d, "broken": s.end in broken_at} for s in drawn.spine],
        },
        rows=rows,
        caption=f"Proof chain of {run.run_id}, {plural(len(packets), 'item')}, in order",
    )


def sentence(chain: ProofChain, run: Run) -> str:
    count = len(chain.proofs)
    if not count:
        return "Nothing has been signed yet: the first item follows when a step has ended."
    indexes = [p.packet.log_index for p in chain.proofs if p.packet.log_index is not None]
    span = f"log indexes {min(indexes):,} to {max(indexes):,}" if indexes else "no log index"
    people = sorted(
        {
            evidence_words.signer_of(p.packet)
            for p in chain.proofs
            if evidence_words.by_person(p.packet)
        }
    )
    by = f"signed by {_listed(['the engine', *people])}"
    held = "" if chain.broken else " Every link holds."
    if chain.seal is not None:
        end = f"Sealed {day_time(chain.seal.ts_us)}, log index {chain.seal.log_index:,}."
    elif run.terminal:
        end = "The run ended without a seal."
    else:
        end = "The seal follows when the run ends."
    missing = (
        f" {plural(len(chain.missing), 'attempt')} could not be signed." if chain.missing else ""
    )
    return f"{plural(count, 'item')}, {by}; {span}.{held} {end}{missing}"


def _row(proof: Proof, x: int) -> dict[str, Any]:
    packet = proof.packet
    page, parameters = evidence_words.target(packet)
    person = evidence_words.by_person(packet)
    shape, tone = ("person", "wait") if person else ("check", "run")
    if proof.broken:
        shape, tone = "cross", "err"
    return {
        "x": x,
        "key": json.dumps([page, parameters]),
        "href": evidence_words.address(page, **parameters),
        "place": str(packet.item),
        "title": evidence_words.type_of(packet),
        "file": packet.file,
        "rests": f"{evidence_words.place(packet)}{_rests_text(proof.rests_on)}",
        "trouble": proof.broken,
        "who": evidence_words.signer_of(packet),
        "role": "a person" if person else "",
        "shape": shape,
        "tone": tone,
        "log": f"log {evidence_words.log_index(packet)}",
        "when": day_time(packet.ts_us),
        "short": evidence_words.short(packet.payload),
        "digest": packet.payload,
        "seal": False,
    }


def _rests_text(places: Sequence[int]) -> str:
    """`rests on 2, 3 and 4`; the words of what the thin lines say."""
    if not places:
        return ""
    return f" · rests on {_listed([str(place) for place in places])}"


def _listed(names: Sequence[str]) -> str:
    """`1, 2 and 3`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _seal_row(seal: Packet, count: int, x: int) -> dict[str, Any]:
    return {
        "x": x,
        "key": json.dumps(["evidence", {"run": seal.run_id}]),
        "href": evidence_words.address("evidence", run=seal.run_id),
        "place": "",
        "title": "Seal",
        "file": "proof-chain.dsse",
        "rests": f"signs the list of all {plural(count, 'item')} and of every file with them",
        "trouble": "",
        "who": evidence_words.signer_of(seal),
        "role": "",
        "shape": _SEAL.shape,
        "tone": _SEAL.tone,
        "log": f"log {evidence_words.log_index(seal)}",
        "when": day_time(seal.ts_us),
        "short": evidence_words.short(seal.payload),
        "digest": seal.payload,
        "seal": True,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    ok: bool
    head: str
    lines: tuple[str, ...]


def verified(report: Report, *, took_ms: int) -> Verdict:
    """What verifying the sealed pack came to."""
    total, failed = len(report.checks), report.failed
    if report.ok:
        head = f"{plural(total, 'check')} passed in {took_ms:,} ms, none failed."
    else:
        head = f"{len(failed)} of {plural(total, 'check')} FAILED."
    return Verdict(ok=report.ok, head=head, lines=tuple(str(check) for check in failed[:20]))


def added(packets: Sequence[Packet]) -> tuple[str, ...]:
    """Addenda in words, oldest first."""
    return tuple(
        f"Addendum {p.item}, {day_time(p.ts_us)}, by {evidence_words.signer_of(p)}: {p.note}"
        for p in packets
    )
