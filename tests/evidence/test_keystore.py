"""Keys on disk: who may read them, who can open them, and what is said when nobody can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import keystore
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused, UnsafeConfig
from engine.evidence.trust import parse_trusted_root


def test_what_was_made_is_opened(tmp_path: Path) -> None:
    made = keystore.create(tmp_path, "correct horse", log_origin="log.example")
    opened = keystore.open(tmp_path, "correct horse")
    assert opened.trusted_root == made.trusted_root == (tmp_path / "trusted_root.json").read_bytes()
    assert opened.fingerprint == Digest.of(made.trusted_root)
    assert opened.input_key == made.input_key and len(opened.input_key) == 32
    assert opened.log_key.private_bytes_raw() == made.log_key.private_bytes_raw()
    trusted = parse_trusted_root(opened.trusted_root)
    assert [log.key.name for log in trusted.logs] == ["log.example"]
    # Homes that were made before the file ended with its line keep theirs.
    assert opened.trusted_root.splitlines(keepends=True) == [opened.trusted_root]
    assert parse_trusted_root(opened.trusted_root.rstrip(b"\n")) == trusted
    assert trusted.to_bytes() == opened.trusted_root and opened.trusted_root.endswith(b"\n")
    path = tmp_path / "keys" / "keystore.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    files = sorted(path.parent.iterdir())
    assert [p.name for p in files] == ["keystore.json", "witness-state.json", "witness.json"]
    assert {p.stat().st_mode & 0o777 for p in files} == {0o600}


def test_no_key_lies_in_the_open(tmp_path: Path) -> None:
    made = keystore.create(tmp_path, "x")
    raw = (tmp_path / "keys" / "keystore.json").read_bytes()
    assert made.input_key not in raw and made.log_key.private_bytes_raw() not in raw
    document = json.loads(raw)
    assert document["kdf"] == "argon2id"
    assert document["cost"] == {"memoryKib": 65_536, "iterations": 3, "lanes": 4}


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no keystore at"):
        keystore.open(tmp_path, "x")
    with pytest.raises(Refused, match="empty"):
        keystore.create(tmp_path, "")
    keystore.create(tmp_path, "x")
    with pytest.raises(Refused, match="never overwritten"):
        keystore.create(tmp_path, "x")
    with pytest.raises(Refused, match="passphrase is wrong"):
        keystore.open(tmp_path, "y")


def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    keystore.create(tmp_path, "x")
    path = tmp_path / "keys" / "keystore.json"
    path.chmod(0o640)
    with pytest.raises(Refused, match="mode 0640"):
        keystore.open(tmp_path, "x")


@pytest.mark.parametrize("part", ["sealed", "salt", "nonce", "cost", "schema", ""])
def test_a_file_that_was_changed(tmp_path: Path, part: str) -> None:
    keystore.create(tmp_path, "x")
    path = tmp_path / "keys" / "keystore.json"
    document = json.loads(path.read_text())
    if part == "cost":
        document["cost"]["iterations"] = 1  # a cheaper guess
    elif part:
        document[part] = ("B" if document[part][0] == "A" else "A") + document[part][1:]
    path.write_text(json.dumps(document) if part else "{")
    with pytest.raises((Refused, Malformed)):
        keystore.open(tmp_path, "x")


def test_a_trusted_root_that_is_not_of_these_keys(tmp_path: Path) -> None:
    keystore.create(tmp_path, "x")
    (tmp_path / "trusted_root.json").write_text("{}")
    with pytest.raises(Malformed, match="not the trust root"):
        keystore.open(tmp_path, "x")
    (tmp_path / "trusted_root.json").unlink()
    assert (
        keystore.open(tmp_path, "x").trusted_root == (tmp_path / "trusted_root.json").read_bytes()
    )


def test_the_passphrase_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystore.create(tmp_path, "from a file")
    secret = tmp_path / "passphrase"
    secret.write_text("from a file\n")
    monkeypatch.delenv(keystore.PASSPHRASE_VARIABLE, raising=False)
    monkeypatch.setenv(f"{keystore.PASSPHRASE_VARIABLE}_FILE", str(secret))
    assert keystore.open_keys(tmp_path).log_origin
    monkeypatch.setenv(keystore.PASSPHRASE_VARIABLE, "wrong")
    with pytest.raises(UnsafeConfig, match="passphrase is wrong"):
        keystore.open_keys(tmp_path)
    monkeypatch.delenv(keystore.PASSPHRASE_VARIABLE)
    monkeypatch.setenv(f"{keystore.PASSPHRASE_VARIABLE}_FILE", str(tmp_path / "absent"))
    with pytest.raises(UnsafeConfig, match="absent"):
        keystore.open_keys(tmp_path)
