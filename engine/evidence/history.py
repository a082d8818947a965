"""One history of the log: every head that a pack shows grows into the one it was signed upon.

`log/consistency.json` holds the proofs (RFC 9162, 2.1.4). They end at the tree as it was right
before the pack's own list was signed; the receipt of that signature shows the same tree once more,
for an inclusion proof also proves everything to the left of its leaf. So the file can stand in the
list, and yet nothing in the pack may be of another history than the signature over it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.errors import Malformed, Unverified
from engine.core.jcs import canonical
from engine.evidence.merkle import EMPTY_ROOT, Tree, node_hash, verify_consistency
from engine.evidence.strict import base64_of, fields, integer, parse_object, text

FILE: Final = "log/consistency.json"
SCHEMA: Final = "releaseline.log-consistency/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """An earlier tree of the log, and the proof that the newest one grew out of it."""

    size: int
    root: bytes
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Attributes:
    size, root: the tree that all proofs lead to.
    beginnings: by size, each size once.
    """

    origin: str
    size: int
    root: bytes
    beginnings: tuple[Beginning, ...]

    def to_bytes(self) -> bytes:
        return canonical(
            {
                "schema": SCHEMA,
                "origin": self.origin,
                "to": {"size": self.size, "root": _b64(self.root)},
                "from": [
                    {
                        "size": one.size,
                        "root": _b64(one.root),
                        "hashes": [_b64(value) for value in one.hashes],
                    }
                    for one in self.beginnings
                ],
            }
        )

    def root_at(self, size: int) -> bytes | None:
        """The root that this history has at `size`; None where it has no proof for it."""
        if size == self.size:
            return self.root
        return next((one.root for one in self.beginnings if one.size == size), None)


def history(tree: Tree, sizes: Iterable[int], *, origin: str, size: int | None = None) -> History:
    """Prove that the trees of `sizes` leaves are beginnings of the one of `size`.

    Args:
        tree: the log itself.
        size: all of the tree by default. Sizes of `sizes` that are equal to it need no proof.
    """
    end = tree.size if size is None else size
    return History(
        origin=origin,
        size=end,
        root=tree.root(end),
        beginnings=tuple(
            Beginning(size=one, root=tree.root(one), hashes=tree.consistency(one, end))
            for one in sorted(set(sizes) - {end})
        ),
    )


def parse_history(content: bytes, *, where: str = FILE) -> History:
    """Read a history in its one spelling and check every proof in it.

    Raises:
        Malformed: names the field.
        Unverified: a tree that is no beginning of the last one.
    """
    document = parse_object(content, where=where)
    fields(document, {"schema", "origin", "to", "from"}, where=where)
    if document["schema"] != SCHEMA:
        raise Malformed(f"expected {SCHEMA}, found {document['schema']!r}", where=where)
    end = fields(document["to"], {"size", "root"}, where=f"{where}.to")
    found = History(
        origin=text(document, "origin", where=where),
        size=integer(end, "size", where=f"{where}.to"),
        root=base64_of(end, "root", where=f"{where}.to"),
        beginnings=tuple(_beginning(one, f"{where}.from") for one in _list(document, where)),
    )
    sizes = [one.size for one in found.beginnings]
    if sizes != sorted(set(sizes)) or found.to_bytes() != content:
        raise Malformed("expected canonical JSON, each size once and in order", where=where)
    _check_proofs(found, where)
    return found


def parse_proof(content: bytes, *, where: str) -> History:
    """Read one proof as `log consistency --json` prints it, and check it.

    Raises:
        Malformed, Unverified: as `parse_history`.
    """
    document = parse_object(content, where=where)
    if "schema" in document:
        return parse_history(content, where=where)
    keys = {"origin", "first", "second", "first_root", "second_root", "hashes"}
    fields(document, keys, optional={"ok", "problem"}, where=where)
    hashes = document["hashes"]
    if not isinstance(hashes, list):
        raise Malformed("expected a list", where=f"{where}.hashes")
    beginning = Beginning(
        size=integer(document, "first", where=where),
        root=_hex(document, "first_root", where),
        hashes=tuple(_hex({"hashes": one}, "hashes", where) for one in hashes),
    )
    found = History(
        origin=text(document, "origin", where=where),
        size=integer(document, "second", where=where),
        root=_hex(document, "second_root", where),
        beginnings=(beginning,),
    )
    _check_proofs(found, where)
    return found


def _hex(document: Mapping[str, Any], key: str, where: str) -> bytes:
    try:
        return bytes.fromhex(text(document, key, where=where))
    except ValueError:
        raise Malformed("expected hex digits", where=f"{where}.{key}") from None


def _check_proofs(found: History, where: str) -> None:
    for one in found.beginnings:
        try:
            verify_consistency(
                first=one.size,
                second=found.size,
                first_root=one.root,
                second_root=found.root,
                proof=one.hashes,
            )
        except Unverified as error:
            raise Unverified(
                f"a tree of {one.size} is not the beginning of one of {found.size}",
                check=error.check,
                file=where,
                expected=error.expected,
                found=error.found,
            ) from None


def root_before(index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root of the first `index` leaves, as a *verified* inclusion proof of leaf `index` has it.

    The hashes that lie left of the leaf's path are the complete subtrees of all leaves before it,
    smallest first: hashed together they are the root of that earlier tree, and no other.
    """
    fn, sn, left = index, size - 1, list[bytes]()
    for p in proof:
        if fn & 1 or fn == sn:
            left.append(p)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        fn >>= 1
        sn >>= 1
    if not left:
        return EMPTY_ROOT
    root = left[0]
    for one in left[1:]:
        root = node_hash(one, root)
    return root


def _beginning(value: Any, where: str) -> Beginning:
    fields(value, {"size", "root", "hashes"}, where=where)
    hashes = value["hashes"]
    if not isinstance(hashes, list):
        raise Malformed("expected a list", where=f"{where}.hashes")
    return Beginning(
        size=integer(value, "size", where=where),
        root=base64_of(value, "root", where=where),
        hashes=tuple(base64_of({"hash": one}, "hash", where=where) for one in hashes),
    )


def _list(document: Mapping[str, Any], where: str) -> Sequence[Any]:
    found = document["from"]
    if not isinstance(found, list):
        raise Malformed("expected a list", where=f"{where}.from")
    return found


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
