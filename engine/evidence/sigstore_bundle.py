"""One signature with everything to check it offline: Sigstore bundle v0.3, made and judged.

Making one is signing (`attest` and `Pending.receive`). Judging one is stricter than the stock
clients are: every number that says where something stands has to be the right one.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from engine.core.digest import Digest
from engine.core.errors import Malformed, Unverified
from engine.core.jcs import canonical
from engine.evidence import certificates, dsse, timestamp
from engine.evidence.certificates import Authority, LeafRequest, Signer
from engine.evidence.checkpoint import open_checkpoint
from engine.evidence.cosignature import check_signers
from engine.evidence.merkle import leaf_hash, verify_inclusion
from engine.evidence.strict import base64_of, fields, parse_object
from engine.evidence.timestamp import TimeAuthority
from engine.evidence.tlog_entry import Entry, Receipt, parse_entry, parse_receipt
from engine.evidence.trust import TrustedRoot
from engine.evidence.wording import moment

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The keys that one signature needs, besides its own."""

    authority: Authority
    ct_key: ec.EllipticCurvePrivateKey
    time: TimeAuthority


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """What must never be used twice: the key of one signature and two serial numbers."""

    key: ec.EllipticCurvePrivateKey
    leaf_serial: int
    token_serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Signed and time-stamped, not yet in the log. `entry` is what the log takes in."""

    envelope: dsse.Envelope
    certificate: bytes
    token: bytes
    entry: bytes

    def bundle(self, receipt: Receipt) -> bytes:
        """The bundle with its receipt, canonical."""
        return canonical(
            {
                "mediaType": MEDIA_TYPE,
                "verificationMaterial": {
                    "certificate": {"rawBytes": base64.b64encode(self.certificate).decode()},
                    "tlogEntries": [receipt.document()],
                    "timestampVerificationData": {
                        "rfc3161Timestamps": [
                            {"signedTimestamp": base64.b64encode(self.token).decode()}
                        ]
                    },
                },
                "dsseEnvelope": self.envelope.document(),
            }
        )


def attest(
    payload: bytes, *, identity: str, issuer: str, desk: Desk, chance: Chance, now_us: int
) -> Pending:
    """Sign a statement with a key of its own, certified for `identity`, and have it stamped."""
    request = LeafRequest(
        public=chance.key.public_key(),
        identity=identity,
        issuer=issuer,
        serial=chance.leaf_serial,
        now_us=now_us,
    )
    leaf = certificates.make_leaf(request, desk.authority, desk.ct_key)
    certificate = leaf.public_bytes(Encoding.DER)
    envelope = dsse.seal(payload, chance.key)
    signature = envelope.signatures[0].value
    token = timestamp.stamp(signature, desk.time, serial=chance.token_serial, now_us=now_us)
    entry = Entry(digest=envelope.pae_digest, signature=signature, certificate=certificate)
    return Pending(envelope=envelope, certificate=certificate, token=token, entry=entry.body())


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a good bundle proves.

    Attributes:
        payload: the statement's bytes.
        at_s: UTC seconds of the verified time stamp.
        envelope: canonical bytes of the envelope.
    """

    payload: bytes
    signer: Signer
    at_s: int
    receipt: Receipt
    envelope: bytes


def verify_bundle(
    content: bytes, trusted: TrustedRoot, *, where: str, exact: bool = False
) -> Verified:
    """Judge a bundle against a trusted root, offline.

    Args:
        exact: also refuse any other spelling than the one that `Pending.bundle` writes.

    Raises:
        Malformed, Unverified: the first thing that is wrong, named.
    """
    document = parse_object(content, where=where)
    fields(document, {"mediaType", "verificationMaterial", "dsseEnvelope"}, where=where)
    if document["mediaType"] != MEDIA_TYPE:
        raise Malformed(f"expected {MEDIA_TYPE}, found {document['mediaType']!r}", where=where)
    material = fields(
        document["verificationMaterial"],
        {"certificate", "tlogEntries", "timestampVerificationData"},
        where=f"{where}.verificationMaterial",
    )
    envelope = dsse.envelope_of(document["dsseEnvelope"], where=f"{where}.dsseEnvelope")
    if len(envelope.signatures) != 1:
        raise Malformed(f"expected one signature, found {len(envelope.signatures)}", where=where)
    signature = envelope.signatures[0]
    raw = base64_of(
        fields(material["certificate"], {"rawBytes"}, where=where), "rawBytes", where=where
    )
    leaf = certificates.read(raw, where=where)
    at_s = _stamped(material["timestampVerificationData"], signature.value, trusted, where, exact)
    signer = _signer(leaf, at_s, trusted, where)
    payload = dsse.open_envelope(envelope, (signer.public,), where=where)
    if signature.key_id not in {*(() if exact else ("",)), dsse.key_id(signer.public)}:
        raise Unverified(
            "the key id is another key's",
            check="dsse.keyid",
            file=where,
            expected=dsse.key_id(signer.public),
            found=signature.key_id,
        )
    receipt = _logged(
        material["tlogEntries"],
        Entry(digest=envelope.pae_digest, signature=signature.value, certificate=raw),
        at_s,
        trusted,
        where,
    )
    if exact:
        _check_spelling(content, document, envelope, receipt, where)
        log = trusted.log(receipt.log_id, where=where)
        if log.witnesses:
            signer_of = (log.key.name, log.key.key_id[:4])
            check_signers(receipt.checkpoint, signer_of, log.witnesses, where=where)
    return Verified(
        payload=payload, signer=signer, at_s=at_s, receipt=receipt, envelope=envelope.to_bytes()
    )


def _check_spelling(
    content: bytes,
    document: Mapping[str, Any],
    envelope: dsse.Envelope,
    receipt: Receipt,
    where: str,
) -> None:
    """Nothing signs a bundle as a whole: what may be written in two ways is free to be changed."""
    ours = (envelope.document(), [receipt.document()])
    found = (document["dsseEnvelope"], document["verificationMaterial"]["tlogEntries"])
    if content != canonical(document) or found != ours:
        raise Malformed("expected canonical JSON with base64 in its one spelling", where=where)


def _stamped(document: Any, signature: bytes, trusted: TrustedRoot, where: str, exact: bool) -> int:
    tokens = fields(document, {"rfc3161Timestamps"}, where=where)["rfc3161Timestamps"]
    if not isinstance(tokens, list) or len(tokens) != 1:
        raise Malformed("expected one time stamp", where=f"{where}.timestampVerificationData")
    raw = base64_of(
        fields(tokens[0], {"signedTimestamp"}, where=where), "signedTimestamp", where=where
    )
    refusal: Unverified | None = None
    for chain in trusted.time_authorities:
        try:
            at_s = timestamp.verify(
                raw, signature, chain=chain.certificates, where=where, exact=exact
            )
        except Unverified as error:
            # That the right one has ended says more than that the next is another.
            refusal = refusal or error
            continue
        if chain.window.holds(at_s):
            return at_s
        refusal = Unverified(
            "the time authority is not trusted for this moment",
            check="timestamp.window",
            file=where,
            expected=str(chain.window),
            found=moment(at_s),
        )
    assert refusal is not None  # a trusted root holds at least one authority
    raise refusal


def _signer(leaf: x509.Certificate, at_s: int, trusted: TrustedRoot, where: str) -> Signer:
    ct_keys = {
        certificates.log_id(one.key): (one.key, one.window.start_s, one.window.end_s)
        for one in trusted.ct_logs
    }
    refusal: Unverified | None = None
    for chain in trusted.authorities:
        authority = chain.certificates[0]
        try:
            signer = certificates.verify_leaf(
                leaf, authority=authority, ct_keys=ct_keys, at_s=at_s, where=where
            )
        except Unverified as error:
            # That the right one has ended says more than that the next is another.
            refusal = refusal or error
            continue
        start = authority.not_valid_before_utc.timestamp()
        end = authority.not_valid_after_utc.timestamp()
        if chain.window.holds(at_s) and start <= at_s <= end:
            return signer
        refusal = Unverified(
            "the certificate authority is not trusted for this moment",
            check="certificate.window",
            file=where,
            expected=str(chain.window),
            found=moment(at_s),
        )
    assert refusal is not None
    raise refusal


def _logged(entries: Any, expected: Entry, at_s: int, trusted: TrustedRoot, where: str) -> Receipt:
    if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], Mapping):
        raise Malformed("expected one log entry", where=f"{where}.tlogEntries")
    receipt = parse_receipt(entries[0], where=f"{where}.tlogEntries[0]")
    entry = parse_entry(receipt.body, where=f"{where}.canonicalizedBody")
    if entry != expected:
        raise Unverified(
            "the log entry is about another signature",
            check="log.entry",
            file=where,
            expected=f"an entry with {Digest.of(expected.body())}",
            found=f"one with {Digest.of(receipt.body)}",
        )
    log = trusted.log(receipt.log_id, where=where)
    if not log.window.holds(at_s):
        raise Unverified(
            "the log is not trusted for this moment",
            check="log.window",
            file=where,
            expected=str(log.window),
            found=moment(at_s),
        )
    head = open_checkpoint(receipt.checkpoint, log.key, where=where)
    if (head.size, head.root) != (receipt.size, receipt.root):
        raise Unverified(
            "the proof is for another tree than the checkpoint",
            check="log.checkpoint",
            file=where,
            expected=f"{head.size} leaves with root {head.root.hex()}",
            found=f"{receipt.size} leaves with root {receipt.root.hex()}",
        )
    try:
        verify_inclusion(
            leaf_hash(receipt.body),
            index=receipt.index,
            size=receipt.size,
            proof=receipt.hashes,
            root=head.root,
        )
    except Unverified as error:
        raise Unverified(
            str(error), check=error.check, file=where, expected=error.expected, found=error.found
        ) from None
    return receipt
