"""The key that a home signs its feed snapshots with, for homes that no network reaches.

Ed25519, because its signatures are the same for the same bytes: two exports of the same snapshots
are byte-identical. It is worked out from a secret of the home, for this use alone.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.evidence.dsse import Envelope, Signature, pae
from engine.evidence.foreign_key import ForeignKey

PAYLOAD_TYPE: Final = "application/vnd.releaseline.feeds+json"
_INFO: Final = b"releaseline feeds export key/1"


class FeedsSigner:
    """Args: secret: key bytes of the home, which stay secret."""

    def __init__(self, secret: bytes) -> None:
        derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_INFO)
        self._key = Ed25519PrivateKey.from_private_bytes(derived.derive(secret))

    @property
    def public(self) -> ForeignKey:
        return ForeignKey(self._key.public_key())

    @property
    def pem(self) -> str:
        """What another home names under `feeds.import_keys`."""
        public = self._key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    def seal(self, payload: bytes) -> Envelope:
        signature = self._key.sign(pae(PAYLOAD_TYPE, payload))
        return Envelope(PAYLOAD_TYPE, (Signature(self.public.name, signature),), payload)
