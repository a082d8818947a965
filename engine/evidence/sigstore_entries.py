"""What a transparency log says about a signature: Rekor's entry kinds, v1 and v2, and receipts.

Rekor v1 promises with a signed entry timestamp (SET) over index and time; v2 has neither and needs
a time stamp. In both, an inclusion proof leads to a signed checkpoint.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.errors import Malformed, Unverified
from engine.core.jcs import canonical
from engine.evidence import dsse
from engine.evidence.checkpoint import LogCheckpoint, parse_checkpoint, split_note
from engine.evidence.cosignature import check_signers
from engine.evidence.merkle import leaf_hash, verify_inclusion
from engine.evidence.sigstore_roots import ForeignLog, ForeignRoot
from engine.evidence.strict import base64_of, fields, integer, parse_object, text
from engine.evidence.wording import moment

_V2: Final = ("hashedrekord", "0.0.2")
_PEM: Final = re.compile(
    rb"\s*-----BEGIN (CERTIFICATE|PUBLIC KEY)-----\s+([A-Za-z0-9+/=\s]+)-----END \1-----\s*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a bundle says was signed; the entry has to tell the same.

    Attributes:
        digest: SHA-256 of the artifact, or of the envelope's PAE.
        verifier: DER of the certificate or of the public key.
        envelope: None for a message signature.
    """

    digest: bytes
    signature: bytes
    verifier: bytes
    envelope: dsse.Envelope | None
    payload_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A verified entry. `at_s`: when the log took it in, UTC seconds; None when it does not say."""

    log: ForeignLog
    at_s: int | None


def verify_entry(
    document: Any, signed: Signed, root: ForeignRoot, *, proof_required: bool, where: str
) -> Logged:
    """Judge one TransparencyLogEntry.

    Args:
        proof_required: bundles v0.1 may come with a SET alone.

    Raises:
        Malformed, Unverified: the first thing that is wrong, named.
    """
    required = {"logIndex", "logId", "kindVersion", "canonicalizedBody"}
    optional = {"integratedTime", "inclusionPromise", "inclusionProof"}
    fields(document, required, optional=optional, where=where)
    kind = fields(document["kindVersion"], {"kind", "version"}, where=f"{where}.kindVersion")
    version = (text(kind, "kind", where=where), text(kind, "version", where=where))
    body = base64_of(document, "canonicalizedBody", where=where)
    _check_body(body, version, signed, where)
    named = fields(document["logId"], {"keyId"}, where=f"{where}.logId")
    log = _log(root, base64_of(named, "keyId", where=f"{where}.logId"), where)
    at_s = None
    if version == _V2:
        promised = {"inclusionPromise", "integratedTime"} & document.keys()
        if any(document[key] not in (None, 0, "0") for key in promised):
            raise _no("log.promise", where, "no promise of a Rekor v2 log", "one")
    else:
        at_s = _promised(document, body, log, where)
    if document.get("inclusionProof") is not None:
        _check_proof(document, body, log, version == _V2, where)
    elif proof_required or version == _V2:
        raise _no("log.inclusion", where, "an inclusion proof", "none")
    return Logged(log=log, at_s=at_s)


def _log(root: ForeignRoot, key_id: bytes, where: str) -> ForeignLog:
    for log in root.logs:
        if log.key_id == key_id:
            return log
    known = ", ".join(log.key_id.hex() for log in root.logs)
    raise _no("log.key", where, known, key_id.hex())


def _promised(document: Mapping[str, Any], body: bytes, log: ForeignLog, where: str) -> int:
    """The integrated time, after its signature was checked. It signs the log-wide index too."""
    promise = document.get("inclusionPromise")
    if promise is None:
        raise _no("log.promise", where, "a signed entry timestamp", "none")
    fields(promise, {"signedEntryTimestamp"}, where=f"{where}.inclusionPromise")
    signature = base64_of(promise, "signedEntryTimestamp", where=f"{where}.inclusionPromise")
    at_s = integer(document, "integratedTime", where=where)
    message = canonical(
        {
            "body": base64.b64encode(body).decode(),
            "integratedTime": at_s,
            "logID": log.key_id.hex(),
            "logIndex": integer(document, "logIndex", where=where),
        }
    )
    if not log.key.signed(signature, message):
        raise _no("log.promise", where, "a signature by the log", "another")
    if not log.window.holds(at_s):
        raise _no("log.window", where, str(log.window), moment(at_s))
    return at_s


def _check_proof(
    document: Mapping[str, Any], body: bytes, log: ForeignLog, same_index: bool, where: str
) -> None:
    spot = f"{where}.inclusionProof"
    proof = fields(
        document["inclusionProof"],
        {"rootHash", "treeSize", "checkpoint"},
        optional={"logIndex", "hashes"},
        where=spot,
    )
    index = integer({"logIndex": 0, **proof}, "logIndex", where=spot)
    if same_index and index != integer(document, "logIndex", where=where):
        raise _no("log.index", where, str(index), str(document["logIndex"]))
    hashes = proof.get("hashes", [])
    if not isinstance(hashes, list):
        raise Malformed("expected a list", where=f"{spot}.hashes")
    note = fields(proof["checkpoint"], {"envelope"}, where=f"{spot}.checkpoint")
    head = _head(text(note, "envelope", where=f"{spot}.checkpoint"), log, same_index, where)
    stated = (integer(proof, "treeSize", where=spot), base64_of(proof, "rootHash", where=spot))
    if stated != (head.size, head.root):
        raise _no(
            "log.checkpoint",
            where,
            f"{head.size} leaves with root {head.root.hex()}",
            f"{stated[0]} leaves with root {stated[1].hex()}",
        )
    try:
        verify_inclusion(
            leaf_hash(body),
            index=index,
            size=head.size,
            proof=[base64_of({"hash": one}, "hash", where=f"{spot}.hashes") for one in hashes],
            root=head.root,
        )
    except Unverified as error:
        raise _no(error.check, where, error.expected, error.found) from None


def _head(note: str, log: ForeignLog, same_origin: bool, where: str) -> LogCheckpoint:
    """A checkpoint that the log signed under its own name; signatures of others are passed over."""
    content, lines = split_note(note, where=where)
    good = set()
    for name, raw in lines:
        if name in log.names and raw[:4] == log.key_id[:4]:
            if not log.key.signed(raw[4:], content.encode()):
                raise _no("log.checkpoint", where, f"a signature by {name}", "another")
            good.add(name)
    if not good:
        raise _no("log.checkpoint", where, f"a signature by {_named(log)}", "none")
    if log.witnesses:
        check_signers(note, (min(good), log.key_id[:4]), log.witnesses, where=where)
    head = parse_checkpoint(content, where=where)
    # Rekor v1 has its origin as "host - tree id"; v2 has the host alone.
    name, dash, tree_id = head.origin.partition(" - ")
    if name not in good or bool(dash) == same_origin or (dash and not tree_id.isdecimal()):
        raise _no("log.origin", where, _named(log), head.origin)
    return head


def _named(log: ForeignLog) -> str:
    return " or ".join(sorted(log.names))


def _check_body(body: bytes, version: tuple[str, str], signed: Signed, where: str) -> None:
    document = parse_object(body, where=f"{where}.canonicalizedBody")
    fields(document, {"apiVersion", "kind", "spec"}, where=f"{where}.canonicalizedBody")
    if (document["kind"], document["apiVersion"]) != version:
        found = f"{document['kind']}/{document['apiVersion']}"
        raise _no("log.entry", where, "/".join(version), found)
    check = {
        ("hashedrekord", "0.0.1"): _check_hashedrekord1,
        _V2: _check_hashedrekord2,
        ("dsse", "0.0.1"): _check_dsse,
        ("intoto", "0.0.2"): _check_intoto,
    }.get(version)
    if check is None:
        raise Malformed(f"entries of kind {'/'.join(version)} are not known", where=where)
    spec = document["spec"]
    if not isinstance(spec, Mapping):
        raise Malformed("expected an object", where=f"{where}.spec")
    check(spec, signed, f"{where}.spec")


def _check_hashedrekord1(spec: Mapping[str, Any], signed: Signed, where: str) -> None:
    if signed.envelope is not None:
        raise _no("log.entry", where, "an entry for an envelope", "one for a message")
    fields(spec, {"data", "signature"}, where=where)
    digest = _at(spec, "data", "hash", where=where)
    _equal(where, "sha256", digest.get("algorithm"))
    _equal(where, signed.digest.hex(), digest.get("value"))
    signature = _at(spec, "signature", where=where)
    _equal(where, signed.signature.hex(), base64_of(signature, "content", where=where).hex())
    pem = base64_of(_at(signature, "publicKey", where=where), "content", where=where)
    _equal(where, signed.verifier.hex(), _der(pem, where).hex())


def _check_hashedrekord2(spec: Mapping[str, Any], signed: Signed, where: str) -> None:
    fields(spec, {"hashedRekordV002"}, where=where)
    data = _at(spec, "hashedRekordV002", "data", where=where)
    _equal(where, "SHA2_256", data.get("algorithm"))
    _equal(where, signed.digest.hex(), base64_of(data, "digest", where=where).hex())
    signature = _at(spec, "hashedRekordV002", "signature", where=where)
    _equal(where, signed.signature.hex(), base64_of(signature, "content", where=where).hex())
    verifier = _at(signature, "verifier", where=where)
    holder = [key for key in ("x509Certificate", "publicKey") if key in verifier]
    if len(holder) != 1:
        raise Malformed("expected one certificate or public key", where=f"{where}.verifier")
    raw = base64_of(_at(verifier, holder[0], where=where), "rawBytes", where=where)
    _equal(where, signed.verifier.hex(), raw.hex())


def _check_dsse(spec: Mapping[str, Any], signed: Signed, where: str) -> None:
    envelope = _envelope(signed, where)
    fields(spec, {"envelopeHash", "payloadHash", "signatures"}, where=where)
    _check_payload(_at(spec, "payloadHash", where=where), signed, where)
    signatures = spec["signatures"]
    if not isinstance(signatures, list) or len(signatures) != len(envelope.signatures):
        raise _no("log.entry", where, f"{len(envelope.signatures)} signatures", "others")
    one = fields(signatures[0], {"signature", "verifier"}, where=where)
    _equal(where, signed.signature.hex(), base64_of(one, "signature", where=where).hex())
    _equal(where, signed.verifier.hex(), _der(base64_of(one, "verifier", where=where), where).hex())


def _check_intoto(spec: Mapping[str, Any], signed: Signed, where: str) -> None:
    envelope = _envelope(signed, where)
    content = _at(spec, "content", where=where)
    _check_payload(_at(content, "payloadHash", where=where), signed, where)
    stored = _at(content, "envelope", where=where)
    _equal(where, envelope.payload_type, stored.get("payloadType"))
    signatures = stored.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise _no("log.entry", where, "one signature", "others")
    one = fields(signatures[0], {"sig", "publicKey"}, optional={"keyid"}, where=where)
    # Rekor encodes both once more than DSSE does.
    inner = {"sig": base64_of(one, "sig", where=where).decode("ascii", "replace")}
    _equal(where, signed.signature.hex(), base64_of(inner, "sig", where=where).hex())
    pem = base64_of(one, "publicKey", where=where)
    _equal(where, signed.verifier.hex(), _der(pem, where).hex())


def _envelope(signed: Signed, where: str) -> dsse.Envelope:
    if signed.envelope is None:
        raise _no("log.entry", where, "an entry for a message", "one for an envelope")
    return signed.envelope


def _check_payload(digest: Mapping[str, Any], signed: Signed, where: str) -> None:
    _equal(where, "sha256", digest.get("algorithm"))
    _equal(where, signed.payload_digest.hex(), digest.get("value"))


def _at(value: Mapping[str, Any], *keys: str, where: str) -> Mapping[str, Any]:
    for key in keys:
        found = value.get(key)
        if not isinstance(found, Mapping):
            raise Malformed("expected an object", where=f"{where}.{key}")
        value = found
    return value


def _der(pem: bytes, where: str) -> bytes:
    """The bytes inside one PEM block, and nothing beside it."""
    match = _PEM.fullmatch(pem)
    if match is None:
        raise Malformed("expected one certificate or public key in PEM", where=where)
    try:
        return base64.b64decode(b"".join(match[2].split()), validate=True)
    except ValueError:
        raise Malformed("expected base64 inside PEM", where=where) from None


def _equal(where: str, expected: object, found: object) -> None:
    if expected != found:
        raise _no("log.entry", where, str(expected), str(found))


def _no(check: str, where: str, expected: str, found: str) -> Unverified:
    return Unverified(
        f"{check}: expected {expected}, found {found}",
        check=check,
        file=where,
        expected=expected,
        found=found,
    )
