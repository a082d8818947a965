"""Attestations as other people's tools sign them: any kind of key, any statement, plain DSSE."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.core.digest import Digest
from engine.evidence.dsse import IN_TOTO, pae
from engine.evidence.foreign_key import parse_key
from engine.evidence.imported import KeyAnchor

STATEMENT_V1: Final = "https://in-toto.io/Statement/v1"
STATEMENT_V01: Final = "https://in-toto.io/Statement/v0.1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
KINDS: Final = (
    "p256", "p256-raw", "p384", "p384-sha256", "ed25519", "rsa-pss", "rsa-pkcs1",
)  # fmt: skip
ARTIFACT: Final = Digest.of(b"artifact")


@cache
def private(kind: str) -> Any:
    """A key of a kind, the same for each test."""
    match kind.partition("-")[0]:
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ed25519":
            return Ed25519PrivateKey.generate()
        case _:
            return rsa.generate_private_key(65_537, 2_048)


def sign(kind: str, message: bytes) -> bytes:
    key: Any = private(kind)
    match kind:
        case "p256-raw":
            r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        case "p384":
            signed = key.sign(message, ec.ECDSA(hashes.SHA384()))
        case "ed25519":
            signed = key.sign(message)
        case "rsa-pss":
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            signed = key.sign(message, pss, hashes.SHA256())
        case "rsa-pkcs1":
            signed = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        case _:
            signed = key.sign(message, ec.ECDSA(hashes.SHA256()))
    assert isinstance(signed, bytes)
    return signed


def pem(kind: str) -> bytes:
    content: bytes = (
        private(kind).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return content


def anchor(kind: str, name: str = "", predicate_types: Sequence[str] = ()) -> KeyAnchor:
    key = parse_key(pem(kind), where=kind)
    return KeyAnchor(name=name or kind, key=key, predicate_types=tuple(predicate_types))


def provenance(**more: Any) -> dict[str, Any]:
    """A provenance v1 that says no more than it must."""
    return {
        "buildDefinition": {"buildType": "https://example.com/build/v1", **more},
        "runDetails": {"builder": {"id": "https://example.com/builder"}},
    }


def statement(
    *subjects: Digest,
    predicate_type: str = PROVENANCE,
    predicate: Any = None,
    kind: str = STATEMENT_V1,
) -> bytes:
    document = {
        "_type": kind,
        "subject": [
            {"name": f"file-{n}", "digest": {"sha256": one.hex}}
            for n, one in enumerate(subjects or (ARTIFACT,))
        ],
        "predicateType": predicate_type,
        "predicate": provenance() if predicate is None else predicate,
    }
    return json.dumps(document).encode()


def envelope(payload: bytes, *kinds: str, payload_type: str = IN_TOTO) -> bytes:
    """The payload in DSSE, signed with a key of each kind."""
    message = pae(payload_type, payload)
    document = {
        "payloadType": payload_type,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {"keyid": kind, "sig": base64.b64encode(sign(kind, message)).decode()} for kind in kinds
        ],
    }
    return json.dumps(document, indent=2).encode()
