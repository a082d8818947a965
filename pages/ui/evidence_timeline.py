"""View-model of a run's evidence timeline: checkpoint by checkpoint, what is there and what not.

Pure. How much will arrive is `engine.core.evidence_forecast`'s to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from engine.audit_packets import Packet
from engine.core import evidence_forecast
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.live_text import plural
from pages.ui import evidence_card, evidence_rows, evidence_words

COLUMNS: Final = ({"name": "Checkpoint"}, *evidence_rows.COLUMNS)
EXPLAINED: Final = (
    "Every checkpoint signs what it decided and on which data, and what is signed is in the log at "
    "once. The seal then signs the proof chain, which is the list of all items and is not counted "
    "as one."
)


def rows(run: Run, packets: Sequence[Packet]) -> list[dict[str, Any]]:
    """In the order of the run; what will arrive or can't stands where it would be."""
    found: list[dict[str, Any]] = []
    others = [packet for packet in packets if packet.what == "imported"]
    for step in run.steps:
        name = step.spec.name
        own = [p for p in packets if p.step == step.id and p.what in {"captured", "missing"}]
        found += [_row(name, packet) for packet in sorted(own, key=_order)]
        if step.spec.kind is StepKind.INPUTS:
            found += [_row(name, packet) for packet in sorted(others, key=_order)]
        outlook = evidence_forecast.outlook(run, step)
        found += _absent(name, "EXPECTED", outlook.due, evidence_words.pending(step))
        found += _absent(name, "CANNOT_ARRIVE", outlook.barred, outlook.why)
    found += _chain(run, packets)
    added = [p for p in packets if p.what == "addendum"]
    return found + [_row("After the seal", packet) for packet in sorted(added, key=_order)]


def _chain(run: Run, packets: Iterable[Packet]) -> list[dict[str, Any]]:
    step = next(step for step in run.steps if step.spec.kind is StepKind.SEAL)
    count = plural(run.evidence_count, "item")
    sealed = [packet for packet in packets if packet.what == "sealed"]
    if sealed:
        lists = f"lists the {count}" if run.evidence_count > 1 else f"lists {count}"
        return [_row(step.spec.name, packet, sub=lists) for packet in sealed]
    what = evidence_words.TYPES["proof-chain"]
    state, why = (
        ("CANNOT_ARRIVE", "the run ended without it")
        if run.terminal
        else ("EXPECTED", "pending until everything else is there")
    )
    return [_line(step.spec.name, evidence_rows.absent(state, what, why))]


def _order(packet: Packet) -> tuple[int, int]:
    return packet.ts_us, packet.item


def _row(checkpoint: str, packet: Packet, *, sub: str = "") -> dict[str, Any]:
    numbered = f"item {packet.item}" if packet.what == "captured" else ""
    attempt = f"attempt {packet.attempt}" if packet.attempt > 1 else ""
    note = evidence_words.import_note(packet)
    line = _line(
        checkpoint, evidence_rows.cells(packet, sub=sub or note or numbered), attempt=attempt
    )
    return {**line, "tone": evidence_rows.tone(packet)}


def _absent(checkpoint: str, state: str, count: int, why: str) -> list[dict[str, Any]]:
    """One row for all of a step: nothing is known of them one by one."""
    if not count:
        return []
    return [_line(checkpoint, evidence_rows.absent(state, plural(count, "item"), why))]


def _line(checkpoint: str, cells: list[dict[str, Any]], *, attempt: str = "") -> dict[str, Any]:
    return {"tone": "", "cells": [{"text": checkpoint, "sub": attempt}, *cells]}


def summary(run: Run, packets: Sequence[Packet]) -> str:
    """How many items are in which state, as badges, and what is not counted among them."""
    found = Counter(p.state for p in packets if p.what == "captured")
    ahead = evidence_forecast.whole(run)
    found += Counter({s: ahead.get(s, 0) for s in ("EXPECTED", "MISSING", "CANNOT_ARRIVE")})
    told = " ".join(
        evidence_card.badge(state, found[state])
        for state in ("INVALID", *evidence_forecast.STATES)
        if found[state]
    )
    beside = [
        plural(sum(p.what == what for p in packets), name)
        for what, name in (("imported", "imported attestation"), ("addendum", "addition"))
        if any(p.what == what for p in packets)
    ]
    return f"{told} :gray[and {' and '.join(beside)}]" if beside else told
