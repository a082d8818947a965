"""DSSE: the specification's own example, and that only a good signature opens an envelope."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Malformed, Unverified
from engine.evidence import dsse
from engine.evidence.dsse import Envelope, Signature, open_envelope, pae, parse_envelope, seal

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def test_the_example_of_the_specification(vectors: Path) -> None:
    case = json.loads((vectors / "dsse" / "protocol_example.json").read_text())
    assert pae(case["payloadType"], case["payload"].encode()) == case["pae"].encode()
    numbers = ec.EllipticCurvePublicNumbers(
        int(case["key"]["x"]), int(case["key"]["y"]), ec.SECP256R1()
    )
    read = parse_envelope(json.dumps(case["envelope"]).encode())
    raw = read.signatures[0].value  # r || s there; DER, as everybody has it today, here
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    envelope = Envelope(read.payload_type, (Signature("", der),), case["payload"].encode())
    opened = open_envelope(envelope, [numbers.public_key()], payload_type=case["payloadType"])
    assert opened == b"hello world"


def test_lengths_count_bytes() -> None:
    assert pae("t/é", "日本".encode()) == "DSSEv1 4 t/é 6 日本".encode()


@given(st.binary(max_size=300))
def test_what_was_sealed_is_opened(payload: bytes) -> None:
    read = parse_envelope(seal(payload, KEY).to_bytes())
    assert open_envelope(read, [OTHER.public_key(), KEY.public_key()]) == payload
    with pytest.raises(Unverified):
        open_envelope(read, [OTHER.public_key()])
    with pytest.raises(Unverified):
        open_envelope(read, [])


@given(st.binary(min_size=1, max_size=60), st.data())
def test_one_changed_byte_never_opens(payload: bytes, data: st.DataObject) -> None:
    envelope = seal(payload, KEY)
    spot = data.draw(st.integers(0, len(payload) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    changed = bytearray(payload)
    changed[spot] ^= bit
    with pytest.raises(Unverified):
        open_envelope(
            Envelope(envelope.payload_type, envelope.signatures, bytes(changed)),
            [KEY.public_key()],
        )


def test_a_key_listed_twice_is_one_key() -> None:
    envelope = seal(b"x", KEY)
    with pytest.raises(Unverified, match="1 good signatures"):
        open_envelope(envelope, [KEY.public_key(), KEY.public_key()], threshold=2)
    with pytest.raises(ValueError, match="at least 1"):
        open_envelope(envelope, [KEY.public_key()], threshold=0)


def test_another_type_is_refused_before_any_signature() -> None:
    with pytest.raises(Unverified, match="payload type"):
        open_envelope(seal(b"x", KEY, "text/plain"), [KEY.public_key()])


def test_url_safe_base64_is_read_too() -> None:
    document = seal(b"\xfb\xff\xfe" * 5, KEY).document()
    document["payload"] = base64.urlsafe_b64encode(b"\xfb\xff\xfe" * 5).decode()
    read = parse_envelope(json.dumps(document).encode())
    assert open_envelope(read, [KEY.public_key()]) == b"\xfb\xff\xfe" * 5


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"{",
        b'{"payload":"","payloadType":"t","signatures":[]}',
        b'{"payload":"!","payloadType":"t","signatures":[{"sig":""}]}',
        b'{"payload":"","payload":"","payloadType":"t","signatures":[{"sig":""}]}',
        b'{"payload":"","payloadType":"t","signatures":[{"sig":"","x":1}]}',
        b'{"payload":"","payloadType":"t","signatures":[{"sig":1.5}]}',
        b'{"payload":"","payloadType":"t","signatures":' + b"[" * 5000,
    ],
)
def test_what_is_no_envelope_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        parse_envelope(content)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_stumble(content: bytes) -> None:
    with pytest.raises(Malformed):
        parse_envelope(content)


def test_the_key_id_is_the_openssh_fingerprint() -> None:
    # ssh-keygen -lf of this key prints exactly this.
    public = ec.derive_private_key(1, ec.SECP256R1()).public_key()
    assert dsse.key_id(public).startswith("SHA256:") and len(dsse.key_id(public)) == 50
