"""Cosignatures and `add-checkpoint`, against other people's witness and other people's notes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import LogForked, Malformed, Unverified
from engine.evidence.checkpoint import (
    LogCheckpoint,
    NoteKey,
    open_checkpoint,
    open_note,
    sign,
    split_note,
)
from engine.evidence.cosignature import (
    AddCheckpoint,
    WitnessKey,
    cosign,
    open_cosignatures,
    parse_add_checkpoint,
    parse_witness_vkey,
)
from engine.evidence.merkle import Tree, leaf_hash
from engine.keystore_witness import WitnessSigner, begin_state, witness_state
from engine.witness import Witness

LOG_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = NoteKey("log.example", LOG_KEY.public_key())
SIGNER = WitnessSigner("witness.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
WITNESS = SIGNER.public
HEAD = LogCheckpoint(origin="log.example", size=17, root=bytes(range(32)))
NOTE = sign(HEAD, LOG_KEY)
NOW_US = 1_700_000_000_123_456


def cosigned(note: str = NOTE) -> str:
    text, _ = split_note(note, where="note")
    return note + cosign(text, SIGNER.name, SIGNER.key, at_s=NOW_US // 1_000_000)


def witness(folder: Path, *logs: NoteKey) -> Witness:
    (folder / "keys").mkdir(exist_ok=True)
    begin_state(folder)
    return Witness(SIGNER, witness_state(folder), logs or (LOG,))


def note_of(tree: Tree, key: Ed25519PrivateKey = LOG_KEY) -> str:
    return sign(LogCheckpoint(origin="log.example", size=tree.size, root=tree.root()), key)


def tree_of(size: int, word: str = "leaf") -> Tree:
    return Tree(leaf_hash(f"{word} {n}".encode()) for n in range(size))


def test_the_lines_stand_in_order_and_say_when() -> None:
    note = cosigned()
    lines = note.rstrip("\n").split("\n")
    assert lines[-2].startswith("— log.example ") and lines[-1].startswith("— witness.example ")
    assert open_checkpoint(note, LOG) == HEAD
    (found,) = open_cosignatures(note, [WITNESS])
    assert (found.witness, found.at_s) == (WITNESS, 1_700_000_000)
    assert open_cosignatures(note, []) == () == open_cosignatures(NOTE, [WITNESS])
    assert parse_witness_vkey(str(WITNESS)) == WITNESS


def test_a_cosignature_is_no_signature_of_the_log_nor_the_other_way_round() -> None:
    """The same key under both types: neither line passes for the other (signature types)."""
    text, _ = split_note(NOTE, where="note")
    line = cosign(text, "log.example", LOG_KEY, at_s=1)
    with pytest.raises(Unverified, match="no known log"):
        open_checkpoint(f"{text}\n{line}", LOG)
    assert open_cosignatures(NOTE, [WitnessKey("log.example", LOG_KEY.public_key())]) == ()


@given(st.data())
def test_any_changed_character_of_text_or_cosignature_is_refused(data: st.DataObject) -> None:
    note = cosigned()
    kept = range(note.index("— log.example"), note.index("— witness.example"))
    spots = [n for n in range(len(note)) if n not in kept]
    spot = data.draw(st.sampled_from(spots))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != note[spot]))
    try:
        found = open_cosignatures(note[:spot] + other + note[spot + 1 :], [WITNESS])
    except (Malformed, Unverified):
        return
    assert found == ()  # its name or key id is another's now


def test_a_cosigned_checkpoint_of_sigstore(vectors: Path) -> None:
    folder = vectors / "sigstore-conformance" / "bundle-verify" / "rekor2-checkpoint-cosigned"
    bundle = json.loads((folder / "bundle.sigstore.json").read_text())
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    note = entry["inclusionProof"]["checkpoint"]["envelope"]
    _, signatures = split_note(note, where="note")
    (raw,) = [raw for name, raw in signatures if name == "witness.example"]
    assert len(raw) == 4 + 8 + 64
    assert int.from_bytes(raw[4:12], "big") > 1_700_000_000  # a time in seconds, big-endian


def requests(text: str) -> list[tuple[bytes, int, str]]:
    """(body, status, what is said of the answer) of a script of litewitness."""
    found = re.findall(r"```\n(.*?)```\nHTTP (\d+)\n\[Asserts\]\n([^\n]*)", text, re.DOTALL)
    return [(body.encode(), int(status), asserted) for body, status, asserted in found]


def test_the_protocol_as_litewitness_speaks_it(vectors: Path, tmp_path: Path) -> None:
    text = (vectors / "c2sp" / "litewitness.txt").read_text()
    raw = re.search(r"add-sigsum-log -key=([0-9a-f]{64})", text)
    origin = re.search(r"sigsum.org/v1/tree/4d6d\S+", text)
    assert raw is not None and origin is not None
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(raw[1]))
    own = witness(tmp_path, NoteKey(origin[0], key))
    cases = requests(text)
    assert len(cases) == 9
    for body, status, asserted in cases:
        answer = own.add_checkpoint(body, now_us=NOW_US)
        if "unknown log" in asserted:
            status = 404  # the specification has meanwhile set it apart from a wrong signature
        if "invalid signature" in asserted:
            status = 400  # spelled with stray bits: refused before anything is verified
        assert answer.status == status, (body, answer)
        if status == 409:
            assert f'body == "{answer.body[:-1]}\\n"' == asserted
            assert answer.media_type == "text/x.tlog.size"
        elif status == 200:
            note = parse_add_checkpoint(body).note + answer.body
            assert [one.at_s for one in open_cosignatures(note, [WITNESS])] == [1_700_000_000]
    assert own.seen(origin[0]).size == 5


def test_a_signature_by_another_key_is_forbidden(tmp_path: Path) -> None:
    tree = tree_of(3)
    body = AddCheckpoint(old=0, proof=(), note=note_of(tree, SIGNER.key)).to_bytes()
    own = witness(tmp_path)
    assert own.add_checkpoint(body, now_us=NOW_US).status == 403
    assert own.seen("log.example").size == 0


def test_the_first_checkpoint_of_sumdb(vectors: Path) -> None:
    (case,) = requests((vectors / "c2sp" / "sumdb.txt").read_text())
    request = parse_add_checkpoint(case[0])
    assert (request.old, request.proof) == (0, ())
    assert request.to_bytes() == case[0].rstrip(b"\n") + b"\n"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 1",
        b"old -1\n\nnote",
        b"old 01\n\nnote",
        b"new 1\n\nnote",
        b"old 1\n\n",
        b"old 1\nAAAA\n\nnote",
        b"old 1\nnot base64\n\nnote",
        b"\xff\xfe",
        b"old 1\n" + b"KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" * 64 + b"\nnote",
    ],
)
def test_what_is_no_request(body: bytes, tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        parse_add_checkpoint(body)
    assert witness(tmp_path).add_checkpoint(body, now_us=NOW_US).status == 400


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_an_honest_log_is_always_signed(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    own = witness(tmp_path_factory.mktemp("witness"))
    for size in sorted(sizes):
        tree = tree_of(size)
        note = own.cosign(note_of(tree), tree, now_us=NOW_US)
        assert len(open_cosignatures(note, [WITNESS])) == 1
        assert open_note(note, [LOG])
        assert own.seen("log.example").size == size


@settings(max_examples=25)
@given(first=st.integers(1, 20), second=st.integers(1, 20))
def test_a_fork_is_never_signed_by_whatever_proof(
    tmp_path_factory: pytest.TempPathFactory, first: int, second: int
) -> None:
    folder = tmp_path_factory.mktemp("witness")
    own = witness(folder)
    good = tree_of(first)
    own.cosign(note_of(good), good, now_us=NOW_US)
    before = witness_state(folder).read_bytes()
    fork = tree_of(second, "other")
    with pytest.raises(LogForked, match="does not sign"):
        own.cosign(note_of(fork), fork, now_us=NOW_US)
    for old in {0, first, second}:
        for proof in (fork.consistency(min(old, second)), good.consistency(min(old, first)), ()):
            body = AddCheckpoint(old=old, proof=proof, note=note_of(fork)).to_bytes()
            assert own.add_checkpoint(body, now_us=NOW_US).status in {400, 409, 422}
    assert witness_state(folder).read_bytes() == before


def test_it_remembers_over_a_restart_and_never_goes_back(tmp_path: Path) -> None:
    tree = tree_of(9)
    witness(tmp_path).cosign(note_of(tree), tree, now_us=NOW_US)
    again = witness(tmp_path)
    again.cosign(note_of(tree), tree, now_us=NOW_US)  # the same once more is no step back
    with pytest.raises(LogForked, match="has signed 9 before, so leaves are missing"):
        again.cosign(note_of(tree_of(8)), tree_of(8), now_us=NOW_US)


def test_without_its_memory_it_signs_nothing(tmp_path: Path) -> None:
    own = witness(tmp_path)
    state = witness_state(tmp_path)
    for content in (b"{", b"[]", b'{"schema":"other"}', b'{"logs":{"log.example":3}}'):
        state.write_bytes(content)
        with pytest.raises(LogForked, match="damaged"):
            own.cosign(NOTE, tree_of(17), now_us=NOW_US)
    state.unlink()
    with pytest.raises(LogForked, match="is gone"):
        own.cosign(NOTE, tree_of(17), now_us=NOW_US)
    assert not state.exists()


def test_the_memory_is_there_before_the_signature_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, tree = witness(tmp_path), tree_of(3)
    with monkeypatch.context() as patch:
        patch.setattr("engine.witness.write_whole", _full)
        with pytest.raises(OSError, match="full"):
            own.cosign(note_of(tree), tree, now_us=NOW_US)
    with monkeypatch.context() as patch:
        patch.setattr("engine.witness.cosign", _full)
        with pytest.raises(OSError, match="full"):
            own.cosign(note_of(tree), tree, now_us=NOW_US)
    assert own.seen("log.example").size == 3
    own.cosign(note_of(tree), tree, now_us=NOW_US)


def _full(*_args: object, **_more: object) -> str:
    raise OSError("full")
