"""View-model of the packets: which items are shown, and what a row says. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.audit_packets import LIMIT, Packet
from engine.live_text import plural
from pages.ui import evidence_rows, evidence_words, words

ANY: Final = "Any"
PAGE: Final = 100
_RUN: Final = 2  # place of the column
COLUMNS: Final = (
    *evidence_rows.COLUMNS[:_RUN],
    {"name": "Run", "width": "23%"},
    *evidence_rows.COLUMNS[_RUN:],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What can be filtered by: only what there is."""

    runs: tuple[str, ...]
    types: tuple[str, ...]
    signers: tuple[str, ...]
    states: tuple[str, ...]


def choices(packets: Sequence[Packet]) -> Choices:
    runs = list(dict.fromkeys(packet.run_id for packet in packets))
    states = {packet.state for packet in packets}
    return Choices(
        runs=tuple(runs),
        types=tuple(sorted({evidence_words.type_of(packet) for packet in packets})),
        signers=tuple(sorted({evidence_words.signer_of(packet) for packet in packets} - {"–"})),
        states=tuple(state for state in words.EVIDENCE if state in states),
    )


def matching(
    packets: Iterable[Packet], *, run: str, kind: str, signer: str, state: str, text: str = ""
) -> tuple[Packet, ...]:
    needle = text.strip().lower().removeprefix("sha256:")
    return tuple(
        packet
        for packet in packets
        if run in {ANY, packet.run_id}
        and kind in {ANY, evidence_words.type_of(packet)}
        and signer in {ANY, evidence_words.signer_of(packet)}
        and state in {ANY, packet.state}
        and needle in _haystack(packet)
    )


def _haystack(packet: Packet) -> str:
    files = " ".join(f"{name} {digest}" for name, digest in packet.files)
    index = "" if packet.log_index is None else str(packet.log_index)
    other = packet.imported
    more = "" if other is None else f"{other.file} {other.predicate_type} {other.signer}"
    told = f"{packet.name} {packet.payload} {packet.bundle} {packet.note}"
    return f"{told} {index} {files} {more}".lower()


def rows(packets: Iterable[Packet]) -> list[dict[str, Any]]:
    return [_row(packet) for packet in packets]


def _row(packet: Packet) -> dict[str, Any]:
    number = f"item {packet.item} · " if packet.what == "captured" else ""
    sub = evidence_words.import_note(packet) or f"{number}{evidence_words.place(packet)}"
    cells = evidence_rows.cells(packet, sub=sub)
    run = {"run": packet.run_id}
    cells.insert(
        _RUN,
        {
            "text": packet.run_id,
            "href": evidence_words.address("evidence", **run),
            "open": json.dumps(["evidence", run]),
            "sub": f"{packet.bundle} → {packet.environment}",
        },
    )
    return {"tone": evidence_rows.tone(packet), "cells": cells}


def count_text(shown: int, matched: int, known: int) -> str:
    """How many of how many; and that there are more than are looked at."""
    head = f"{shown} of {plural(matched, 'item')}" if shown < matched else plural(matched, "item")
    of = "" if matched == known else f" of {known:,}"
    more = f"; only the newest {LIMIT:,} are searched" if known >= LIMIT else ""
    return f"{head}{of}, newest first{more}"


def summary(packets: Sequence[Packet]) -> str:
    """One sentence on all of it: how many, of how many runs, and what needs a look."""
    runs = len({packet.run_id for packet in packets})
    bad = [packet for packet in packets if evidence_words.look(packet).tone == "err"]
    people = sum(evidence_words.by_person(packet) for packet in packets)
    others = sum(packet.what == "imported" for packet in packets)
    text = f"{plural(len(packets), 'item')} of {plural(runs, 'run')}, {people:,} signed by people"
    text = f"{text}, {others:,} imported." if others else f"{text}."
    return f"{text} {plural(len(bad), 'item')} missing or unreadable." if bad else text


EMPTY: Final = (
    "No evidence yet. The first item is signed when the first step of a promotion has ended."
)
NO_MATCH: Final = "No item matches these filters."
EXPLAINED: Final = (
    "Each item is one signed statement about one checkpoint of a run, with its certificate, its "
    "time stamp and its receipt from the transparency log. What others attest is listed too."
)
