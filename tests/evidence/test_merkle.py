"""The tree against an oracle straight from RFC 6962, its vectors, and every damage."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Unverified
from engine.evidence.merkle import (
    EMPTY_ROOT,
    Tree,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [leaf_hash(bytes([n])) for n in range(70)]


def root_of(leaves: list[bytes]) -> bytes:
    """The definition in RFC 6962, 2.1, written without any cleverness: the oracle."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(root_of(leaves[:k]), root_of(leaves[k:]))


@pytest.mark.parametrize("size", range(0, 40))
def test_the_root_is_the_oracles(size: int) -> None:
    tree = Tree(LEAVES)
    assert Tree(LEAVES[:size]).root() == root_of(LEAVES[:size]) == tree.root(size)


@pytest.mark.parametrize("size", range(1, 40))
def test_inclusion_for_every_leaf_and_every_damage(size: int) -> None:
    tree = Tree(LEAVES)
    root = root_of(LEAVES[:size])
    for index in range(size):
        proof = tree.inclusion(index, size)
        verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=root)
        damaged: list[dict[str, Any]] = [
            {"proof": [*proof, root]},
            {"root": leaf_hash(b"other")},
            {"index": size},
            {"size": 2 * size},  # the proof is for a smaller tree
            {"index": -1},
            {"root": b"short"},
            *([{"proof": proof[:-1]}, {"proof": [*proof[:-1], root]}] if proof else []),
            *([{"index": (index + 1) % size}] if size > 1 else []),
        ]
        for change in damaged:
            arguments = {"index": index, "size": size, "proof": proof, "root": root} | change
            with pytest.raises(Unverified):
                verify_inclusion(LEAVES[index], **arguments)


@pytest.mark.parametrize("second", range(0, 34))
def test_consistency_of_every_pair_and_every_damage(second: int) -> None:
    tree = Tree(LEAVES)
    for first in range(second + 1):
        proof = tree.consistency(first, second)
        good: dict[str, Any] = {
            "first": first,
            "second": second,
            "first_root": root_of(LEAVES[:first]),
            "second_root": root_of(LEAVES[:second]),
            "proof": proof,
        }
        verify_consistency(**good)
        damaged: list[dict[str, Any]] = [
            {"first_root": leaf_hash(b"other")},
            {"proof": [*proof, EMPTY_ROOT]},
            {"first": second + 1},
            *([{"second_root": leaf_hash(b"other")}] if first else []),
            *([{"proof": proof[:-1]}] if proof else []),
        ]
        for change in damaged:
            with pytest.raises(Unverified):
                verify_consistency(**good | change)


@given(st.integers(1, 70), st.data())
def test_a_grown_tree_keeps_its_past(size: int, data: st.DataObject) -> None:
    grown = Tree(LEAVES[:size])
    before = data.draw(st.integers(0, size))
    assert grown.root(before) == Tree(LEAVES[:before]).root()
    with pytest.raises(ValueError, match="size"):
        grown.root(size + 1)
    with pytest.raises(ValueError, match="outside"):
        grown.inclusion(size)


def _b64(value: str) -> bytes:
    return base64.b64decode(value)


def test_inclusion_vectors(vectors: Path) -> None:
    cases = json.loads((vectors / "rfc6962" / "inclusion.json").read_text())
    for case in cases:
        arguments: dict[str, Any] = {
            "index": case["leafIdx"],
            "size": case["treeSize"],
            "root": _b64(case["root"] or ""),
            "proof": [_b64(one) for one in case["proof"] or []],
        }
        leaf = _b64(case["leafHash"] or "")
        if case["wantErr"]:
            with pytest.raises(Unverified):
                verify_inclusion(leaf, **arguments)
        else:
            verify_inclusion(leaf, **arguments)
    assert len(cases) == 98


def test_consistency_vectors(vectors: Path) -> None:
    cases = json.loads((vectors / "rfc6962" / "consistency.json").read_text())
    for case in cases:
        arguments: dict[str, Any] = {
            "first": case["size1"],
            "second": case["size2"],
            "first_root": _b64(case["root1"] or ""),
            "second_root": _b64(case["root2"] or ""),
            "proof": [_b64(one) for one in case["proof"] or []],
        }
        if case["wantErr"]:
            with pytest.raises(Unverified):
                verify_consistency(**arguments)
        else:
            verify_consistency(**arguments)
    assert len(cases) == 98


def test_reference_roots(vectors: Path) -> None:
    case = json.loads((vectors / "rfc6962" / "roots.json").read_text())
    tree = Tree()
    assert tree.root().hex() == case["empty_root_hex"]
    for leaf, root in zip(
        case["leaf_inputs_hex"], case["root_hashes_hex_by_size_from_1"], strict=True
    ):
        tree.append(leaf_hash(bytes.fromhex(leaf)))
        assert tree.root().hex() == root
