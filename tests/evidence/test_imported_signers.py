"""What the library of in-toto and TUF signs is taken in as it comes, with every kind of key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from engine.core.errors import Unverified
from engine.evidence.dsse import IN_TOTO
from engine.evidence.foreign_key import parse_key
from engine.evidence.imported import KeyAnchor, judge
from tests.evidence.foreign_kit import anchor, statement

KEYS = [
    (lambda: ec.generate_private_key(ec.SECP256R1()), "ecdsa-sha2-nistp256"),
    (lambda: ec.generate_private_key(ec.SECP384R1()), "ecdsa-sha2-nistp384"),
    (Ed25519PrivateKey.generate, "ed25519"),
    (lambda: rsa.generate_private_key(65_537, 3_072), "rsassa-pss-sha256"),
    (lambda: rsa.generate_private_key(65_537, 2_048), "rsa-pkcs1v15-sha256"),
]


@pytest.mark.parametrize(("make", "scheme"), KEYS, ids=[scheme for _, scheme in KEYS])
def test_every_scheme(make: Any, scheme: str) -> None:
    private = make()
    signer = CryptoSigner(private, SSlibKey.from_crypto(private.public_key(), scheme=scheme))
    sealed = Envelope(statement(), IN_TOTO, {})
    sealed.sign(signer)
    content = json.dumps(sealed.to_dict()).encode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    theirs = KeyAnchor(name="theirs", key=parse_key(public, where="theirs"))
    assert judge(content, (anchor("p256"), theirs), where="x").payload == statement()
    with pytest.raises(Unverified):
        judge(content, (anchor("p256"), anchor("rsa-pss"), anchor("ed25519")), where="x")
