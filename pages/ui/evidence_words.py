"""What an evidence item is called, who signed it and where it is explained. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

from engine.audit_packets import Packet
from engine.live_text import count
from pages.ui import words

# By the stem of the file; the name of a type that people read and filter by.
TYPES: Final = {
    "resolved-inputs": "Inputs",
    "policy-decision": "Policy decision",
    "approval": "Approval",
    "provenance": "Provenance",
    "deploy-attestation": "Deployment",
    "health-gate": "Health gate",
    "runtime-reachability": "Runtime trace",
    "openvex": "VEX",
    "rollback": "Rollback",
    "run-record": "Run record",
    "proof-chain": "Proof chain",
    "addendum": "Addendum",
}
_NUMBERED: Final = re.compile(r"-\d+$", re.ASCII)
_ENGINE: Final = "/run-engine"


def type_of(packet: Packet) -> str:
    if packet.what == "missing":
        return "Missing"
    if packet.what == "addendum":
        return TYPES["addendum"]
    stem = _NUMBERED.sub("", packet.stem)
    return TYPES.get(stem, stem.replace("-", " ").capitalize())


def signer_of(packet: Packet) -> str:
    """As a person reads it: the e-mail address of who signed, or the engine."""
    if packet.signed is None:
        return "–"
    return "engine" if packet.signed.signer.endswith(_ENGINE) else packet.signed.signer


def by_person(packet: Packet) -> bool:
    return packet.signed is not None and not packet.signed.signer.endswith(_ENGINE)


def short(digest: str) -> str:
    """`sha256:1a2b3c4d5e6f…`, or a dash."""
    return f"{digest[:19]}…" if digest else "–"


def place(packet: Packet) -> str:
    """Where it stands: its number in the chain, and its step."""
    later = f", attempt {packet.attempt}" if packet.attempt > 1 else ""
    return f"{packet.step}{later}" if packet.step else "the whole run"


def log_index(packet: Packet) -> str:
    return "–" if packet.log_index is None else count(packet.log_index)


def look(packet: Packet) -> words.Look:
    return words.EVIDENCE[packet.state]


def address(page: str, **parameters: str) -> str:
    return f"/{page}?{urlencode(parameters)}"


def target(packet: Packet) -> tuple[str, dict[str, str]]:
    """The page that explains an item, as its address and its parameters."""
    match packet.what:
        case "captured":
            return "evidence-item", {"run": packet.run_id, "item": str(packet.item)}
        case _:
            return "proof-chains", {"run": packet.run_id}


def size(number: int | None) -> str:
    """In bytes as far as a person counts them, else in KB and MB of 1,000."""
    if number is None:
        return "–"
    if number < 10_000:
        return f"{number:,} bytes"
    if number < 10_000_000:
        return f"{number / 1000:,.1f} KB"
    return f"{number / 1_000_000:,.1f} MB"
