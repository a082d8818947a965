"""Certificates as Sigstore clients want them: one root, and a short-lived leaf per signature.

A leaf is made like Fulcio's: an identity in the subject alternative name, ten minutes of life and
exactly one embedded signed certificate timestamp (RFC 6962, 3.3). Keys, serial numbers and time
come in as arguments.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.certificate_transparency import LogEntryType
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from engine.core.errors import Malformed, Unverified
from engine.evidence import der
from engine.evidence.owner import OWNER, claim
from engine.evidence.wording import moment, span

LEAF_LIFE_S: Final = 600
_ISSUER_V1: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_SHA256: Final = hashes.SHA256()
_ECDSA: Final = ec.ECDSA(_SHA256)
_NOTHING: Final = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafRequest:
    """What a leaf is made from.

    Attributes:
        identity: `https://...` of a machine, or `mailto:<address>` of a person.
        issuer: URL of what vouched for the identity.
        now_us: its life begins at the full second before and ends ten minutes later.
    """

    public: ec.EllipticCurvePublicKey
    identity: str
    issuer: str
    serial: int
    now_us: int


def make_root(
    key: ec.EllipticCurvePrivateKey,
    *,
    organization: str,
    common_name: str,
    serial: int,
    now_us: int,
    years: int,
) -> x509.Certificate:
    """A self-signed root that may sign leaves only."""
    name = _name(organization, common_name)
    start = _moment(now_us)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start.replace(year=start.year + years, day=min(start.day, 28)))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(**(_NOTHING | {"key_cert_sign": True, "crl_sign": True})), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, _SHA256)
    )


def make_tsa(
    root: Authority,
    public: ec.EllipticCurvePublicKey,
    *,
    organization: str,
    common_name: str,
    serial: int,
) -> x509.Certificate:
    """The certificate of the time-stamping key, as long-lived as its root."""
    return (
        x509.CertificateBuilder()
        .subject_name(_name(organization, common_name))
        .issuer_name(root.certificate.subject)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(root.certificate.not_valid_before_utc)
        .not_valid_after(root.certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**(_NOTHING | {"digital_signature": True})), critical=True)
        # RFC 3161, 2.3: this usage, alone and critical.
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_authority_id(root), critical=False)
        .sign(root.key, _SHA256)
    )


def make_leaf(
    request: LeafRequest, authority: Authority, ct_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """A leaf with one embedded SCT by `ct_key`."""
    builder = _leaf_builder(request, authority)
    # The precertificate's TBS without poison and SCT is what RFC 6962, 3.2 signs; a certificate
    # built from the same fields has exactly these bytes.
    tbs = builder.sign(authority.key, _SHA256).tbs_certificate_bytes
    sct = _sct(tbs, authority, ct_key, timestamp_ms=request.now_us // 1000)
    extension = x509.UnrecognizedExtension(
        ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS,
        der.tlv(der.OCTET_STRING, _list16(_list16(sct))),
    )
    return builder.add_extension(extension, critical=False).sign(authority.key, _SHA256)


def _leaf_builder(request: LeafRequest, authority: Authority) -> x509.CertificateBuilder:
    start_s = request.now_us // 1_000_000
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(request.public)
        .serial_number(request.serial)
        .not_valid_before(datetime.fromtimestamp(start_s, UTC))
        .not_valid_after(datetime.fromtimestamp(start_s + LEAF_LIFE_S, UTC))
        .add_extension(x509.KeyUsage(**(_NOTHING | {"digital_signature": True})), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public), critical=False)
        .add_extension(_authority_id(authority), critical=False)
        # RFC 5280, 4.1.2.6: critical, because the subject is empty.
        .add_extension(x509.SubjectAlternativeName([_general(request.identity)]), critical=True)
        .add_extension(
            x509.UnrecognizedExtension(_ISSUER_V1, request.issuer.encode()), critical=False
        )
        .add_extension(
            x509.UnrecognizedExtension(_ISSUER_V2, der.tlv(0x0C, request.issuer.encode())),
            critical=False,
        )
        .add_extension(
            x509.UnrecognizedExtension(OWNER, der.tlv(0x0C, claim(authority.certificate))),
            critical=False,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed, as a verified leaf says. `identity` as in `LeafRequest`."""

    identity: str
    issuer: str
    public: ec.EllipticCurvePublicKey


def verify_leaf(
    leaf: x509.Certificate,
    *,
    authority: x509.Certificate,
    ct_keys: dict[bytes, tuple[ec.EllipticCurvePublicKey, int, int | None]],
    at_s: int,
    where: str,
) -> Signer:
    """Check a leaf at the moment of its signature, and say whom it names.

    Args:
        authority: a trusted root that is valid at `at_s`; the caller saw to its window.
        ct_keys: (key, window start, window end) by log id, windows in UTC seconds.
        at_s: UTC seconds of a verified time stamp.

    Raises:
        Unverified: names the check.
    """
    check_issued(leaf, authority, where)
    start, end = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    if not start <= at_s <= end:
        raise _no("certificate.time", where, span(int(start), int(end)), moment(at_s))
    check_use(leaf, where)
    check_sct(leaf, authority, ct_keys, where)
    public = leaf.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise _no("certificate.key", where, "a P-256 key", type(public).__name__)
    return Signer(identity=identity_of(leaf, where), issuer=issuer_of(leaf, where), public=public)


def log_id(key: ec.EllipticCurvePublicKey) -> bytes:
    """RFC 6962, 3.2: SHA-256 of the key's SubjectPublicKeyInfo."""
    return hashlib.sha256(spki(key)).digest()


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def read(content: bytes, *, where: str) -> x509.Certificate:
    """Read a DER certificate. Raises `Malformed`.

    All of it is read now: the library would else find damage whenever a part is first looked at.
    """
    try:
        certificate = x509.load_der_x509_certificate(content)
        parts = (certificate.issuer, certificate.subject, certificate.extensions)
        certificate.public_key()
        certificate.not_valid_before_utc, certificate.not_valid_after_utc  # noqa: B018
        for name in parts[:2]:
            name.rfc4514_string()
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ):
        raise Malformed("expected a DER certificate", where=where) from None
    return certificate


def check_issued(leaf: x509.Certificate, authority: x509.Certificate, where: str) -> None:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        found = leaf.issuer.rfc4514_string()
        expected = authority.subject.rfc4514_string()
        raise _no(
            "certificate.authority", where, f"issued by the trusted {expected}", found
        ) from None


def check_use(leaf: x509.Certificate, where: str) -> None:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        raise _no("certificate.usage", where, "key usages", "none") from None
    if not usage.digital_signature or ExtendedKeyUsageOID.CODE_SIGNING not in extended:
        raise _no("certificate.usage", where, "digitalSignature and codeSigning", "others")
    for extension in leaf.extensions:
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            raise _no("certificate.usage", where, "a leaf", "an authority")


def check_sct(
    leaf: x509.Certificate,
    authority: x509.Certificate,
    ct_keys: dict[bytes, tuple[ec.EllipticCurvePublicKey, int, int | None]],
    where: str,
) -> None:
    try:
        scts = list(
            leaf.extensions.get_extension_for_class(
                x509.PrecertificateSignedCertificateTimestamps
            ).value
        )
    except (x509.ExtensionNotFound, ValueError):
        scts = []
    if len(scts) != 1:
        raise _no("certificate.sct", where, "exactly one SCT", str(len(scts)))
    sct = scts[0]
    known = ct_keys.get(sct.log_id)
    if known is None or sct.entry_type is not LogEntryType.PRE_CERTIFICATE:
        raise _no("certificate.sct", where, "an SCT of a trusted CT log", sct.log_id.hex())
    key, start_s, end_s = known
    at_s = int(sct.timestamp.replace(tzinfo=UTC).timestamp())
    if at_s < start_s or (end_s is not None and at_s > end_s):
        raise _no("certificate.sct", where, span(start_s, end_s), moment(at_s))
    timestamp_ms = round(sct.timestamp.replace(tzinfo=UTC).timestamp() * 1000)
    signed = _sct_signed(
        leaf.tbs_precertificate_bytes, _key_hash(authority), timestamp_ms, sct.extension_bytes
    )
    try:
        key.verify(sct.signature, signed, _ECDSA)
    except InvalidSignature:
        raise _no("certificate.sct", where, "a signature by the CT log", "another") from None


def identity_of(leaf: x509.Certificate, where: str) -> str:
    try:
        names = list(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, ValueError):
        names = []
    if len(names) == 1 and isinstance(names[0], x509.UniformResourceIdentifier):
        return str(names[0].value)
    if len(names) == 1 and isinstance(names[0], x509.RFC822Name):
        return f"mailto:{names[0].value}"
    raise _no("certificate.identity", where, "one URI or e-mail address", f"{len(names)} names")


def issuer_of(leaf: x509.Certificate, where: str) -> str:
    try:
        value = leaf.extensions.get_extension_for_oid(_ISSUER_V2).value
        assert isinstance(value, x509.UnrecognizedExtension)
        return der.parse(value.value).expect(0x0C).content.decode()
    except (x509.ExtensionNotFound, ValueError, Malformed):
        raise _no("certificate.issuer", where, "an issuer of the identity", "none") from None


def _sct(
    tbs: bytes, authority: Authority, ct_key: ec.EllipticCurvePrivateKey, *, timestamp_ms: int
) -> bytes:
    signed = _sct_signed(tbs, _key_hash(authority.certificate), timestamp_ms, b"")
    signature = ct_key.sign(signed, _ECDSA)
    return (
        b"\x00"  # v1
        + log_id(ct_key.public_key())
        + timestamp_ms.to_bytes(8, "big")
        + _list16(b"")  # no extensions
        + b"\x04\x03"  # SHA-256, ECDSA
        + _list16(signature)
    )


def _sct_signed(tbs: bytes, issuer_key_hash: bytes, timestamp_ms: int, extensions: bytes) -> bytes:
    """RFC 6962, 3.2: digitally-signed struct of a precertificate entry."""
    return (
        b"\x00\x00"  # v1, certificate_timestamp
        + timestamp_ms.to_bytes(8, "big")
        + b"\x00\x01"  # precert_entry
        + issuer_key_hash
        + len(tbs).to_bytes(3, "big")
        + tbs
        + _list16(extensions)
    )


def _key_hash(authority: x509.Certificate) -> bytes:
    public = authority.public_key()
    return hashlib.sha256(
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).digest()


def _list16(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def _general(identity: str) -> x509.GeneralName:
    address = identity.removeprefix("mailto:")
    if address != identity:
        return x509.RFC822Name(address)
    return x509.UniformResourceIdentifier(identity)


def _authority_id(authority: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())


def _name(organization: str, common_name: str) -> x509.Name:
    # Exactly one organization: gh picks the root by it.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _moment(now_us: int) -> datetime:
    return datetime.fromtimestamp(now_us // 1_000_000, UTC)


def _no(check: str, where: str, expected: str, found: str) -> Unverified:
    return Unverified(
        f"{check}: expected {expected}, found {found}",
        check=check,
        file=where,
        expected=expected,
        found=found,
    )
