"""Public keys of strangers, as people configure them, and what counts as their signature.

The kinds that DSSE signers use in practice: ECDSA on P-256 and P-384, Ed25519 and RSA from 2048
bits. Our own signatures are P-256 alone (`engine.evidence.dsse`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from engine.core.digest import Digest
from engine.core.errors import Malformed

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | Ed25519PublicKey | rsa.RSAPublicKey

# The hash of the curve's size, and SHA-256, which some signers use with every curve.
_CURVES: Final[dict[str, tuple[hashes.HashAlgorithm, ...]]] = {
    "secp256r1": (hashes.SHA256(),),
    "secp384r1": (hashes.SHA384(), hashes.SHA256()),
}
_RSA_BITS: Final = (2_048, 8_192)
_KINDS: Final = "a P-256, P-384, Ed25519 or RSA key (2048 to 8192 bits)"
_PRIVATE: Final = b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A trusted public key. Built by `parse_key` only."""

    public: PublicKey

    @property
    def digest(self) -> Digest:
        """SHA-256 of the SubjectPublicKeyInfo: the same for every spelling of the PEM."""
        return Digest.of(self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    @property
    def name(self) -> str:
        """How the key is named as a signer."""
        return f"SHA256:{self.digest.hex}"

    @property
    def kind(self) -> str:
        match self.public:
            case Ed25519PublicKey():
                return "Ed25519"
            case rsa.RSAPublicKey():
                return f"RSA {self.public.key_size}"
            case _:
                return {"secp256r1": "P-256", "secp384r1": "P-384"}[self.public.curve.name]

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is this key's over `message`."""
        public = self.public
        match public:
            case Ed25519PublicKey():
                return _ed25519(public, signature, message)
            case rsa.RSAPublicKey():
                return _rsa(public, signature, message)
            case _:
                return _ecdsa(public, signature, message)


def parse_key(pem: bytes, *, where: str) -> ForeignKey:
    """Read a PEM public key.

    Raises:
        Malformed: it is none, of another kind, or too weak.
    """
    if _PRIVATE in pem:
        raise Malformed("expected a public key, found a private one", where=where)
    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise Malformed(f"expected {_KINDS} in PEM, found no such key", where=where) from None
    match public:
        case ec.EllipticCurvePublicKey() if public.curve.name in _CURVES:
            return ForeignKey(public)
        case ec.EllipticCurvePublicKey():
            raise Malformed(f"expected {_KINDS}, found {public.curve.name}", where=where)
        case rsa.RSAPublicKey() if _RSA_BITS[0] <= public.key_size <= _RSA_BITS[1]:
            return ForeignKey(public)
        case rsa.RSAPublicKey():
            raise Malformed(f"expected {_KINDS}, found RSA {public.key_size}", where=where)
        case Ed25519PublicKey():
            return ForeignKey(public)
        case _:
            raise Malformed(f"expected {_KINDS}, found another kind", where=where)


def _ecdsa(public: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """DER as X9.62 has it, or the two numbers side by side as in DSSE's own example."""
    size = (public.curve.key_size + 7) // 8
    spellings = [signature]
    if len(signature) == 2 * size:
        r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
        spellings.append(encode_dss_signature(r, s))
    for spelling in spellings:
        for hasher in _CURVES[public.curve.name]:
            try:
                public.verify(spelling, message, ec.ECDSA(hasher))
            except InvalidSignature:
                continue
            return True
    return False


def _rsa(public: rsa.RSAPublicKey, signature: bytes, message: bytes) -> bool:
    """PSS of any salt, or PKCS #1 v1.5; both over SHA-256."""
    hasher = hashes.SHA256()
    for way in (padding.PSS(padding.MGF1(hasher), padding.PSS.AUTO), padding.PKCS1v15()):
        try:
            public.verify(signature, message, way, hasher)
        except InvalidSignature:
            continue
        return True
    return False


def _ed25519(public: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        public.verify(signature, message)
    except InvalidSignature:
        return False
    return True
