"""Judging any Sigstore bundle offline, v0.1 to v0.3: a client as sigstore-conformance tests them.

`engine.evidence.sigstore_bundle` makes and judges the one profile of our own packs. This one takes
what others make: message signatures and envelopes, certificates and bare keys, Rekor v1 and v2.
Everything that a bundle brings has to be good; nothing is passed over because something else is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.core.errors import Malformed, Unverified
from engine.evidence import certificates, dsse, timestamp
from engine.evidence.foreign_key import ForeignKey
from engine.evidence.sigstore_entries import Signed, verify_entry
from engine.evidence.sigstore_roots import ForeignRoot, load_key
from engine.evidence.strict import base64_of, fields, parse_object, text
from engine.evidence.trust import Chain
from engine.evidence.wording import moment, span

_OLD: Final = "application/vnd.dev.sigstore.bundle+json;version="
_VERSIONS: Final[Mapping[str, str]] = {
    f"{_OLD}0.1": "0.1",
    f"{_OLD}0.2": "0.2",
    f"{_OLD}0.3": "0.3",
    "application/vnd.dev.sigstore.bundle.v0.3+json": "0.3",
}
_MATERIAL: Final = frozenset({"certificate", "x509CertificateChain", "publicKey"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Who should have signed: `identity` and `issuer` of a certificate, or the bare `key`."""

    identity: str = ""
    issuer: str = ""
    key: ForeignKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What should have been signed. `content`: None when only its SHA-256 is known."""

    digest: bytes
    content: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A good bundle.

    Attributes:
        times: UTC seconds of every verified time stamp and log entry.
        payload: of the envelope; None for a message signature.
    """

    signer: str
    issuer: str
    times: tuple[int, ...]
    payload: bytes | None


def verify_any_bundle(
    content: bytes, artifact: Artifact | None, expected: Expected, root: ForeignRoot, *, where: str
) -> Judged:
    """Judge a bundle against a trusted root, an artifact and an expected signer.

    Args:
        artifact: None: it has to be an envelope, whose statement the caller reads and judges.

    Raises:
        Malformed, Unverified: the first thing that is wrong, named.
    """
    document = parse_object(content, where=where)
    fields(
        document,
        {"mediaType", "verificationMaterial"},
        optional={"messageSignature", "dsseEnvelope"},
        where=where,
    )
    version = _VERSIONS.get(str(document["mediaType"]))
    if version is None:
        raise Malformed(
            f"unknown bundle type {document['mediaType']!r}", where=f"{where}.mediaType"
        )
    material = fields(
        document["verificationMaterial"],
        {"tlogEntries"},
        optional=_MATERIAL | {"timestampVerificationData"},
        where=f"{where}.verificationMaterial",
    )
    leaf, raw, key = _verifier(material, version, expected, where)
    signed = _signed(document, artifact, raw, where)
    times = _times(material, signed, root, version, where)
    if leaf is not None:
        for at_s in times:
            _check_leaf(leaf, at_s, root, where)
        _check_identity(leaf, expected, where)
    payload = _opened(key, signed, artifact, where)
    return Judged(
        signer=expected.identity if leaf is not None else key.name,
        issuer=expected.issuer if leaf is not None else "",
        times=times,
        payload=payload,
    )


def _verifier(
    material: Mapping[str, Any], version: str, expected: Expected, where: str
) -> tuple[x509.Certificate | None, bytes, ForeignKey]:
    """The leaf, if there is one, the bytes that the log has of the verifier, and its key."""
    kinds = sorted(material.keys() & _MATERIAL)
    if len(kinds) != 1:
        raise Malformed(f"expected one of {', '.join(sorted(_MATERIAL))}", where=where)
    if (kinds == ["publicKey"]) != (expected.key is not None):
        wanted = "a signature by the given key" if expected.key else "a certificate"
        raise _no("bundle.verifier", where, wanted, kinds[0])
    if expected.key is not None:
        hint = fields(material["publicKey"], set(), optional={"hint"}, where=f"{where}.publicKey")
        text({"hint": "", **hint}, "hint", where=f"{where}.publicKey")
        der = expected.key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return None, der, expected.key
    if kinds == ["certificate"]:
        first = fields(material["certificate"], {"rawBytes"}, where=f"{where}.certificate")
        rest: list[Any] = []
    elif version == "0.3":
        raise Malformed("expected a single certificate in a bundle v0.3", where=where)
    else:
        chain = fields(material["x509CertificateChain"], {"certificates"}, where=where)
        listed = chain["certificates"]
        if not isinstance(listed, list) or not listed:
            raise Malformed("expected at least one certificate", where=f"{where}.certificates")
        first, *rest = listed
    raw = base64_of(fields(first, {"rawBytes"}, where=where), "rawBytes", where=where)
    leaf = certificates.read(raw, where=where)
    _check_brought(leaf, rest, where)
    spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return leaf, raw, load_key(spki, where=f"{where}.certificate")


def _check_brought(leaf: x509.Certificate, rest: Sequence[Any], where: str) -> None:
    """What comes with a leaf is its issuers, one above the other, and never the root.

    None of them is trusted: the root is what one trusts, and a bundle must not bring it along.
    """
    below = leaf
    for one in rest:
        raw = base64_of(fields(one, {"rawBytes"}, where=where), "rawBytes", where=where)
        certificate = certificates.read(raw, where=where)
        if certificate.subject == certificate.issuer:
            raise _no("certificate.chain", where, "no root in a bundle", "one")
        certificates.check_issued(below, certificate, where)
        below = certificate


def _signed(
    document: Mapping[str, Any], artifact: Artifact | None, raw: bytes, where: str
) -> Signed:
    """What was signed, as the bundle has it, held against the artifact."""
    if ("messageSignature" in document) == ("dsseEnvelope" in document):
        raise Malformed("expected a message signature or an envelope", where=where)
    if "dsseEnvelope" in document:
        envelope = dsse.envelope_of(document["dsseEnvelope"], where=f"{where}.dsseEnvelope")
        if len(envelope.signatures) != 1:
            raise Malformed(
                f"expected one signature, found {len(envelope.signatures)}", where=where
            )
        return Signed(
            digest=envelope.pae_digest,
            signature=envelope.signatures[0].value,
            verifier=raw,
            envelope=envelope,
            payload_digest=envelope.payload_digest,
        )
    if artifact is None:
        raise Malformed("expected an envelope, found a message signature", where=where)
    message = fields(
        document["messageSignature"],
        {"signature"},
        optional={"messageDigest"},
        where=f"{where}.messageSignature",
    )
    if "messageDigest" in message:
        stated = fields(message["messageDigest"], {"algorithm", "digest"}, where=where)
        found = base64_of(stated, "digest", where=where)
        if stated["algorithm"] != "SHA2_256" or found != artifact.digest:
            raise _no("message.digest", where, artifact.digest.hex(), found.hex())
    return Signed(
        digest=artifact.digest,
        signature=base64_of(message, "signature", where=f"{where}.messageSignature"),
        verifier=raw,
        envelope=None,
        payload_digest=artifact.digest,
    )


def _times(
    material: Mapping[str, Any], signed: Signed, root: ForeignRoot, version: str, where: str
) -> tuple[int, ...]:
    """Every moment that the log and the time stampers vouch for; at least one."""
    entries = material["tlogEntries"]
    if not isinstance(entries, list) or len(entries) != 1:
        raise Malformed("expected one log entry", where=f"{where}.tlogEntries")
    logged = verify_entry(
        entries[0],
        signed,
        root,
        proof_required=version != "0.1",
        where=f"{where}.tlogEntries[0]",
    )
    data = material.get("timestampVerificationData")
    data = {} if data is None else data
    fields(data, set(), optional={"rfc3161Timestamps"}, where=f"{where}.timestampVerificationData")
    tokens = data.get("rfc3161Timestamps", [])
    if not isinstance(tokens, list):
        raise Malformed("expected a list", where=f"{where}.rfc3161Timestamps")
    if any(one in tokens[:number] for number, one in enumerate(tokens)):
        raise _no("timestamp", where, "each time stamp once", "one twice")
    stamped = [_stamped(token, signed.signature, root, where) for token in tokens]
    if not stamped and logged.at_s is None:
        raise _no("timestamp", where, "a time stamp", "none")
    for at_s in stamped:
        if not logged.log.window.holds(at_s):
            raise _no("log.window", where, str(logged.log.window), moment(at_s))
    return (*stamped, *(() if logged.at_s is None else (logged.at_s,)))


def _stamped(token: Any, signature: bytes, root: ForeignRoot, where: str) -> int:
    raw = base64_of(fields(token, {"signedTimestamp"}, where=where), "signedTimestamp", where=where)
    refusal = _no("timestamp.signer", where, "a trusted time authority", "none")
    for chain in root.time_authorities:
        try:
            at_s = timestamp.verify(raw, signature, chain=chain.certificates, where=where)
        except Unverified as error:
            refusal = error
            continue
        if chain.window.holds(at_s):
            return at_s
        refusal = _no("timestamp.window", where, str(chain.window), moment(at_s))
    raise refusal


def _check_leaf(leaf: x509.Certificate, at_s: int, root: ForeignRoot, where: str) -> None:
    """Issued by a trusted authority, valid and trusted at that moment, for signing code."""
    start, end = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    if not start <= at_s <= end:
        raise _no("certificate.time", where, span(int(start), int(end)), moment(at_s))
    certificates.check_use(leaf, where)
    refusal = _no("certificate.authority", where, "a trusted authority", "none")
    for chain in root.authorities:
        try:
            _check_chain(leaf, chain, at_s, where)
            certificates.check_sct(leaf, chain.certificates[0], dict(root.ct_keys), where)
        except Unverified as error:
            refusal = error
            continue
        return
    raise refusal


def _check_chain(leaf: x509.Certificate, chain: Chain, at_s: int, where: str) -> None:
    below = leaf
    for number, authority in enumerate(chain.certificates):
        certificates.check_issued(below, authority, where)
        start = authority.not_valid_before_utc.timestamp()
        end = authority.not_valid_after_utc.timestamp()
        if not start <= at_s <= end:
            raise _no("certificate.time", where, span(int(start), int(end)), moment(at_s))
        _check_authority(authority, number, where)
        below = authority
    if not chain.window.holds(at_s):
        raise _no("certificate.window", where, str(chain.window), moment(at_s))


def _check_authority(authority: x509.Certificate, below: int, where: str) -> None:
    try:
        basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise _no("certificate.authority", where, "an authority", "no constraints") from None
    if not basic.ca or (basic.path_length is not None and basic.path_length < below):
        raise _no("certificate.authority", where, "an authority", "another certificate")


def _check_identity(leaf: x509.Certificate, expected: Expected, where: str) -> None:
    found = certificates.identity_of(leaf, where).removeprefix("mailto:")
    if found != expected.identity.removeprefix("mailto:"):
        raise _no("certificate.identity", where, expected.identity, found)
    issuer = certificates.issuer_of(leaf, where)
    if issuer != expected.issuer:
        raise _no("certificate.issuer", where, expected.issuer, issuer)


def _opened(key: ForeignKey, signed: Signed, artifact: Artifact | None, where: str) -> bytes | None:
    """The payload of an envelope, once its signature and, if given, its subject are right."""
    if signed.envelope is None:
        if artifact is None or not _is_over(key, signed.signature, artifact):
            raise _no("message.signature", where, "a signature over the artifact", "another")
        return None
    if signed.envelope.payload_type != dsse.IN_TOTO:
        raise _no("dsse.type", where, dsse.IN_TOTO, signed.envelope.payload_type)
    payload = dsse.open_by(signed.envelope, key.signed)
    if payload is None:
        raise _no("dsse.signature", where, "a signature by the signer's key", "another")
    if artifact is not None:
        _check_subject(payload, artifact, where)
    return payload


def _check_subject(payload: bytes, artifact: Artifact, where: str) -> None:
    statement = parse_object(payload, where=f"{where}.payload", fractions=True)
    if not text(statement, "_type", where=where).startswith("https://in-toto.io/Statement/v"):
        raise _no("statement.type", where, "an in-toto statement", str(statement["_type"]))
    subjects = statement.get("subject")
    digests = [
        one["digest"].get("sha256")
        for one in (subjects if isinstance(subjects, list) else [])
        if isinstance(one, Mapping) and isinstance(one.get("digest"), Mapping)
    ]
    if artifact.digest.hex() not in digests:
        raise _no("statement.subject", where, artifact.digest.hex(), ", ".join(map(str, digests)))


def _is_over(key: ForeignKey, signature: bytes, artifact: Artifact) -> bool:
    """Whether a signature is over the artifact, of which perhaps only the digest is known."""
    if artifact.content is not None:
        return key.signed(signature, artifact.content)
    hashed = Prehashed(hashes.SHA256())
    try:
        match key.public:
            case ec.EllipticCurvePublicKey():
                key.public.verify(signature, artifact.digest, ec.ECDSA(hashed))
            case rsa.RSAPublicKey():
                key.public.verify(signature, artifact.digest, padding.PKCS1v15(), hashed)
            case _:
                return False  # Ed25519 signs the artifact itself, and that is not here
    except InvalidSignature:
        return False
    return True


def named_signer(content: bytes, *, where: str) -> tuple[str, str]:
    """Identity and issuer that a bundle's certificate claims, whoever made it. Proves nothing.

    Raises:
        Malformed, Unverified: there is no certificate, or it names nobody.
    """
    document = parse_object(content, where=where)
    version = _VERSIONS.get(str(document.get("mediaType")))
    material = document.get("verificationMaterial")
    if version is None or not isinstance(material, Mapping):
        raise Malformed("expected a Sigstore bundle, v0.1 to v0.3", where=where)
    leaf, _, _ = _verifier(material, version, Expected(), where)
    assert leaf is not None  # no key was expected
    return certificates.identity_of(leaf, where), certificates.issuer_of(leaf, where)


def artifact_of(content: bytes) -> Artifact:
    return Artifact(digest=hashlib.sha256(content).digest(), content=content)


def _no(check: str, where: str, expected: str, found: str) -> Unverified:
    return Unverified(
        f"{check}: expected {expected}, found {found}",
        check=check,
        file=where,
        expected=expected,
        found=found,
    )
