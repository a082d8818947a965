"""RFC 3161 tokens: those of other authorities, ours, and every way to bend one."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.errors import Malformed, Unverified
from engine.evidence import der, timestamp
from engine.evidence.certificates import Authority, make_root, make_tsa
from engine.evidence.timestamp import TimeAuthority

NOW_US = 1_795_000_000_000_000


def authority() -> TimeAuthority:
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = make_root(
        root_key, organization="O", common_name="root", serial=1, now_us=NOW_US, years=10
    )
    certificate = make_tsa(
        Authority(certificate=root, key=root_key),
        key.public_key(),
        organization="O",
        common_name="tsa",
        serial=2,
    )
    return TimeAuthority(key=key, certificate=certificate, root=root)


TSA = authority()
CHAIN = (TSA.certificate, TSA.root)
TOKEN = timestamp.stamp(b"a signature", TSA, serial=7, now_us=NOW_US)


def check(token: bytes, signature: bytes = b"a signature", *, exact: bool = True) -> int:
    return timestamp.verify(token, signature, chain=CHAIN, where="t.tsr", exact=exact)


def test_our_own_token() -> None:
    assert check(TOKEN) == NOW_US // 1_000_000


@pytest.mark.parametrize("exact", [True, False])
def test_a_token_over_another_signature(exact: bool) -> None:
    with pytest.raises(Unverified) as refusal:
        check(TOKEN, b"another", exact=exact)
    assert refusal.value.check == "timestamp.imprint"


def test_another_authority() -> None:
    other = timestamp.stamp(b"a signature", authority(), serial=7, now_us=NOW_US)
    with pytest.raises(Unverified):
        check(other, exact=False)


def test_outside_the_certificates_time() -> None:
    late = timestamp.stamp(b"x", TSA, serial=1, now_us=NOW_US + 20 * 366 * 86_400 * 1_000_000)
    with pytest.raises(Unverified) as refusal:
        check(late, b"x")
    assert refusal.value.check == "timestamp.time"


def test_a_self_signed_authority_alone_is_no_chain() -> None:
    with pytest.raises(Unverified) as refusal:
        timestamp.verify(TOKEN, b"a signature", chain=CHAIN[:1], where="t")
    assert refusal.value.check == "timestamp.chain"


def test_a_changed_byte_anywhere_is_refused() -> None:
    """Also those that no signature covers: in a pack they have one spelling."""
    for spot in range(0, len(TOKEN), 3):
        changed = bytearray(TOKEN)
        changed[spot] ^= 1
        with pytest.raises((Malformed, Unverified)):
            check(bytes(changed))


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_bytes_make_the_reader_stumble(content: bytes) -> None:
    with pytest.raises((Malformed, Unverified)):
        check(content)


def test_der_has_one_spelling() -> None:
    assert der.parse(der.integer(128)).integer() == 128
    assert der.parse(der.integer(0)).integer() == 0
    for bad in (b"\x02\x81\x01\x00", b"\x02\x80", b"\x02", b"\x02\x02\x00", b"\x1f\x81\x00", b""):
        with pytest.raises(Malformed):
            der.parse(bad)


def _chain(path: Path) -> list[x509.Certificate]:
    """The authority's certificate first, its root last."""
    return sorted(x509.load_pem_x509_certificates(path.read_bytes()), key=_is_ca)


def _is_ca(certificate: x509.Certificate) -> bool:
    return any(
        isinstance(one.value, x509.BasicConstraints) and one.value.ca
        for one in certificate.extensions
    )


@pytest.mark.parametrize(
    ("token", "good"),
    [
        ("response-sha256.tsr", True),
        ("response-sha384.tsr", True),
        ("response-no-embedded-cert.tsr", True),
        ("response-invalid-signature.tsr", False),
    ],
)
def test_tokens_of_sigstores_staging_authority(vectors: Path, token: str, good: bool) -> None:
    folder = vectors / "rfc3161"
    chain = _chain(folder / "sigstage__ts_chain.pem")
    content = (folder / f"sigstage__{token}").read_bytes()
    if good:
        assert timestamp.verify(content, b"hello", chain=chain, where=token) > 1_700_000_000
        with pytest.raises(Unverified):
            timestamp.verify(content, b"hullo", chain=chain, where=token)
    else:
        with pytest.raises(Unverified) as refusal:
            timestamp.verify(content, b"hello", chain=chain, where=token)
        assert refusal.value.check == "timestamp.signature"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl: not installed here")
def test_openssl_accepts_our_token(tmp_path: Path) -> None:
    (tmp_path / "sig").write_bytes(b"a signature")
    (tmp_path / "t.tsr").write_bytes(TOKEN)
    (tmp_path / "root.pem").write_bytes(TSA.root.public_bytes(Encoding.PEM))
    (tmp_path / "tsa.pem").write_bytes(TSA.certificate.public_bytes(Encoding.PEM))
    command = "openssl ts -verify -data sig -in t.tsr -CAfile root.pem -untrusted tsa.pem"
    # The token's own moment: it lies in the future of whoever runs this.
    result = subprocess.run(
        [*command.split(), "-attime", str(NOW_US // 1_000_000)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "Verification: OK" in result.stdout + result.stderr
    assert hashlib.sha256(b"a signature").digest() in TOKEN
