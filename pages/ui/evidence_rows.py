"""Evidence items as rows of a list, alike on Packets and on the timeline of a run. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

from engine.audit_packets import Packet
from engine.live_text import day_time
from pages.ui import evidence_words, words

# In the order of `cells`.
COLUMNS: Final = (
    {"name": "Item"},
    {"name": "State"},
    {"name": "Signed by"},
    {"name": "Log index", "cls": "num"},
    {"name": "Time", "cls": "nowrap"},
    {"name": "Statement", "cls": "wide"},
)


def tone(packet: Packet) -> str:
    """Red where something is wrong, else nothing."""
    found = evidence_words.look(packet).tone
    return found if found == "err" else ""


def cells(packet: Packet, *, sub: str) -> list[dict[str, Any]]:
    """Args:
    sub: what stands below the item's type, unless there is something to say of its state.
    """
    page, parameters = evidence_words.target(packet)
    return [
        {
            "text": evidence_words.type_of(packet),
            "href": evidence_words.address(page, **parameters),
            "open": json.dumps([page, parameters]),
            "sub": packet.note or sub,
        },
        {"look": evidence_words.look(packet).document()},
        {
            "text": evidence_words.signer_of(packet),
            "title": evidence_words.whole_signer(packet),
            "sub": evidence_words.signer_note(packet),
        },
        {"text": evidence_words.log_index(packet), "mono": True},
        {"text": day_time(packet.ts_us)},
        {"text": evidence_words.short(packet.payload), "digest": packet.payload},
    ]


def absent(state: str, text: str, why: str) -> list[dict[str, Any]]:
    """Cells of what is not there."""
    return [
        {"text": text, "sub": why},
        {"look": words.EVIDENCE[state].document()},
        *({"text": "–"} for _ in COLUMNS[2:]),
    ]
