"""One history: proofs from every head that a pack shows, older checkpoints, and forks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Malformed, Unverified
from engine.core.jcs import canonical
from engine.evidence import checkpoint
from engine.evidence.history import FILE, history, parse_history, root_before
from engine.evidence.merkle import Tree, leaf_hash
from engine.evidence.report import Report
from engine.evidence.verify import SUMS_BUNDLE, verify_pack
from tests.evidence.conftest import Played
from tests.evidence.kit import repacked, unpacked, world
from tests.evidence.thief import real_log, resummed

pytestmark = pytest.mark.house

ORIGIN = "log.releaseline.local"
# No receipt of the healthy run shows a tree of this size.
SIZE = 5


def tree_of(size: int, salt: str = "") -> Tree:
    return Tree(leaf_hash(f"{salt}{n}".encode()) for n in range(size))


@given(st.integers(1, 200), st.data())
def test_an_inclusion_proof_shows_the_tree_before_its_leaf(size: int, data: st.DataObject) -> None:
    tree, index = tree_of(size), data.draw(st.integers(0, size - 1))
    assert root_before(index, size, tree.inclusion(index)) == tree.root(index)


@given(st.integers(0, 120), st.data())
def test_what_was_proven_is_read_back(size: int, data: st.DataObject) -> None:
    tree = tree_of(size)
    sizes = data.draw(st.sets(st.integers(0, size)))
    made = history(tree, sizes, origin=ORIGIN)
    assert parse_history(made.to_bytes()) == made
    assert all(made.root_at(one) == tree.root(one) for one in sizes)
    assert made.root_at(size + 1) is None


@given(st.integers(2, 60), st.data())
def test_no_leaf_of_a_history_can_be_changed(size: int, data: st.DataObject) -> None:
    made = json.loads(history(tree_of(size), [size // 2], origin=ORIGIN).to_bytes())
    one = made["from"][0] if made["from"] else made["to"]
    place = data.draw(st.sampled_from(["size", "root", "to", "drop"]))
    if place == "size":
        one["size"] += 1
    elif place == "root":
        one["root"] = made["to"]["root"][::-1] if one is not made["to"] else one["root"]
        one["root"] = "A" * 43 + "="
    elif place == "to":
        made["to"]["root"] = "A" * 43 + "="
    else:
        one.pop("root")
    with pytest.raises((Malformed, Unverified)):
        parse_history(canonical(made))


def judge(content: bytes, played: Played, **asked: bytes) -> Report:
    return verify_pack(content, trusted_root=played.trusted, **asked)


def failed(report: Report) -> set[str]:
    assert not report.ok
    return {check.check for check in report.failed}


def note_of(bundle: bytes) -> str:
    entry = json.loads(bundle)["verificationMaterial"]["tlogEntries"][0]
    return str(entry["inclusionProof"]["checkpoint"]["envelope"])


def test_a_list_that_is_signed_on_a_fork_is_refused(healthy: Played) -> None:
    """Every key is the real one; only the tree of the last signature is another."""
    files = unpacked(healthy.audit)
    fork = tree_of(real_log(healthy).size, "fork")
    # The proofs are those of the real log: the fork's own would not fit the items' heads at all.
    bent = resummed({n: c for n, c in files.items() if n != FILE}, healthy, fork)
    assert "log.consistency" in failed(judge(repacked(bent), healthy))
    forked = resummed(files, healthy, tree_of(real_log(healthy).size, "fork"))
    assert {"log.split"} <= failed(judge(repacked(forked), healthy))


def test_a_list_that_is_signed_on_a_cut_log_is_refused(healthy: Played) -> None:
    cut = Tree(real_log(healthy).leaf(n) for n in range(3))
    bent = resummed(unpacked(healthy.audit), healthy, cut)
    assert {"log.order", "log.consistency"} <= failed(judge(repacked(bent), healthy))


def test_every_head_needs_its_proof(healthy: Played) -> None:
    files = unpacked(healthy.audit)
    for number in range(len(json.loads(files[FILE])["from"])):
        document = json.loads(files[FILE])
        del document["from"][number]
        bent = files | {FILE: canonical(document)}
        report = judge(repacked(bent), healthy)
        assert "log.consistency" in {check.check for check in report.failed}


@pytest.mark.parametrize(
    ("name", "check"), [("log/checkpoint", "log.checkpoint"), ("log/log.vkey", "log.vkey")]
)
def test_what_is_said_of_the_log_is_the_log(healthy: Played, name: str, check: str) -> None:
    files = unpacked(healthy.audit)
    other = note_of(files["steps/01-inputs/resolved-inputs.sigstore.json"]).encode()
    bent = resummed(files | {name: other}, healthy)
    assert check in failed(judge(repacked(bent), healthy))


def test_an_older_checkpoint_of_this_log(healthy: Played) -> None:
    files = unpacked(healthy.audit)
    for name in sorted(name for name in files if name.endswith(".sigstore.json"))[::3]:
        report = judge(healthy.audit, healthy, against=note_of(files[name]).encode())
        assert report.ok, report.failed
        assert [check.check for check in report.checks].count("log.against") == 1


def test_an_older_checkpoint_of_a_rewritten_log(healthy: Played) -> None:
    files, keys = unpacked(healthy.audit), healthy.world.keys
    shown = checkpoint.parse_checkpoint(
        note_of(files["proof-chain.sigstore.json"]).partition("\n\n")[0] + "\n"
    )
    other = tree_of(shown.size, "before it was rewritten")
    head = checkpoint.LogCheckpoint(origin=keys.log_origin, size=shown.size, root=other.root())
    note = checkpoint.sign(head, keys.log_key).encode()
    assert failed(judge(healthy.audit, healthy, against=note)) == {"log.against"}
    unsigned = note.replace(b"\n\n", b"0\n\n", 1)
    assert not judge(healthy.audit, healthy, against=unsigned).ok
    foreign = note_of(files["proof-chain.sigstore.json"]).replace(keys.log_origin, "log.x").encode()
    assert failed(judge(healthy.audit, healthy, against=foreign)) == {"log.against"}


def test_a_checkpoint_that_the_pack_has_no_proof_for(healthy: Played) -> None:
    tree, keys = real_log(healthy), healthy.world.keys
    head = checkpoint.LogCheckpoint(origin=keys.log_origin, size=SIZE, root=tree.root(SIZE))
    note = checkpoint.sign(head, keys.log_key).encode()
    known = {one["size"] for one in json.loads(unpacked(healthy.audit)[FILE])["from"]}
    assert SIZE not in known
    (check,) = judge(healthy.audit, healthy, against=note).failed
    assert f"releaseline log consistency {SIZE}" in check.expected
    newest = checkpoint.parse_checkpoint(
        note_of(unpacked(healthy.audit)[SUMS_BUNDLE]).partition("\n\n")[0] + "\n"
    )
    proof = history(tree, [SIZE], origin=keys.log_origin, size=newest.size).to_bytes()
    assert judge(healthy.audit, healthy, against=note, consistency=proof).ok
    printed = {
        "origin": keys.log_origin,
        "first": SIZE,
        "second": newest.size,
        "first_root": tree.root(SIZE).hex(),
        "second_root": tree.root(newest.size).hex(),
        "hashes": [one.hex() for one in tree.consistency(SIZE, newest.size)],
        "ok": True,
        "problem": "",
    }
    by_log = canonical(printed)
    assert judge(healthy.audit, healthy, against=note, consistency=by_log).ok
    for key in ("first_root", "second_root"):
        lie = canonical(printed | {key: "0" * 64})
        assert not judge(healthy.audit, healthy, against=note, consistency=lie).ok
    short = history(tree, [1], origin=keys.log_origin, size=SIZE).to_bytes()
    assert not judge(healthy.audit, healthy, against=note, consistency=short).ok
    fork = Tree([*(tree.leaf(n) for n in range(SIZE)), *(leaf_hash(b"x") for _ in range(SIZE, 60))])
    for forged in (
        history(fork, [SIZE], origin=keys.log_origin, size=newest.size),
        history(tree, [SIZE], origin="another.log", size=newest.size),
    ):
        report = judge(healthy.audit, healthy, against=note, consistency=forged.to_bytes())
        assert failed(report) == {"log.against"}


def test_a_checkpoint_that_is_newer_than_the_pack(healthy: Played) -> None:
    tree, keys = real_log(healthy), healthy.world.keys
    ours = checkpoint.parse_checkpoint(
        note_of(unpacked(healthy.audit)[SUMS_BUNDLE]).partition("\n\n")[0] + "\n"
    )
    for number in range(5):
        tree.append(leaf_hash(b"later %d" % number))
    head = checkpoint.LogCheckpoint(origin=keys.log_origin, size=tree.size, root=tree.root())
    note = checkpoint.sign(head, keys.log_key).encode()
    assert failed(judge(healthy.audit, healthy, against=note)) == {"log.against"}
    proof = history(tree, [ours.size], origin=keys.log_origin).to_bytes()
    assert judge(healthy.audit, healthy, against=note, consistency=proof).ok


def test_an_older_pack_stands_for_its_newest_checkpoint(tmp_path: Path) -> None:
    one = world(tmp_path)
    one.play(until=lambda run: run.evidence_count == 3)
    early = one.sealer.export("run-1", "partial", actor="ana")[1]
    one.play()
    trusted, late = one.keys.trusted_root, one.pack()
    tree = Tree(bytes.fromhex(leaf) for leaf in one.store.tlog_leaves())
    proof = history(tree, range(1, tree.size), origin=one.keys.log_origin).to_bytes()
    assert verify_pack(late, trusted_root=trusted, against=late).ok
    newer = verify_pack(late, trusted_root=trusted, against=early)
    assert [check.check for check in newer.failed] == ["log.against"]
    newest = json.loads(unpacked(late)[SUMS_BUNDLE])["verificationMaterial"]["tlogEntries"][0]
    size = int(newest["inclusionProof"]["treeSize"])
    for end in (size, tree.size):
        given = history(tree, range(1, end), origin=one.keys.log_origin, size=end).to_bytes()
        assert verify_pack(late, trusted_root=trusted, against=early, consistency=given).ok
    assert verify_pack(early, trusted_root=trusted, against=late, consistency=proof).ok
    one.store.close()
