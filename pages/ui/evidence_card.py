"""View-model of a run's evidence beside its steps: how much there is, and what one step left. Pure.

The same states, by the same function, as on the evidence timeline (`core.evidence_forecast`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core import evidence_forecast
from engine.core.exporting import AUDIT_PACK, PARTIAL, ExportState
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.state import StepState
from pages.ui import evidence_exports, evidence_words, words
from pages.ui.evidence_exports import Offer

_BUTTON: Final = {PARTIAL: "Export evidence (partial)", AUDIT_PACK: "Export audit pack"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Attributes:
    badges: how many items are in which state, as Markdown.
    text: the forecast, and what follows.
    """

    badges: str
    text: str


def card(run: Run) -> Card:
    found = evidence_forecast.whole(run)
    badges = [badge(state, count) for state, count in found.items()]
    return Card(
        badges=" ".join(badges), text=f"{evidence_forecast.sentence(run)} {_chain_text(run)}"
    )


def badge(state: str, count: int) -> str:
    look = words.EVIDENCE[state]
    return f":{look.colour}-badge[:material/{look.material}: {count} {look.word.lower()}]"


def _chain_text(run: Run) -> str:
    if run.seal_status == "SEALED":
        return "The proof chain over them is signed."
    if run.terminal:
        return "The proof chain could not be signed."
    return "The proof chain over them and the packs follow with Seal Evidence."


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    label: str
    offer: Offer


def export_button(run: Run, states: Iterable[ExportState]) -> Button:
    """The pack that a run has at this moment; by the one rule of `core.exporting`.

    Args:
        states: every kind of pack, each with why this person can't have it now.
    """
    kind = AUDIT_PACK if run.seal_status == "SEALED" else PARTIAL
    offer = next(o for o in evidence_exports.offers(run.run_id, states) if o.kind == kind)
    return Button(label=_BUTTON[kind], offer=offer)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceItem:
    """One line: in which state it is, and its digest or what it waits for.

    Attributes:
        item: its place in the proof chain, on the line that opens its page; else 0.
    """

    state: str
    name: str
    text: str
    digest: str = ""
    item: int = 0

    def document(self) -> dict[str, str]:
        look = words.EVIDENCE[self.state]
        return {
            "name": self.name,
            "text": f"sha256:{self.digest[7:19]}… {self.text}" if self.digest else self.text,
            "digest": self.digest,
            "href": f"/api/v1/blobs/{self.digest}" if self.digest else "",
            "mark": look.shape,
            "tone": look.tone,
        }


def items(run: Run, step: StepState, rows: Sequence[Mapping[str, Any]]) -> tuple[EvidenceItem, ...]:
    """What a step left, what it will leave and what it can't any more; the proof chain last.

    Args:
        rows: `data.queries.run_evidence`.
    """
    own = [row for row in rows if row["step"] == step.id and row["what"] == "captured"]
    newest = max((int(row["attempt"]) for row in own), default=0)
    found = [item for row in own for item in _captured(run, row, newest)]
    outlook = evidence_forecast.outlook(run, step)
    missing = [attempt.number for attempt in step.attempts if attempt.evidence_missing]
    found += [_absent("MISSING", "could not be signed", f"attempt {n}") for n in missing]
    lost = evidence_forecast.ways_lost(run, step)
    found += [_absent("MISSING", "could not be signed", f"way back {n}") for n in lost]
    found += [_absent("EXPECTED", evidence_words.pending(step))] * outlook.due
    found += [_absent("CANNOT_ARRIVE", outlook.why)] * outlook.barred
    return (*found, _chain(run))


def _absent(state: str, why: str, more: str = "") -> EvidenceItem:
    word = words.EVIDENCE[state].word.lower()
    return EvidenceItem(
        state=state,
        name=f"Evidence of {more}" if more else "One item",
        text=f"{word}: {why}",
    )


def _captured(run: Run, row: Mapping[str, Any], newest: int) -> list[EvidenceItem]:
    """The envelope, its receipt of the transparency log, then whatever else belongs to the item."""
    state = "SEALED" if run.seal_status == "SEALED" else "LOGGED"
    if int(row["attempt"]) < newest:
        state = "SUPERSEDED"
    word, envelope = words.EVIDENCE[state].word.lower(), str(row["name"])
    found = [
        EvidenceItem(
            state=state,
            name=f"DSSE envelope: {_file(envelope)}",
            text=f"{word} · item {row['item']}",
            digest=str(row["envelope"]),
            item=int(row["item"]),
        )
    ]
    others = []
    for file in row["files"]:
        name, digest = _file(str(file["name"])), str(file["digest"])
        if name.endswith("rekor-entry.json"):
            index = f"transparency log index {row['log_index']}"
            receipt = EvidenceItem(
                state=state, name=f"Rekor receipt: {name}", text=index, digest=digest
            )
            found.append(receipt)
        elif str(file["name"]) != envelope:
            others.append(EvidenceItem(state=state, name=name, text="", digest=digest))
    return [*found, *others]


def _file(path: str) -> str:
    return path.rpartition("/")[2]


def _chain(run: Run) -> EvidenceItem:
    name = "Proof chain"
    if run.chain is not None:
        text = f"over all {run.evidence_count} items"
        return EvidenceItem(state="SEALED", name=name, text=text, digest=str(run.chain))
    if run.terminal:
        return EvidenceItem(state="CANNOT_ARRIVE", name=name, text="the run ended without it")
    seal = next(step for step in run.steps if step.spec.kind is StepKind.SEAL)
    text = f"pending until the step {seal.spec.name}"
    return EvidenceItem(state="EXPECTED", name=name, text=text)
