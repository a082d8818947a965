"""Signed notes and checkpoints: C2SP's own examples, and what must not pass for one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Malformed, Unverified
from engine.evidence.checkpoint import (
    LogCheckpoint,
    NoteKey,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    parse_vkey,
    sign,
    sign_note,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = NoteKey("log.example", KEY.public_key())
HEAD = LogCheckpoint(origin="log.example", size=17, root=bytes(range(32)))


def test_the_example_of_the_specification(vectors: Path) -> None:
    case = json.loads((vectors / "c2sp" / "signed_note_example.json").read_text())
    key = parse_vkey(case["vkey"])
    assert str(key) == case["vkey"]
    assert open_note(case["note"], [key]) == "This is an example message.\n"


def test_the_checkpoint_of_sumdb(vectors: Path) -> None:
    text = (vectors / "c2sp" / "sumdb.txt").read_text()
    found = re.search(r"sum\.golang\.org\+[0-9a-f]{8}\+\S+", text)
    assert found is not None
    key = parse_vkey(found.group())
    notes = re.findall(r"go\.sum database tree\n\d+\n\S+\n\n(?:— .*\n)+", text)
    assert notes
    for note in notes:
        head = parse_checkpoint(open_note(note, [key]))
        assert head.origin == "go.sum database tree" and head.size > 0


def test_what_was_signed_is_read_back() -> None:
    assert open_checkpoint(sign(HEAD, KEY), LOG) == HEAD
    assert parse_vkey(str(LOG)).key_id == LOG.key_id


def test_a_stranger_beside_the_log_is_passed_over() -> None:
    other = sign_note(HEAD.text(), "witness.example", Ed25519PrivateKey.generate())
    note = sign(HEAD, KEY) + other.rpartition("\n\n")[2]
    assert open_checkpoint(note, LOG) == HEAD


def test_only_strangers_are_not_enough() -> None:
    with pytest.raises(Unverified, match="no known log"):
        open_checkpoint(sign_note(HEAD.text(), "log.example", Ed25519PrivateKey.generate()), LOG)


def test_the_right_key_under_a_foreign_origin_is_refused() -> None:
    foreign = LogCheckpoint(origin="other.example", size=17, root=HEAD.root)
    note = sign_note(foreign.text(), "log.example", KEY)
    with pytest.raises(Unverified) as refusal:
        open_checkpoint(note, LOG)
    assert refusal.value.check == "log.origin"


@given(st.data())
def test_any_changed_character_is_refused(data: st.DataObject) -> None:
    note = sign(HEAD, KEY)
    spot = data.draw(st.integers(0, len(note) - 1))
    sign_ = data.draw(st.characters(codec="utf-8").filter(lambda c: c != note[spot]))
    with pytest.raises((Malformed, Unverified)):
        open_checkpoint(note[:spot] + sign_ + note[spot + 1 :], LOG)


@pytest.mark.parametrize(
    "text",
    [
        "log.example\n17\n",
        "log.example\n017\nAAAA\n",
        "log.example\n-1\nAAAA\n",
        "log.example\n1\nAAAA\n",
        "",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(Malformed):
        parse_checkpoint(text)


@pytest.mark.parametrize("vkey", ["", "a", "a+b+c", "log.example+00000000+AQ=="])
def test_what_is_no_key(vkey: str) -> None:
    with pytest.raises(Malformed):
        parse_vkey(vkey)


def test_wycheproof_ed25519(vectors: Path) -> None:
    """The library that we lean on refuses what must be refused."""
    groups = json.loads((vectors / "wycheproof" / "ed25519_test.json").read_text())["testGroups"]
    for group in groups:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]["pk"]))
        for case in group["tests"]:
            try:
                key.verify(bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
                good = True
            except InvalidSignature:
                good = False
            assert good == (case["result"] == "valid"), case
