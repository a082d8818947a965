"""Attestations of strangers: only who is trusted opens one, and nothing is read before."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Malformed, Unverified
from engine.evidence.dsse import pae
from engine.evidence.foreign_key import ForeignKey, parse_key
from engine.evidence.imported import SIGNATURES_MAX, SIZE_MAX, documents, judge
from tests.evidence.foreign_kit import (
    ARTIFACT,
    KINDS,
    PROVENANCE,
    STATEMENT_V01,
    anchor,
    envelope,
    pem,
    private,
    provenance,
    statement,
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_opens_what_it_signed(kind: str) -> None:
    found = judge(envelope(statement(), kind), (anchor(kind),), where="x.dsse")
    assert found.payload == statement()
    assert (found.form, found.issuer, found.signed_s) == ("dsse", "", None)
    assert found.signer == f"SHA256:{parse_key(pem(kind), where='').digest.hex}"
    assert found.statement.subjects[0].digest == ARTIFACT


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_key_does(kind: str) -> None:
    family = kind.partition("-")[0]
    others = [anchor(other) for other in KINDS if other.partition("-")[0] != family]
    with pytest.raises(Unverified) as caught:
        judge(envelope(statement(), kind), others, where="x.dsse")
    assert caught.value.check == "attestation.signature"
    for other in others:  # the sentence names every key that was tried
        assert f"{other.name} ({other.key.kind} " in str(caught.value)


def test_the_example_of_the_specification_is_signed_by_its_key(vectors: Path) -> None:
    """Its signature is the two numbers side by side, and its type no statement's."""
    case = json.loads((vectors / "dsse" / "protocol_example.json").read_text())
    numbers = (int(case["key"][axis]) for axis in ("x", "y"))
    key = ForeignKey(ec.EllipticCurvePublicNumbers(*numbers, ec.SECP256R1()).public_key())
    message = pae(case["payloadType"], case["payload"].encode())
    signature = base64.b64decode(case["envelope"]["signatures"][0]["sig"])
    assert key.signed(signature, message)
    assert not key.signed(signature, message + b" ")
    with pytest.raises(Malformed, match=r"payloadType: expected application/vnd.in-toto\+json"):
        judge(json.dumps(case["envelope"]).encode(), (anchor("p256"),), where="x")


@pytest.mark.parametrize(
    ("public", "found"),
    [
        (rsa.generate_private_key(65_537, 1_024).public_key(), "RSA 1024"),
        (ec.generate_private_key(ec.SECP521R1()).public_key(), "secp521r1"),
        (ec.generate_private_key(ec.SECP256K1()).public_key(), "secp256k1"),
        (Ed448PrivateKey.generate().public_key(), "another kind"),
    ],
)
def test_weak_and_strange_keys_are_refused(public: Any, found: str) -> None:
    content = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(Malformed, match=rf"k.pem: expected a P-256, .*, found {found}"):
        parse_key(content, where="k.pem")


def test_a_private_key_is_never_taken_for_a_public_one() -> None:
    content = private("p256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Malformed, match="found a private one"):
        parse_key(content, where="k.pem")
    with pytest.raises(Malformed, match="in PEM, found no such key"):
        parse_key(b"hello", where="k.pem")


def test_one_trusted_signature_among_strangers_is_enough() -> None:
    content = envelope(statement(), "ed25519", "rsa-pss", "p256")
    assert judge(content, (anchor("p384"), anchor("p256")), where="x").anchor.name == "p256"
    with pytest.raises(Unverified):
        judge(content, (anchor("p384"),), where="x")


def test_a_signature_counts_for_its_own_payload_only() -> None:
    one, two = (json.loads(envelope(statement(predicate=provenance(n=n)), "p256")) for n in (1, 2))
    one["signatures"] = two["signatures"]
    with pytest.raises(Unverified):
        judge(json.dumps(one).encode(), (anchor("p256"),), where="x")


def test_too_many_signatures_are_not_even_tried() -> None:
    content = envelope(statement(), *["ed25519"] * (SIGNATURES_MAX + 1))
    with pytest.raises(Malformed, match="at most 16 signatures, found 17"):
        judge(content, (anchor("ed25519"),), where="x")


def test_nothing_is_trusted_by_default() -> None:
    with pytest.raises(Unverified, match="expected an entry under `trust` in the settings"):
        judge(envelope(statement(), "p256"), (), where="x")


def test_the_payload_of_a_stranger_is_never_read() -> None:
    """The same damage is said only when somebody trusted signed it."""
    broken = envelope(b'{"_type": "x", "_type": "y"}', "p256")
    with pytest.raises(Unverified):
        judge(broken, (anchor("p384"),), where="x")
    with pytest.raises(Malformed, match="stands twice"):
        judge(broken, (anchor("p256"),), where="x")


def test_a_key_attests_what_it_is_trusted_for() -> None:
    build = anchor("p256", "build", [PROVENANCE])
    content = envelope(statement(predicate_type="https://example.com/other/v1"), "p256")
    with pytest.raises(Unverified) as caught:
        judge(content, (build,), where="x")
    assert caught.value.check == "attestation.predicate"
    assert f"(build for {PROVENANCE}), found https://example.com/other/v1" in str(caught.value)
    # Another entry may trust the same key with more.
    assert judge(content, (build, anchor("p256", "any")), where="x").anchor.name == "any"
    assert judge(envelope(statement(), "p256"), (build,), where="x").anchor.name == "build"


def test_old_statements_and_typed_payloads_are_read_too() -> None:
    old = statement(kind=STATEMENT_V01)
    assert judge(envelope(old, "p256"), (anchor("p256"),), where="x").payload == old
    typed = envelope(statement(), "p256", payload_type="application/vnd.in-toto.provenance+json")
    assert judge(typed, (anchor("p256"),), where="x").payload == statement()


def test_what_is_too_big_is_not_read() -> None:
    with pytest.raises(Malformed, match=f"at most {SIZE_MAX} bytes"):
        judge(b" " * (SIZE_MAX + 1), (anchor("p256"),), where="x")


def test_files_of_lines() -> None:
    one, two = (json.dumps({"n": n}).encode() for n in (1, 2))
    assert documents(one + b"\n\n" + two + b"\r\n") == (one, two)
    pretty = json.dumps({"a": {"b": 1}}, indent=2).encode()
    assert documents(pretty) == (pretty,)
    assert documents(b"") == (b"",)


GOOD = envelope(statement(), "p256", "ed25519")


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_one_changed_byte_changes_nothing_that_was_signed(spot: int, value: int) -> None:
    """Refused, or the very same payload: the key id and white space are under no signature."""
    changed = bytearray(GOOD)
    changed[spot] = value
    try:
        found = judge(bytes(changed), (anchor("p256"),), where="x")
    except (Malformed, Unverified):
        return
    assert found.payload == statement()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["payload", "payloadType", "signatures", "sig", "keyid", "mediaType",
                 "dsseEnvelope", "verificationMaterial", "publicKey", "certificate"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)  # fmt: skip


@given(JSON)
def test_whatever_comes_is_refused_in_a_sentence(document: Any) -> None:
    with pytest.raises((Malformed, Unverified)):
        judge(json.dumps(document).encode(), (anchor("p256"),), where="x")


@given(st.binary(max_size=200))
def test_bytes_are_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises((Malformed, Unverified)):
        judge(content, (anchor("p256"),), where="x")


@given(JSON)
def test_a_hostile_payload_that_a_trusted_key_signed(document: Any) -> None:
    content = envelope(json.dumps(document).encode(), "ed25519")
    with pytest.raises(Malformed):
        judge(content, (anchor("ed25519"),), where="x")
