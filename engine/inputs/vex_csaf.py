"""CSAF 2.0: advisories of vendors, of which the profile VEX is one. The author is the publisher.

Products stand in a tree and are named by ids; a product inside of another one is a relationship.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engine.core.errors import Malformed
from engine.inputs.reading import (
    object_of,
    objects_of,
    optional_text,
    seconds_of,
    text_of,
    texts_of,
)
from engine.inputs.sbom_parts import hash_of
from engine.inputs.vex import JUSTIFICATIONS, About, Named, Statement, VexDocument, bytes_named

_STATUS: Final = {
    "known_not_affected": "not_affected",
    "fixed": "fixed",
    "first_fixed": "fixed",
    "under_investigation": "under_investigation",
    "known_affected": "affected",
    "first_affected": "affected",
    "last_affected": "affected",
}
_DEPTH_MAX: Final = 64


def read_csaf(document: Mapping[str, Any], where: str) -> VexDocument:
    """Raises `Malformed` naming file, field, expected and found."""
    head = object_of(document, "document", where)
    place = f"{where}.document"
    version = text_of(head, "csaf_version", place)
    if version != "2.0":
        raise Malformed(f"expected 2.0, found {version!r}", where=f"{place}.csaf_version")
    author = text_of(object_of(head, "publisher", place), "name", f"{place}.publisher")
    tracking = object_of(head, "tracking", place)
    released = text_of(tracking, "current_release_date", f"{place}.tracking")
    gaps: list[str] = []
    if text_of(tracking, "status", f"{place}.tracking") == "draft":
        gaps.append(f"{place}.tracking.status: a draft is nobody's word yet")
        return VexDocument(format="CSAF 2.0", statements=(), gaps=tuple(gaps))
    tree = _Tree()
    tree.read(object_of(document, "product_tree", where), f"{where}.product_tree")
    statements: list[Statement] = []
    for spot, item in objects_of(document, "vulnerabilities", where):
        statements += _statements(
            item, spot, tree, gaps, author, seconds_of(released, f"{place}.tracking")
        )
    return VexDocument(
        format="CSAF 2.0", statements=tuple(statements), gaps=tuple(dict.fromkeys(gaps))
    )


class _Tree:
    """Products by id, as far as they can be recognised, and the groups of them."""

    def __init__(self) -> None:
        self.about: dict[str, About] = {}
        self.called: dict[str, str] = {}
        self.groups: dict[str, list[str]] = {}

    def read(self, tree: Mapping[str, Any], where: str) -> None:
        for place, product in objects_of(tree, "full_product_names", where):
            self._product(product, place)
        self._branches(tree, where, 0)
        for place, group in objects_of(tree, "product_groups", where):
            self.groups[text_of(group, "group_id", place)] = texts_of(group, "product_ids", place)
        for place, relation in objects_of(tree, "relationships", where):
            self._relation(relation, place)

    def _branches(self, item: Mapping[str, Any], where: str, depth: int) -> None:
        if depth > _DEPTH_MAX:
            raise Malformed(f"expected at most {_DEPTH_MAX} branches in each other", where=where)
        for place, branch in objects_of(item, "branches", where):
            if "product" in branch:
                self._product(object_of(branch, "product", place), f"{place}.product")
            self._branches(branch, place, depth + 1)

    def _product(self, product: Mapping[str, Any], where: str) -> str:
        name = text_of(product, "product_id", where)
        self.called[name] = text_of(product, "name", where)
        helper = object_of(product, "product_identification_helper", where)
        place = f"{where}.product_identification_helper"
        hashes = {
            hash_of(text_of(one, "algorithm", at), text_of(one, "value", at))
            for spot, many in objects_of(helper, "hashes", place)
            for at, one in objects_of(many, "file_hashes", spot)
        }
        purl = optional_text(helper, "purl", place)
        named = Named(purl=purl, hashes=frozenset(hashes - {""}))
        if bytes_named(tuple(named.hashes), purl):
            self.about[name] = About(named=named)
        return name

    def _relation(self, relation: Mapping[str, Any], where: str) -> None:
        whole = self._product(
            object_of(relation, "full_product_name", where), f"{where}.full_product_name"
        )
        part = self.about.get(text_of(relation, "product_reference", where))
        inside = self.about.get(text_of(relation, "relates_to_product_reference", where))
        if part is not None and inside is not None:
            self.about[whole] = About(named=part.named, whole=inside.named)

    def members(self, item: Mapping[str, Any], where: str) -> Iterator[str]:
        yield from texts_of(item, "product_ids", where)
        for group in texts_of(item, "group_ids", where):
            yield from self.groups.get(group, ())


def _statements(
    item: Mapping[str, Any],
    where: str,
    tree: _Tree,
    gaps: list[str],
    author: str,
    released_s: int,
) -> Iterator[Statement]:
    flaws = {optional_text(item, "cve", where)}
    flaws |= {text_of(one, "text", place) for place, one in objects_of(item, "ids", where)}
    flaws.discard("")
    called = min(flaws, default=where)
    reasons: dict[str, str] = {}
    for place, flag in objects_of(item, "flags", where):
        label = text_of(flag, "label", place)
        for product in tree.members(flag, place):
            reasons[product] = label if label in JUSTIFICATIONS else ""
    status_of = object_of(item, "product_status", where)
    for field, status in _STATUS.items():
        by_reason: dict[str, list[About]] = defaultdict(list)
        for product in texts_of(status_of, field, f"{where}.product_status"):
            about = tree.about.get(product)
            if about is None:
                name = tree.called.get(product, product)
                gaps.append(f"{called}: {name} has neither a package URL nor a hash")
                continue
            by_reason[reasons.get(product, "")].append(about)
        for reason, many in sorted(by_reason.items()):
            yield Statement(
                flaws=frozenset(flaws),
                about=tuple(many),
                status=status,
                justification=reason,
                author=author,
                stated_s=released_s,
            )
