"""View-model of a run's evidence timeline: checkpoint by checkpoint, what is there and what not.

Pure. How much will arrive is `engine.core.evidence_forecast`'s to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from engine.audit_packets import Packet
from engine.core import evidence_forecast
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.state import StepState
from engine.live_text import day_time, plural
from pages.ui import evidence_words, words

COLUMNS: Final = (
    {"name": "Checkpoint"},
    {"name": "Item"},
    {"name": "State"},
    {"name": "Signed by"},
    {"name": "Log index", "cls": "num"},
    {"name": "Time", "cls": "nowrap"},
    {"name": "Statement", "cls": "wide"},
)
EXPLAINED: Final = (
    "Every checkpoint seals what it decided and on which data. What is signed is in the log at "
    "once; the seal then binds all of it into one proof chain."
)


def rows(run: Run, packets: Sequence[Packet]) -> list[dict[str, Any]]:
    """In the order of the run; what will arrive or can't stands where it would be."""
    found: list[dict[str, Any]] = []
    for step in run.steps:
        own = [p for p in packets if p.step == step.id and p.what in {"captured", "missing"}]
        found += [_row(step.spec.name, packet) for packet in sorted(own, key=_order)]
        outlook = evidence_forecast.outlook(run, step)
        lost = sum(packet.what == "missing" for packet in own)
        found += [_absent(step, "EXPECTED", "when this step has ended")] * outlook.due
        found += [_absent(step, "CANNOT_ARRIVE", outlook.why)] * max(0, outlook.barred - lost)
    found += _seal(run, packets)
    added = [p for p in packets if p.what == "addendum"]
    return found + [_row("After the seal", packet) for packet in sorted(added, key=_order)]


def _seal(run: Run, packets: Iterable[Packet]) -> list[dict[str, Any]]:
    sealed = [packet for packet in packets if packet.what == "sealed"]
    if sealed:
        return [_row("Seal", packet) for packet in sealed]
    (step,) = [step for step in run.steps if step.spec.kind is StepKind.SEAL]
    state = "CANNOT_ARRIVE" if run.terminal else "EXPECTED"
    return [_absent(step, state, "the run ended without it" if run.terminal else "at the end")]


def _order(packet: Packet) -> tuple[int, int]:
    return packet.ts_us, packet.item


def _row(checkpoint: str, packet: Packet) -> dict[str, Any]:
    page, parameters = evidence_words.target(packet)
    look = evidence_words.look(packet)
    attempt = f"attempt {packet.attempt}" if packet.attempt > 1 else ""
    return {
        "tone": look.tone if look.tone == "err" else "",
        "cells": [
            {"text": checkpoint, "sub": attempt},
            {
                "text": evidence_words.type_of(packet),
                "href": evidence_words.address(page, **parameters),
                "open": json.dumps([page, parameters]),
                "sub": packet.note or (f"item {packet.item}" if packet.item else ""),
            },
            {"look": look.document()},
            {"text": evidence_words.signer_of(packet)},
            {"text": evidence_words.log_index(packet), "mono": True},
            {"text": day_time(packet.ts_us)},
            {"text": evidence_words.short(packet.payload), "digest": packet.payload},
        ],
    }


def _absent(step: StepState, state: str, why: str) -> dict[str, Any]:
    return {
        "tone": "",
        "cells": [
            {"text": step.spec.name},
            {"text": "–", "sub": why},
            {"look": words.EVIDENCE[state].document()},
            *({"text": "–"} for _ in range(4)),
        ],
    }


def summary(packets: Sequence[Packet]) -> str:
    """What is there, by state: `11 items: 9 SEALED, 2 SUPERSEDED`."""
    states: dict[str, int] = {}
    items = [p for p in packets if p.what == "captured"]
    for packet in items:
        states[packet.state] = states.get(packet.state, 0) + 1
    told = ", ".join(f"{n} {words.EVIDENCE[state].word}" for state, n in states.items())
    lost = sum(packet.what == "missing" for packet in packets)
    text = f"{plural(len(items), 'item')}{': ' + told if told else ''}"
    return f"{text}; {lost} MISSING" if lost else text
