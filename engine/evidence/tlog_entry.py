"""A leaf of the log: Rekor v2's `hashedrekord/0.0.2` over a DSSE signature, and its receipt.

The entry records the digest of what was signed (the envelope's pre-authentication encoding), the
signature and the certificate; never the payload. Sigstore clients refuse `dsse/0.0.2` entries.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.evidence.strict import base64_of, fields, integer, parse_object, text

KIND: Final = "hashedrekord"
VERSION: Final = "0.0.2"
_KEY_DETAILS: Final = "PKIX_ECDSA_P256_SHA_256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`digest`: SHA-256 of the envelope's PAE; `certificate`: DER of the signer's leaf."""

    digest: bytes
    signature: bytes
    certificate: bytes

    def body(self) -> bytes:
        """The canonical bytes whose leaf hash stands in the tree."""
        return canonical(
            {
                "apiVersion": VERSION,
                "kind": KIND,
                "spec": {
                    "hashedRekordV002": {
                        "data": {"algorithm": "SHA2_256", "digest": _b64(self.digest)},
                        "signature": {
                            "content": _b64(self.signature),
                            "verifier": {
                                "keyDetails": _KEY_DETAILS,
                                "x509Certificate": {"rawBytes": _b64(self.certificate)},
                            },
                        },
                    }
                },
            }
        )


def parse_entry(body: bytes, *, where: str) -> Entry:
    """Read a body of this one kind and version. Raises `Malformed` for any other."""
    document = fields(parse_object(body, where=where), {"apiVersion", "kind", "spec"}, where=where)
    if (document["kind"], document["apiVersion"]) != (KIND, VERSION):
        found = f"{document['kind']}/{document['apiVersion']}"
        raise Malformed(f"expected {KIND}/{VERSION}, found {found}", where=where)
    spec = fields(document["spec"], {"hashedRekordV002"}, where=f"{where}.spec")
    record = fields(spec["hashedRekordV002"], {"data", "signature"}, where=f"{where}.spec")
    data = fields(record["data"], {"algorithm", "digest"}, where=f"{where}.data")
    if data["algorithm"] != "SHA2_256":
        raise Malformed(f"expected SHA2_256, found {data['algorithm']!r}", where=where)
    signature = fields(record["signature"], {"content", "verifier"}, where=f"{where}.signature")
    verifier = fields(
        signature["verifier"], {"keyDetails", "x509Certificate"}, where=f"{where}.verifier"
    )
    if verifier["keyDetails"] != _KEY_DETAILS:
        raise Malformed(f"expected {_KEY_DETAILS}, found {verifier['keyDetails']!r}", where=where)
    certificate = fields(verifier["x509Certificate"], {"rawBytes"}, where=f"{where}.verifier")
    entry = Entry(
        digest=base64_of(data, "digest", where=where),
        signature=base64_of(signature, "content", where=where),
        certificate=base64_of(certificate, "rawBytes", where=where),
    )
    if entry.body() != body:
        raise Malformed("expected canonical JSON (RFC 8785)", where=where)
    return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that `body` stands in the log: index, path to the root, signed head."""

    index: int
    log_id: bytes
    body: bytes
    root: bytes
    size: int
    hashes: tuple[bytes, ...]
    checkpoint: str

    def document(self) -> dict[str, Any]:
        """Sigstore's TransparencyLogEntry as JSON; numbers are strings, as protobuf has it."""
        return {
            "logIndex": str(self.index),
            "logId": {"keyId": _b64(self.log_id)},
            "kindVersion": {"kind": KIND, "version": VERSION},
            "inclusionProof": {
                "logIndex": str(self.index),
                "rootHash": _b64(self.root),
                "treeSize": str(self.size),
                "hashes": [_b64(one) for one in self.hashes],
                "checkpoint": {"envelope": self.checkpoint},
            },
            "canonicalizedBody": _b64(self.body),
        }

    def to_bytes(self) -> bytes:
        return canonical(self.document())


def parse_receipt(document: Mapping[str, Any], *, where: str) -> Receipt:
    """Read a TransparencyLogEntry. Both places that tell the index must tell the same.

    Raises:
        Malformed: names the field.
    """
    fields(
        document,
        {"logIndex", "logId", "kindVersion", "inclusionProof", "canonicalizedBody"},
        where=where,
    )
    kind = fields(document["kindVersion"], {"kind", "version"}, where=f"{where}.kindVersion")
    if (kind["kind"], kind["version"]) != (KIND, VERSION):
        raise Malformed(
            f"expected {KIND}/{VERSION}, found {kind['kind']}/{kind['version']}", where=where
        )
    spot = f"{where}.inclusionProof"
    proof = fields(
        document["inclusionProof"],
        {"rootHash", "treeSize", "checkpoint"},
        # Protobuf's JSON leaves out what is zero or empty: a log of one leaf has no hashes.
        optional={"logIndex", "hashes"},
        where=spot,
    )
    index = integer(document, "logIndex", where=where)
    if integer({"logIndex": 0, **proof}, "logIndex", where=spot) != index:
        raise Malformed(f"expected index {index} as outside the proof", where=f"{spot}.logIndex")
    hashes = proof.get("hashes", [])
    if not isinstance(hashes, list):
        raise Malformed("expected a list", where=f"{spot}.hashes")
    checkpoint = fields(proof["checkpoint"], {"envelope"}, where=f"{spot}.checkpoint")
    log_id = fields(document["logId"], {"keyId"}, where=f"{where}.logId")
    return Receipt(
        index=index,
        log_id=base64_of(log_id, "keyId", where=f"{where}.logId"),
        body=base64_of(document, "canonicalizedBody", where=where),
        root=base64_of(proof, "rootHash", where=spot),
        size=integer(proof, "treeSize", where=spot),
        hashes=tuple(_hashes(hashes, spot)),
        checkpoint=text(checkpoint, "envelope", where=f"{spot}.checkpoint"),
    )


def _hashes(values: Sequence[Any], where: str) -> list[bytes]:
    return [base64_of({"hash": value}, "hash", where=f"{where}.hashes") for value in values]


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
