"""One evidence item, taken apart: its statement, certificate, receipt and time stamp.

Everything is read out of the stored bundle with the readers that `verify` uses; what they refuse is
said and not shown. Taking apart is not verifying: `verified` does that.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from engine.audit_packets import BUNDLE, Packet, named
from engine.core.digest import Digest
from engine.core.errors import NotFound
from engine.evidence.certificates import identity_of
from engine.evidence.report import Report
from engine.evidence.strict import parse_object
from engine.evidence.timestamp import when
from engine.evidence.tlog_entry import Receipt, parse_receipt
from engine.evidence.verify import verify_envelope
from engine.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """The certificate of one signature. `sct_ms`: when the CT log took it in, UTC ms; or None."""

    subject: str
    issuer: str
    serial: int
    start: datetime
    end: datetime
    fingerprint: str
    sct_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """Attributes:
    statement: the decoded payload.
    stamped_s: UTC seconds that the time stamp says; `stamp_serial` its serial number.
    """

    packet: Packet
    statement: Mapping[str, Any]
    leaf: Leaf
    receipt: Receipt
    stamped_s: int
    stamp_serial: int


def bundle_of(house: Services, packet: Packet) -> bytes:
    """The bytes of the item's bundle.

    Raises:
        NotFound: the item has none, or its bytes are gone.
        Malformed: the bytes are not those that were stored.
    """
    name = packet.stem + BUNDLE
    digest = named(packet.files, name)
    if not digest:
        raise NotFound(f"{packet.name} has no bundle on record.")
    return house.store.blobs.get(Digest.parse(digest))


def detail(house: Services, packet: Packet) -> Detail:
    """Raises `NotFound`, `Malformed` or `Unverified`, naming what is not there or can't be read."""
    where = packet.stem + BUNDLE
    document = parse_object(bundle_of(house, packet), where=where)
    material = document["verificationMaterial"]
    certificate = x509.load_der_x509_certificate(
        base64.b64decode(material["certificate"]["rawBytes"])
    )
    (entry,) = material["tlogEntries"]
    (stamp,) = material["timestampVerificationData"]["rfc3161Timestamps"]
    at_s, serial = when(base64.b64decode(stamp["signedTimestamp"]), where=where)
    return Detail(
        packet=packet,
        statement=json.loads(base64.b64decode(document["dsseEnvelope"]["payload"])),
        leaf=_leaf(certificate),
        receipt=parse_receipt(entry, where=where),
        stamped_s=at_s,
        stamp_serial=serial,
    )


def verified(house: Services, packet: Packet) -> Report:
    """Judge the stored envelope and bundle as `releaseline verify` does, by this house's root.

    Raises:
        NotFound, Malformed: the bytes are not there, or not those that were stored.
    """
    root = (house.home / "trusted_root.json").read_bytes()
    return verify_envelope(
        bundle_of(house, packet),
        trusted_root=root,
        envelope=house.store.blobs.get(Digest.parse(packet.envelope)),
        where=packet.stem + BUNDLE,
    )


def _leaf(certificate: x509.Certificate) -> Leaf:
    der = certificate.public_bytes(Encoding.DER)
    return Leaf(
        subject=identity_of(certificate, where="certificate").removeprefix("mailto:"),
        issuer=certificate.issuer.rfc4514_string(),
        serial=certificate.serial_number,
        start=certificate.not_valid_before_utc,
        end=certificate.not_valid_after_utc,
        fingerprint=Digest.of(der).hex,
        sct_ms=_sct_ms(certificate),
    )


def _sct_ms(certificate: x509.Certificate) -> int | None:
    kind = x509.PrecertificateSignedCertificateTimestamps
    try:
        (one,) = certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    at: datetime = one.timestamp
    return round(at.replace(tzinfo=UTC).timestamp() * 1000)
