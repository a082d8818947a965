"""DSSE envelopes: what is signed, and the one door to what was signed.

The payload of an envelope that came from outside can be had only by verifying it; there is no
`payload_as_json()`. What was signed is kept as the exact bytes and is never printed again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.core.errors import Malformed, Unverified
from engine.core.jcs import canonical
from engine.evidence.strict import fields, parse_object, text

IN_TOTO: Final = "application/vnd.in-toto+json"
_ECDSA_SHA256: Final = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Signature:
    """`key_id` is a hint that nobody signed; it is never used to decide anything."""

    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed payload. Read it through `open_envelope`."""

    payload_type: str
    signatures: tuple[Signature, ...]
    _payload: bytes

    @property
    def pae_digest(self) -> bytes:
        """SHA-256 of what the signatures cover; this is what the log records."""
        return hashlib.sha256(pae(self.payload_type, self._payload)).digest()

    @property
    def payload_digest(self) -> bytes:
        """SHA-256 of the payload, as older log entries record it."""
        return hashlib.sha256(self._payload).digest()

    def document(self) -> dict[str, Any]:
        """The JSON form of the DSSE specification, `keyid` included."""
        return {
            "payload": base64.b64encode(self._payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": one.key_id, "sig": base64.b64encode(one.value).decode()}
                for one in self.signatures
            ],
        }

    def to_bytes(self) -> bytes:
        return canonical(self.document())


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding: what a DSSE signature really signs."""
    # Lengths count bytes. `len()` of the text would agree only while types are ASCII.
    type_bytes = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(type_bytes), type_bytes, len(payload), payload)


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """The OpenSSH fingerprint of the key.

    The one form that securesystemslib (wants a key id) and gh (refuses any other) both accept.
    """
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    wire = base64.b64decode(line.split(b" ")[1])
    fingerprint = base64.b64encode(hashlib.sha256(wire).digest()).decode().rstrip("=")
    return f"SHA256:{fingerprint}"


def seal(payload: bytes, key: ec.EllipticCurvePrivateKey, payload_type: str = IN_TOTO) -> Envelope:
    """Sign `payload` with a P-256 key."""
    value = key.sign(pae(payload_type, payload), _ECDSA_SHA256)
    return Envelope(payload_type, (Signature(key_id(key.public_key()), value),), payload)


def parse_envelope(content: bytes, *, where: str = "envelope") -> Envelope:
    """Read the JSON form of an envelope. Standard and URL-safe base64 are both accepted.

    Raises:
        Malformed: not JSON, a key missing, twice or unknown, or base64 that is none.
    """
    return envelope_of(parse_object(content, where=where), where=where)


def envelope_of(document: Mapping[str, Any], *, where: str) -> Envelope:
    """As `parse_envelope`, from a document that was read already."""
    fields(document, {"payload", "payloadType", "signatures"}, where=where)
    signatures = document["signatures"]
    if not isinstance(signatures, list) or not signatures:
        raise Malformed("expected at least one signature", where=f"{where}.signatures")
    read = []
    for number, one in enumerate(signatures):
        spot = f"{where}.signatures[{number}]"
        fields(one, {"sig"}, optional={"keyid"}, where=spot)
        named = text(one, "keyid", where=spot) if "keyid" in one else ""
        read.append(Signature(named, _base64(text(one, "sig", where=spot), f"{spot}.sig")))
    return Envelope(
        text(document, "payloadType", where=where),
        tuple(read),
        _base64(text(document, "payload", where=where), f"{where}.payload"),
    )


def open_envelope(
    envelope: Envelope,
    keys: Sequence[ec.EllipticCurvePublicKey],
    *,
    payload_type: str = IN_TOTO,
    threshold: int = 1,
    where: str = "",
) -> bytes:
    """Check the signatures, then hand out the payload. There is no other way to it.

    Args:
        keys: trusted P-256 keys.
        threshold: how many *different* trusted keys must have signed; at least 1.

    Returns:
        The payload bytes, safe to parse as `payload_type`.

    Raises:
        Unverified: wrong type, or fewer than `threshold` good signatures.
    """
    if threshold < 1:
        raise ValueError(f"threshold must be at least 1, got {threshold}")
    if envelope.payload_type != payload_type:
        raise Unverified(
            f"payload type is {envelope.payload_type!r}, expected {payload_type!r}",
            check="dsse.type",
            file=where,
            expected=payload_type,
            found=envelope.payload_type,
        )
    message = pae(envelope.payload_type, envelope._payload)
    good: set[bytes] = set()
    for key in keys:
        if any(_is_by(key, signature.value, message) for signature in envelope.signatures):
            # A key that is listed twice is still one key.
            good.add(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    if len(good) < threshold:
        raise Unverified(
            f"{len(good)} good signatures from trusted keys, need {threshold}",
            check="dsse.signature",
            file=where,
            expected=f"{threshold} good signatures",
            found=f"{len(good)}",
        )
    return envelope._payload


def open_by(envelope: Envelope, signed: Callable[[bytes, bytes], bool]) -> bytes | None:
    """The payload when one of the signatures is good by `signed`; None when none is.

    For keys of strangers, which are of more kinds than ours. Whoever calls has looked at the type.

    Args:
        signed: whether (signature, message) is by the trusted key.
    """
    message = pae(envelope.payload_type, envelope._payload)
    if any(signed(one.value, message) for one in envelope.signatures):
        return envelope._payload
    return None


def _is_by(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, _ECDSA_SHA256)
    except InvalidSignature:
        return False
    return True


def _base64(value: str, where: str) -> bytes:
    padded = value.replace("-", "+").replace("_", "/")
    padded += "=" * (-len(padded) % 4)
    try:
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("expected base64", where=where) from None
