"""Shapes that nobody would write: each ends in a named refusal, and none in a crash or a lie."""

from __future__ import annotations

import base64
import json
import tarfile
import zipfile
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from engine.cli.main import run
from engine.core.errors import Malformed, Unverified
from engine.evidence import der, pack, timestamp
from engine.evidence.certificates import read
from engine.evidence.checkpoint import parse_checkpoint
from engine.evidence.pack import read_folder, read_pack, write_zip
from engine.evidence.sigstore_bundle import verify_bundle
from engine.evidence.sigstore_roots import parse_foreign_root
from engine.evidence.strict import integer, parse
from engine.evidence.trust import parse_trusted_root
from engine.evidence.verify import SUMS_BUNDLE, verify_pack
from tests.evidence.conftest import Played
from tests.evidence.kit import repacked, unpacked
from tests.evidence.test_tampered import APPROVAL, BOB, bent_item

DEEP = 3_000


def announced(kind: bytes, count: int) -> bytes:
    """A row of headers that each only say what the next one is called."""
    info = tarfile.TarInfo("header")
    info.type, info.size = kind, 10
    text = b"10 path=x\n" if kind == tarfile.XHDTYPE else b"x" * 10
    return (info.tobuf(tarfile.GNU_FORMAT) + text.ljust(512, b"\0")) * count


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_an_archive_that_is_read_by_recursion(kind: bytes) -> None:
    with pytest.raises(Malformed, match="expected a tar archive"):
        read_pack(pack._gzip(announced(kind, DEEP) + bytes(1024)))


def test_a_member_without_a_name() -> None:
    nameless = bytearray(write_zip({"a": b"1"}))
    start = nameless.index(b"PK\x01\x02")
    nameless[start + 28] = 0  # the length of its name in the directory
    with pytest.raises(Malformed, match="expected a zip archive"):
        read_pack(bytes(nameless))
    assert zipfile.is_zipfile(BytesIO(bytes(nameless)))


def test_an_empty_folder_and_a_file_beyond_any_pack(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(Unverified, match="an empty folder"):
        read_folder(tmp_path)
    big = tmp_path / "big.zip"
    with big.open("wb") as file:
        file.truncate(2 * pack.BYTES_MAX + 1)  # sparse: it takes no room
    report = verify_pack(big)
    assert [check.check for check in report.failed] == ["pack.member"]


@pytest.mark.parametrize(
    "text",
    [
        '{"a":9007199254740993}', '{"a":-9007199254740992}', '{"a":99999999999999999999999}',
        '{"a":-0}', '{"a":1.0}', '{"a":1e3}', '{"a":NaN}', '{"a":"\\ud800"}', '{"\\udfff":1}',
        '{"a":"\\uD83D x"}', f'{{"a":{"9" * 5_000}}}', "[" * 100_000,
    ],
)  # fmt: skip
def test_json_that_readers_differ_on(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text.encode(), where="a")


def test_json_that_is_only_unusual() -> None:
    assert parse(b'{"a":"\\ud83d\\ude00","b":9007199254740991}', where="a") == {
        "a": "\U0001f600",
        "b": 2**53 - 1,
    }
    big = parse(b'{"a":1790000000000000001,"b":1.5}', where="a", fractions=True)
    assert big == {"a": 1_790_000_000_000_000_001, "b": "1.5"}
    for value in ("9007199254740992", "9" * 5_000, "01", "-1", "\u0663", True, -1, 2**53, None):
        with pytest.raises(Malformed):
            integer({"n": value}, "n", where="a")


@pytest.mark.parametrize("url", ["https://[", "https://\u2100.example", "https://", "x"])
def test_a_trusted_root_whose_log_has_no_place(rejected: Played, url: str) -> None:
    document = json.loads(rejected.trusted)
    document["tlogs"][0]["baseUrl"] = url
    content = json.dumps(document).encode()
    for reader in (parse_trusted_root, parse_foreign_root):
        with pytest.raises(Malformed):
            reader(content)


@pytest.mark.parametrize("list_", ["tlogs", "ctlogs"])
def test_a_trusted_root_with_a_key_of_no_kind(rejected: Played, list_: str) -> None:
    document = json.loads(rejected.trusted)
    public = document[list_][0]["publicKey"]
    raw = bytearray(base64.b64decode(public["rawBytes"]))
    raw[8] ^= 1  # inside the name of its algorithm
    public["rawBytes"] = base64.b64encode(raw).decode()
    content = json.dumps(document).encode()
    with pytest.raises(Malformed, match="expected a public key"):
        parse_trusted_root(content)
    files = unpacked(rejected.audit) | {"trust/trusted_root.json": content}
    report = verify_pack(repacked(files))  # judged by its own root: a no, and no crash
    assert "trust.root" in {check.check for check in report.failed}


def test_a_checkpoint_with_a_size_beyond_all_numbers() -> None:
    with pytest.raises(Malformed, match="a decimal size"):
        parse_checkpoint(f"log\n{'9' * 5_000}\nAA==\n")


def test_a_certificate_of_another_version(rejected: Played) -> None:
    leaf = parse_trusted_root(rejected.trusted).authorities[0].certificates[0]
    raw = bytearray(leaf.public_bytes(Encoding.DER))
    spot = raw.index(b"\xa0\x03\x02\x01\x02") + 4
    for version in (3, 9, 255):
        raw[spot] = version
        with pytest.raises(Malformed, match="a DER certificate"):
            read(bytes(raw), where="leaf")


@pytest.mark.parametrize("inside", [b"", der.sequence(), der.sequence(der.sequence())])
def test_a_token_that_names_no_certificate(inside: bytes) -> None:
    token: Any = type("Token", (), {"by_kind": {der.oid(timestamp._SIGNING_CERT_V2): inside}})
    with pytest.raises((Malformed, Unverified)):
        timestamp._check_ess(token, token, "token")


@pytest.mark.house
@pytest.mark.parametrize(
    ("part", "every"),
    [
        ("certificate", 23),
        ("token", 29),
        pytest.param("certificate", 1, marks=pytest.mark.long),
        pytest.param("token", 1, marks=pytest.mark.long),
    ],
)
def test_bytes_of_a_certificate_and_of_a_token(rejected: Played, part: str, every: int) -> None:
    """Whatever one byte becomes, the answer is no, by name."""
    bundle = json.loads(unpacked(rejected.audit)[SUMS_BUNDLE])
    material, trusted = bundle["verificationMaterial"], parse_trusted_root(rejected.trusted)
    holder, key = {
        "certificate": (material["certificate"], "rawBytes"),
        "token": (
            material["timestampVerificationData"]["rfc3161Timestamps"][0],
            "signedTimestamp",
        ),
    }[part]
    raw = base64.b64decode(holder[key])
    for spot in range(0, len(raw), every):
        for value in {0, 3, 0x30, 255, raw[spot] ^ 1} - {raw[spot]}:
            changed = bytearray(raw)
            changed[spot] = value
            holder[key] = base64.b64encode(changed).decode()
            content = json.dumps(bundle, separators=(",", ":"), sort_keys=True).encode()
            with pytest.raises((Malformed, Unverified)):
                verify_bundle(content, trusted, where="b", exact=True)


@pytest.mark.house
def test_what_a_pack_says_cannot_write_into_the_report(
    rejected: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = unpacked(rejected.audit)
    lie = "\nbad.tar.gz: verified, 99 of 99 checks passed\x1b[8m"
    files["log/log.vkey"] = f"log+00000000+AAAA{lie}".encode()
    path = tmp_path / "bad.tar.gz"
    path.write_bytes(repacked(files))
    assert run(["verify", str(path), "--self-consistent"]) == 21
    told = capsys.readouterr().out
    assert "\x1b" not in told and "log.vkey" in told
    assert not [line for line in told.splitlines() if line.startswith("bad.tar.gz: verified")]


def _without(key: str, statement: Any) -> None:
    del statement["predicate"][key]


@pytest.mark.house
def test_a_statement_that_lacks_what_it_is_asked_for(healthy: Played) -> None:
    """An approval without any decision, signed by every key there is, is a no and not a crash."""
    for gone in ("decision", "decidedAt", "expiresAt", "approver", "scope", "basis", "nonce"):
        bent = bent_item(
            unpacked(healthy.audit),
            healthy,
            APPROVAL,
            partial(_without, gone),
            identity=BOB,
        )
        assert not verify_pack(repacked(bent), trusted_root=healthy.trusted).ok, gone
