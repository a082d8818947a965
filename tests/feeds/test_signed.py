"""Mirrors whose files a list of digests vouches for, with a key behind the list or without."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.core.errors import AdapterFailed, Malformed, Unverified
from tests.feeds.conftest import Taker
from tests.feeds.mirror import Mirror, advisory, archive, kev

LIST = "SHA256SUMS"
KEV = "known_exploited_vulnerabilities.json"


def listed(files: Mapping[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(one).hexdigest()}  {path}\n" for path, one in files.items()]
    return "".join(lines).encode()


def pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def publish(mirror: Mirror, *names: str, released: str = "2026-02-10T12:00:00Z") -> bytes:
    mirror.files[f"k/{KEV}"] = kev(*names, released=released)
    mirror.files[f"k/{LIST}"] = listed({KEV: mirror.files[f"k/{KEV}"]})
    return mirror.files[f"k/{LIST}"]


def test_files_are_what_the_list_says(mirror: Mirror, sync: Taker) -> None:
    publish(mirror, "CVE-1")
    taken = sync("KEV", f"{mirror.url}/k", manifest=LIST)
    assert (taken.records, taken.checked_by) == (1, LIST)
    assert sync("KEV", f"{mirror.url}/k", manifest=LIST).how == "unchanged"
    assert mirror.asked[-1] == (f"k/{LIST}", 304)
    mirror.files[f"k/{LIST}"] = listed({KEV: kev("CVE-2")})
    with pytest.raises(Unverified, match=r"expected SHA-256 .* as SHA256SUMS says, found") as found:
        sync("KEV", f"{mirror.url}/k", manifest=LIST)
    assert (found.value.check, found.value.file) == ("feed.digest", KEV)
    mirror.files[f"k/{LIST}"] = listed({"other.json": b""})
    with pytest.raises(Unverified, match="expected a digest in SHA256SUMS, found none"):
        sync("KEV", f"{mirror.url}/k", manifest=LIST)
    del mirror.files[f"k/{LIST}"]
    with pytest.raises(AdapterFailed, match="there is no SHA256SUMS"):
        sync("KEV", f"{mirror.url}/k", manifest=LIST)


@pytest.mark.parametrize("content", [b"", b"abc  x\n", b"\xff\n", b"0" * 64 + b" x\n"])
def test_a_list_that_is_none_is_refused(content: bytes, mirror: Mirror, sync: Taker) -> None:
    publish(mirror, "CVE-1")
    mirror.files[f"k/{LIST}"] = content
    with pytest.raises(Malformed, match="SHA256SUMS"):
        sync("KEV", f"{mirror.url}/k", manifest=LIST)


def test_the_list_is_signed_by_the_key_that_was_configured(mirror: Mirror, sync: Taker) -> None:
    ours, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    source = f"{mirror.url}/k"
    content = publish(mirror, "CVE-1")
    with pytest.raises(Unverified, match="found no signature") as found:
        sync("KEV", source, manifest=LIST, key=pem(ours))
    assert found.value.check == "feed.signature"
    mirror.files[f"k/{LIST}.sig"] = other.sign(content)
    with pytest.raises(Unverified, match="found a signature of something else"):
        sync("KEV", source, manifest=LIST, key=pem(ours))
    mirror.files[f"k/{LIST}.sig"] = ours.sign(content)
    taken = sync("KEV", source, manifest=LIST, key=pem(ours))
    assert taken.checked_by.startswith(f"{LIST}, signed by SHA256:")
    again = sync("KEV", source, manifest=LIST, key=pem(ours))
    assert (again.how, again.checked_by) == ("unchanged", taken.checked_by)
    publish(mirror, "CVE-1", "CVE-2")  # a new list under the old signature
    with pytest.raises(Unverified, match="found a signature of something else"):
        sync("KEV", source, manifest=LIST, key=pem(ours))
    assert sync.previous.endswith("1.snapshot") or Path(sync.previous).exists()


def test_a_signature_in_base64_of_another_kind_of_key(mirror: Mirror, sync: Taker) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    content = publish(mirror, "CVE-1")
    signature = key.sign(content, ec.ECDSA(hashes.SHA256()))
    mirror.files[f"k/{LIST}.sig"] = base64.b64encode(signature) + b"\n"
    assert sync("KEV", f"{mirror.url}/k", manifest=LIST, key=pem(key)).records == 1


def test_a_signed_mirror_of_advisories_is_taken_whole(mirror: Mirror, sync: Taker) -> None:
    source = f"{mirror.url}/o"
    for number in (1, 2):
        members = {f"X-{n}.json": json.dumps(advisory(f"X-{n}")).encode() for n in range(number)}
        mirror.files["o/PyPI/all.zip"] = archive(members)
        mirror.files["o/PyPI/modified_id.csv"] = b"2026-02-02T00:00:00Z,X-1\n"
        mirror.files[f"o/{LIST}"] = listed({"PyPI/all.zip": mirror.files["o/PyPI/all.zip"]})
        taken = sync("OSV", source, ecosystems=("PyPI",), manifest=LIST)
        assert (taken.how, taken.records) == ("full", number)
    assert "o/PyPI/modified_id.csv" not in mirror.paths()  # nothing vouches for single files


def test_a_copy_in_a_folder_is_checked_the_same(tmp_path: Path, sync: Taker) -> None:
    key = Ed25519PrivateKey.generate()
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / KEV).write_bytes(kev("CVE-1"))
    (folder / LIST).write_bytes(listed({KEV: kev("CVE-1")}))
    (folder / f"{LIST}.sig").write_bytes(key.sign((folder / LIST).read_bytes()))
    assert sync("KEV", str(folder), manifest=LIST, key=pem(key)).records == 1
    (folder / KEV).write_bytes(kev("CVE-1", "CVE-2"))
    with pytest.raises(Unverified, match="expected SHA-256"):
        sync("KEV", str(folder), manifest=LIST, key=pem(key))


def test_answers_cannot_be_vouched_for_by_a_list(mirror: Mirror, sync: Taker) -> None:
    publish(mirror, "CVE-1")
    with pytest.raises(Malformed, match="expected the address of a file"):
        sync("NVD", f"{mirror.url}/k", manifest=LIST)
