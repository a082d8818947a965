"""View-model of one evidence item: what it says, who signed it, where it stands, how to check it.

Pure. The commands are for a folder in which a pack was unpacked, with the trusted root beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from engine.audit_items import Detail
from engine.audit_packets import Packet
from engine.evidence import clients
from engine.evidence.report import Report
from engine.evidence.statement import MANIFEST_NAME
from engine.live_text import count, plural
from pages.ui import evidence_words
from pages.ui.evidence_auditor import Command, Signer, asked_of, stock

EXPLAINED: Final = (
    "Read out of the stored bundle. Reading is not verifying: press **Verify now**, or type the "
    "commands below where this server has no say."
)
LINK: Final = "/link/v1"


def facts(detail: Detail) -> dict[str, list[dict[str, str]]]:
    """Rows of name, text and digest, by the part that they tell of."""
    leaf, receipt = detail.leaf, detail.receipt
    utc = evidence_words.utc
    sct = "none" if leaf.sct_ms is None else utc(leaf.sct_ms / 1000)
    return {
        "Certificate": [
            evidence_words.fact("Signed by", leaf.subject),
            evidence_words.fact("Issued by", leaf.issuer),
            evidence_words.fact("Valid", f"{utc(leaf.start)} to {utc(leaf.end)}"),
            evidence_words.fact("Taken in by the CT log", sct),
            evidence_words.fact("Serial number", f"{leaf.serial:x}"),
            evidence_words.digest_fact("SHA-256 of the certificate", f"sha256:{leaf.fingerprint}"),
        ],
        "Receipt of the transparency log": [
            evidence_words.fact("Place in the log", count(receipt.index)),
            evidence_words.fact(
                "Size of the log then", plural(receipt.size, "leaf").replace("leafs", "leaves")
            ),
            evidence_words.digest_fact("Root hash", f"sha256:{receipt.root.hex()}"),
            evidence_words.fact("Log", receipt.checkpoint.partition("\n")[0]),
        ],
        "Time stamp": [
            evidence_words.fact("Signature existed at", utc(detail.stamped_s)),
            evidence_words.fact("Serial number", f"{detail.stamp_serial:x}"),
        ],
    }


def path(detail: Detail) -> list[dict[str, str]]:
    """From the leaf up to the root: on which side each hash of the proof is joined.

    RFC 9162, 2.1.3.2.
    """
    node, last = detail.receipt.index, detail.receipt.size - 1
    rows = []
    for level, sibling in enumerate(detail.receipt.hashes, start=1):
        left = bool(node & 1) or node == last
        if left:
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        rows.append(
            {
                "Step": str(level),
                "Joined": "before ours" if left else "behind ours",
                "Hash": sibling.hex(),
            }
        )
        node, last = node >> 1, last >> 1
    return rows


def predicate(detail: Detail) -> str:
    """What is claimed, before the link that holds it in the chain; indented for reading."""
    said: dict[str, Any] = dict(detail.statement.get("predicate", {}))
    links = {key: said.pop(key) for key in list(said) if key.endswith(LINK)}
    return json.dumps({**said, **links}, indent=2, ensure_ascii=False)


def statement(detail: Detail) -> str:
    rest = {key: value for key, value in detail.statement.items() if key != "predicate"}
    return json.dumps(rest, indent=2, ensure_ascii=False)


def commands(packet: Packet, signer: Signer, *, predicate_type: str) -> tuple[Command, ...]:
    """For this very item: inside the unpacked pack, with the trusted root one folder up."""
    bundle = f"{packet.name.removesuffix('.dsse')}.sigstore.json"
    asked = asked_of(signer, artifact=MANIFEST_NAME, bundle=bundle, predicate_type=predicate_type)
    return (
        *stock(asked),
        Command(
            title="The signature and the time stamp, by openssl alone",
            why="It leaves files behind that are not of the pack. SECONDS: its time stamp, since "
            "1970.",
            needs="openssl",
            text=clients.openssl(bundle),
        ),
    )


def judged(report: Report) -> tuple[bool, str, tuple[str, ...]]:
    """Whether it is good, the sentence, and the checks one by one."""
    lines = tuple(str(check) for check in report.checks)
    if report.ok:
        return True, f"Verified by this house's trusted root: {report.checks[0].found}.", lines
    return False, "This item does NOT verify.", lines


def heading(packet: Packet) -> str:
    what = "item" if packet.imported is None else "imported"
    return f"{evidence_words.type_of(packet)} · {what} {packet.item}"


def neighbours(found: Sequence[Packet], item: int) -> tuple[Packet | None, Packet | None]:
    """The items of the chain before and behind this one."""
    places = {packet.item: packet for packet in found if packet.what == "captured"}
    return places.get(item - 1), places.get(item + 1)


def note_text(detail: Detail) -> str:
    """The signed head of the log, as it lies in the receipt."""
    return detail.receipt.checkpoint


def leaf_text(detail: Detail) -> str:
    """What was written into the log, decoded."""
    return json.dumps(json.loads(detail.receipt.body), indent=2)
