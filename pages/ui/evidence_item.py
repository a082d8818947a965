"""View-model of one evidence item: what it says, who signed it, where it stands, how to check it.

Pure. The commands are for a folder in which a pack was unpacked, with the trusted root beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from engine.audit_items import Detail
from engine.audit_packets import Packet
from engine.evidence.report import Report
from engine.evidence.statement import MANIFEST_NAME
from engine.live_text import count, plural
from pages.ui import evidence_words
from pages.ui.evidence_auditor import Command, Signer

EXPLAINED: Final = (
    "Read out of the stored bundle. Reading is not verifying: press **Verify now**, or type the "
    "commands below where this server has no say."
)
LINK: Final = "/link/v1"


def facts(detail: Detail) -> dict[str, list[dict[str, str]]]:
    """Rows of name, text and digest, by the part that they tell of."""
    leaf, receipt = detail.leaf, detail.receipt
    sct = "none" if leaf.sct_ms is None else _time(leaf.sct_ms / 1000)
    return {
        "Certificate": [
            _row("Signed by", leaf.subject),
            _row("Issued by", leaf.issuer),
            _row("Valid", f"{_at(leaf.start)} to {_at(leaf.end)}"),
            _row("Taken in by the CT log", sct),
            _row("Serial number", f"{leaf.serial:x}"),
            _digest("SHA-256 of the certificate", f"sha256:{leaf.fingerprint}"),
        ],
        "Receipt of the transparency log": [
            _row("Place in the log", count(receipt.index)),
            _row("Size of the log then", plural(receipt.size, "leaf").replace("leafs", "leaves")),
            _digest("Root hash", f"sha256:{receipt.root.hex()}"),
            _row("Log", receipt.checkpoint.partition("\n")[0]),
        ],
        "Time stamp": [
            _row("Signature existed at", _time(detail.stamped_s)),
            _row("Serial number", f"{detail.stamp_serial:x}"),
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
    stem = packet.name.removesuffix(".dsse")
    bundle = f"{stem}.sigstore.json"
    found = [
        Command(
            title="By Sigstore's own client",
            why="Certificate, receipt and time stamp, offline.",
            needs="sigstore",
            text="sigstore --trust-config ../trust_config.json verify identity --offline \\\n"
            f"  --bundle {bundle} \\\n  --cert-identity {signer.identity} \\\n"
            f"  --cert-oidc-issuer {signer.issuer} {MANIFEST_NAME}",
        )
    ]
    if signer.owner:
        found.append(
            Command(
                title="By GitHub's client",
                why="The same questions, by other people's code.",
                needs="gh",
                text=f"gh attestation verify {MANIFEST_NAME} --bundle {bundle} \\\n"
                f"  --custom-trusted-root ../trusted_root.json --owner {signer.owner} \\\n"
                f"  --cert-identity {signer.identity} \\\n"
                f"  --cert-oidc-issuer {signer.issuer} \\\n"
                f"  --predicate-type {predicate_type} --format json",
            )
        )
    found += [
        Command(
            title="By cosign",
            why="It wants the time stamp named.",
            needs="cosign",
            text=f"cosign verify-blob-attestation --bundle {bundle} \\\n"
            "  --trusted-root ../trusted_root.json --use-signed-timestamps \\\n"
            f"  --certificate-identity {signer.identity} \\\n"
            f"  --certificate-oidc-issuer {signer.issuer} \\\n"
            f"  --type {predicate_type} {MANIFEST_NAME}",
        ),
        Command(
            title="The signature and the time stamp, by openssl alone",
            why="It leaves files behind that are not of the pack.",
            needs="openssl",
            text=_openssl(bundle),
        ),
    ]
    return tuple(found)


def _openssl(bundle: str) -> str:
    part = '\\([^"]*\\)'
    return f"""B={bundle}
sed 's/.*"payload":"{part}".*/\\1/' $B | base64 -d > payload
sed 's/.*"sig":"{part}".*/\\1/' $B | base64 -d > sig
sed 's/.*"certificate":{{"rawBytes":"{part}".*/\\1/' $B | base64 -d > leaf.der
sed 's/.*"signedTimestamp":"{part}".*/\\1/' $B | base64 -d > token
openssl x509 -inform DER -in leaf.der -noout -ext subjectAltName -pubkey > leaf.pub
(printf 'DSSEv1 28 application/vnd.in-toto+json %d ' $(wc -c < payload); cat payload) > pae
openssl dgst -sha256 -verify leaf.pub -signature sig pae
openssl ts -verify -in token -data sig -CAfile trust/tsa_root.pem -untrusted trust/tsa.pem"""


def judged(report: Report) -> tuple[bool, str, tuple[str, ...]]:
    """Whether it is good, the sentence, and the checks one by one."""
    lines = tuple(str(check) for check in report.checks)
    if report.ok:
        return True, f"Verified by this house's trusted root: {report.checks[0].found}.", lines
    return False, "This item does NOT verify.", lines


def heading(packet: Packet) -> str:
    return f"{evidence_words.type_of(packet)} · item {packet.item}"


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


def _row(name: str, text: str) -> dict[str, str]:
    return {"name": name, "text": text, "digest": "", "href": ""}


def _digest(name: str, digest: str) -> dict[str, str]:
    return {"name": name, "text": evidence_words.short(digest), "digest": digest, "href": ""}


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _time(at_s: float) -> str:
    return _at(datetime.fromtimestamp(at_s, UTC))
