"""What an evidence item is called, who signed it and where it is explained. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from engine.audit_packets import Packet
from engine.core.attestations import title_of
from engine.core.spec import StepKind
from engine.core.state import StepState
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
_KEY: Final = 12  # digits of a key's digest that are shown


def type_of(packet: Packet) -> str:
    if packet.what == "missing":
        return "Missing"
    if packet.what == "addendum":
        return TYPES["addendum"]
    if packet.imported is not None:
        title = title_of(packet.imported.predicate_type)
        # The type of a kind that nobody here knows is an address: its path says what it is.
        return title.partition("://")[2].partition("/")[2] or title
    stem = _NUMBERED.sub("", packet.stem)
    return TYPES.get(stem, stem.replace("-", " ").capitalize())


def pending(step: StepState) -> str:
    """What the items of a step wait for that are still to come."""
    if step.spec.kind is StepKind.APPROVAL:
        return "pending until somebody decides"
    return "pending until this step has ended"


def signer_of(packet: Packet) -> str:
    """As a person reads it: the e-mail address of who signed, or the engine.

    Of an imported attestation whoever signed it, in their own words; a key by the first digits of
    its digest.
    """
    if packet.imported is not None:
        signer = packet.imported.signer
        key = signer.removeprefix("SHA256:")
        return signer if key == signer else f"key {key[:_KEY]}…"
    if packet.signed is None:
        return "–"
    return "engine" if packet.signed.signer.endswith(_ENGINE) else packet.signed.signer


def whole_signer(packet: Packet) -> str:
    """What is cut off or put into our words, to look at."""
    if packet.imported is not None:
        return packet.imported.signer
    return "" if packet.signed is None else packet.signed.signer


def by_person(packet: Packet) -> bool:
    return packet.signed is not None and not packet.signed.signer.endswith(_ENGINE)


def signer_note(packet: Packet) -> str:
    if packet.imported is not None:
        return f"trusted as {packet.imported.trust}"
    return "a person" if by_person(packet) else ""


def import_note(packet: Packet) -> str:
    """What an imported attestation is to its run; empty for our own items."""
    if packet.imported is None:
        return ""
    says = f" · says {packet.imported.says}" if packet.imported.says else ""
    named = "pinned by the inputs" if packet.imported.pinned else "not pinned"
    return f"imported {packet.item} · {named}{says}"


def short(digest: str) -> str:
    """`sha256:1a2b3c4d5e6f…`, or a dash."""
    return f"{digest[:19]}…" if digest else "–"


def place(packet: Packet) -> str:
    """To which step it belongs."""
    if packet.imported is not None:
        return "made by somebody else"
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
        case "imported":
            return "evidence-item", {"run": packet.run_id, "imported": str(packet.item)}
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


def fact(name: str, text: str) -> dict[str, str]:
    """A line of `cards.fact_list`."""
    return {"name": name, "text": text, "digest": "", "href": ""}


def digest_fact(name: str, digest: str, *, kept: bool = False) -> dict[str, str]:
    """A digest to copy; with `kept` its bytes lie in the store and can be fetched."""
    href = f"/api/v1/blobs/{digest}" if kept else ""
    return {"name": name, "text": short(digest), "digest": digest, "href": href}


def utc(at: datetime | float) -> str:
    """To the second, of a moment or of UTC seconds."""
    moment = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
