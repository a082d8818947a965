"""What others published to trip verifiers: their keys' kind of signature, time stamps, JSON.

The published cases that stand nowhere else in the tests, and that none of the folder lies unused.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding

from engine.core.errors import Unverified
from engine.core.jcs import canonical
from engine.evidence import timestamp
from engine.evidence.foreign_key import ForeignKey, parse_key

# Not to be read by a verifier: what a folder says of itself, and the questions to which the
# time stamps are the answers. We ask nobody: a token is judged by what it is over.
NO_VECTORS = {
    "README.md",
    "UPSTREAM_README.md",
    "cli_protocol.md",
    "sigstage__README.md",
    "test_tsa__README.md",
    "sigstage__request.der",
    "test_tsa__request.der",
}
# Read by their folder, not one by one.
WHOLE = ("jcs/", "sigstore-conformance/bundle-verify/")


def cases(vectors: Path, file: str) -> Iterator[tuple[ForeignKey, bytes, bytes, dict[str, Any]]]:
    """Key, signature, message and the case itself."""
    for group in json.loads((vectors / "wycheproof" / file).read_text())["testGroups"]:
        key = parse_key(group["publicKeyPem"].encode(), where="publicKeyPem")
        for case in group["tests"]:
            yield key, bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]), case


@pytest.mark.parametrize(
    ("file", "count", "valid"),
    [("ecdsa_secp256r1_sha256_test.json", 484, 174), ("ed25519_test.json", 151, 88)],
)
def test_wycheproof_by_the_keys_that_people_configure(
    vectors: Path, file: str, count: int, valid: int
) -> None:
    """Every case as a stranger's signature: spellings of DER, edges of r and s, points at the
    edge, hashes that begin with zeros."""
    judged = [
        (case["tcId"], key.signed(signature, message), case["result"] == "valid")
        for key, signature, message, case in cases(vectors, file)
    ]
    assert [one for one in judged if one[1] is not one[2]] == []
    assert (len(judged), sum(good for _, good, _ in judged)) == (count, valid)


def test_wycheproof_where_only_the_digest_is_known(vectors: Path) -> None:
    """As receipts are judged: the log keeps SHA-256 of what was signed, and not the thing."""
    hashed = ec.ECDSA(Prehashed(hashes.SHA256()))
    for key, signature, message, case in cases(vectors, "ecdsa_secp256r1_sha256_test.json"):
        assert isinstance(key.public, ec.EllipticCurvePublicKey)
        try:
            key.public.verify(signature, _sha256(message), hashed)
            good = True
        except InvalidSignature:
            good = False
        assert good == (case["result"] == "valid"), case


def _sha256(message: bytes) -> bytes:
    hasher = hashes.Hash(hashes.SHA256())
    hasher.update(message)
    return hasher.finalize()


# --- time stamps ----------------------------------------------------------------------------

HELLO = b"hello"
OTHERS = [
    # Its certificate ended in 2024, and the time that it says lies before: good for ever.
    ("sigstore.mock", "response-expired", "", 1_675_209_600),
    # Over SHA-512, by a leaf below an intermediate.
    ("test_tsa", "response", "", 1_728_402_032),
    # A certificate that names a stranger was put in: those inside are never looked at.
    ("test_tsa", "response-injected-certs", "", 1_728_402_032),
    # By an authority of the same name with another key.
    ("test_tsa", "other_response", "timestamp.signer", 0),
    ("sigstage", "response-sha256", "", 1_746_791_935),
    ("sigstage", "response-sha384", "", 1_746_791_935),
    ("sigstage", "response-no-embedded-cert", "", 1_750_234_382),
    ("sigstage", "response-invalid-signature", "timestamp.signature", 0),
]


@pytest.mark.parametrize(("authority", "token", "check", "at_s"), OTHERS)
def test_time_stamps_of_three_authorities(
    vectors: Path, authority: str, token: str, check: str, at_s: int
) -> None:
    content, over, chain = _stamp(vectors, authority, token)
    if check:
        with pytest.raises(Unverified) as refusal:
            timestamp.verify(content, over, chain=chain, where=token)
        assert refusal.value.check == check
        return
    assert timestamp.verify(content, over, chain=chain, where=token) == at_s
    with pytest.raises(Unverified) as refusal:
        timestamp.verify(content, over + b"!", chain=chain, where=token)
    assert refusal.value.check == "timestamp.imprint"
    # In a pack of ours only our own authority's spelling may stand.
    with pytest.raises(Unverified) as refusal:
        timestamp.verify(content, over, chain=chain, where=token, exact=True)
    assert refusal.value.check == "timestamp.form"


def test_all_eight_time_stamps_are_judged(vectors: Path) -> None:
    told = {f"{authority}__{token}.tsr" for authority, token, _, _ in OTHERS}
    assert told == {path.name for path in (vectors / "rfc3161").glob("*.tsr")}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl: not installed here")
@pytest.mark.parametrize(("authority", "token", "check", "at_s"), OTHERS)
def test_openssl_says_the_same(
    vectors: Path, tmp_path: Path, authority: str, token: str, check: str, at_s: int
) -> None:
    content, over, chain = _stamp(vectors, authority, token)
    (tmp_path / "over").write_bytes(over)
    (tmp_path / "t.tsr").write_bytes(content)
    (tmp_path / "root.pem").write_bytes(chain[-1].public_bytes(Encoding.PEM))
    below = b"".join(one.public_bytes(Encoding.PEM) for one in chain[:-1])
    (tmp_path / "below.pem").write_bytes(below)
    command = "openssl ts -verify -data over -in t.tsr -CAfile root.pem -untrusted below.pem"
    result = subprocess.run(
        [*command.split(), "-attime", str(at_s or 1_746_791_935)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    good = "Verification: OK" in result.stdout + result.stderr
    assert good is not bool(check), result.stderr


def _stamp(
    vectors: Path, authority: str, token: str
) -> tuple[bytes, bytes, tuple[x509.Certificate, ...]]:
    """The token, what it is over, and its authority's chain, leaf first."""
    folder = vectors / "rfc3161"
    over = (folder / "sigstore.mock__payload").read_bytes() if "mock" in authority else HELLO
    pem = (folder / f"{authority}__ts_chain.pem").read_bytes()
    by_name = {one.subject: one for one in x509.load_pem_x509_certificates(pem)}
    issuers = {one.issuer for one in by_name.values()}
    (leaf,) = (one for name, one in by_name.items() if name not in issuers)
    chain = [leaf]
    while chain[-1].issuer != chain[-1].subject:
        chain.append(by_name[chain[-1].issuer])
    return (folder / f"{authority}__{token}.tsr").read_bytes(), over, tuple(chain)


# --- canonical JSON ---------------------------------------------------------------------------


def _whole(text: str) -> int | Decimal:
    """A number without a fraction as what it is; RFC 8785 writes 56.0 as 56."""
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else number


@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_canonical_json_of_the_rfc(vectors: Path, name: str) -> None:
    """Five of six byte for byte. The numbers of `values` are fractions and more than 2**53, which
    nothing that we sign may hold: they are refused, and the rest of that case is read."""
    folder = vectors / "jcs"
    value = json.loads((folder / "input" / f"{name}.json").read_text(), parse_float=_whole)
    expected = (folder / "output" / f"{name}.json").read_bytes()
    assert bytes.fromhex((folder / "outhex" / f"{name}.txt").read_text()) == expected
    if name == "values":
        with pytest.raises((TypeError, ValueError)):
            canonical(value)
        for number in value["numbers"]:
            with pytest.raises((TypeError, ValueError)):
                canonical(number)
        numbers = expected[expected.index(b'"numbers":') : expected.index(b'"string":')]
        expected = expected.replace(numbers, b"")
        del value["numbers"]
    assert canonical(value) == expected


def test_no_published_vector_lies_unused(vectors: Path) -> None:
    """Each file is named by a test, or belongs to a folder that one reads whole."""
    tests = "\n".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    unused = []
    for path in sorted(path for path in vectors.rglob("*") if path.is_file()):
        place = str(path.relative_to(vectors))
        names = (path.name, path.stem.rpartition("__")[2])
        if place.startswith(WHOLE) or path.name in NO_VECTORS:
            continue
        if not any(f'{name}"' in tests for name in names) and "__ts_chain" not in path.name:
            unused.append(place)
    assert unused == []
