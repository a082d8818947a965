"""RFC 3161 time-stamp tokens over a signature: made by our own authority, checked from anyone.

A token says that a signature existed at a moment. It is a CMS SignedData (RFC 5652) around a
TSTInfo; the ESS attribute (RFC 5816) ties it to one certificate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from engine.core.errors import Malformed, Unverified
from engine.evidence import der
from engine.evidence.wording import moment, span

_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
_TST_INFO: Final = "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
_SIGNING_TIME: Final = "1.2.840.113549.1.9.5"
_SIGNING_CERT_V2: Final = "1.2.840.113549.1.9.16.2.47"
_SHA256: Final = "2.16.840.1.101.3.4.2.1"
_ECDSA_SHA256: Final = "1.2.840.10045.4.3.2"
# ITU-T's arc for examples: a token must name a policy, and we claim nobody's.
_POLICY: Final = "2.999.1"

# FIPS 186-5: the order of the group.
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

_DIGESTS: Final[dict[bytes, hashes.HashAlgorithm]] = {
    der.oid("2.16.840.1.101.3.4.2.1"): hashes.SHA256(),
    der.oid("2.16.840.1.101.3.4.2.2"): hashes.SHA384(),
    der.oid("2.16.840.1.101.3.4.2.3"): hashes.SHA512(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAuthority:
    """The key that signs tokens, its certificate and that one's root."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    root: x509.Certificate


def stamp(signature: bytes, authority: TimeAuthority, *, serial: int, now_us: int) -> bytes:
    """Return a granted TimeStampResp (DER) over `signature`, its certificate embedded."""
    moment = datetime.fromtimestamp(now_us // 1_000_000, UTC)
    algorithm = der.sequence(der.oid(_SHA256))
    info = der.sequence(
        der.integer(1),
        der.oid(_POLICY),
        der.sequence(algorithm, der.tlv(der.OCTET_STRING, hashlib.sha256(signature).digest())),
        der.integer(serial),
        der.tlv(der.GENERALIZED_TIME, f"{moment:%Y%m%d%H%M%SZ}".encode()),
    )
    certificate = authority.certificate.public_bytes(Encoding.DER)
    attributes = _attributes(info, certificate, moment)
    signed = _low(authority.key.sign(der.set_of(attributes), ec.ECDSA(hashes.SHA256())))
    return _response(
        info,
        der.parse(der.set_of(attributes)).content,
        signed,
        signer=(authority.certificate.issuer.public_bytes(), authority.certificate.serial_number),
        certificate=certificate,
    )


def _response(
    info: bytes,
    attributes: bytes,
    signature: bytes,
    *,
    signer: tuple[bytes, int],
    certificate: bytes,
) -> bytes:
    """The one spelling of our own responses; what is not signed in it has no room to differ."""
    algorithm = der.sequence(der.oid(_SHA256))
    signer_info = der.sequence(
        der.integer(1),
        der.sequence(signer[0], der.integer(signer[1])),
        algorithm,
        der.tlv(der.context(0), attributes),
        der.sequence(der.oid(_ECDSA_SHA256)),
        der.tlv(der.OCTET_STRING, signature),
    )
    data = der.sequence(
        der.integer(3),
        der.set_of([algorithm]),
        der.sequence(der.oid(_TST_INFO), der.tlv(der.context(0), der.tlv(der.OCTET_STRING, info))),
        der.tlv(der.context(0), certificate),
        der.set_of([signer_info]),
    )
    token = der.sequence(der.oid(_SIGNED_DATA), der.tlv(der.context(0), data))
    return der.sequence(der.sequence(der.integer(0)), token)


def _attributes(info: bytes, certificate: bytes, moment: datetime) -> list[bytes]:
    certificate_id = der.sequence(der.tlv(der.OCTET_STRING, hashlib.sha256(certificate).digest()))
    values = {
        _CONTENT_TYPE: der.oid(_TST_INFO),
        _SIGNING_TIME: der.tlv(der.UTC_TIME, f"{moment:%y%m%d%H%M%SZ}".encode()),
        _MESSAGE_DIGEST: der.tlv(der.OCTET_STRING, hashlib.sha256(info).digest()),
        _SIGNING_CERT_V2: der.sequence(der.sequence(certificate_id)),
    }
    return [der.sequence(der.oid(kind), der.set_of([value])) for kind, value in values.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    info: bytes
    imprint_algorithm: bytes
    imprint: bytes
    at_s: int
    attributes: bytes
    by_kind: dict[bytes, bytes]
    digest: hashes.HashAlgorithm
    signature: bytes
    signer: tuple[bytes, int]


def verify(
    response: bytes,
    signature: bytes,
    *,
    chain: Sequence[x509.Certificate],
    where: str,
    exact: bool = False,
) -> int:
    """Check that the token is by the trusted authority and over `signature`.

    Args:
        response: TimeStampResp, DER. Certificates inside it are never trusted.
        chain: the authority's certificate first, its root last; at least two.
        exact: refuse what our own authority would not have written byte for byte. Parts of a
            response are not signed; in a pack they must not be a place where a byte can change.

    Returns:
        UTC seconds at which the signature existed; the window of trust is the caller's to check.

    Raises:
        Malformed: this is no granted time-stamp response.
        Unverified: names the check.
    """
    token = _parse(response, where)
    certificate = chain[0]
    _check_chain(chain, token.at_s, where)
    if token.signer != (certificate.issuer.public_bytes(), certificate.serial_number):
        raise _no("timestamp.signer", where, "the trusted authority", "another signer")
    hasher = _DIGESTS.get(token.imprint_algorithm)
    if hasher is None or _hash(hasher, signature) != token.imprint:
        raise _no("timestamp.imprint", where, "a token over this signature", "over another")
    if token.by_kind.get(der.oid(_CONTENT_TYPE)) != der.oid(_TST_INFO):
        raise _no("timestamp.content", where, "a time-stamp", "another content type")
    stated = token.by_kind.get(der.oid(_MESSAGE_DIGEST))
    if stated != der.tlv(der.OCTET_STRING, _hash(token.digest, token.info)):
        raise _no("timestamp.content", where, "the digest of the token's content", "another")
    _check_ess(token, certificate, where)
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _no("timestamp.key", where, "an ECDSA key", type(key).__name__)
    try:
        key.verify(token.signature, token.attributes, ec.ECDSA(token.digest))
    except InvalidSignature:
        raise _no("timestamp.signature", where, "a signature by the authority", "another") from None
    if exact:
        if key.curve.name != "secp256r1":
            raise _no("timestamp.form", where, "our authority's P-256", key.curve.name)
        ours = _response(
            token.info,
            der.parse(token.attributes).content,
            # Of the two numbers that are equally a signature, ours is the smaller one.
            _low(token.signature),
            signer=token.signer,
            certificate=certificate.public_bytes(Encoding.DER),
        )
        if ours != response:
            raise _no("timestamp.form", where, "our authority's own form", "another")
    return token.at_s


def when(response: bytes, *, where: str) -> tuple[int, int]:
    """What a token says, unverified: UTC seconds and its serial number (RFC 3161, 2.4.2).

    Raises:
        Malformed: this is no granted time-stamp response.
    """
    token = _parse(response, where)
    serial = der.parse(token.info).expect(der.SEQUENCE).children()[3].integer()
    return token.at_s, serial


def _check_chain(chain: Sequence[x509.Certificate], at_s: int, where: str) -> None:
    if len(chain) < 2:
        raise _no("timestamp.chain", where, "a certificate and its root", f"{len(chain)}")
    for number, certificate in enumerate(chain):
        issuer = chain[min(number + 1, len(chain) - 1)]
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            raise _no("timestamp.chain", where, "a chain to the trusted root", "none") from None
        start = certificate.not_valid_before_utc.timestamp()
        end = certificate.not_valid_after_utc.timestamp()
        if not start <= at_s <= end:
            raise _no("timestamp.time", where, span(int(start), int(end)), moment(at_s))
    try:
        usage = chain[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise _no("timestamp.usage", where, "timeStamping", "no extended usage") from None
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise _no("timestamp.usage", where, "timeStamping alone and critical", "others")


def _check_ess(token: _Token, certificate: x509.Certificate, where: str) -> None:
    """RFC 5816: the first certificate id of the attribute is the signer's."""
    value = token.by_kind.get(der.oid(_SIGNING_CERT_V2))
    if value is None:
        raise _no("timestamp.ess", where, "signingCertificateV2", "none")
    try:
        first = der.parse(value).children()[0].children()[0].children()
        algorithm = first[0].children()[:1] if first and first[0].tag == der.SEQUENCE else []
    except IndexError:
        raise _no("timestamp.ess", where, "signingCertificateV2", "an empty one") from None
    hasher: hashes.HashAlgorithm = hashes.SHA256()
    if first and first[0].tag == der.SEQUENCE:
        named = _DIGESTS.get(algorithm[0].raw) if algorithm else None
        if named is None:
            raise _no("timestamp.ess", where, "a known digest", "another")
        hasher, first = named, first[1:]
    if not first or first[0].content != certificate.fingerprint(hasher):
        raise _no("timestamp.ess", where, "the authority's certificate", "another")


def _parse(response: bytes, where: str) -> _Token:
    try:
        status, token = der.parse(response).expect(der.SEQUENCE).children()
        if status.children()[0].integer() not in {0, 1}:
            raise Malformed("the time-stamp was not granted", where=where)
        kind, wrapped = token.expect(der.SEQUENCE).children()
        if kind.raw != der.oid(_SIGNED_DATA):
            raise Malformed("expected signed data", where=where)
        data = wrapped.expect(der.context(0)).children()[0].children()
        content = data[2].children()
        signers = data[-1].expect(der.SET).children()
        if content[0].raw != der.oid(_TST_INFO) or len(signers) != 1:
            raise Malformed("expected one signer of a time-stamp", where=where)
        info = content[1].expect(der.context(0)).children()[0].expect(der.OCTET_STRING).content
        return _read(info, signers[0].children(), where)
    except (IndexError, ValueError) as error:
        raise Malformed(f"expected a time-stamp response: {error}", where=where) from None


def _read(info: bytes, signer: list[der.Node], where: str) -> _Token:
    fields = der.parse(info).expect(der.SEQUENCE).children()
    imprint_algorithm, imprint = fields[2].children()
    issuer, serial = signer[1].expect(der.SEQUENCE).children()
    attributes = signer[3].expect(der.context(0))
    digest = _DIGESTS.get(signer[2].children()[0].raw)
    if digest is None:
        raise Malformed("expected SHA-256, SHA-384 or SHA-512", where=where)
    by_kind: dict[bytes, bytes] = {}
    for attribute in attributes.children():
        kind, values = attribute.children()
        if kind.raw in by_kind or len(values.children()) != 1:
            raise Malformed("an attribute stands twice", where=where)
        by_kind[kind.raw] = values.children()[0].raw
    return _Token(
        info=info,
        imprint_algorithm=imprint_algorithm.children()[0].raw,
        imprint=imprint.expect(der.OCTET_STRING).content,
        at_s=_seconds(fields[4].expect(der.GENERALIZED_TIME).content.decode("ascii")),
        # Signed as a SET OF, although it is stored under [0] (RFC 5652, 5.4).
        attributes=der.tlv(der.SET, attributes.content),
        by_kind=by_kind,
        digest=digest,
        signature=signer[5].expect(der.OCTET_STRING).content,
        signer=(issuer.raw, serial.integer()),
    )


def _seconds(text: str) -> int:
    """GeneralizedTime in UTC; a fraction of a second is cut off."""
    whole = text.removesuffix("Z").partition(".")[0]
    if not text.endswith("Z") or len(whole) != 14:
        raise ValueError(f"time {text!r}")
    return int(datetime.strptime(whole, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())


def _low(signature: bytes) -> bytes:
    """The one spelling of a P-256 signature: (r, s) and (r, n - s) are both good."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, _P256_ORDER - s))


def _hash(algorithm: hashes.HashAlgorithm, content: bytes) -> bytes:
    hasher = hashes.Hash(algorithm)
    hasher.update(content)
    return hasher.finalize()


def _no(check: str, where: str, expected: str, found: str) -> Unverified:
    return Unverified(
        f"{check}: expected {expected}, found {found}",
        check=check,
        file=where,
        expected=expected,
        found=found,
    )
